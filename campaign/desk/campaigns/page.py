"""Renders the editor's page: the form, the preview beside it, and the steps that can be taken."""

from datetime import UTC, datetime
from typing import Any

from flask import current_app, render_template

from campaign.campaigns import fields, stages
from campaign.campaigns.letter import changes as letter_changes
from campaign.campaigns.pictures import storage as pictures
from campaign.desk.campaigns import received
from campaign.desk.campaigns.form import CampaignForm
from campaign.models.campaign import Campaign, CampaignState
from campaign.site import pages
from campaign.storage.database import db


def page(campaign: Campaign | None, form: CampaignForm, **more: Any) -> str:
    """Render the page of the editor for a campaign, or for a new one; `more` is passed to its template."""
    signed = campaign is not None and letter_changes.has_signatures(db.session(), campaign.id)
    preview = preview_of(campaign, form)
    if campaign is None:
        return render_template("desk/campaigns/new.html", form=form, preview=preview, **more)
    steps = [step for step in stages.ALL_STEPS if stages.allows(campaign, step, signed=signed)]
    context = {"form": form, "signed": signed, "preview": preview, "steps": steps, "pressed": received.pressed()}
    return render_template("desk/campaigns/edit.html", campaign=campaign, **context, **more)


def preview_of(campaign: Campaign | None, form: CampaignForm) -> str:
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
