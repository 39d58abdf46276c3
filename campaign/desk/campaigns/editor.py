"""The editor: views for writing and editing a campaign, and for the preview beside the form."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from campaign.accounts import permissions
from campaign.accounts.permissions import Right
from campaign.campaigns import editing, file_format, slugs
from campaign.campaigns.fields import TITLE_LENGTH, CampaignFile, InvalidCampaignError
from campaign.campaigns.versions import merging
from campaign.campaigns.versions.conflicts import EditConflictError, check_version
from campaign.desk.access import allow, by, me, notice
from campaign.desk.campaigns import received
from campaign.desk.campaigns.blueprint import campaigns
from campaign.desk.campaigns.form import CampaignForm
from campaign.desk.campaigns.page import page, preview_of
from campaign.models.campaign import Campaign, CampaignState
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction


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
            return page(None, form), 422
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
        return page(campaign, CampaignForm.filled_in(editing.file_of(db.session(), campaign), campaign.version))
    form, editor, now = CampaignForm(), by(), datetime.now(UTC)
    file = received.received(form, campaign)
    if file is None or received.wants_preview():
        return page(campaign, form), 422 if form.errors else 200
    reason, version = form.reason.data or "", received.version()
    try:
        check_version(db.session(), campaign, version)
        if campaign.state is not CampaignState.DRAFT and form.seen.data != _fingerprint(file, reason):
            return page(campaign, form, to_confirm=_fingerprint(file, reason))
        compared = editing.compare(db.session(), file, campaign)
        with write_transaction() as session:
            editing.edit(session, editor, campaign.id, file, now, version=version, reason=reason, compared=compared)
    except InvalidCampaignError as error:
        form.add_errors(error.errors)
        return page(campaign, form), 422
    except EditConflictError as error:
        return _conflict(campaign.id, file, reason, error), 409
    notice("Saved.")
    return redirect(url_for("campaigns.edit", slug=file.slug), 303)


@campaigns.post("/campaigns/preview")
@allow(Right.CREATE)
def preview_new() -> ResponseReturnValue:
    """Return the preview partial of a new campaign."""
    return render_template("desk/campaigns/_preview.html", preview=preview_of(None, CampaignForm()))


@campaigns.post("/campaigns/<slug>/preview")
@allow(Right.WRITE)
def preview(campaign: Campaign) -> ResponseReturnValue:
    """Return the preview partial of an existing campaign."""
    return render_template("desk/campaigns/_preview.html", preview=preview_of(campaign, CampaignForm()))


def _fingerprint(file: CampaignFile, reason: str) -> str:
    return hashlib.sha256(f"{reason}\n{file_format.write(file)}".encode()).hexdigest()


def _conflict(campaign_id: int, mine: CampaignFile, reason: str, error: EditConflictError) -> str:
    """Return the editing page with the merged changes of both users, and the fields that both changed."""
    campaign = db.session.get_one(Campaign, campaign_id)
    merged, both = merging.merge(mine, editing.file_of(db.session(), campaign), error.since)
    form = CampaignForm.filled_in(merged, campaign.version)
    form.reason.data = reason
    return page(campaign, form, since=error.since, both=both)
