"""Reads for public pages, from a replica of the database if there is one and it keeps up.

Signatures are never written to a replica, and the response to a signer is not read from it.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from campaign.storage.circuit_breaker import CircuitBreaker
from campaign.storage.database import STORAGE_ERRORS, db
from campaign.storage.single_flight import SingleFlightCache

CATCH_UP_SECONDS = 0.1
"""How long to wait for a replica that lags behind. A nearby replica lags by a hundredth of that."""
AWAY_SECONDS = 5.0
"""How long a server is not used after a failure."""

T = TypeVar("T")

_keeps_up: SingleFlightCache[tuple[Engine, Engine], bool] = SingleFlightCache(most=4)
_replica_away = CircuitBreaker("the replica is unavailable: pages are read from the primary database", AWAY_SECONDS)
_primary_away = CircuitBreaker(
    "the primary database is unreachable: pages are read from the replica, and signing fails", AWAY_SECONDS
)


def read(work: Callable[[Session], T], *, fresh: bool = False) -> T:
    """Return the result of `work`, which reads in a new database session.

    With `fresh`, it reads from the primary database, so that it sees everything committed so far.

    Raises:
        STORAGE_ERRORS: Neither the replica nor the primary database can be read.
    """
    primary, replica = db.engine, db.engines.get("read")
    if replica and not fresh and not _replica_away:
        try:
            if _keeps_up.get((primary, replica), lambda: _catches_up(primary, replica)):
                with Session(replica) as session:
                    return work(session)
        except STORAGE_ERRORS as error:
            _replica_away.trip(type(error).__name__)
    with Session(primary) as session:
        return work(session)


def _catches_up(primary: Engine, replica: Engine) -> bool:
    """Return whether everything stored until now can be read from the replica. `read` caches the result for a tick."""
    written = _log_position(primary)
    if written is None:
        # Old pages are better than none, even from a replica that has been promoted in the meantime.
        return True
    until = time.monotonic() + CATCH_UP_SECONDS
    caught_up = text("SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= CAST(:written AS pg_lsn)")
    with replica.connect() as connection:
        while not connection.execute(caught_up, {"written": written}).scalar_one():
            if time.monotonic() > until:
                _replica_away.trip("it lags behind, or is no longer a replica")
                return False
            time.sleep(0.005)
    return True


def _log_position(primary: Engine) -> str | None:
    """Return the end of the primary's write-ahead log (WAL), or None if the primary is unreachable."""
    if _primary_away:
        return None
    try:
        with primary.connect() as connection:
            return str(connection.execute(text("SELECT CAST(pg_current_wal_flush_lsn() AS text)")).scalar_one())
    except STORAGE_ERRORS as error:
        _primary_away.trip(type(error).__name__)
        return None
