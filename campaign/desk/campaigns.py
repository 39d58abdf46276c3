"""Views for listing, writing, previewing, publishing, and closing campaigns.

`campaign_form.py` has the form. The rules for changing a campaign are in `campaign/campaigns/editing.py`.
"""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from campaign.accounts import audit_log, permissions
from campaign.accounts.permissions import Right
from campaign.campaigns import editing, fields, file_format, merging, preview_links, slugs, stages
from campaign.campaigns.editing import EditConflictError
from campaign.campaigns.fields import TITLE_LENGTH, CampaignFile, InvalidCampaignError
from campaign.campaigns.letter import changes as letter_changes
from campaign.campaigns.pictures import storage as pictures
from campaign.campaigns.pictures.preparing import Prepared, prepare
from campaign.campaigns.stages import Stage
from campaign.desk.access import allow, by, me, notice
from campaign.desk.campaign_form import CampaignForm
from campaign.models.campaign import Campaign, CampaignState
from campaign.signatures import tally
from campaign.site import pages
from campaign.statistics import figures
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction

campaigns = Blueprint("campaigns", __name__)

DONE = {
    "publish": "The campaign is now public.",
    "close": "The campaign is closed and no longer accepts signatures.",
    "win": "The campaign is marked as won. Congratulations!",
    "reopen": "The campaign is open again.",
}
OVER = "The closing time has passed. To accept signatures, choose a later closing time or leave it blank."

STAGES = {
    Stage.DRAFT: "Draft",
    Stage.UPCOMING: "Opens later",
    Stage.OPEN: "Open",
    Stage.CLOSED: "Closed",
    Stage.WON: "Won",
}


@campaigns.app_template_filter("stage")
def _stage(campaign: Campaign) -> str:
    return STAGES[stages.stage(campaign, datetime.now(UTC))]


@campaigns.app_template_test("over")
def _is_over(campaign: Campaign) -> bool:
    """Return whether the campaign's closing time has passed."""
    return campaign.closes_at is not None and campaign.closes_at <= datetime.now(UTC)


@campaigns.app_context_processor
def _over() -> dict[str, str]:
    return {"campaign_over": OVER}


@campaigns.get("/")
@allow(None)
def every() -> ResponseReturnValue:
    """List the campaigns that the account has access to, newest first."""
    shown = list(db.session.scalars(permissions.campaigns_of(me())))
    counts = {each.id: tally.count(db.session(), each.id) for each in shown}
    glances = figures.at_a_glance(db.session(), counts, datetime.now(UTC))
    rows = [(each, counts[each.id], glances[each.id]) for each in shown]
    behind = [each.coverage for each in glances.values() if each.coverage.missing]
    return render_template("desk/campaigns/campaigns.html", rows=rows, behind=behind)


@campaigns.route("/campaigns/new", methods=["GET", "POST"])
@allow(Right.CREATE)
def new() -> ResponseReturnValue:
    """Create a campaign, as a draft that is assigned to its author."""
    if request.method == "GET":
        return _page(None, CampaignForm.filled_in(None, None))
    form = CampaignForm()
    file = _received(form, None)
    if file is None or _wants_preview():
        return _page(None, form), 422 if form.errors else 200
    first = replace(file, slug=slugs.of_title(file.title, file.language, TITLE_LENGTH))
    if form.has_automatic_slug and _is_saved(first):
        file = first
    else:
        try:
            creating, now = by(), datetime.now(UTC)
            with write_transaction() as session:
                editing.create(session, creating, file, now)
        except InvalidCampaignError as error:
            form.add_errors(error.errors)
            return _page(None, form), 422
    notice("Draft saved. The public can’t see it. To show it to colleagues, create a preview link.")
    return redirect(url_for("campaigns.edit", slug=file.slug), 303)


def _is_saved(file: CampaignFile) -> bool:
    """Return whether the user has this very draft already, for example because they pressed Save twice."""
    drafts = permissions.campaigns_of(me()).where(Campaign.state == CampaignState.DRAFT, Campaign.slug == file.slug)
    found = db.session.scalar(drafts)
    return found is not None and editing.file_of(db.session(), found) == file


