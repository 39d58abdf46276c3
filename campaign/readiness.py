"""Whether a signature could be stored at this moment and, if not, what is in its way, without the driver's words."""

import logging

from sqlalchemy import Engine
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from campaign import signing
from campaign.extensions import STORAGE_ERRORS, db
from campaign.logs import database_code
from campaign.once import Once

AWAY = "away"
NOT_PREPARED = "not prepared"
NOT_WRITABLE = "not writable"
READ_ONLY = f"{NOT_WRITABLE}: read-only"
FULL = f"{NOT_WRITABLE}: full"
LOCKED = f"{NOT_WRITABLE}: locked"

_MEANINGS = {
    # PostgreSQL's SQLSTATEs (postgresql.org/docs/current/errcodes-appendix.html): whole ones and whole classes.
    "08": AWAY,
    "28": AWAY,
    "3D": AWAY,
    "533": AWAY,
    "57P": AWAY,
    "42P01": NOT_PREPARED,
    "42703": NOT_PREPARED,
    "25006": READ_ONLY,
    "42501": READ_ONLY,
    "53100": FULL,
    "55P03": LOCKED,
    # SQLite's result codes (sqlite.org/rescode.html); the longer ones begin with these.
    "SQLITE_CANTOPEN": AWAY,
    "SQLITE_NOTADB": AWAY,
    # A statement that makes no sense to it, as without its table.
    "SQLITE_ERROR": NOT_PREPARED,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_FULL": FULL,
    "SQLITE_BUSY": LOCKED,
    "SQLITE_LOCKED": LOCKED,
}


def database() -> str | None:
    """What keeps the database from storing a signature; None where a write has just reached its disk."""
    # Asked by anybody, it must cost a signer nothing.
    return _tried.get(db.engine, _try)


_tried: Once[Engine, str | None] = Once(most=4)


def _try() -> str | None:
    try:
        signing.try_storing(db.engine)
    except STORAGE_ERRORS as error:
        _log.exception("a signature could not be stored now")
        return meaning(error)
    return None


_log = logging.getLogger(__name__)


def meaning(error: Exception) -> str:
    """What one of the STORAGE_ERRORS says of the database."""
    if isinstance(error, PoolTimeoutError):
        # All connections, or the one that may write, are taken by others.
        return LOCKED
    code = database_code(error)
    if code is None:
        # PostgreSQL's driver has no code for a server that does not answer.
        return AWAY
    return next((meaning for start, meaning in _MEANINGS.items() if code.startswith(start)), NOT_WRITABLE)
