"""The editor: views for writing and editing a campaign, and for the preview beside the form.

All buttons of the page belong to the form, and save it first. `do` says which button was pressed.
"""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from campaign.accounts.permissions import Right
from campaign.campaigns import drafts, editing, fields, file_format, stages
from campaign.campaigns.fields import CampaignFile, InvalidCampaignError
from campaign.campaigns.versions.conflicts import EditConflictError, check_version
from campaign.desk.access import allow, by, notice
from campaign.desk.campaigns import conflicts, received, steps
from campaign.desk.campaigns.blueprint import campaigns
from campaign.desk.campaigns.form import CampaignForm
from campaign.desk.campaigns.page import page, preview_of
from campaign.languages.speaking import gettext
from campaign.models.campaign import Campaign, CampaignState
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.web import errors as error_pages


@campaigns.route("/campaigns/new", methods=["GET", "POST"])
@allow(Right.CREATE)
def new() -> ResponseReturnValue:
    """Create a campaign, as a draft that is assigned to its author."""
    if request.method == "GET":
        return page(None, CampaignForm.filled_in(None, None))
    form = CampaignForm()
    file = received.received(form, None)
    if file is None or received.wants_preview():
        return page(None, form), 422 if form.errors else 200
    creating, now = by(), datetime.now(UTC)
    try:
        with write_transaction() as session:
            draft = drafts.create_once(session, creating, file, now, any_slug=form.has_automatic_slug)
            file = replace(file, slug=draft.slug)
    except InvalidCampaignError as error:
        form.add_errors(error.errors)
        return page(None, form), 422
    return _saved(
        file, gettext("Draft saved. The public can’t see it. To show it to colleagues, create a preview link.")
    )


@campaigns.route("/campaigns/<slug>/edit", methods=["GET", "POST"])
@allow(Right.WRITE)
def edit(campaign: Campaign) -> ResponseReturnValue:
    """Edit a campaign. Changes to a public campaign are shown in the preview first, and saved by a second request."""
    stored = editing.file_of(db.session(), campaign)
    if request.method == "GET":
        return page(campaign, CampaignForm.filled_in(stored, campaign.version))
    form, editor, now = CampaignForm(), by(), datetime.now(UTC)
    file = received.received(form, campaign)
    if file is None or received.wants_preview():
        return page(campaign, form), 422 if form.errors else 200
    reason, version = form.reason.data or "", received.version()
    try:
        check_version(db.session(), campaign, version)
        is_public = campaign.state is not CampaignState.DRAFT
        if is_public and file != stored and form.seen.data != fingerprint(file, reason):
            return page(campaign, form, to_confirm=fingerprint(file, reason))
        compared = editing.compare(db.session(), file, campaign)
        with write_transaction() as session:
            editing.edit(session, editor, campaign.id, file, now, version=version, reason=reason, compared=compared)
    except InvalidCampaignError as error:
        form.add_errors(error.errors)
        return page(campaign, form), 422
    except EditConflictError as error:
        return _merge(campaign.id, form, file, error)
    return _saved(file, gettext("Nothing has changed.") if is_public and file == stored else gettext("Saved."))


@campaigns.errorhandler(404)
def gone(error: NotFound) -> ResponseReturnValue:
    """Keep what was typed if the campaign was deleted, or assigned to somebody else, while its editor was open."""
    if request.endpoint != "campaigns.edit" or "letter" not in request.form:
        return error_pages.answer(error)
    form = CampaignForm()
    form.slug.data = form.version.data = form.started_from.data = ""
    return page(None, form, gone=True), 404


@campaigns.post("/campaigns/preview")
@allow(Right.CREATE)
def preview_new() -> ResponseReturnValue:
    """Return the preview partial of a new campaign."""
    return _preview(None)


@campaigns.post("/campaigns/<slug>/preview")
@allow(Right.WRITE)
def preview(campaign: Campaign) -> ResponseReturnValue:
    """Return the preview partial of an existing campaign."""
    return _preview(campaign)


def _preview(campaign: Campaign | None) -> ResponseReturnValue:
    form = CampaignForm()
    page = render_template("desk/campaigns/_preview.html", preview=preview_of(campaign, form))
    # editor.js removes the messages of all other fields: they are fixed.
    return page, {"Campaign-Errors": " ".join(received.wrong_fields(form, campaign))}


def fingerprint(file: CampaignFile, reason: str) -> str:
    """Return a hash of a campaign and the reason for its change, to recognize what the editor has reviewed."""
    return hashlib.sha256(f"{reason}\n{file_format.write(file)}".encode()).hexdigest()


def _saved(file: CampaignFile, words: str) -> ResponseReturnValue:
    """Continue with what the pressed button does after saving, or return to the editor with a notice."""
    pressed = received.pressed()
    if pressed in stages.ALL_STEPS:
        return redirect(url_for("campaigns.take_step", slug=file.slug, step=pressed), 303)
    if pressed in steps.AFTER_SAVING:
        return steps.AFTER_SAVING[pressed](file.slug)
    if missing := [str(CampaignForm.name_of(key)) for key in fields.missing_texts(file)]:
        to_do = gettext("Before you can publish it, fill in: %(fields)s.", fields=", ".join(missing))
        words = f"{words} {to_do}"
    notice(words)
    return redirect(url_for("campaigns.edit", slug=file.slug), 303)


def _merge(campaign_id: int, form: CampaignForm, mine: CampaignFile, error: EditConflictError) -> ResponseReturnValue:
    """Merge the changes of two editors. Ask about conflicts, and show the result before it becomes public."""
    campaign, reason, editor = db.session.get_one(Campaign, campaign_id), form.reason.data or "", by()
    found = conflicts.find(campaign, form, mine, error.since)
    file, theirs = found.merged.file, editing.file_of(db.session(), campaign)
    checked, errors = fields.check_each(vars(file), None, theirs)
    if campaign.state is CampaignState.DRAFT and not received.must_be_finished():
        errors = {key: why for key, why in errors.items() if key not in fields.missing_texts(file)}
    errors |= editing.problems(db.session(), campaign, checked, reason)
    is_clear, version = not found.merged.conflicts and not errors, campaign.version
    is_draft = campaign.state is CampaignState.DRAFT
    # If nothing is left to change, then this form was sent twice, and there is nothing to review.
    if is_clear and (is_draft or file == theirs):
        try:
            with write_transaction() as session:
                editing.edit(session, editor, campaign_id, file, datetime.now(UTC), version=version, reason=reason)
        except EditConflictError:
            # A third version was saved at this moment. Show the form, whose next submission merges it, too.
            pass
        except InvalidCampaignError as refused:
            # For example, another campaign got the slug at this moment.
            errors, is_clear = refused.errors, False
        else:
            if not found.merged.theirs:
                return _saved(file, gettext("Saved."))
            return _saved(file, gettext("Saved, together with %(changes)s.", changes=found.summary))
    merged = CampaignForm.filled_in(file, version, started_from=theirs)
    merged.reason.data = reason
    merged.add_errors(errors)
    to_confirm = fingerprint(file, reason) if is_clear and not is_draft else None
    campaign = db.session.get_one(Campaign, campaign_id)
    return page(campaign, merged, since=error.since, found=found, to_confirm=to_confirm), 409
