"""A campaign's public page, rendered: for its readers, for colleagues with a preview link, and beside the desk's form.

Both surfaces call it; what a page says is in templates/site.
"""

from datetime import UTC, datetime
from typing import Any

from flask import Flask, current_app, render_template, url_for
from sqlalchemy import inspect
from sqlalchemy.orm.attributes import set_committed_value

from campaign import campaigns, feed, letter_changes
from campaign.models import Campaign, CampaignState
from campaign.sign_form import SignForm


def render(template: str, campaign: Campaign, *, fresh: bool = False, **context: Any) -> str:
    """A page or a partial about a campaign, with its stage, its feed and its progress."""
    now = datetime.now(UTC)
    current = feed.read(campaign.id, fresh=fresh)
    return render_template(
        template,
        campaign=campaign,
        slug=campaign.slug,
        stage=campaigns.stage(campaign, now),
        feed=current,
        progress=campaigns.progress(campaign, current.count),
        now=now,
        **context,
    )


def preview(campaign: Campaign, **changes: Any) -> str:
    """The page as the public will see it, with these columns changed; nothing can be signed on it."""
    columns = {column.key: getattr(campaign, column.key) for column in inspect(Campaign).column_attrs}
    shown = Campaign(**columns | changes)
    set_committed_value(shown, "letter_changes", letter_changes.of(campaign.id) if campaign.id else [])
    if shown.state is CampaignState.DRAFT:
        shown.state = CampaignState.OPEN
    return render("site/campaign.html", shown, form=SignForm(shown.language), preview=True)


def preview_of(site: Flask, campaign: Campaign, **changes: Any) -> str:
    """The same from another app than the site's: its templates, its addresses."""
    with site.test_request_context(base_url=site.config["SETTINGS"].site_url):
        return preview(campaign, **changes)


def public_url(campaign: Campaign) -> str:
    """The campaign's address for the world, whatever host this request named."""
    return f"{current_app.config['SETTINGS'].site_url}{url_for('site.campaign_page', slug=campaign.slug)}"
