"""The organisers' table of signatures: filters, search, and pages by key; never more work than a moment's.

desk/signatures.py shows it, moderation.py asks it for all that match. Words and addresses are search.py's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, Select, TextClause, and_, bindparam, select, tuple_
from sqlalchemy.orm import Session, aliased

from campaign import cursor, search
from campaign.models import (
    HAS_SOURCE,
    IS_ANONYMOUS,
    IS_HIDDEN,
    IS_REMOVED,
    Signature,
    SignatureState,
    Standing,
    standing,
)

PAGE = 50
"""Signatures on a page."""
LOOK = 3_000
"""Signatures that are looked at for one page, if a filter leaves few of them; who wants to go on, is asked."""
LOOK_FOUND = 1_000
"""The same for signatures that have the words that were searched for; each costs more to look at."""
MOST_COUNTED = 500
"""A count of matches goes no further."""
FAR = 200
"""Of several indexes, the one is walked along whose newest so many signatures reach back the furthest."""

Condition = ColumnElement[bool] | TextClause


@dataclass(frozen=True)
class Filter:
    """Which of a campaign's signatures; each thing that is given must be true of them."""

    standing: Standing | None = None
    country: str = ""
    """ISO 3166-1 alpha-2."""
    since: datetime | None = None
    until: datetime | None = None
    """Signed at `since` (aware) or later, and before `until`."""
    anonymous: bool | None = None
    source: str = ""
    words: str = ""
    """Each begins a word of name, city, region or postal code."""
    address: str = ""
    """An email address, the beginning of one, or a domain as @example.org; not for those who may not see addresses."""

    @property
    def searches(self) -> bool:
        """Whether the search index is asked; `search.catch_up` should be called before."""
        return bool(self.words or self.address)


@dataclass(frozen=True)
class Entry:
    """A signature, as an organiser sees it."""

    id: int
    name: str
    country: str
    region: str
    city: str
    postal_code: str
    anonymous: bool
    source: str
    standing: Standing
    signed_at: datetime
    email: str | None
    """Only where it was asked for."""

    @property
    def place(self) -> str:
        """What they have said of where they live, from the city to the country."""
        return ", ".join(filter(None, (self.city, self.region, self.postal_code, self.country)))


@dataclass(frozen=True)
class Count:
    """How many match: exactly `number`, or that many and perhaps more."""

    number: int
    exact: bool


@dataclass(frozen=True)
class Page:
    """Signatures that match, newest first."""

    entries: Sequence[Entry]
    next: str | None
    """The cursor of the page of older ones; None where there are none."""
    full: bool
    """Whether it has as many as a page may have; if it has fewer and a `next`, older ones are still to be looked at."""
    count: Count | None
    """How many match in all; only on the first page of a filter."""

    @property
    def ids(self) -> list[int]:
        """Of its signatures."""
        return [entry.id for entry in self.entries]


def day(date: date, zone: str) -> datetime:
    """When a day begins in the time zone of that IANA name."""
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
    """The campaign's newest `size` signatures that match, or those before the cursor that the page before gave.

    Newest is who signed last; among those that were searched for, who was stored last.

    Raises:
        ValueError: `before` is no cursor.
    """
    position = None if before is None else cursor.position(before)
    find = _searched if wanted.searches else _walked
    ids, end, count = find(session, campaign_id, wanted, position, size)
    shown: list[Any] = [column for column in _COLUMNS if with_addresses or column is not Signature.email]
    rows = session.execute(select(*shown).where(Signature.id.in_(ids[:size])))
    by_id = {row.id: _entry(row) for row in rows}
    entries = [by_id[one] for one in ids[:size] if one in by_id]
    full = len(ids) > size
    after = cursor.after(entries[-1].signed_at, entries[-1].id) if full else end
    return Page(entries, after, full, None if position else count)


_COLUMNS = (
    Signature.id,
    Signature.name,
    Signature.email,
    Signature.country,
    Signature.region,
    Signature.city,
    Signature.postal_code,
    Signature.anonymous,
    Signature.source,
    Signature.state,
    Signature.signed_at,
    Signature.listed_at,
)

_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)
Position = tuple[datetime, int]
Found = tuple[Sequence[int], str | None, Count | None]
"""Ids, one more than a page has if there are more; where looking has ended before the end; how many there are."""


def _searched(session: Session, campaign_id: int, wanted: Filter, position: Position | None, size: int) -> Found:
    """Ask the search index, then look at each of what it gives."""
    one_by_one = replace(wanted, words="", address="") != Filter()
    most = LOOK_FOUND if one_by_one else size + 1 if position else max(size, MOST_COUNTED) + 1
    below = position[1] if position else None
    matching = search.newest(session, campaign_id, wanted.words, wanted.address, below, most)
    cut = len(matching) == most
    ids: Sequence[int] = matching
    if one_by_one:
        # With a limit, so that no planner comes to these by another index and through all that it has; and as numbers
        # in the statement, of which drivers make less work than of so many parameters.
        given: Any = bindparam("matching", matching, expanding=True, literal_execute=True)
        these = select(Signature).where(Signature.id.in_(given)).limit(LOOK_FOUND)
        looked_at, conditions = _looked_at(these, wanted)
        found = select(looked_at.id).where(*conditions, *_time(looked_at, wanted))
        ids = session.scalars(found.order_by(looked_at.id.desc())).all()
    return ids, cursor.after(_ANY_TIME, matching[-1]) if cut else None, _counted(len(ids), not cut)