@campaigns.route("/campaigns/<slug>/edit", methods=["GET", "POST"])
@allow(Right.WRITE)
def edit(campaign: Campaign) -> ResponseReturnValue:
    """Edit a campaign. Changes to a public campaign are shown in the preview first, and saved by a second request."""
    if request.method == "GET":
        return _page(campaign, CampaignForm.filled_in(editing.file_of(db.session(), campaign), campaign.version))
    form, editor, now = CampaignForm(), by(), datetime.now(UTC)
    file = _received(form, campaign)
    if file is None or _wants_preview():
        return _page(campaign, form), 422 if form.errors else 200
    reason, version = form.reason.data or "", _version()
    try:
        editing.check_version(db.session(), campaign, version)
        if campaign.state is not CampaignState.DRAFT and form.seen.data != _fingerprint(file, reason):
            return _page(campaign, form, to_confirm=_fingerprint(file, reason))
        compared = editing.compare(db.session(), file, campaign)
        with write_transaction() as session:
            editing.edit(session, editor, campaign.id, file, now, version=version, reason=reason, compared=compared)
    except InvalidCampaignError as error:
        form.add_errors(error.errors)
        return _page(campaign, form), 422
    except EditConflictError as error:
        return _conflict(campaign.id, file, reason, error), 409
    notice("Saved.")
    return redirect(url_for("campaigns.edit", slug=file.slug), 303)


@campaigns.post("/campaigns/preview")
@allow(Right.CREATE)
def preview_new() -> ResponseReturnValue:
    """Return the preview partial of a new campaign."""
    return render_template("desk/campaigns/_preview.html", preview=_preview(None, CampaignForm()))


@campaigns.post("/campaigns/<slug>/preview")
@allow(Right.WRITE)
def preview(campaign: Campaign) -> ResponseReturnValue:
    """Return the preview partial of an existing campaign."""
    return render_template("desk/campaigns/_preview.html", preview=_preview(campaign, CampaignForm()))


@campaigns.post("/campaigns/<slug>/preview-link")
@allow(Right.WRITE)
def preview_link(campaign: Campaign) -> ResponseReturnValue:
    """Create a link that shows a draft to colleagues, and show it."""
    settings, making, now = current_app.config["SETTINGS"], by(), datetime.now(UTC)
    with write_transaction() as session:
        audit_log.write(session, making, "campaign.preview_link", now, campaign_id=campaign.id)
    path = url_for("site.preview", slug=campaign.slug, key=preview_links.make(settings.secret_key, campaign.id))
    form = CampaignForm.filled_in(editing.file_of(db.session(), campaign), campaign.version)
    return _page(campaign, form, link=f"{settings.site_url}{path}")


@campaigns.get("/campaigns/<slug>/campaign.md")
@allow(Right.WRITE)
def download(campaign: Campaign) -> ResponseReturnValue:
    """Download the campaign as a Markdown file that includes its picture."""
    file = file_format.write(editing.file_of(db.session(), campaign))
    headers = {"Content-Disposition": f'attachment; filename="{campaign.slug}.md"'}
    return Response(file, mimetype="text/markdown", headers=headers)


@campaigns.route("/campaigns/<slug>/<any(publish, close, win, reopen):step>", methods=["GET", "POST"])
@allow(Right.WRITE)
def take_step(campaign: Campaign, step: str) -> ResponseReturnValue:
    """Show how the page will look after a step such as publishing; a POST takes the step."""
    if request.method == "GET":
        return _confirm(campaign, step)
    taking, now, version = by(), datetime.now(UTC), _version()
    try:
        with write_transaction() as session:
            editing.take_step(session, taking, campaign.id, step, now, version=version)
    except EditConflictError as error:
        return _confirm(db.session.get_one(Campaign, campaign.id), step, 409, since=error.since)
    except editing.StepNotAllowedError:
        return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)
    if _is_over(campaign) and step in ("publish", "reopen"):
        notice(f"{DONE['publish']} {OVER}" if step == "publish" else OVER)
    else:
        notice(DONE[step])
    return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)


def _received(form: CampaignForm, campaign: Campaign | None) -> CampaignFile | None:
    """Return the submitted campaign, or attach all its errors to the form and return None. Store its picture."""
    session = db.session()
    stored = editing.file_of(session, campaign) if campaign else None
    values, errors = form.parse(stored)
    try:
        values["picture"] = _picture(form)
    except ValueError as error:
        errors["picture"] = str(error)
    checked, errors = fields.check_each(values, errors, stored)
    if form.has_automatic_slug and "slug" in checked:
        checked["slug"] = slugs.free(session, checked["slug"], campaign.id if campaign else None)
    # A preview needs no reason. And if another editor has saved meanwhile, that comes first.
    if not _wants_preview() and (campaign is None or campaign.version == _version()):
        errors |= editing.problems(session, campaign, checked, form.reason.data or "")
    form.add_errors(errors)
    return None if errors else CampaignFile(**checked)


