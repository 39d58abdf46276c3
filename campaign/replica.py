"""Where the public's pages are read: in a replica of the database, if there is one and it keeps up.

Signing never goes there, and neither does what a signer is shown of it at once.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from campaign.away import Away
from campaign.extensions import STORAGE_ERRORS, db
from campaign.once import Once

CATCH_UP_SECONDS = 0.1
"""How long a replica is waited for that is behind; one that is near is behind by a hundredth of that."""
AWAY_SECONDS = 5.0
"""After a failure, how long a server is left alone."""

T = TypeVar("T")

_keeps_up: Once[tuple[Engine, Engine], bool] = Once(most=4)
_replica_away = Away("the replica can't be read: pages are read where signatures are stored", AWAY_SECONDS)
_primary_away = Away("the database can't be reached: pages are read in the replica, nobody can sign", AWAY_SECONDS)


def read(work: Callable[[Session], T], *, fresh: bool = False) -> T:
    """What `work` reads, in a session of its own; `fresh`, from where it was just written.

    Raises:
        STORAGE_ERRORS: neither the replica nor the database can be read.
    """
    primary, replica = db.engine, db.engines.get("read")
    if replica and not fresh and not _replica_away:
        try:
            if _keeps_up.get((primary, replica), lambda: _catches_up(primary, replica)):
                with Session(replica) as session:
                    return work(session)
        except STORAGE_ERRORS as error:
            _replica_away.note(type(error).__name__)
    with Session(primary) as session:
        return work(session)


def _catches_up(primary: Engine, replica: Engine) -> bool:
    """Whether all that is stored at this moment can be read in the replica; asked once a tick."""
    written = _position(primary)
    if written is None:
        # Better old than nothing, be it even a replica that has been promoted meanwhile.
        return True
    until = time.monotonic() + CATCH_UP_SECONDS
    behind = text("SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= CAST(:written AS pg_lsn)")
    with replica.connect() as connection:
        while not connection.execute(behind, {"written": written}).scalar_one():
            if time.monotonic() > until:
                _replica_away.note("it is behind, or no replica any more")
                return False
            time.sleep(0.005)
    return True


def _position(primary: Engine) -> str | None:
    """How far the database has written its log; None if it can't be asked."""
    if _primary_away:
        return None
    try:
        with primary.connect() as connection:
            return str(connection.execute(text("SELECT CAST(pg_current_wal_flush_lsn() AS text)")).scalar_one())
    except STORAGE_ERRORS as error:
        _primary_away.note(type(error).__name__)
        return None
