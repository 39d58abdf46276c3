"""Views of a campaign's signatures: the table, moderation, email addresses, and possible duplicates.

Searches use POST, because a GET would put names and email addresses into logs and the browser's history. For the same
reason, requests that change signatures respond with the updated table, not with a redirect. Sending such a request
a second time changes nothing.
"""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from campaign.accounts import audit_log
from campaign.accounts.permissions import Right
from campaign.desk.access import allow, by, can
from campaign.desk.signatures import notices
from campaign.desk.signatures.forms import URL_FIELDS, ActForm, FilterForm, numbers
from campaign.desk.signatures.notices import Notice, Question
from campaign.models.campaign import Campaign
from campaign.models.lease import is_worker_running
from campaign.moderation import actions, duplicates
from campaign.moderation import table as signature_table
from campaign.moderation import undo as undoing
from campaign.moderation.actions import Action
from campaign.moderation.changes import Done
from campaign.moderation.table import Count, Page
from campaign.signatures import sources, tally
from campaign.storage import pagination
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction

signatures = Blueprint("signatures", __name__)


@signatures.get("/campaigns/<slug>/signatures")
@allow(Right.MODERATE, translated=False)
def table(campaign: Campaign) -> ResponseReturnValue:
    """Show a page of signatures, newest first."""
    values = MultiDict((name, request.args[name]) for name in URL_FIELDS if name in request.args)
    return _answer(campaign, FilterForm(campaign, values), request.args.get("before"))


@signatures.post("/campaigns/<slug>/signatures/search")
@allow(Right.MODERATE, translated=False)
def search(campaign: Campaign) -> ResponseReturnValue:
    """Show matching signatures. If the search contains no personal data, redirect to a URL that contains the filter."""
    form, before = FilterForm(campaign, request.form), request.form.get("next")
    if not _is_htmx() and form.validate() and form.chosen() == form.in_url():
        return redirect(url_for(".table", slug=campaign.slug, before=before, **form.in_url()), 303)
    return _answer(campaign, form, before)


@signatures.post("/campaigns/<slug>/signatures/hide")
@allow(Right.MODERATE)
def hide(campaign: Campaign) -> ResponseReturnValue:
    """Hide signatures from the public list; they still count."""
    return _act(campaign, Action.HIDE)


@signatures.post("/campaigns/<slug>/signatures/remove")
@allow(Right.REMOVE)
def remove(campaign: Campaign) -> ResponseReturnValue:
    """Remove signatures from the public list and from the count, and block their email addresses if requested."""
    return _act(campaign, Action.REMOVE)


@signatures.post("/campaigns/<slug>/signatures/restore")
@allow(Right.MODERATE)
def restore(campaign: Campaign) -> ResponseReturnValue:
    """Return hidden and removed signatures to the list and the count."""
    return _act(campaign, Action.RESTORE)


def _act(campaign: Campaign, action: Action) -> ResponseReturnValue:
    form, act = FilterForm(campaign, request.form), ActForm(request.form)
    before, first = _cursor("before"), _cursor("first")
    if not form.validate() or not act.validate() or act.sure == notices.NONE:
        return _answer(campaign, form, before, act=act)
    if action is Action.REMOVE and act.block.data:
        action = Action.BLOCK
    actor, may_remove, now = by(), can(Right.REMOVE, campaign), datetime.now(UTC)
    reason: str = act.reason.data
    if act.everyone.data and act.sure != notices.SELECTED:
        wanted = form.filter()
        # Signatures that arrived after the table or the question was shown are not changed.
        first = first or signature_table.start(db.session(), campaign.id)
        if act.sure != notices.ALL:
            matching = actions.matching(db.session(), campaign.id, action, wanted, first, may_remove=may_remove)
            if question := notices.about_all(action, matching, act.ids, first, is_filtered=bool(form.chosen())):
                return _answer(campaign, form, before, act=act, question=question)
        done = actions.act_on_all(actor, campaign.id, action, wanted, reason, now, may_remove=may_remove, first=first)
    else:
        with write_transaction() as session:
            done = actions.act(session, actor, campaign.id, action, act.ids, reason, now, may_remove=may_remove)
    question = notices.about_rest(action, done)
    # The form keeps what was typed until the change is complete.
    return _answer(campaign, form, before, act=act if question else None, notice=_noticed(done), question=question)


