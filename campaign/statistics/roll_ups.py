"""Roll-ups: counts of a campaign's signatures by time, place, source, and language, exact without work for signers.

The worker adds new signatures in the order of their ids, a piece at a time (`roll_up`), and stores how far it is: the
position. Code that changes whether a signature counts also corrects the counts, in the same transaction, if the
signature is already included (`correct`). Both lock the position first. So no signature is missed or counted twice.

`figures.py` reads the counts. `roll_up_checks.py` compares them with the stored signatures.
"""

import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    case,
    cast,
    delete,
    extract,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Session

from campaign.models.roll_up import GroupCount, Kind, MinuteCount, QuarterCount, RollUp
from campaign.models.signature import Signature, SignatureState
from campaign.signatures.places import US_STATES
from campaign.storage.database import db, insert_into
from campaign.storage.transactions import wait_for_writers, write_transaction

Times = type[MinuteCount] | type[QuarterCount]
Table = Times | type[GroupCount]
TABLES: tuple[Table, ...] = (MinuteCount, QuarterCount, GroupCount)
Rows = Select[int, datetime, str, str, str, str]

EVERY = timedelta(seconds=2)
"""How often the worker looks for new signatures."""
PIECE = 2000
"""Signatures added in one transaction. It takes two hundredths of a second, for which signers may wait on SQLite."""
REST = 39
"""How long the worker rests after a full piece on SQLite, as a multiple of the time that the piece took. So at most a
fortieth of the time to write is spent on statistics, and as much on the search index: a twentieth together."""
MINUTES = timedelta(hours=25)
"""How long counts by minute are kept. Pages show a day at most. The rest is for clocks that differ."""
SECONDS: dict[Times, int] = {MinuteCount: 60, QuarterCount: 900}
"""The length of a table's spans of time."""


def roll_up() -> timedelta:
    """Add new signatures to the counts: a task of the background worker. Return how long to wait until the next piece.

    Raises:
        STORAGE_ERRORS: The piece could not be stored; nothing changed.
    """
    began = time.monotonic()
    if not add_piece(datetime.now(UTC)):
        return EVERY
    rest = REST if db.engine.dialect.name == "sqlite" else 0
    return timedelta(seconds=rest * (time.monotonic() - began))


def add_piece(now: datetime) -> bool:
    """Add the next PIECE signatures of all campaigns, in a transaction. Return whether there may be more already.

    Several workers may do this at the same time.

    Raises:
        STORAGE_ERRORS: The piece could not be stored; nothing changed.
    """
    session = db.session()
    newest = session.scalar(select(func.max(Signature.id))) or 0
    is_behind = newest > position(session)
    session.rollback()
    # On PostgreSQL, a signature with a lower id may be stored later. Once all who are storing now have finished, every
    # signature up to `newest` is visible. SQLite has one writer.
    if not is_behind or not wait_for_writers(db.engine, Signature.__tablename__):
        return False
    with write_transaction() as writing:
        start = lock(writing)
        # The newest ones may have been deleted since. On SQLite, others may then get their ids.
        newest = min(newest, writing.scalar(select(func.max(Signature.id))) or 0)
        waiting = select(Signature.id, Signature.signed_at).where(Signature.id > start, Signature.id <= newest)
        last = writing.execute(waiting.order_by(Signature.id).offset(PIECE - 1).limit(1)).first()
        end, as_of = (newest, now) if last is None else last
        # Another worker may have been faster.
        if end > start:
            piece = rows(Signature.id > start, Signature.id <= end, Signature.state == SignatureState.PUBLIC)
            _add(writing, piece.order_by(Signature.id).limit(PIECE), 1, now)
            writing.execute(update(RollUp).values(position=end, as_of=as_of))
            writing.execute(delete(MinuteCount).where(MinuteCount.bucket < _first_minute(now)))
    return end < newest


def correct(
    session: Session, campaign_id: int, counted: Collection[int], uncounted: Collection[int], now: datetime
) -> None:
    """Correct the counts for signatures whose state changes, in the caller's write transaction.

    Call this before the tally is locked: signers wait for the tally, and this waits for the worker's piece.

    Args:
        session: A session in a write transaction, which has locked the signatures.
        campaign_id: The campaign's id.
        counted: The ids of signatures that didn't count before, and count from now on.
        uncounted: The ids of signatures that counted before, and no longer count.
        now: The current time.
    """
    end = lock(session)
    for ids, sign in ((counted, 1), (uncounted, -1)):
        if ids:
            _add(session, rows(Signature.id.in_(ids), Signature.id <= end), sign, now)
    if uncounted:
        # A source that no signature has any longer is of no use, and it might identify a person.
        names = GroupCount.name.in_(select(Signature.source).where(Signature.id.in_(uncounted)))
        of_campaign = GroupCount.campaign_id == campaign_id, GroupCount.kind == Kind.SOURCE
        session.execute(delete(GroupCount).where(*of_campaign, names, GroupCount.count == 0))


