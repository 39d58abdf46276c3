"""Where a signer came from: the word that an organiser has put into a shared link, and never a word for one person.

sign_form.py asks for it when a sign form comes in; sharing.py gives the page's own share links theirs. Whoever shows or
exports it shows only words by which several have signed: a word made for one person tells nothing of them.
"""

import re
import unicodedata
from collections.abc import Collection
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import Connection, Engine, Select, func, literal, select, union_all
from sqlalchemy.orm import Session

from campaign.models import HAS_SOURCE, SOURCE_LENGTH, Signature
from campaign.once import Once

NAMES = ("ref", "utm_source")
"""What the word is called in a link's query; the first that holds one counts."""

FEWEST_TOGETHER = 5
"""By a word that fewer have, one could tell them apart."""
MOST_DIGITS = 5
"""In the whole word: a day such as 24-12, but no telephone number."""
MOST_DIGITS_IN_A_ROW = 3
MOST_CHANGES = 3
"""From letters to digits or back, or from small to big letters, within a part: b2b and WhatsApp, but no a1b2c3."""
LONGEST_PART = 20
"""Letters and digits between hyphens. No part of a word that people would put into a link is longer."""


def of_link(url: str) -> str:
    """The word that the link at `url` has as `?ref=` or `?utm_source=`; empty where there is none."""
    try:
        query = parse_qs(urlsplit(url).query)
    except ValueError:
        # No address at all, or a query of a thousand names.
        return ""
    words = (word(text) for name in NAMES for text in query.get(name, ()))
    return next(filter(None, words), "")


def word(text: str | None) -> str:
    """The text as a word: small letters, digits and hyphens, SOURCE_LENGTH at most.

    Empty, if it looks as if it were made for one person: an address (an @), a number (digits in a row, or many of
    them), a code (letters and digits or small and big letters in turns, 8 and more hexadecimal digits, a part too long
    for a word). What is too long is refused rather than cut: half of a code is a code. What gets through all the same,
    such as a name, figures.py shows to nobody unless several have signed by it.
    """
    plain = unicodedata.normalize("NFKC", text or "").strip()
    parts = re.findall(r"[^\W_]+", plain)
    made = unicodedata.normalize("NFKC", "-".join(parts).lower())
    refused = (
        "@" in plain
        or len(made) > SOURCE_LENGTH
        # A letter whose small form has marks of its own, which are no letters.
        or not re.fullmatch(r"[^\W_]*(?:-[^\W_]+)*", made)
        or len(re.findall(r"\d", made)) > MOST_DIGITS
        or re.search(rf"\d{{{MOST_DIGITS_IN_A_ROW + 1}}}", made)
        or any(map(_is_code, parts))
    )
    return "" if refused else made


def _is_code(part: str) -> bool:
    # From big to small is a name's first letter.
    kinds = [1 if c.isdigit() else 2 if c.isupper() else 3 for c in part]
    changes = sum(a != b and (a, b) != (2, 3) for a, b in pairwise(kinds))
    return len(part) > LONGEST_PART or changes >= MOST_CHANGES or re.fullmatch(r"[0-9a-fA-F]{8,}", part) is not None


def several(session: Session, campaign_id: int, words: Collection[str]) -> frozenset[str]:
    """Those of the words by which FEWEST_TOGETHER or more have signed the campaign; a second old at most."""

    def if_shared(word: str) -> Select[str]:
        have_it = select(Signature.id).where(Signature.campaign_id == campaign_id, HAS_SOURCE, Signature.source == word)
        return select(literal(word)).where(have_it.offset(FEWEST_TOGETHER - 1).limit(1).exists())

    def ask() -> frozenset[str]:
        return frozenset(session.scalars(union_all(*map(if_shared, asked))))

    asked = tuple(sorted(filter(None, words)))
    return _several.get((session.get_bind(), campaign_id, asked), ask) if asked else frozenset()


_several: Once[tuple[Engine | Connection, int, tuple[str, ...]], frozenset[str]] = Once(most=256)


def all_several(session: Session, campaign_id: int) -> set[str]:
    """All such words; looks at every signature that has one."""
    has_one = select(Signature.source).where(Signature.campaign_id == campaign_id, HAS_SOURCE)
    return set(session.scalars(has_one.group_by(Signature.source).having(func.count() >= FEWEST_TOGETHER)))
