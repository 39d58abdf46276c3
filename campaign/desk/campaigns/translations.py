"""Removing translations. `editor.py` edits them, and `steps.py` begins new ones."""

from datetime import UTC, datetime
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from campaign.accounts.permissions import Right
from campaign.campaigns import editing, translations
from campaign.campaigns.fields import InvalidCampaignError
from campaign.campaigns.versions.conflicts import EditConflictError
from campaign.desk.access import allow, by, notice
from campaign.desk.campaigns import received
from campaign.desk.campaigns.blueprint import campaigns
from campaign.languages.speaking import gettext
from campaign.models.campaign import Campaign
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction


@campaigns.route("/campaigns/<slug>/edit/<language:tag>/remove", methods=["GET", "POST"])
@allow(Right.WRITE)
def remove_translation(campaign: Campaign, tag: str) -> ResponseReturnValue:
    """Ask whether to remove a translation; a POST removes it."""
    found = translations.find(campaign, tag)
    if found is None or found.language != tag:
        # It is removed already.
        return redirect(url_for("campaigns.edit", slug=campaign.slug))
    if request.method == "GET":
        return _confirm(campaign, tag)
    removing, now, version = by(), datetime.now(UTC), received.version()
    file = translations.with_translation(editing.file_of(db.session(), campaign), tag, {})
    try:
        with write_transaction() as session:
            editing.edit(session, removing, campaign.id, file, now, version=version)
    except InvalidCampaignError as error:
        notice(gettext("Nothing has changed: %(reason)s.", reason=" ".join(error.errors.values())), "error")
        return redirect(url_for("campaigns.edit", slug=campaign.slug, tag=tag), 303)
    except EditConflictError as error:
        return _confirm(db.session.get_one(Campaign, campaign.id), tag, 409, since=error.since)
    name = translations.english_name(tag)
    notice(gettext("The translation into %(language)s is removed.", language=name))
    return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)


def _confirm(campaign: Campaign, tag: str, status: int = 200, **more: Any) -> ResponseReturnValue:
    name = translations.english_name(tag)
    page = render_template("desk/campaigns/remove_translation.html", campaign=campaign, tag=tag, name=name, **more)
    return page, status
