"""Steps of a campaign, such as publishing, deleting a draft, copies, and links to preview a draft."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from campaign.accounts import audit_log
from campaign.accounts.permissions import Right
from campaign.campaigns import drafts, editing, fields, lookup, preview_links, stages, translations
from campaign.campaigns.fields import InvalidCampaignError
from campaign.campaigns.letter import changes as letter_changes
from campaign.campaigns.versions import sittings
from campaign.campaigns.versions.conflicts import EditConflictError
from campaign.desk.access import allow, by, notice
from campaign.desk.campaigns import received
from campaign.desk.campaigns.blueprint import OVER, campaigns, is_over
from campaign.desk.campaigns.form import CampaignForm
from campaign.desk.campaigns.page import page
from campaign.languages.speaking import gettext, lazy_gettext
from campaign.models.campaign import Campaign, CampaignState
from campaign.site import pages
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction

DONE = {
    "publish": lazy_gettext("The campaign is now public."),
    "close": lazy_gettext("The campaign is closed and no longer accepts signatures."),
    "win": lazy_gettext("Victory declared. Congratulations!"),
    "reopen": lazy_gettext("The campaign is open again."),
    "unpublish": lazy_gettext("The campaign is a draft again, which the public can’t see."),
    "archive": lazy_gettext("The campaign is archived. Its page still works, but the front page no longer lists it."),
    "unarchive": lazy_gettext("The campaign is back on the front page."),
    "delete": lazy_gettext("The draft is deleted."),
}


def _show_preview_link(campaign: Campaign, tag: str) -> ResponseReturnValue:
    """Create a link that shows a draft to colleagues, in the language of the editor, and show it."""
    settings, making, now = current_app.config["SETTINGS"], by(), datetime.now(UTC)
    with write_transaction() as session:
        sittings.close(session, editing.load_locked(session, campaign.id))
        audit_log.write(session, making, "campaign.preview_link", now, campaign_id=campaign.id)
    shown = tag if translations.find(campaign, tag) else None
    key = preview_links.make(settings.secret_key, campaign.id)
    path = url_for("site.preview", slug=campaign.slug, tag=shown, key=key)
    return _saved_page(campaign, tag, link=f"{settings.site_url}{path}")


def _download(campaign: Campaign, tag: str) -> ResponseReturnValue:
    """Have the browser download the saved campaign at once.

    The browser stays on this page, so the page must have the version that was just saved. A redirect to the file would
    leave the old one, whose next save would be in conflict with this one.
    """
    file = url_for("campaigns.download", slug=campaign.slug)
    return _saved_page(campaign, tag, download=file), {"Refresh": f"0; url={file}"}


def _saved_page(campaign: Campaign, tag: str, **more: Any) -> str:
    """Render the editor's page with the form as it was saved; `more` is passed to its template."""
    form = CampaignForm.filled_in(received.stored_text(campaign, tag), campaign.version)
    return page(campaign, form, tag, is_saved=True, **more)


def _duplicate(campaign: Campaign, _tag: str) -> ResponseReturnValue:
    copying, now = by(), datetime.now(UTC)
    with write_transaction() as session:
        copy = drafts.duplicate(session, copying, campaign, now)
        slug = copy.slug
    notice(gettext("This copy is a new draft. It has no opening or closing time yet."))
    return redirect(url_for("campaigns.edit", slug=slug), 303)


def _translate(campaign: Campaign, tag: str) -> ResponseReturnValue:
    """Open the editor of a new translation. It is stored once it has a text."""
    try:
        tag = translations.checked_tag(request.form.get("new_language", ""), campaign.language)
    except ValueError as error:
        notice(str(error), "error")
    return redirect(url_for("campaigns.edit", slug=campaign.slug, tag=tag or None), 303)


def _after(act: Callable[[Campaign, str], ResponseReturnValue]) -> Callable[[str, str], ResponseReturnValue]:
    return lambda slug, tag: act(lookup.find(db.session(), slug) or abort(404), tag)


AFTER_SAVING = {
    "preview_link": _after(_show_preview_link),
    "duplicate": _after(_duplicate),
    "download": _after(_download),
    "translate": _after(_translate),
}
"""What further buttons of the editor do once the form is saved, for a slug and the tag of the editor's language."""


@campaigns.route(f"/campaigns/<slug>/<any({', '.join(stages.ALL_STEPS)}):step>", methods=["GET", "POST"])
@allow(Right.WRITE)
def take_step(campaign: Campaign, step: str) -> ResponseReturnValue:
    """Show what a step such as publishing does, and how the page will look; a POST takes the step."""
    if request.method == "GET":
        return _confirm(campaign, step)
    taking, now, version = by(), datetime.now(UTC), received.version()
    try:
        with write_transaction() as session:
            editing.take_step(session, taking, campaign.id, step, now, version=version)
    except EditConflictError as error:
        return _confirm(db.session.get_one(Campaign, campaign.id), step, 409, since=error.since)
    except InvalidCampaignError as error:
        return _incomplete(campaign, error.errors)
    except editing.StepNotAllowedError as error:
        notice(gettext("Nothing has changed: %(reason)s.", reason=error), "error")
        return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)
    if is_over(campaign) and step in ("publish", "reopen"):
        notice(f"{DONE['publish']} {OVER}" if step == "publish" else str(OVER))
    else:
        notice(str(DONE[step]))
    return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)


@campaigns.route("/campaigns/<slug>/delete", methods=["GET", "POST"])
@allow(Right.WRITE)
def delete(campaign: Campaign) -> ResponseReturnValue:
    """Ask whether to delete a draft; a POST deletes it."""
    if request.method == "GET":
        return _confirm(campaign, "delete")
    deleting, now, version = by(), datetime.now(UTC), received.version()
    try:
        with write_transaction() as session:
            drafts.delete(session, deleting, campaign.id, now, version=version)
    except EditConflictError as error:
        return _confirm(db.session.get_one(Campaign, campaign.id), "delete", 409, since=error.since)
    except editing.StepNotAllowedError as error:
        notice(gettext("Nothing has changed: %(reason)s.", reason=error), "error")
        return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)
    notice(str(DONE["delete"]))
    return redirect(url_for("campaigns.every"), 303)


def _confirm(campaign: Campaign, step: str, status: int = 200, **more: Any) -> ResponseReturnValue:
    signed = letter_changes.has_signatures(db.session(), campaign.id)
    is_draft = campaign.state is CampaignState.DRAFT
    if not (is_draft and not signed if step == "delete" else stages.allows(campaign, step, signed=signed)):
        return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)
    file = editing.file_of(db.session(), campaign)
    if step == "publish" and (missing := fields.missing_texts(file)):
        return _incomplete(campaign, missing)
    changes = {} if step == "delete" else stages.changes_of(step, campaign, datetime.now(UTC))
    preview = pages.preview_of(current_app.extensions["site"], campaign, **changes)
    return render_template("desk/campaigns/confirm.html", campaign=campaign, step=step, preview=preview, **more), status


def _incomplete(campaign: Campaign, errors: dict[str, str]) -> ResponseReturnValue:
    """Return the editor with the fields that a campaign lacks to be published."""
    form = CampaignForm.filled_in(editing.file_of(db.session(), campaign), campaign.version)
    form.add_errors(errors)
    return page(campaign, form), 422
