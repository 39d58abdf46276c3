"""Health of the site: can the database store a signature now, and if not, why? Does a background worker run?

The answer about the database is one of the texts below, never a database driver's own message, which visitors must not
see.
"""

import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from campaign.mail import outbox
from campaign.models.lease import worker_seen_at
from campaign.monitoring import metrics
from campaign.monitoring.logging_setup import database_code
from campaign.signatures import signing
from campaign.storage.database import STORAGE_ERRORS, db
from campaign.storage.single_flight import SingleFlightCache

AWAY = "away"
NOT_PREPARED = "not prepared"
NOT_WRITABLE = "not writable"
READ_ONLY = f"{NOT_WRITABLE}: read-only"
FULL = f"{NOT_WRITABLE}: full"
LOCKED = f"{NOT_WRITABLE}: locked"

WORKER_MISSED_AFTER = timedelta(minutes=5)
"""How long no background worker may have run before that is worth a note: longer than an upgrade takes."""

MAIL_LATE_AFTER = timedelta(minutes=5)
"""How long a message may wait before that is worth a note."""

_MEANINGS = {
    # PostgreSQL's SQLSTATE codes and prefixes of them (postgresql.org/docs/current/errcodes-appendix.html).
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
    # SQLite's result codes (sqlite.org/rescode.html). Extended codes start with these.
    "SQLITE_CANTOPEN": AWAY,
    "SQLITE_NOTADB": AWAY,
    # A statement that fails to compile, for example because a table is missing.
    "SQLITE_ERROR": NOT_PREPARED,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_FULL": FULL,
    "SQLITE_BUSY": LOCKED,
    "SQLITE_LOCKED": LOCKED,
}


def database() -> str | None:
    """Return why the database can't store a signature, or None if a test write has just reached its disk."""
    # Anyone can request health checks, so the result is cached: they must not slow down signing.
    return _tried.get(db.engine, _try)


_tried: SingleFlightCache[Engine, str | None] = SingleFlightCache(most=4)


def _try() -> str | None:
    try:
        signing.try_storing(db.engine)
    except STORAGE_ERRORS as error:
        _log.exception("a signature could not be stored now")
        return meaning(error)
    return None


def worker() -> str | None:
    """Return since when no background worker has run, or None if one runs, or ran less than WORKER_MISSED_AFTER ago.

    Signing works without a worker, so this is only a note.
    """
    return _worker_note.get(db.engine, _look_for_worker)


_worker_note: SingleFlightCache[Engine, str | None] = SingleFlightCache(most=4)


def _look_for_worker() -> str | None:
    with suppress(*STORAGE_ERRORS):
        now = datetime.now(UTC)
        seen = worker_seen_at(db.session(), now)
        if seen is None:
            return "none has run yet"
        if now - seen > WORKER_MISSED_AFTER:
            return f"none has run since {seen.isoformat(timespec='seconds')}"
    return None


def mail() -> str | None:
    """Return how many messages wait since when, or None unless one has waited for MAIL_LATE_AFTER.

    Signing works without mail, so this is only a note.
    """
    return _mail_note.get(db.engine, _look_for_mail)


_mail_note: SingleFlightCache[Engine, str | None] = SingleFlightCache(most=4)


def _look_for_mail() -> str | None:
    with suppress(*STORAGE_ERRORS):
        waiting, now = outbox.waiting(db.session()), datetime.now(UTC)
        metrics.mail(waiting.count, (now - waiting.since).total_seconds() if waiting.since else 0.0)
        if waiting.since and now - waiting.since > MAIL_LATE_AFTER:
            return f"{waiting.count} messages wait, the first since {waiting.since.isoformat(timespec='seconds')}"
    return None


_log = logging.getLogger(__name__)


def meaning(error: Exception) -> str:
    """Return the fault of the database that caused one of the STORAGE_ERRORS."""
    if isinstance(error, PoolTimeoutError):
        # All connections are in use, or another thread uses the only connection that may write.
        return LOCKED
    code = database_code(error)
    if code is None:
        # PostgreSQL's driver has no code for a server that doesn't respond.
        return AWAY
    return next((meaning for start, meaning in _MEANINGS.items() if code.startswith(start)), NOT_WRITABLE)
