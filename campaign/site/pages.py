"""Renders a campaign's public page for visitors, for preview links, and for the live preview at the desk.

The templates are in templates/site.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from flask import Flask, Response, current_app, make_response, render_template, url_for
from sqlalchemy import Engine
from sqlalchemy.orm.attributes import set_committed_value

from campaign.campaigns import stages, translations
from campaign.campaigns.letter import changes as letter_changes
from campaign.languages import catalogs, speaking
from campaign.languages.speaking import gettext
from campaign.models.campaign import Campaign, CampaignState
from campaign.signatures import feed
from campaign.signatures.feed import Signatory
from campaign.site.sign_form import SignForm
from campaign.storage.database import db
from campaign.storage.single_flight import SingleFlightCache

_counts: SingleFlightCache[tuple[Engine, str, str, int], str] = SingleFlightCache(most=256)
"""Count and progress by campaign, language, and count, for the pages of signers. In a crowd, many show the same."""
_panels: SingleFlightCache[tuple[Engine, str, str], str] = SingleFlightCache(most=256)
"""Thank-you panels by campaign and language. Every signer of a campaign in a language gets the same panel."""


def render(template: str, campaign: Campaign, *, fresh: bool = False, **context: Any) -> str:
    """Render a page or partial with a campaign's stage, feed, and progress. `fresh` bypasses the cached feed."""
    now = datetime.now(UTC)
    current = feed.read(campaign.id, fresh=fresh)
    with speaking.use(campaign.language):
        return render_template(
            template,
            campaign=campaign,
            slug=campaign.slug,
            tag=campaign.tag or None,
            stage=stages.stage(campaign, now),
            feed=current,
            progress=stages.progress(campaign, current.count),
            now=now,
            **context,
        )


def thanked(
    campaign: Campaign, own: Signatory | None, shown: int | None, now: datetime, corrected_email: str = ""
) -> Response:
    """Return the thank-you panel for htmx, with the signer's own entry for the list, and count and progress.

    Args:
        campaign: The campaign.
        own: The entry; None if the signature was counted before, so that the page already shows it.
        shown: The count that the signer's page showed.
        now: The current time.
        corrected_email: The email address, if we changed its spelling.
    """
    if corrected_email:
        panel = render_template("site/_thanks.html", campaign=campaign, corrected_email=corrected_email)
    else:
        key = db.engine, campaign.slug, campaign.tag
        panel = _panels.get(key, lambda: render_template("site/_thanks.html", campaign=campaign))
    if own is None:
        return make_response(panel)
    entry = render_template("site/_own_entry.html", campaign=campaign, signatory=own, now=now)
    answer = make_response(panel + entry + counts_after_signing(campaign, shown))
    answer.headers["HX-Trigger"] = "signed"
    return answer


def counts_after_signing(campaign: Campaign, shown: int | None) -> str:
    """Return count and progress for a signer's page: one more than the page showed, or "" if it sent no count.

    The true count can't be used. It may come from a cache, and then leave the signer out: "Thank You!" next to "0
    people have signed". Read again, it costs each signature a query, and tells a stranger whether the mailbox had
    signed before. The page's own count plus one depends on nothing but the request: bytes and work are the same for a
    duplicate. And no later feed can be lower, unless the mailbox had signed before (site.js) or organizers remove
    signatures, because the page got its count from a feed without this signature.
    """
    if shown is None:
        return ""
    count = shown + 1
    return _counts.get(
        (db.engine, campaign.slug, campaign.tag, count),
        lambda: render_template(
            "site/_counts.html",
            campaign=campaign,
            slug=campaign.slug,
            tag=campaign.tag or None,
            stage=stages.stage(campaign, datetime.now(UTC)),
            progress=stages.progress(campaign, count),
        ),
    )


@lru_cache(maxsize=256)
def offer_in(language: str) -> str:
    """Return the line, in a language, that offers a campaign's page in this language; empty if we can't say it."""
    if catalogs.offered(language) is None:
        return ""
    with speaking.use(language):
        # translators: Put the name of your language in place of “English”.
        return gettext("This petition is also available in English.")


def preview(campaign: Campaign, **changes: Any) -> str:
    """Render a campaign's page as visitors will see it after these `changes`. A draft looks open. Nobody can sign."""
    shown = translations.copy_of(campaign, **changes)
    recorded = letter_changes.all_changes(campaign.id, campaign.tag) if campaign.id else []
    set_committed_value(shown, "letter_changes", recorded)
    if shown.state is CampaignState.DRAFT:
        shown.state = CampaignState.OPEN
    return render("site/campaign.html", shown, form=SignForm(shown.language), preview=True)


def preview_of(site: Flask, campaign: Campaign, **changes: Any) -> str:
    """Render the preview from another app, such as the desk, with the site's templates and URLs."""
    with site.test_request_context(base_url=site.config["SETTINGS"].site_url):
        return preview(campaign, **changes)


def public_url(campaign: Campaign, tag: str | None = None) -> str:
    """Return the public URL of a campaign, which starts with SITE_URL whichever host a request names.

    Args:
        campaign: The campaign.
        tag: The tag of the language, empty for the main one; by default, the language in which the campaign is given.
    """
    path = url_for("site.campaign_page", slug=campaign.slug, tag=(campaign.tag if tag is None else tag) or None)
    return f"{current_app.config['SETTINGS'].site_url}{path}"
