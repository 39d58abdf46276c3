"""Campaigns, seen from the desk: listed, written with the true page beside them, previewed, opened and ended.

campaign_form.py has the form; what may be done to a campaign is in campaign/editing.py.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from campaign import (
    access,
    campaign_file,
    campaign_keys,
    editing,
    figures,
    letter_changes,
    merging,
    pages,
    pictures,
    preview_key,
    record,
    tally,
)
from campaign import campaigns as rules
from campaign.access import Right
from campaign.campaign_keys import CampaignFile, WrongError
from campaign.campaigns import Stage
from campaign.desk.campaign_form import CampaignForm
from campaign.desk.door import allow, by, me, notice
from campaign.editing import ChangedMeanwhileError
from campaign.extensions import db, write_transaction
from campaign.models import Campaign, CampaignState

campaigns = Blueprint("campaigns", __name__)

DONE = {
    "publish": "It is public now.",
    "close": "It is closed: it takes no more signatures.",
    "win": "It is won. Congratulations!",
    "reopen": "It is open again.",
}
OVER = "Its closing time is over: it takes signatures once you choose a later one, or none."


STAGES = {
    Stage.DRAFT: "Draft",
    Stage.UPCOMING: "Opens later",
    Stage.OPEN: "Open",
    Stage.CLOSED: "Closed",
    Stage.WON: "Won",
}


@campaigns.app_template_filter("stage")
def _stage(campaign: Campaign) -> str:
    return STAGES[rules.stage(campaign, datetime.now(UTC))]


@campaigns.app_template_test("over")
def _is_over(campaign: Campaign) -> bool:
    """Whether it is closed by the clock as soon as it is open."""
    return campaign.closes_at is not None and campaign.closes_at <= datetime.now(UTC)


@campaigns.app_context_processor
def _over() -> dict[str, str]:
    return {"campaign_over": OVER}


@campaigns.get("/")
@allow(None)
def every() -> ResponseReturnValue:
    """The campaigns that one has to do with, newest first."""
    session, now = db.session(), datetime.now(UTC)
    shown = list(session.scalars(access.campaigns_of(me())))
    glances = figures.at_a_glance(session, shown, now)
    rows = [(each, tally.count(session, each.id), glances[each.id]) for each in shown]
    return render_template("desk/campaigns.html", rows=rows)


@campaigns.route("/campaigns/new", methods=["GET", "POST"])
@allow(Right.CREATE)
def new() -> ResponseReturnValue:
    """Write a new campaign; it is a draft, and one's own."""
    if request.method == "GET":
        return _page(None, CampaignForm.of(None, None))
    form = CampaignForm()
    file = _received(form, None)
    if file is None or _asks_for_preview():
        return _page(None, form), 422 if form.errors else 200
    try:
        creating, now = by(), datetime.now(UTC)
        with write_transaction() as session:
            editing.create(session, creating, file, now)
    except WrongError as error:
        form.show(error.errors)
        return _page(None, form), 422
    notice("Saved as a draft, which nobody sees but you and who gets a preview link.")
    return redirect(url_for("campaigns.edit", slug=file.slug), 303)


@campaigns.route("/campaigns/<slug>/edit", methods=["GET", "POST"])
@allow(Right.WRITE)
def edit(campaign: Campaign) -> ResponseReturnValue:
    """Change a campaign. What the public would see at once is shown first, and saved by a second press."""
    was = editing.file_of(db.session(), campaign)
    if request.method == "GET":
        return _page(campaign, CampaignForm.of(was, campaign.version))
    form, editor, now = CampaignForm(), by(), datetime.now(UTC)
    file = _received(form, was)
    if file is None or _asks_for_preview():
        return _page(campaign, form), 422 if form.errors else 200
    reason, version = form.reason.data or "", _version()
    try:
        editing.check_version(db.session(), campaign, version)
        editing.check(db.session(), campaign, file, reason)
        if campaign.state is not CampaignState.DRAFT and form.seen.data != _fingerprint(file, reason):
            return _page(campaign, form, to_confirm=_fingerprint(file, reason))
        with write_transaction() as session:
            editing.edit(session, editor, campaign.id, file, now, version=version, reason=reason)
    except WrongError as error:
        form.show(error.errors)
        return _page(campaign, form), 422
    except ChangedMeanwhileError as error:
        return _conflict(campaign.id, file, reason, error), 409
    notice("Saved.")
    return redirect(url_for("campaigns.edit", slug=file.slug), 303)


@campaigns.post("/campaigns/preview")
@allow(Right.CREATE)
def preview_new() -> ResponseReturnValue:
    """The partial with the true page of a campaign that is being written for the first time."""
    return render_template("desk/_preview.html", preview=_preview(None, CampaignForm()))


@campaigns.post("/campaigns/<slug>/preview")
@allow(Right.WRITE)
def preview(campaign: Campaign) -> ResponseReturnValue:
    """The same of one that is being changed."""
    return render_template("desk/_preview.html", preview=_preview(campaign, CampaignForm()))


