"""Signatures that SQLite's search index doesn't have yet: a search looks at the newest of them itself.

The index lacks signatures with a higher id than the last one that was indexed, and signatures that were changed since
they were indexed. indexing.py adds them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from campaign.moderation import indexing
from campaign.moderation.search_words import Option
from campaign.storage.single_flight import SingleFlightCache

LOOK = 1000
"""The most signatures that a search reads and compares itself, which takes about a fiftieth of a second."""

_NEWEST = text(
    f"SELECT {indexing.COLUMNS} FROM signature WHERE id IN ("  # noqa: S608
    "SELECT id FROM signature WHERE id > (SELECT id FROM signature_search_done) AND id < :before "
    "UNION ALL SELECT id FROM signature_search_again WHERE id < :before ORDER BY id DESC LIMIT :most)"
)
_NUMBER = text(
    "SELECT (SELECT coalesce(max(id), 0) FROM signature) - id + (SELECT count(*) FROM signature_search_again) "
    "FROM signature_search_done"
)


def look(session: Session, campaign_id: int, wanted: Sequence[Sequence[Option]], before: int) -> list[int]:
    """Return the ids of signatures that match, of the newest LOOK signatures below `before` that the index lacks.

    Args:
        session: A session for reading. Nothing is written.
        campaign_id: The campaign.
        wanted: The terms of the search, as in `search_words.searched`.
        before: Consider only ids below this one.
    """
    newest = _newest.get((session.get_bind(), before), lambda: _read(session, before))
    left = [each for each in newest if each.campaign_id == campaign_id]
    for options in wanted:
        matching = {each.id for option in options for each in _with_all(left, option)}
        left = [each for each in left if each.id in matching]
    return [each.id for each in left]


@dataclass(frozen=True)
class _Unindexed:
    """A signature that the index lacks."""

    id: int
    campaign_id: int
    words: str
    """Its words, with a line break before and after each. No word contains one."""


_newest: SingleFlightCache[tuple[object, int], list[_Unindexed]] = SingleFlightCache(most=4)
"""The signatures that `look` compares, for a second: reading them takes longer than comparing them. Everybody who looks
at first pages looks at the same ones."""


def _read(session: Session, before: int) -> list[_Unindexed]:
    rows = session.execute(_NEWEST, {"before": before, "most": LOOK}).all()
    return [_Unindexed(row.id, row.campaign_id, _words(row)) for row in rows]


# Cached, because a second later, most signatures are the same. Making their words takes most of the time.
@lru_cache(maxsize=2 * LOOK)
def _words(row: Row[Any]) -> str:
    return "\n".join(["", *indexing.words(row), ""])


def _with_all(signatures: list[_Unindexed], option: Option) -> list[_Unindexed]:
    """Return the signatures that have all terms."""
    for term in option:
        # One substring search in each text: a thousand signatures have ten thousand words.
        wanted = f"\n{term.word}" if term.is_prefix else f"\n{term.word}\n"
        signatures = [each for each in signatures if wanted in each.words]
    return signatures


def missed(session: Session) -> int:
    """Return how many of the newest signatures the index lacks, or 0 if `look` looks at all of them."""
    if session.connection().dialect.name != "sqlite":
        return 0
    number = int(session.scalar(_NUMBER) or 0)
    return number if number > LOOK else 0


def rounded(number: int) -> int:
    """Return a number rounded to its first two digits, as people say it: 12,345 becomes 12,000."""
    return round(number, 2 - len(str(number)))
