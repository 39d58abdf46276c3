"""Compares a campaign's roll-ups with its stored signatures, and repairs them, for `flask campaigns check`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.orm import Session

from campaign.models.roll_up import GroupCount, Kind, MinuteCount
from campaign.models.signature import Signature, SignatureState
from campaign.statistics import roll_ups
from campaign.statistics.roll_ups import TABLES, Table
from campaign.storage.database import insert_into
from campaign.storage.transactions import turn_to_write, write_connection

LAST_DAY = timedelta(days=1)
"""The age up to which counts by minute are compared; the worker may be deleting older ones."""

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Check:
    """The roll-ups compared with the signatures that they should include."""

    included: int
    """The number of these signatures."""
    errors: dict[Table, dict[Key, int]]
    """For each table, what must be added to the wrong counts."""
    repairs: int

    @property
    def wrong(self) -> int:
        """The number of wrong counts."""
        return sum(map(len, self.errors.values()))


def check(engine: Engine, campaign_id: int, now: datetime) -> Check:
    """Compare the roll-ups with the stored signatures. This reads every signature of the campaign.

    Signatures that the worker has not added yet are not an error. Signing and moderation continue during the check.
    """
    with _snapshot(engine) as connection, Session(connection) as session:
        position, repairs = roll_ups.position(session), roll_ups.repairs(session)
        of = roll_ups.rows(
            Signature.campaign_id == campaign_id,
            Signature.id <= position,
            Signature.state == SignatureState.PUBLIC,
        )
        first_minute = roll_ups.bucket_of(MinuteCount, now - LAST_DAY)
        right: dict[Table, dict[Key, int]] = {table: {} for table in TABLES}
        for table, query in roll_ups.counting(connection.dialect.name, of, 1, first_minute):
            right[table] |= {key: count for *key_, count in session.execute(query) for key in [tuple(key_)]}
        errors = {table: _differences(session, table, campaign_id, right[table], first_minute) for table in TABLES}
    included = sum(count for (_, kind, _), count in right[GroupCount].items() if kind == Kind.COUNTRY)
    return Check(included, errors, repairs)


def repair(engine: Engine, campaign_id: int, now: datetime) -> Check:
    """Correct the roll-ups, and return the check made before.

    The check reads a snapshot, and doesn't block signers. Signatures that are added or changed meanwhile
    change right and wrong counts alike. So the difference stays the same, and is all that must be added.
    """
    while True:
        found = check(engine, campaign_id, now)
        if not found.wrong or _add_errors(engine, found):
            return found


def _add_errors(engine: Engine, found: Check) -> bool:
    """Add the errors to the counts. Return False if another command has repaired some since the check."""
    with turn_to_write(engine), write_connection(engine) as connection, Session(connection) as session:
        unchanged = roll_ups.begin_repair(session, found.repairs)
        if unchanged:
            for table, errors in found.errors.items():
                _add_to(connection, table, errors)
    return unchanged


def _add_to(connection: Connection, table: Table, errors: dict[Key, int]) -> None:
    names = [column.name for column in table.__table__.columns]
    rows = [dict(zip(names, (*key, count), strict=True)) for key, count in errors.items()]
    if rows:
        insert = insert_into(connection.dialect.name, table)
        more = {"count": table.count + insert.excluded.count}
        connection.execute(insert.on_conflict_do_update(index_elements=names[:-1], set_=more), rows)


def _differences(
    session: Session, table: Table, campaign_id: int, right: dict[Key, int], first_minute: int
) -> dict[Key, int]:
    """Return what must be added to each count that is not as in `right`."""
    stored = select(*table.__table__.columns).where(table.campaign_id == campaign_id)
    if table is MinuteCount:
        stored = stored.where(MinuteCount.bucket >= first_minute)
    errors = dict(right)
    for *key_, count in session.execute(stored):
        key = tuple(key_)
        errors[key] = errors.get(key, 0) - count
    return {key: error for key, error in errors.items() if error}


@contextmanager
def _snapshot(engine: Engine) -> Iterator[Connection]:
    """Open a connection whose queries all see the database at the same moment."""
    # In SQLite, every transaction does.
    options = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with engine.connect().execution_options(**options) as connection:
        yield connection