def _picture(form: CampaignForm) -> Prepared | None:
    """Return the picture uploaded with this request or an earlier one, or None.

    Browsers send a file only once, so an upload is stored until the campaign is saved or the upload expires.

    Raises:
        ValueError: The picture was refused, or the earlier upload has expired.
    """
    if form.without_picture.data:
        form.kept_picture.data = ""
    elif form.picture.data:
        sent, now = prepare(form.picture.data.read()), datetime.now(UTC)
        with write_transaction() as session:
            pictures.delete_expired(session, now)
            pictures.store(session, sent, until=now + pictures.UNSAVED_LIFETIME)
        form.kept_picture.data = sent.digest
        return sent
    elif form.kept_picture.data:
        kept = pictures.find(db.session(), form.kept_picture.data)
        if kept is None:
            form.kept_picture.data = ""
            raise ValueError(
                "Choose the picture again. It was uploaded over a day ago and not saved, so it was deleted"
            )
        return kept
    return None


def _wants_preview() -> bool:
    return request.form.get("do") == "preview"


def _fingerprint(file: CampaignFile, reason: str) -> str:
    return hashlib.sha256(f"{reason}\n{file_format.write(file)}".encode()).hexdigest()


def _page(campaign: Campaign | None, form: CampaignForm, **more: Any) -> str:
    signed = campaign is not None and letter_changes.has_signatures(db.session(), campaign.id)
    preview = _preview(campaign, form)
    if campaign is None:
        return render_template("desk/campaigns/new.html", form=form, preview=preview, **more)
    steps = [step for step, (states, _) in editing.STEPS.items() if campaign.state in states]
    return render_template(
        "desk/campaigns/edit.html", campaign=campaign, form=form, signed=signed, preview=preview, steps=steps, **more
    )


def _preview(campaign: Campaign | None, form: CampaignForm) -> str:
    """Return the campaign page with the typed values: invalid texts as typed, other invalid values as stored."""
    typed, _ = form.parse(None)
    values, errors = fields.check_each(typed)
    values |= {key: typed[key] for key in errors if key in _TEXTS}
    picture = pictures.find(db.session(), form.kept_picture.data or "")
    values["picture"] = picture.digest if picture and not form.without_picture.data else ""
    return pages.preview_of(current_app.extensions["site"], campaign or _blank(), **values)


_TEXTS = ("title", "category", "summary", "letter", "thanks", "share_text", "donate_text", "picture_text")
"""The fields that a preview shows as typed, even if they are too long."""


def _blank() -> Campaign:
    now, texts = datetime.now(UTC), dict.fromkeys((*_TEXTS, "addressees", "donate_url"), "")
    defaults = {"slug": "new", "goal": 1000, "language": "en", "time_zone": "UTC", "state": CampaignState.DRAFT}
    return Campaign(**texts, **defaults, created_at=now, updated_at=now)


def _version() -> int:
    """Return the version of the campaign that the user has seen, or 0, which no campaign has."""
    version = request.form.get("version", "")
    return int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 0


def _conflict(campaign_id: int, mine: CampaignFile, reason: str, error: EditConflictError) -> str:
    """Return the editing page with the merged changes of both users, and the fields that both changed."""
    campaign = db.session.get_one(Campaign, campaign_id)
    merged, both = merging.merge(mine, editing.file_of(db.session(), campaign), error.since)
    form = CampaignForm.filled_in(merged, campaign.version)
    form.reason.data = reason
    return _page(campaign, form, since=error.since, both=both)


def _confirm(campaign: Campaign, step: str, status: int = 200, **more: Any) -> ResponseReturnValue:
    from_states, to_state = editing.STEPS[step]
    if campaign.state not in from_states:
        return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)
    preview = pages.preview_of(current_app.extensions["site"], campaign, state=to_state)
    return render_template("desk/campaigns/confirm.html", campaign=campaign, step=step, preview=preview, **more), status
