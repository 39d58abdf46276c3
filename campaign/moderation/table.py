"""The organizers' table of signatures: filters, search, and paging by key, with a limit on the work per page.

`desk/signatures/` shows the table. `actions.py` uses it to find all matching signatures. `search.py` finds words and
email addresses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    TextClause,
    and_,
    bindparam,
    case,
    false,
    func,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import Session

from campaign.models.signature import (
    HAS_SOURCE,
    IS_ANONYMOUS,
    IS_HIDDEN,
    IS_PENDING,
    IS_REMOVED,
    IS_WITHDRAWN,
    RELEASED,
    Signature,
    Standing,
)
from campaign.moderation import entries, search, unindexed
from campaign.moderation.entries import Entry
from campaign.storage import pagination
from campaign.storage.database import is_one_of, read_ids

PAGE = 50
"""Signatures per page."""
LOOK = 2_000
"""The most signatures that are checked for one page. After that, the user can choose to search further back."""
LOOK_FOUND = 1_000
"""The same limit for search results, each of which takes longer to check."""
MOST_COUNTED = 500
"""The highest number of matches that is counted exactly."""
FAR = 200
"""How many of each index's newest entries are compared, to choose the index whose entries reach back furthest."""

Condition = ColumnElement[bool] | TextClause


@dataclass(frozen=True)
class Filter:
    """Selects signatures of a campaign that meet all given conditions."""

    standing: Standing | None = None
    """Blocked signatures are among the removed ones, too."""
    country: str = ""
    """ISO 3166-1 alpha-2."""
    region: str = ""
    """The name of a US state."""
    since: datetime | None = None
    until: datetime | None = None
    """Signed at or after `since`, and before `until`; both are timezone-aware."""
    anonymous: bool | None = None
    source: str = ""
    words: str = ""
    """Beginnings of words of the name, city, region, or postal code."""
    address: str = ""
    """An email address, the beginning of one, or a domain such as @example.org.

    Leave it empty for accounts that may not see email addresses.
    """

    @property
    def searches(self) -> bool:
        """Whether the search index is used."""
        return bool(self.words or self.address or self.region)


@dataclass(frozen=True)
class Count:
    """How many signatures match: exactly `number`, or at least that many."""

    number: int
    exact: bool


@dataclass(frozen=True)
class Page:
    """A page of matching signatures, newest first."""

    entries: Sequence[Entry]
    next: str | None
    """The cursor of the next, older page; None on the last page."""
    full: bool
    """Whether the page is full. If it is not and has a `next`, older signatures have not been checked yet."""
    count: Count | None
    """How many signatures match in total; only on the first page."""
    missed: int
    """The result of `unindexed.missed` for a search, otherwise 0."""
    start: str
    """The cursor before the newest signature when the page was read, as `start` returns it."""

    @property
    def ids(self) -> list[int]:
        """The ids of the page's signatures."""
        return [entry.id for entry in self.entries]


def day(date: date, zone: str) -> datetime:
    """Return when a day begins in the time zone with this IANA name."""
    return datetime.combine(date, time(), ZoneInfo(zone)).astimezone(UTC)


def page(
    session: Session,
    campaign_id: int,
    wanted: Filter,
    before: str | None = None,
    *,
    size: int = PAGE,
    with_addresses: bool = False,
) -> Page:
    """Return the newest `size` matching signatures of the campaign.

    Signatures are ordered by time of signing; search results are ordered by id.

    Args:
        before: The cursor (`next`) of the previous page, or None for the first page.

    Raises:
        ValueError: `before` is not a cursor.
    """
    position = None if before is None else pagination.position(before)
    find = _search if wanted.searches else _scan_index
    newest = start(session, campaign_id)
    ids, end, count = find(session, campaign_id, wanted, position, size)
    shown = entries.read(session, campaign_id, ids[:size], with_addresses=with_addresses)
    full = len(ids) > size
    after = pagination.after(shown[-1].signed_at, shown[-1].id) if full else end
    missed = _missed(session, campaign_id, wanted)
    if missed and count:
        count = replace(count, exact=False)
    return Page(shown, after, full, None if position else count, missed, newest)


def count(session: Session, campaign_id: int, wanted: Filter) -> Count:
    """Return how many signatures of the campaign match, as the first page states it, after a bounded search."""
    find = _search if wanted.searches else _scan_index
    found = find(session, campaign_id, wanted, None, 1)[2] or Count(0, exact=True)
    return replace(found, exact=found.exact and not _missed(session, campaign_id, wanted))


def start(session: Session, campaign_id: int) -> str:
    """Return the cursor before the newest signature. With any filter, pages from there leave out later signatures."""
    signed_at, id_ = session.execute(_NEWEST, {"campaign_id": campaign_id}).one()
    return pagination.after(signed_at or _ANY_TIME, (id_ or 0) + 1)


def _missed(session: Session, campaign_id: int, wanted: Filter) -> int:
    return unindexed.missed(session, campaign_id) if wanted.searches else 0


_NEWEST = select(
    select(func.max(Signature.signed_at)).where(Signature.campaign_id == bindparam("campaign_id")).scalar_subquery(),
    select(func.max(Signature.id)).scalar_subquery(),
)
_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)
Position = tuple[datetime, int]
Found = tuple[Sequence[int], str | None, Count | None]
"""The result of a query: ids, a cursor if the query stopped early, and the count of matches.

There are more ids than a page has if there is another page.
"""


