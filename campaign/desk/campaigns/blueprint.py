"""The blueprint of the campaigns' views, and what their templates share."""

from datetime import UTC, datetime

from flask import Blueprint

from campaign.campaigns import sharing, stages
from campaign.campaigns.stages import Stage
from campaign.models.campaign import Campaign
from campaign.site import pages

campaigns = Blueprint("campaigns", __name__)

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
    stage = STAGES[stages.stage(campaign, datetime.now(UTC))]
    return f"{stage}, archived" if campaign.archived_at else stage


@campaigns.app_template_test("over")
def is_over(campaign: Campaign) -> bool:
    """Return whether the campaign's closing time has passed."""
    return campaign.closes_at is not None and campaign.closes_at <= datetime.now(UTC)


@campaigns.app_context_processor
def _helpers() -> dict[str, object]:
    return {
        "campaign_over": OVER,
        "public_url": pages.public_url,
        "share_links": sharing.links,
        "share_text": sharing.text_of,
    }
