"""Slugs, the campaigns' names in URLs: making them from titles, and keeping each for one campaign.

Former slugs stay reserved, because their URLs still work.
"""

import re
from collections.abc import Collection
from unicodedata import category

from sqlalchemy import select, union
from sqlalchemy.orm import Session

from campaign.campaigns.field_checks import SLUG_LENGTH
from campaign.models.campaign import Campaign, FormerSlug
from campaign.text.bounded_text import MOST_TYPED, RefusedTextError, normalized

FALLBACK = "petition"
"""The slug for a title without letters and digits."""
MOST_NUMBERED = 100
"""The most campaigns whose slugs are made from the same title."""

# How German is written without umlauts, as in CLDR's transform de-ASCII. anyascii maps each character to the same
# letters in every language.
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
_LETTERS_OF = {"de": _GERMAN}


def of_title(title: str, language: str, longest: int) -> str:
    """Return a slug made from a title: "Save the Café!" becomes save-the-cafe.

    Letters of other scripts are transliterated. A title without letters and digits becomes FALLBACK, and so does one
    with more than `longest` characters, which is not examined.

    Args:
        title: The title as typed.
        language: The campaign's language tag. German umlauts become two letters.
        longest: The most characters of a title.
    """
    # Imported only here, because it takes memory that serving pages doesn't need.
    from anyascii import anyascii

    try:
        composed = normalized(title, MOST_TYPED * longest)
    except RefusedTextError:
        return FALLBACK
    composed = composed.translate(_LETTERS_OF.get(re.split("[-_]", language)[0].lower(), {}))
    # Signs and pictures only separate words. An apostrophe doesn't even do that.
    plain = "".join(anyascii(character) if category(character)[0] in "LMN" else character for character in composed)
    words = re.findall(r"[a-z0-9]+", re.sub("['’ʼ`]", "", plain.lower()))
    return _shortened(words) or FALLBACK


def of_typed(typed: str) -> str:
    """Return a slug as a person means it: in lowercase, and with hyphens for spaces, underscores, and dashes.

    Other characters are kept, so that the check of slugs refuses them.
    """
    try:
        plain = normalized(typed, MOST_TYPED * SLUG_LENGTH, "NFKC").strip().lower()
    except RefusedTextError:
        return typed
    return re.sub(r"[\s_\u2010-\u2015\u2212-]+", "-", plain)


def _shortened(words: list[str]) -> str:
    """Join words with hyphens, and leave out those that make the slug too long."""
    slug = words[0][:SLUG_LENGTH] if words else ""
    for word in words[1:]:
        if len(slug) + 1 + len(word) > SLUG_LENGTH:
            break
        slug += f"-{word}"
    return slug


def taken(session: Session, slugs: Collection[str], own_id: int | None) -> set[str]:
    """Return those of the slugs that another campaign has or had. `own_id` is the campaign that wants one."""
    # One statement, so that a slug that becomes a former slug at this moment is found in one of the two tables.
    has = select(Campaign.slug).where(Campaign.slug.in_(slugs), Campaign.id.is_distinct_from(own_id))
    had = select(FormerSlug.slug).where(FormerSlug.slug.in_(slugs), FormerSlug.campaign_id.is_distinct_from(own_id))
    return set(session.scalars(union(has, had)))


def free(session: Session, slug: str, own_id: int | None) -> str:
    """Return the slug, or the slug with -2, -3, and so on, if another campaign has or had it."""
    numbered = [slug, *(f"{slug[: SLUG_LENGTH - 4].rstrip('-')}-{number}" for number in range(2, MOST_NUMBERED))]
    used = taken(session, numbered, own_id)
    return next((each for each in numbered if each not in used), slug)


def keep(session: Session, campaign: Campaign, slug: str) -> None:
    """Keep the old slug as a former slug. If the new slug is a former one of the same campaign, free it."""
    if former := session.get(FormerSlug, slug):
        session.delete(former)
    session.add(FormerSlug(slug=campaign.slug, campaign_id=campaign.id))
