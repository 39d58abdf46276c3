"""Sources: where signers came from, as a word that an organizer puts in a shared link, such as `?ref=newsletter`.

sign_form.py reads the word, and signing.py stores it with the signature. sharing.py adds a word to each share link on
the page. A source must never identify one person. So words that look like a code, a number, or an email address are
dropped, and organizers see only words that several signers have in common.
"""

import re
from collections.abc import Collection
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import Connection, Engine, Select, func, literal, select, union_all
from sqlalchemy.orm import Session

from campaign.models.columns import SOURCE_LENGTH
from campaign.models.signature import HAS_SOURCE, Signature
from campaign.storage.single_flight import SingleFlightCache
from campaign.text.bounded_text import MOST_TYPED, RefusedTextError, normalized

NAMES = ("ref", "utm_source")
"""Query parameters that may hold the word. The first usable word counts."""

FEWEST_SIGNERS = 5
"""The fewest signers with the same word for which organizers see it. A rarer word could identify a person."""
MOST_DIGITS = 5
"""The most digits in the whole word: enough for a date such as 24-12, too few for a phone number."""
MOST_DIGITS_IN_A_ROW = 3
MOST_CHANGES = 3
"""A part with this many changes counts as a code. A change is between letters and digits, or from lowercase to
uppercase. `b2b` and `WhatsApp` are words; `a1b2c3` is a code."""
LONGEST_LINK = 4096
"""Characters of a link. For a longer URL, browsers send only the origin as referrer (Referrer Policy, section 8.3)."""
LONGEST_PART = 20
"""The most characters of a part between hyphens. No natural word in a link is longer."""


def from_link(url: str) -> str:
    """Return the source word in a URL's `?ref=` or `?utm_source=`; empty if there is none or the URL is too long."""
    if len(url) > LONGEST_LINK:
        return ""
    try:
        # Mail programs that don't decode a link leave "=3D" (RFC 2045) and "&amp;" in it.
        query = parse_qs(urlsplit(url).query.replace("=3D", "=").replace("&amp;", "&"))
    except ValueError:
        # Not a valid URL.
        return ""
    words = (word(text) for name in NAMES for text in query.get(name, ()))
    return next(filter(None, words), "")


def word(text: str | None) -> str:
    """Return the text as a source word: lowercase letters, digits, and hyphens, at most SOURCE_LENGTH characters.

    The result is empty if the text could identify one person:

    - an email address or a handle (an @),
    - a number (several digits in a row, or many in all),
    - a code (letters mixed with digits, mixed case, 8 or more hexadecimal digits, or a part too long for a word).

    Text that is too long is dropped, not cut, because half of a code is still a code. Words that pass anyway, such as a
    person's name, are shown to organizers only if several signers have them (`common_words`).
    """
    try:
        plain = normalized(text or "", MOST_TYPED * SOURCE_LENGTH, "NFKC").strip()
        parts = re.findall(r"[^\W_]+", plain)
        cleaned = normalized("-".join(parts).lower(), MOST_TYPED * SOURCE_LENGTH, "NFKC")
    except RefusedTextError:
        return ""
    is_personal = (
        "@" in plain
        or len(cleaned) > SOURCE_LENGTH
        # Lowercasing a few letters, such as İ, adds combining marks, which are not letters.
        or not re.fullmatch(r"[^\W_]*(?:-[^\W_]+)*", cleaned)
        or len(re.findall(r"\d", cleaned)) > MOST_DIGITS
        or re.search(rf"\d{{{MOST_DIGITS_IN_A_ROW + 1}}}", cleaned)
        or any(map(_is_code, parts))
    )
    return "" if is_personal else cleaned


def _is_code(part: str) -> bool:
    # A change from uppercase to lowercase doesn't count: it is just a capitalized word.
    kinds = [1 if c.isdigit() else 2 if c.isupper() else 3 for c in part]
    changes = sum(a != b and (a, b) != (2, 3) for a, b in pairwise(kinds))
    return len(part) > LONGEST_PART or changes >= MOST_CHANGES or re.fullmatch(r"[0-9a-fA-F]{8,}", part) is not None


def common_words(session: Session, campaign_id: int, words: Collection[str]) -> frozenset[str]:
    """Return those of the words that at least FEWEST_SIGNERS of the campaign's signatures have; cached for a second."""

    def word_if_common(word: str) -> Select[str]:
        signed = select(Signature.id).where(Signature.campaign_id == campaign_id, HAS_SOURCE, Signature.source == word)
        return select(literal(word)).where(signed.offset(FEWEST_SIGNERS - 1).limit(1).exists())

    def query() -> frozenset[str]:
        return frozenset(session.scalars(union_all(*map(word_if_common, wanted))))

    wanted = tuple(sorted(filter(None, words)))
    return _common_words.get((session.get_bind(), campaign_id, wanted), query) if wanted else frozenset()


_common_words = SingleFlightCache[tuple[Engine | Connection, int, tuple[str, ...]], frozenset[str]](most=256)


def all_common_words(session: Session, campaign_id: int) -> set[str]:
    """Return all words that at least FEWEST_SIGNERS signatures have. This reads every signature that has a source."""
    with_source = select(Signature.source).where(Signature.campaign_id == campaign_id, HAS_SOURCE)
    return set(session.scalars(with_source.group_by(Signature.source).having(func.count() >= FEWEST_SIGNERS)))