@signatures.post("/campaigns/<slug>/signatures/undo")
@allow(Right.MODERATE)
def undo(campaign: Campaign) -> ResponseReturnValue:
    """Undo changes to signatures. If that hides or removes many, ask first."""
    form, before = FilterForm(campaign, request.form), _cursor("before")
    entries = numbers(request.form.getlist("entry"))
    actor, may_remove, sure = by(), can(Right.REMOVE, campaign), request.form.get("sure")
    if sure == notices.NONE:
        return _answer(campaign, form, before)
    try:
        if sure != notices.ALL:
            planned = undoing.plan(db.session(), campaign.id, entries, may_remove=may_remove)
            if question := notices.about_undo(planned, entries):
                return _answer(campaign, form, before, question=question)
        done = undoing.undo_all(actor, campaign.id, entries, datetime.now(UTC), may_remove=may_remove)
    except actions.NotAllowedError:
        abort(403)
    except undoing.NoSuchEntryError:
        abort(404)
    undone = undoing.undone_by(db.session(), entries)
    if undone and not done.changed:
        notice = notices.undone_already(max(undone.values(), key=lambda each: each.at), campaign.time_zone)
    else:
        notice = _noticed(done, is_undo=True)
    if done.fault:
        # Offer to undo the rest, not to undo what was undone.
        rest = undoing.plan(db.session(), campaign.id, entries, may_remove=may_remove)
        notice = replace(notice, entries=entries, undo=rest.orders(again=True))
    return _answer(campaign, form, before, notice=notice)


def _noticed(done: Done, *, is_undo: bool = False) -> Notice:
    if done.fault:
        current_app.logger.error("the database could not be used", exc_info=done.fault)
    return notices.result(done, is_undo=is_undo)


@signatures.post("/campaigns/<slug>/signatures/addresses")
@allow(Right.ADDRESSES)
def addresses(campaign: Campaign) -> ResponseReturnValue:
    """Show this page of signatures with email addresses once, and record in the audit log whose were shown."""
    form, act, before, actor = FilterForm(campaign, request.form), ActForm(request.form), _cursor("before"), by()
    if not form.validate():
        return _answer(campaign, form, before, act=act)
    # Search before the transaction, because signers may wait for it.
    page = _page(db.session(), campaign, form, before, with_addresses=True)
    # Searched text may be a name or an email address, which the audit log must not contain.
    criteria = form.in_url() | ({"searched": True} if form.chosen() != form.in_url() else {})
    after = {"shown": page.ids, "filter": criteria, "page": before or "first"}
    with write_transaction() as session:
        audit_log.write(session, actor, "signature.addresses", datetime.now(UTC), campaign_id=campaign.id, after=after)
    return _answer(campaign, form, before, page=page, act=act)


@signatures.get("/campaigns/<slug>/look-alikes")
@allow(Right.MODERATE, translated=False)
def look_alikes(campaign: Campaign) -> ResponseReturnValue:
    """Show possible duplicates and suspicious email domains among the newest signatures."""
    findings = duplicates.current(db.session(), campaign.id, with_domains=can(Right.ADDRESSES, campaign))
    zone = ZoneInfo(campaign.time_zone)
    return render_template(
        "desk/signatures/duplicates.html",
        campaign=campaign,
        findings=findings,
        zone=zone,
        looked_at=duplicates.LOOKED_AT,
    )


def _answer(
    campaign: Campaign,
    form: FilterForm,
    before: str | None,
    *,
    page: Page | None = None,
    act: ActForm | None = None,
    notice: Notice | None = None,
    question: Question | None = None,
) -> ResponseReturnValue:
    """Return the table: alone for HTMX, otherwise within its page.

    The status is 422 if a form has errors, and 503 if a storage error prevented part of a change.
    """
    valid = form.validate()
    page = page or (_page(db.session(), campaign, form, before) if valid else None)
    on_page = {entry.source for entry in page.entries} if page else set()
    html = render_template(
        "desk/signatures/_table.html" if _is_htmx() else "desk/signatures/signatures.html",
        campaign=campaign,
        form=form,
        page=page,
        shown_sources=sources.common_words(db.session(), campaign.id, on_page),
        before=before,
        act=act or ActForm(MultiDict()),
        live=_is_htmx(),
        notice=notice,
        being_indexed=_being_indexed(page) if page and page.missed else "",
        question=question,
        matches=_count(campaign, form, page) if page else None,
        counted=None if form.chosen() else tally.count(db.session(), campaign.id),
    )
    if notice and notice.fault:
        return html, 503
    return html, 200 if valid and (act is None or not act.errors) else 422


def _being_indexed(page: Page) -> str:
    return notices.being_indexed(page.missed, worker_runs=is_worker_running(db.session(), datetime.now(UTC)))


def _page(session: Session, campaign: Campaign, form: FilterForm, before: str | None, **options: bool) -> Page:
    try:
        return signature_table.page(session, campaign.id, form.filter(), before, **options)
    except ValueError:
        abort(404)


def _count(campaign: Campaign, form: FilterForm, page: Page) -> Count:
    """Return how many signatures match. Only the first page says so itself."""
    return page.count or signature_table.count(db.session(), campaign.id, form.filter())


def _cursor(field: str) -> str | None:
    """Return the cursor in a field of the form, or None if it is empty or missing."""
    cursor = request.form.get(field) or None
    try:
        if cursor:
            pagination.position(cursor)
    except ValueError:
        abort(404)
    return cursor


def _is_htmx() -> bool:
    return request.headers.get("HX-Request") == "true"
