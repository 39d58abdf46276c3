"""Steps of a campaign, such as publishing, and links to preview a draft."""

from datetime import UTC, datetime
from typing import Any

from flask import current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from campaign.accounts import audit_log
from campaign.accounts.permissions import Right
from campaign.campaigns import editing, preview_links, stages
from campaign.campaigns.versions.conflicts import EditConflictError
from campaign.desk.access import allow, by, notice
from campaign.desk.campaigns import received
from campaign.desk.campaigns.blueprint import OVER, campaigns, is_over
from campaign.desk.campaigns.form import CampaignForm
from campaign.desk.campaigns.page import page
from campaign.models.campaign import Campaign
from campaign.site import pages
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction

DONE = {
    "publish": "The campaign is now public.",
    "close": "The campaign is closed and no longer accepts signatures.",
    "win": "The campaign is marked as won. Congratulations!",
    "reopen": "The campaign is open again.",
}


@campaigns.post("/campaigns/<slug>/preview-link")
@allow(Right.WRITE)
def preview_link(campaign: Campaign) -> ResponseReturnValue:
    """Create a link that shows a draft to colleagues, and show it."""
    settings, making, now = current_app.config["SETTINGS"], by(), datetime.now(UTC)
    with write_transaction() as session:
        audit_log.write(session, making, "campaign.preview_link", now, campaign_id=campaign.id)
    path = url_for("site.preview", slug=campaign.slug, key=preview_links.make(settings.secret_key, campaign.id))
    form = CampaignForm.filled_in(editing.file_of(db.session(), campaign), campaign.version)
    return page(campaign, form, link=f"{settings.site_url}{path}")


@campaigns.route("/campaigns/<slug>/<any(publish, close, win, reopen):step>", methods=["GET", "POST"])
@allow(Right.WRITE)
def take_step(campaign: Campaign, step: str) -> ResponseReturnValue:
    """Show how the page will look after a step such as publishing; a POST takes the step."""
    if request.method == "GET":
        return _confirm(campaign, step)
    taking, now, version = by(), datetime.now(UTC), received.version()
    try:
        with write_transaction() as session:
            editing.take_step(session, taking, campaign.id, step, now, version=version)
    except EditConflictError as error:
        return _confirm(db.session.get_one(Campaign, campaign.id), step, 409, since=error.since)
    except editing.StepNotAllowedError:
        return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)
    if is_over(campaign) and step in ("publish", "reopen"):
        notice(f"{DONE['publish']} {OVER}" if step == "publish" else OVER)
    else:
        notice(DONE[step])
    return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)


def _confirm(campaign: Campaign, step: str, status: int = 200, **more: Any) -> ResponseReturnValue:
    from_states, to_state = stages.STEPS[step]
    if campaign.state not in from_states:
        return redirect(url_for("campaigns.edit", slug=campaign.slug), 303)
    preview = pages.preview_of(current_app.extensions["site"], campaign, state=to_state)
    return render_template("desk/campaigns/confirm.html", campaign=campaign, step=step, preview=preview, **more), status
