"""The blueprint of the campaigns' views, and what their templates share."""

from datetime import UTC, datetime

from flask import Blueprint

from campaign.campaigns import sharing, stages
from campaign.campaigns.stages import Stage
from campaign.languages.speaking import lazy_gettext
from campaign.models.campaign import Campaign
from campaign.site import pages

campaigns = Blueprint("campaigns", __name__)

OVER = lazy_gettext("The closing time has passed. To accept signatures, choose a later closing time or leave it blank.")

STAGES = {
    # translators: The stage of a campaign. So are the next messages.
    Stage.DRAFT: lazy_gettext("Draft"),
    Stage.UPCOMING: lazy_gettext("Opens later"),
    Stage.OPEN: lazy_gettext("Open"),
    Stage.CLOSED: lazy_gettext("Closed"),
    Stage.WON: lazy_gettext("Won"),
}
ARCHIVED = {
    Stage.DRAFT: lazy_gettext("Draft, archived"),
    Stage.UPCOMING: lazy_gettext("Opens later, archived"),
    Stage.OPEN: lazy_gettext("Open, archived"),
    Stage.CLOSED: lazy_gettext("Closed, archived"),
    Stage.WON: lazy_gettext("Won, archived"),
}


@campaigns.app_template_filter("stage")
def _stage(campaign: Campaign) -> str:
    names = ARCHIVED if campaign.archived_at else STAGES
    return str(names[stages.stage(campaign, datetime.now(UTC))])


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
