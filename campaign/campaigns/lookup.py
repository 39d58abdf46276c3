"""Finding campaigns by slug, for the public (cached) and for organizers.

Stages and goals are in stages.py, changes by organizers in editing.py, and signatures in the package `signatures`.
"""

import re
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine, exists, select
from sqlalchemy.orm import Session, joinedload, selectinload

from campaign.campaigns import translations
from campaign.campaigns.field_checks import SLUG, SLUG_LENGTH
from campaign.campaigns.stages import Stage, stage
from campaign.models.campaign import Campaign, CampaignState, FormerSlug, LetterChange, Translation
from campaign.storage import replica
from campaign.storage.database import db
from campaign.storage.single_flight import SingleFlightCache


def find(session: Session, slug: str) -> Campaign | None:
    """Return the campaign that has this slug now, with its translations, or None. It may be a draft."""
    return session.scalar(select(Campaign).where(Campaign.slug == slug).options(selectinload(Campaign.translations)))


def find_by_any_slug(
    session: Session, slug: str, tag: str | None = None, *, translated: bool = True
) -> Campaign | None:
    """Return the campaign that has or once had this slug, or None. It may be a draft.

    Args:
        session: The session to read with.
        slug: The slug.
        tag: If given, only what the campaign's page in this language shows is loaded: the changes to the letter, and
            the languages of the translations without their texts. The tag is empty for the main language.
        translated: Whether to load the translations now. Otherwise, `session` loads them when they are first read.
    """
    # Crowds follow links with a period at the end, and web/addresses.py corrects them. They need no query here.
    if len(slug) > SLUG_LENGTH or not re.fullmatch(SLUG, slug):
        return None
    found, texts = select(Campaign), selectinload(Campaign.translations)
    if tag is None:
        found = found.options(texts) if translated else found
    else:
        # Load the changes in the same query, because the public page needs them every time.
        changes = joinedload(Campaign.letter_changes.and_(LetterChange.language == tag))
        changes = changes.load_only(LetterChange.changed_at, LetterChange.reason, LetterChange.reason_language)
        found = found.options(changes, texts.load_only(Translation.language))
    by_slug = session.scalars(found.where(Campaign.slug == slug)).unique().first()
    if by_slug:
        return by_slug
    former = found.join(FormerSlug, FormerSlug.campaign_id == Campaign.id).where(FormerSlug.slug == slug)
    return session.scalars(former).unique().first()


_found = SingleFlightCache[tuple[Engine, str, str, bool], Campaign | None](
    most=256, keep=lambda campaign: campaign is not None
)


def find_public(slug: str, tag: str = "", *, to_sign: bool = False) -> Campaign | None:
    """Return the public campaign that has or once had this slug, in a language, or None. Drafts are not public.

    The result is detached from its session and cached for a second, because every signature needs it. So visitors see
    an organizer's change up to a second later.

    Args:
        slug: The slug.
        tag: The language's tag; empty for the main language.
        to_sign: Whether to read from the primary database, never from a replica.
    """

    main = _found.get((db.engine, slug, "", to_sign), lambda: replica.read(_reader(slug), fresh=to_sign))
    if main is None or tag.casefold() in ("", main.language.casefold()):
        return main
    # Only the campaign's own tags are looked up, so unknown ones cost nothing.
    translation = translations.find(main, tag)
    if translation is None:
        return None
    read = _reader(slug, translation.language)
    return _found.get((db.engine, slug, translation.language, to_sign), lambda: replica.read(read, fresh=to_sign))


def _reader(slug: str, tag: str = "") -> Callable[[Session], Campaign | None]:
    def read(session: Session) -> Campaign | None:
        campaign = find_by_any_slug(session, slug, tag)
        if campaign is None or campaign.state is CampaignState.DRAFT:
            return None
        # The translation whose texts the page shows.
        whole = session.get(Translation, (campaign.id, tag), populate_existing=True) if tag else None
        return translations.edition(campaign, tag) if whole or not tag else None

    return read


def has_any(session: Session) -> bool:
    """Return whether the site has or had a campaign, such as a draft that was deleted."""
    return bool(session.scalar(select(exists().where(Campaign.id.is_not(None)))))


_EXISTING = (
    select(Campaign).where(Campaign.deleted_at.is_(None)).order_by(Campaign.created_at.desc(), Campaign.id.desc())
)


def all_campaigns(session: Session, *, translated: bool = False) -> list[Campaign]:
    """Return all campaigns, including drafts, newest first.

    If `translated` is true, what the front page shows of their translations is loaded.
    """
    shown = Translation.language, Translation.title, Translation.category, Translation.summary
    wanted = _EXISTING.options(selectinload(Campaign.translations).load_only(*shown)) if translated else _EXISTING
    return list(session.scalars(wanted))


_all: SingleFlightCache[tuple[Engine, bool], list[Campaign]] = SingleFlightCache(most=8)


def public_campaigns(now: datetime, *, translated: bool = False) -> list[Campaign]:
    """Return the campaigns of the front page: open ones first, then upcoming, won, and closed, each newest first.

    Drafts and archived campaigns are not among them. Translations are loaded if `translated` is true.
    """
    order = [Stage.OPEN, Stage.UPCOMING, Stage.WON, Stage.CLOSED]
    campaigns = _all.get(
        (db.engine, translated), lambda: replica.read(lambda session: all_campaigns(session, translated=translated))
    )
    shown = [
        campaign for campaign in campaigns if campaign.state is not CampaignState.DRAFT and not campaign.archived_at
    ]
    return sorted(shown, key=lambda campaign: order.index(stage(campaign, now)))
