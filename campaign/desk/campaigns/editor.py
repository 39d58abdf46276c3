"""The editor: views for writing and editing a campaign, and for the preview beside the form.

All buttons of the page belong to the form. `do` says which one was pressed: all but Preview save the form first.
"""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from campaign.accounts.permissions import Right
from campaign.campaigns import drafts, editing, fields, problems, stages, translations
from campaign.campaigns.fields import CampaignFile, InvalidCampaignError
from campaign.campaigns.files import writing
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
@campaigns.route("/campaigns/<slug>/edit/<language:tag>", methods=["GET", "POST"])
@allow(Right.WRITE)
def edit(campaign: Campaign, tag: str = "") -> ResponseReturnValue:
    """Edit a campaign, or its translation into the language with this tag.

    Changes to a public campaign are shown in the preview first, and saved by a second request.
    """
    check_tag(campaign, tag)
    stored = received.stored_text(campaign, tag)
    if request.method == "GET":
        return page(campaign, CampaignForm.filled_in(stored, campaign.version), tag)
    form, editor, now = CampaignForm(), by(), datetime.now(UTC)
    file = received.received(form, campaign, tag)
    if file is None or received.wants_preview():
        return page(campaign, form, tag), 422 if form.errors else 200
    reason, version = form.reason.data or "", received.seen_version(form, campaign, tag)
    try:
        check_version(db.session(), campaign, version)
        is_public = campaign.state is not CampaignState.DRAFT
        if is_public and file != stored and form.seen.data != fingerprint(file, reason):
            return page(campaign, form, tag, to_confirm=fingerprint(file, reason))
        whole = received.whole(campaign, file, tag)
        compared = editing.compare(db.session(), whole, campaign)
        with write_transaction() as session:
            editing.edit(
                session,
                editor,
                campaign.id,
                whole,
                now,
                version=version,
                reasons={"": "", tag: reason},
                compared=compared,
                originals=received.originals(form, tag),
            )
    except InvalidCampaignError as error:
        form.add_errors(error.errors)
        return page(campaign, form, tag), 422
    except EditConflictError as error:
        return _merge(campaign.id, form, file, error, tag)
    unchanged = is_public and file == stored and not tag
    return _saved(file, gettext("Nothing has changed.") if unchanged else gettext("Saved."), tag)


def check_tag(campaign: Campaign, tag: str) -> None:
    """Respond with 404 if a campaign can't have a translation with this tag, or the tag's spelling is unusual."""
    if not tag:
        return
    found = translations.find(campaign, tag)
    try:
        usual = found.language if found else translations.checked_tag(tag, campaign.language)
    except ValueError:
        abort(404)
    if usual != tag:
        abort(404)


@campaigns.errorhandler(404)
def gone(error: NotFound) -> ResponseReturnValue:
    """Keep what was typed if the campaign was deleted, or assigned to somebody else, while its editor was open."""
    if request.endpoint != "campaigns.edit" or "letter" not in request.form:
        return error_pages.answer(error)
    form = CampaignForm()
    form.slug.data = form.version.data = form.started_from.data = ""
    if tag := (request.view_args or {}).get("tag"):
        # The form of a translation has only its texts.
        form.language.data, form.goal.data, form.time_zone.data = tag, "1000", "UTC"
    return page(None, form, gone=True), 404


@campaigns.post("/campaigns/preview")
@allow(Right.CREATE)
def preview_new() -> ResponseReturnValue:
    """Return the preview partial of a new campaign."""
    return _preview(None)


@campaigns.post("/campaigns/<slug>/preview")
@campaigns.post("/campaigns/<slug>/preview/<language:tag>")
@allow(Right.WRITE)
def preview(campaign: Campaign, tag: str = "") -> ResponseReturnValue:
    """Return the preview partial of an existing campaign, or of its translation."""
    check_tag(campaign, tag)
    return _preview(campaign, tag)


def _preview(campaign: Campaign | None, tag: str = "") -> ResponseReturnValue:
    form = CampaignForm()
    page = render_template("desk/campaigns/_preview.html", preview=preview_of(campaign, form, tag))
    # editor.js removes the messages of all other fields: they are fixed.
    return page, {"Campaign-Errors": " ".join(received.wrong_fields(form, campaign, tag))}


def fingerprint(file: CampaignFile, reason: str) -> str:
    """Return a hash of a campaign and the reason for its change, to recognize what the editor has reviewed."""
    return hashlib.sha256(f"{reason}\n{writing.write(file)}".encode()).hexdigest()


def _saved(file: CampaignFile, words: str, tag: str = "") -> ResponseReturnValue:
    """Continue with what the pressed button does after saving, or return to the editor with a notice."""
    pressed = received.pressed()
    if pressed in stages.ALL_STEPS:
        return redirect(url_for("campaigns.take_step", slug=file.slug, step=pressed), 303)
    if pressed in steps.AFTER_SAVING:
        return steps.AFTER_SAVING[pressed](file.slug, tag)
    if missing := [str(CampaignForm.name_of(key)) for key in fields.missing_texts(file) if not tag]:
        to_do = gettext("Before you can publish it, fill in: %(fields)s.", fields=", ".join(missing))
        words = f"{words} {to_do}"
    notice(words)
    return redirect(url_for("campaigns.edit", slug=file.slug, tag=tag or None), 303)


def _merge(
    campaign_id: int, form: CampaignForm, mine: CampaignFile, error: EditConflictError, tag: str
) -> ResponseReturnValue:
    """Merge the changes of two editors. Ask about conflicts, and show the result before it becomes public."""
    campaign, reason, editor = db.session.get_one(Campaign, campaign_id), form.reason.data or "", by()
    found = conflicts.find(campaign, form, mine, error.since, tag)
    theirs = received.stored_text(campaign, tag)
    file = found.merged.file.with_values({"translations": theirs.translations})
    if tag:
        checked, errors = fields.check_translation(vars(file), None, theirs)
    else:
        checked, errors = fields.check_each(vars(file), None, theirs)
    if campaign.state is CampaignState.DRAFT and not received.must_be_finished():
        errors = {key: why for key, why in errors.items() if key not in fields.missing_texts(file)}
    if tag:
        errors |= received.translation_problems(form, campaign, tag, checked)
    else:
        errors |= problems.find(db.session(), campaign, checked, {"": reason})
    is_clear, version = not found.merged.conflicts and not errors, campaign.version
    is_draft = campaign.state is CampaignState.DRAFT
    # If nothing is left to change, then this form was sent twice, and there is nothing to review.
    if is_clear and (is_draft or file == theirs):
        try:
            whole, reasons, now = received.whole(campaign, file, tag), {"": "", tag: reason}, datetime.now(UTC)
            with write_transaction() as session:
                seen = received.originals(form, tag)
                editing.edit(session, editor, campaign_id, whole, now, version=version, reasons=reasons, originals=seen)
        except EditConflictError:
            # A third version was saved at this moment. Show the form, whose next submission merges it, too.
            pass
        except InvalidCampaignError as refused:
            # For example, another campaign got the slug at this moment.
            errors, is_clear = refused.errors, False
        else:
            if not found.merged.theirs:
                return _saved(file, gettext("Saved."), tag)
            return _saved(file, gettext("Saved, together with %(changes)s.", changes=found.summary), tag)
    merged = CampaignForm.filled_in(file, version, started_from=theirs)
    merged.reason.data = reason
    merged.add_errors(errors)
    to_confirm = fingerprint(file, reason) if is_clear and not is_draft else None
    campaign = db.session.get_one(Campaign, campaign_id)
    return page(campaign, merged, tag, since=found.since, found=found, to_confirm=to_confirm), 409
