"""Finding campaigns by slug, for the public (cached) and for organizers.

Stages and goals are in stages.py, changes by organizers in editing.py, and signatures in the package `signatures`.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, exists, select
from sqlalchemy.orm import Session, joinedload

from campaign.campaigns.field_checks import SLUG, SLUG_LENGTH
from campaign.campaigns.fields import CampaignFile
from campaign.campaigns.letter.cleaning import cleaned
from campaign.campaigns.stages import Stage, stage
from campaign.models.campaign import Campaign, CampaignState, FormerSlug, LetterChange
from campaign.storage import replica
from campaign.storage.database import db
from campaign.storage.single_flight import SingleFlightCache


def find(session: Session, slug: str) -> Campaign | None:
    """Return the campaign that has this slug now, or None. It may be a draft."""
    return session.scalar(select(Campaign).where(Campaign.slug == slug))


def find_by_any_slug(session: Session, slug: str) -> Campaign | None:
    """Return the campaign that has or once had this slug, or None. The changes to its letter are loaded as well."""
    # Crowds follow links with a period at the end, and web/addresses.py corrects them. They need no query here.
    if len(slug) > SLUG_LENGTH or not re.fullmatch(SLUG, slug):
        return None
    # Load the changes in the same query, because the public page needs them every time.
    changes = joinedload(Campaign.letter_changes).load_only(LetterChange.changed_at, LetterChange.reason)
    found = select(Campaign).options(changes)
    former = found.join(FormerSlug, FormerSlug.campaign_id == Campaign.id).where(FormerSlug.slug == slug)
    by_slug = found.where(Campaign.slug == slug)
    return session.scalars(by_slug).unique().first() or session.scalars(former).unique().first()


_found = SingleFlightCache[tuple[Engine, str, bool], Campaign | None](
    most=256, keep=lambda campaign: campaign is not None
)


def find_public(slug: str, *, to_sign: bool = False) -> Campaign | None:
    """Return the public campaign that has or once had this slug, or None. Drafts are not public.

    The result is detached from its session and cached for a second, because every signature needs it. So visitors see
    an organizer's change up to a second later. With `to_sign`, the campaign is read from the primary database, never
    from a replica.
    """

    def read(session: Session) -> Campaign | None:
        campaign = find_by_any_slug(session, slug)
        return None if campaign and campaign.state is CampaignState.DRAFT else campaign

    return _found.get((db.engine, slug, to_sign), lambda: replica.read(read, fresh=to_sign))


def has_any(session: Session) -> bool:
    """Return whether the site has or had a campaign, such as a draft that was deleted."""
    return bool(session.scalar(select(exists().where(Campaign.id.is_not(None)))))


def all_campaigns(session: Session) -> list[Campaign]:
    """Return all campaigns, including drafts, newest first."""
    existing = select(Campaign).where(Campaign.deleted_at.is_(None))
    return list(session.scalars(existing.order_by(Campaign.created_at.desc(), Campaign.id.desc())))


_all: SingleFlightCache[Engine, list[Campaign]] = SingleFlightCache(most=4)


def public_campaigns(now: datetime) -> list[Campaign]:
    """Return the campaigns of the front page: open ones first, then upcoming, won, and closed, each newest first.

    Drafts and archived campaigns are not among them.
    """
    order = [Stage.OPEN, Stage.UPCOMING, Stage.WON, Stage.CLOSED]
    campaigns = _all.get(db.engine, lambda: replica.read(all_campaigns))
    shown = [
        campaign for campaign in campaigns if campaign.state is not CampaignState.DRAFT and not campaign.archived_at
    ]
    return sorted(shown, key=lambda campaign: order.index(stage(campaign, now)))


def signed_text(campaign: Campaign | CampaignFile, changes: Mapping[str, Any] | None = None) -> str:
    """Return the text that people sign, as they read it: title, addressees if any, letter, with empty lines between.

    `changes` has new values of some of the campaign's fields.
    """
    parts = ((changes or {}).get(key, getattr(campaign, key)) for key in ("title", "addressees", "letter"))
    return "\n\n".join(cleaned(part) for part in parts if part)
