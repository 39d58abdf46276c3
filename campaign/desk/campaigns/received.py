"""Reads a submitted editor form: its campaign, its picture, and the version that the editor started from."""

from datetime import UTC, datetime

from flask import request

from campaign.campaigns import editing, fields, slugs
from campaign.campaigns.fields import CampaignFile
from campaign.campaigns.pictures import storage as pictures
from campaign.campaigns.pictures.preparing import Prepared, prepare
from campaign.desk.campaigns.form import CampaignForm
from campaign.models.campaign import Campaign
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction


def received(form: CampaignForm, campaign: Campaign | None) -> CampaignFile | None:
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
    if not wants_preview() and (campaign is None or campaign.version == version()):
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


def wants_preview() -> bool:
    """Return whether the user pressed Preview."""
    return request.form.get("do") == "preview"


def version() -> int:
    """Return the version of the campaign that the user has seen, or 0, which no campaign has."""
    sent = request.form.get("version", "")
    return int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 10 else 0