@campaigns.post("/campaigns/<slug>/preview-link")
@allow(Right.WRITE)
def preview_link(campaign: Campaign) -> ResponseReturnValue:
    """Make a link by which colleagues see a draft, and show it."""
    settings, making, now = current_app.config["SETTINGS"], by(), datetime.now(UTC)
    with write_transaction() as session:
        record.write(session, making, "campaign.preview_link", now, campaign_id=campaign.id)
    path = url_for("site.preview", slug=campaign.slug, key=preview_key.make(settings.secret_key, campaign.id))
    form = CampaignForm.of(editing.file_of(db.session(), campaign), campaign.version)
    return _page(campaign, form, link=f"{settings.site_url}{path}")


@campaigns.get("/campaigns/<slug>/campaign.md")
@allow(Right.WRITE)
def download(campaign: Campaign) -> ResponseReturnValue:
    """The campaign as its Markdown file, picture and all."""
    file = campaign_file.write(editing.file_of(db.session(), campaign))
    headers = {"Content-Disposition": f'attachment; filename="{campaign.slug}.md"'}
    return Response(file, mimetype="text/markdown", headers=headers)


@campaigns.route("/campaigns/<slug>/<any(publish, close, win, reopen):step>", methods=["GET", "POST"])
@allow(Right.WRITE)
def take_step(campaign: Campaign, step: str) -> ResponseReturnValue:
    """Show what the public will see, and do it by a second press."""
    if request.method == "GET":
        return _confirm(campaign, step)
    taking, now, version = by(), datetime.now(UTC), _version()
    try:
        with write_transaction() as session:
            editing.take_step(session, taking, campaign.id, step, now, version=version)
    except ChangedMeanwhileError as error:
        return _confirm(db.session.get_one(Campaign, campaign.id), step, 409, since=error.since)
    except editing.NotPossibleError:
        return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)
    if _is_over(campaign) and step in ("publish", "reopen"):
        notice(f"It is public now. {OVER}" if step == "publish" else OVER)
    else:
        notice(DONE[step])
    return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)


def _received(form: CampaignForm, was: CampaignFile | None) -> CampaignFile | None:
    """The campaign that was sent, its picture kept for the next step; None where something is wrong."""
    given, errors = form.given(was)
    try:
        given["picture"] = _picture(form)
    except ValueError as error:
        errors["picture"] = str(error)
    return form.check(given, errors)


def _picture(form: CampaignForm) -> pictures.Prepared | None:
    """The picture that was sent now, or with an earlier step; a browser sends it once only."""
    if form.without_picture.data:
        form.kept_picture.data = ""
    elif form.picture.data:
        sent = pictures.prepare(form.picture.data.read())
        with write_transaction() as session:
            pictures.store(session, sent)
        form.kept_picture.data = sent.digest
        return sent
    return pictures.find(db.session(), form.kept_picture.data or "")


def _asks_for_preview() -> bool:
    return request.form.get("do") == "preview"


def _fingerprint(file: CampaignFile, reason: str) -> str:
    return hashlib.sha256(f"{reason}\n{campaign_file.write(file)}".encode()).hexdigest()


def _page(campaign: Campaign | None, form: CampaignForm, **more: Any) -> str:
    signed = campaign is not None and letter_changes.has_signatures(db.session(), campaign.id)
    preview = _preview(campaign, form)
    if campaign is None:
        return render_template("desk/new.html", form=form, preview=preview, **more)
    steps = [step for step, (states, _) in editing.STEPS.items() if campaign.state in states]
    return render_template(
        "desk/edit.html", campaign=campaign, form=form, signed=signed, preview=preview, steps=steps, **more
    )


def _preview(campaign: Campaign | None, form: CampaignForm) -> str:
    """The true page of what is typed; what is wrong in it is shown as it is, or as it was."""
    given, _ = form.given(None)
    right, wrong = campaign_keys.check_each(given)
    right |= {key: given[key] for key in wrong if key in _WORDS}
    picture = pictures.find(db.session(), form.kept_picture.data or "")
    right["picture"] = picture.digest if picture and not form.without_picture.data else ""
    return pages.preview_of(current_app.extensions["site"], campaign or _blank(), **right)


_WORDS = ("title", "category", "summary", "letter", "thanks", "share_text", "donate_text", "picture_text")
"""Of these a preview shows what is typed, be it too long."""


def _blank() -> Campaign:
    now, words = datetime.now(UTC), dict.fromkeys((*_WORDS, "addressees", "donate_url"), "")
    begun = {"slug": "new", "goal": 1000, "language": "en", "time_zone": "UTC", "state": CampaignState.DRAFT}
    return Campaign(**words, **begun, created_at=now, updated_at=now)


def _version() -> int:
    """The version that the editor has seen; 0, which no campaign has, where it is not said."""
    said = request.form.get("version", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else 0


def _conflict(campaign_id: int, mine: CampaignFile, reason: str, error: ChangedMeanwhileError) -> str:
    """The form with what was typed, and beside it what somebody else has done to the same fields."""
    campaign = db.session.get_one(Campaign, campaign_id)
    merged, both = merging.merge(mine, editing.file_of(db.session(), campaign), error.since)
    form = CampaignForm.of(merged, campaign.version)
    form.reason.data = reason
    return _page(campaign, form, since=error.since, both=both)


def _confirm(campaign: Campaign, step: str, status: int = 200, **more: Any) -> ResponseReturnValue:
    from_states, to_state = editing.STEPS[step]
    if campaign.state not in from_states:
        return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)
    preview = pages.preview_of(current_app.extensions["site"], campaign, state=to_state)
    return render_template("desk/confirm.html", campaign=campaign, step=step, preview=preview, **more), status