def _search(session: Session, campaign_id: int, wanted: Filter, position: Position | None, size: int) -> Found:
    """Query the search index, then apply the other filters to its results."""
    has_other_filters = replace(wanted, words="", address="") != Filter()
    most = LOOK_FOUND if has_other_filters else size + 1 if position else max(size, MOST_COUNTED) + 1
    below = position[1] if position else None
    # A state has no index of its own. Its name is among the words of the search index, which finds it in any case.
    matching = search.newest(session, campaign_id, [wanted.words, wanted.region], wanted.address, below, most)
    is_cut = len(matching) == most
    ids: Sequence[int] = matching
    if has_other_filters:
        # The limit keeps the planner from using another index and scanning all of it.
        among = select(Signature.id).where(is_one_of(session, Signature.id, matching)).limit(LOOK_FOUND)
        conditions = [*_indexed_conditions(wanted).values(), *_other_conditions(wanted), *_time(wanted)]
        found = _that_meet(conditions, among)
        newest_first = select(found.c.id).where(found.c.is_match).order_by(found.c.id.desc())
        ids = read_ids(session, newest_first.limit(LOOK_FOUND))
    return ids, pagination.after(_ANY_TIME, matching[-1]) if is_cut else None, _counted(len(ids), not is_cut)


def _scan_index(session: Session, campaign_id: int, wanted: Filter, position: Position | None, size: int) -> Found:
    """Scan the most selective index, newest first, and apply the other filters to its entries."""
    indexed = _indexed_conditions(wanted)
    index, newest = _most_selective_index(session, campaign_id, wanted, indexed)
    after = newest.where(tuple_(Signature.signed_at, Signature.id) < tuple_(*position)) if position else newest
    # The first page shows how many signatures match.
    counts = position is None
    enough = max(size, MOST_COUNTED if counts else 0) + 1
    remaining = [*(each for name, each in indexed.items() if name != index), *_other_conditions(wanted)]
    if not remaining:
        ids = read_ids(session, after.with_only_columns(Signature.id).limit(enough))
        return ids, None, _counted(len(ids), True) if counts else None
    # A short scan is usually enough. With several filters it isn't, because few signatures match all of them.
    limits = (2 * enough, LOOK) if len(indexed) < 2 else (LOOK,)
    keys = after.with_only_columns(Signature.signed_at, Signature.id)
    for most in limits:
        found = _that_meet(remaining, keys.limit(most))
        newest_first = found.c.signed_at.desc(), found.c.id.desc()
        ids = read_ids(session, select(found.c.id).where(found.c.is_match).order_by(*newest_first).limit(enough))
        last = session.execute(keys.offset(most - 1).limit(1)).first() if len(ids) < enough else None
        if last is None:
            break
    return ids, pagination.after(*last) if last else None, _counted(len(ids), not last) if counts else None


def _that_meet(conditions: Sequence[Condition], among: Select[*tuple[Any, ...]]) -> Subquery:
    """Return the signatures of `among`, each with the column `is_match`: whether it meets all the conditions.

    As conditions of `among`, they would affect the choice of its index. As conditions on its results, `among` would
    have to return all columns that they need.
    """
    return among.add_columns(case((and_(*conditions), true()), else_=false()).label("is_match")).subquery()


def _counted(number: int, exact: bool) -> Count:
    return Count(min(number, MOST_COUNTED), exact and number <= MOST_COUNTED)


def _most_selective_index(
    session: Session, campaign_id: int, wanted: Filter, indexed: Mapping[str, Condition]
) -> tuple[str, Select[Any]]:
    """Return the filter whose index has the fewest entries in the time range, and its signatures, newest first.

    The filter is an empty string if none of the filters has an index.
    """
    newest = (
        select(Signature)
        .where(Signature.campaign_id == campaign_id, *_time(wanted))
        .order_by(Signature.signed_at.desc(), Signature.id.desc())
    )
    queries = {name: newest.where(condition) for name, condition in indexed.items()} or {"": newest}
    if len(queries) == 1:
        return queries.popitem()

    oldest = (query.with_only_columns(Signature.signed_at).offset(FAR - 1).limit(1) for query in queries.values())
    reached = session.execute(select(*(each.scalar_subquery() for each in oldest))).one()
    return min(zip(reached, queries.items(), strict=True), key=lambda each: each[0] or _ANY_TIME)[1]


_INDEXED = {
    Standing.HIDDEN: IS_HIDDEN,
    Standing.REMOVED: IS_REMOVED,
    Standing.BLOCKED: IS_REMOVED,
    Standing.PENDING: IS_PENDING,
    Standing.WITHDRAWN: IS_WITHDRAWN,
}
"""The states that have an index."""


def _indexed_conditions(wanted: Filter) -> dict[str, Condition]:
    """Return the conditions that have an index sorted like the table. `models/signature.py` declares the indexes."""
    conditions: dict[str, Condition] = {}
    if wanted.standing in _INDEXED:
        conditions["standing"] = _INDEXED[wanted.standing]
    if wanted.source:
        conditions["source"] = and_(HAS_SOURCE, Signature.source == wanted.source)
    if wanted.country:
        conditions["country"] = Signature.country == wanted.country
    if wanted.anonymous:
        conditions["anonymous"] = IS_ANONYMOUS
    return conditions


def _other_conditions(wanted: Filter) -> list[Condition]:
    """Return the conditions that have no index."""
    conditions: list[Condition] = []
    if wanted.region:
        conditions.append((Signature.country == "US") & (Signature.region == wanted.region))
    if wanted.standing is Standing.LISTED:
        conditions.append(Signature.listed_at.is_not(None))
    if wanted.standing is Standing.BLOCKED:
        conditions.append(~Signature.email_key.contains(RELEASED))
    if wanted.anonymous is False:
        conditions.append(Signature.anonymous.is_(False))
    return conditions


def _time(wanted: Filter) -> list[Condition]:
    """Return the conditions on the time of signing, which every index supports."""
    since = [Signature.signed_at >= wanted.since] if wanted.since else []
    until = [Signature.signed_at < wanted.until] if wanted.until else []
    return [*since, *until]