def _walked(session: Session, campaign_id: int, wanted: Filter, position: Position | None, size: int) -> Found:
    """Walk along the index that leaves the fewest, and look at each."""
    way, newest = _shortest_way(session, campaign_id, wanted)
    after = newest.where(tuple_(Signature.signed_at, Signature.id) < tuple_(*position)) if position else newest
    # The first page of a filter says how many match.
    counts = position is None and wanted != Filter()
    enough = max(size, MOST_COUNTED if counts else 0) + 1
    # Mostly a short look will do; but of those that must have several things in common there are few.
    looks = (2 * enough, LOOK) if len(_ways(Signature, wanted)) < 2 else (LOOK,)
    for most in looks:
        looked_at, conditions = _looked_at(after.limit(most), wanted, way)
        found = select(looked_at.id).where(*conditions).order_by(looked_at.signed_at.desc(), looked_at.id.desc())
        # SQLite would read whole rows, and sort them.
        found = found if conditions else after.with_only_columns(Signature.id)
        ids = session.scalars(found.limit(enough)).all()
        last = None
        if len(ids) < enough and conditions:
            key = after.with_only_columns(Signature.signed_at, Signature.id)
            last = session.execute(key.offset(most - 1).limit(1)).first()
        if last is None:
            break
    return ids, cursor.after(*last) if last else None, _counted(len(ids), not last) if counts else None


def _counted(number: int, exact: bool) -> Count:
    return Count(min(number, MOST_COUNTED), exact and number <= MOST_COUNTED)


def _shortest_way(session: Session, campaign_id: int, wanted: Filter) -> tuple[str, Select[Any]]:
    """The filter whose index has the fewest in its time, "" where there is none; and its signatures, newest first."""
    newest = (
        select(Signature)
        .where(Signature.campaign_id == campaign_id, *_time(Signature, wanted))
        .order_by(Signature.signed_at.desc(), Signature.id.desc())
    )
    ways = {way: newest.where(condition) for way, condition in _ways(Signature, wanted).items()} or {"": newest}
    if len(ways) == 1:
        return ways.popitem()

    def reaches_back_to(along: Select[Any]) -> datetime:
        far = along.with_only_columns(Signature.signed_at).offset(FAR - 1).limit(1)
        return session.scalar(far) or _ANY_TIME

    return min(ways.items(), key=lambda item: reaches_back_to(item[1]))


def _looked_at(newest: Select[Any], wanted: Filter, way: str = "") -> tuple[type[Signature], list[Condition]]:
    """These as a table, and what must still be true of each who was found on that way."""
    looked_at = aliased(Signature, newest.subquery())
    left = [condition for name, condition in _ways(looked_at, wanted).items() if name != way]
    return looked_at, [*left, *_rest(looked_at, wanted)]


def _ways(of: type[Signature], wanted: Filter) -> dict[str, Condition]:
    """The conditions that have an index in the order of the table, as models.py declares them."""
    ways: dict[str, Condition] = {}
    if wanted.standing is Standing.HIDDEN:
        ways["standing"] = IS_HIDDEN
    if wanted.standing is Standing.REMOVED:
        ways["standing"] = IS_REMOVED
    if wanted.source:
        ways["source"] = and_(HAS_SOURCE, of.source == wanted.source)
    if wanted.country:
        ways["country"] = of.country == wanted.country
    if wanted.anonymous:
        ways["anonymous"] = IS_ANONYMOUS
    return ways


def _rest(of: type[Signature], wanted: Filter) -> list[Condition]:
    """The conditions that have none."""
    rest: list[Condition] = []
    if wanted.standing is Standing.LISTED:
        rest.append(of.listed_at.is_not(None))
    if wanted.standing in (Standing.PENDING, Standing.WITHDRAWN):
        rest.append(of.state == SignatureState(wanted.standing.value))
    if wanted.anonymous is False:
        rest.append(of.anonymous.is_(False))
    return rest


def _time(of: type[Signature], wanted: Filter) -> list[Condition]:
    """The condition that every index serves."""
    since = [of.signed_at >= wanted.since] if wanted.since else []
    until = [of.signed_at < wanted.until] if wanted.until else []
    return [*since, *until]


def _entry(row: Row[Any]) -> Entry:
    given = dict(row._mapping)
    state, listed_at = given.pop("state"), given.pop("listed_at")
    return Entry(**{"email": None} | given, standing=standing(state, listed_at))
