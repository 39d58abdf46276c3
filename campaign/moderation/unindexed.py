"""Signatures that SQLite's search index doesn't have yet: a search looks at the newest of its campaign itself.

The index lacks signatures with a higher id than the last one that was indexed, and signatures that were changed since
they were indexed. indexing.py adds them.
"""

import json
from collections import Counter
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
MOST_COUNTED = 20_000
"""How many of a campaign's newest signatures are checked for being in the index, if it lacks many of any campaign."""

# Ruff's S608 looks for values in SQL. These statements contain only constants; values are parameters.
_IS_NEW = "id > (SELECT id FROM signature_search_done)"
_NEW = text(f"SELECT id, campaign_id FROM signature WHERE {_IS_NEW} ORDER BY id DESC LIMIT :most")  # noqa: S608
_CHANGED = text(
    "SELECT id, campaign_id FROM signature "
    "WHERE id IN (SELECT id FROM signature_search_again ORDER BY id DESC LIMIT :most)"
)
# This reads only the index that sorts a campaign's signatures, by time: their ids are in nearly the same order. It
# returns JSON, because thousands of rows one by one take several times as long.
_OF_CAMPAIGN = text(
    "SELECT json_group_array(id) FROM (SELECT id FROM signature WHERE campaign_id = :campaign "  # noqa: S608
    f"ORDER BY signed_at DESC, id DESC LIMIT :most) WHERE {_IS_NEW} OR id IN (SELECT id FROM signature_search_again)"
)
_HAS_MORE = text("SELECT 1 FROM signature WHERE campaign_id = :campaign LIMIT 1 OFFSET :most")
_ROWS = text(
    f"SELECT {indexing.COLUMNS} FROM signature WHERE id IN (SELECT value FROM json_each(:ids))"  # noqa: S608
)


def look(session: Session, campaign_id: int, wanted: Sequence[Sequence[Option]], before: int) -> list[int]:
    """Return the ids of the campaign's signatures that match, of the newest LOOK below `before` that the index lacks.

    Args:
        session: A session for reading. Nothing is written.
        campaign_id: The campaign.
        wanted: The terms of the search, as in `search_words.searched`.
        before: Consider only ids below this one.
    """
    lacking = _lacking(session, campaign_id)
    texts = lacking.newest
    if len(lacking.ids) > LOOK and lacking.ids[0] >= before:
        texts = _read(session, [id_ for id_ in lacking.ids if id_ < before])
    left = [each for each in texts if each.id < before]
    for options in wanted:
        matching = {each.id for option in options for each in _with_all(left, option)}
        left = [each for each in left if each.id in matching]
    return [each.id for each in left]


def missed(session: Session, campaign_id: int) -> int:
    """Return how many of the campaign's signatures the index lacks, or 0 if `look` looks at all of them.

    If they can't all be counted, return a number above MOST_COUNTED.
    """
    if session.connection().dialect.name != "sqlite":
        return 0
    lacking = _lacking(session, campaign_id)
    if not lacking.is_complete:
        return MOST_COUNTED + 1
    return len(lacking.ids) if len(lacking.ids) > LOOK else 0


def rounded(number: int) -> int:
    """Return a number rounded to its first two digits, as people say it: 12,345 becomes 12,000."""
    return round(number, 2 - len(str(number)))


@dataclass(frozen=True)
class _Text:
    """A signature that the index lacks."""

    id: int
    words: str
    """Its words, with a line break before and after each. No word contains one."""


@dataclass(frozen=True)
class _Lacking:
    """The signatures of a campaign that the index lacks."""

    ids: list[int]
    """Highest first."""
    is_complete: bool
    """Whether `ids` has all of them."""
    newest: list[_Text]
    """The first LOOK of them."""


_cache: SingleFlightCache[tuple[object, int, int], _Lacking] = SingleFlightCache(most=8)
_changes = Counter[int]()
"""How many changes this process has made to the signatures of each campaign."""


def note_change(campaign_id: int) -> None:
    """Don't reuse what was read: a change takes signatures out of the index, and the next page must show them."""
    _changes[campaign_id] += 1


def _lacking(session: Session, campaign_id: int) -> _Lacking:
    """Return what the index lacks, as of this second: finding and reading it takes longer than comparing it."""
    key = session.get_bind(), campaign_id, _changes[campaign_id]
    return _cache.get(key, lambda: _find(session, campaign_id))


def _find(session: Session, campaign_id: int) -> _Lacking:
    # Usually, the index lacks few signatures of all campaigns together.
    new, changed = (session.execute(each, {"most": LOOK + 1}).all() for each in (_NEW, _CHANGED))
    ids = {id_ for id_, owner in (*new, *changed) if owner == campaign_id}
    is_complete = len(new) <= LOOK and len(changed) <= LOOK
    if not is_complete:
        # They may be those of another campaign, so look for this campaign's.
        given = {"campaign": campaign_id, "most": MOST_COUNTED}
        found = json.loads(session.scalar(_OF_CAMPAIGN, given))
        ids.update(found)
        is_complete = (len(found) < MOST_COUNTED and len(changed) <= LOOK) or not session.scalar(_HAS_MORE, given)
    highest_first = sorted(ids, reverse=True)
    return _Lacking(highest_first, is_complete, _read(session, highest_first))


def _read(session: Session, ids: list[int]) -> list[_Text]:
    """Return the first LOOK of these signatures."""
    return [_Text(row.id, _words(row)) for row in session.execute(_ROWS, {"ids": json.dumps(ids[:LOOK])})]


# Cached, because a second later, most signatures are the same. Making their words takes most of the time.
@lru_cache(maxsize=2 * LOOK)
def _words(row: Row[Any]) -> str:
    return "\n".join(["", *indexing.words(row), ""])


def _with_all(signatures: list[_Text], option: Option) -> list[_Text]:
    """Return the signatures that have all terms."""
    for term in option:
        # One substring search in each text: a thousand signatures have ten thousand words.
        wanted = f"\n{term.word}" if term.is_prefix else f"\n{term.word}\n"
        signatures = [each for each in signatures if wanted in each.words]
    return signatures