def move_back(session: Session) -> None:
    """Move the position back to the last signature after some were deleted, in the caller's write transaction.

    Deleted signatures must not have counted. SQLite uses the highest ids again once their signatures are deleted. Those
    of new ones must be above the position.
    """
    last = session.scalar(select(func.max(Signature.id))) or 0
    if lock(session) > last:
        session.execute(update(RollUp).values(position=last))


def position(session: Session) -> int:
    """Return the id up to which all signatures are included."""
    return session.scalar(select(RollUp.position)) or 0


def lock(session: Session) -> int:
    """Lock the position until the caller's write transaction ends, and return it."""
    insert = insert_into(session.connection().dialect.name, RollUp)
    # The row is created first, because a missing row can't be locked.
    locked = insert.on_conflict_do_update(index_elements=["id"], set_={"position": RollUp.position})
    session.execute(locked, {"id": 1, "position": 0, "repairs": 0})
    return position(session)


def repairs(session: Session) -> int:
    """Return how many repairs there have been. Read it before a check, or in the same transaction."""
    return session.scalar(select(RollUp.repairs)) or 0


def begin_repair(session: Session, repairs_before: int) -> bool:
    """Let only one command repair what several have found, in the caller's write transaction.

    Return False if there was another repair since the caller's check, which must then check again.
    """
    lock(session)
    if repairs(session) != repairs_before:
        return False
    session.execute(update(RollUp).values(repairs=RollUp.repairs + 1))
    return True


def rows(*conditions: ColumnElement[bool]) -> Rows:
    """Return a query for what the counts need of the signatures that meet the conditions."""
    s = Signature
    return select(s.campaign_id, s.signed_at, s.country, s.region, s.source, s.language).where(*conditions)


def _add(session: Session, of: Rows, sign: int, now: datetime) -> None:
    """Add the signatures of a query from `rows` to the counts, or subtract them if `sign` is -1."""
    dialect = session.connection().dialect.name
    for table, counts in counting(dialect, of, sign, _first_minute(now)):
        names = [column.name for column in table.__table__.columns]
        insert = insert_into(dialect, table).from_select(names, counts)
        more = {"count": table.count + insert.excluded.count}
        session.execute(insert.on_conflict_do_update(index_elements=names[:-1], set_=more))


def _first_minute(now: datetime) -> int:
    return bucket_of(MinuteCount, now - MINUTES)


def bucket_of(table: Times, at: datetime) -> int:
    """Return the number of the span of time of a table in which `at` is."""
    return int(at.timestamp()) // SECONDS[table]


def counting(dialect: str, of: Rows, sign: int, first_minute: int) -> Iterator[tuple[Table, Select[Any]]]:
    """Yield each table of counts and a query for its rows, with the columns in the table's order.

    Args:
        dialect: The database's name.
        of: The signatures to count, as a query from `rows`.
        sign: The factor of the counts: 1 or -1.
        first_minute: Signatures before this minute (`bucket_of`) are not counted by minute.
    """
    part = of.subquery()
    count = (sign * func.count()).label("count")
    for table, seconds in SECONDS.items():
        bucket = _bucket(dialect, part.c.signed_at, seconds)
        query = select(part.c.campaign_id, bucket.label("bucket"), count).group_by(part.c.campaign_id, "bucket")
        yield table, query.where(bucket >= first_minute) if table is MinuteCount else query
    is_state = (part.c.country == "US") & part.c.region.in_(US_STATES.values())
    names = {
        Kind.COUNTRY: part.c.country,
        Kind.STATE: case((is_state, part.c.region), else_=""),
        Kind.SOURCE: part.c.source,
        Kind.LANGUAGE: part.c.language,
    }
    for kind, name in names.items():
        query = select(part.c.campaign_id, literal(kind.value), name.label("name"), count)
        query = query.group_by(part.c.campaign_id, "name")
        yield GroupCount, query.where(part.c.country == "US") if kind is Kind.STATE else query


def _bucket(dialect: str, at: ColumnElement[datetime], seconds: int) -> ColumnElement[int]:
    """Return how many spans of this many seconds have passed since 1970 at the time `at`."""
    if dialect == "sqlite":
        # Without seconds, because SQLite would round their fraction to the next minute.
        return cast(func.strftime("%s", func.substr(at, 1, 16)), Integer) // seconds
    return cast(func.floor(extract("epoch", at) / seconds), BigInteger)
