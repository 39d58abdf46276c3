"""Sends the messages of the outbox, one after the other, through one connection.

The background worker runs this in a thread of its own (`worker/mail_thread.py`), so that a slow mail server delays
nothing else. Any number of workers may run.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from sqlalchemy import Engine

from campaign.mail import composing, outbox
from campaign.mail.outbox import Leased
from campaign.mail.server import TIMEOUT, Address, AwayError, BrokenError, Connection, RefusedError, TemporaryError
from campaign.settings import Settings
from campaign.storage.database import STORAGE_ERRORS

LOOK_AGAIN = 0.5
"""Seconds until the sender looks for messages again if none waits."""
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
"""Seconds until it tries again while the mail server or the database is away. They double, up to LAST_PAUSE."""

_log = logging.getLogger(__name__)


class Sender:
    """Sends the messages that wait, until it is stopped."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        """Create a sender with the mail server and the limits of the settings."""
        self._engine, self._settings = engine, settings
        self._connection = Connection(Address.of(settings.mail_url), settings.mail_per_connection)
        self._holder = secrets.token_hex(16)
        self._stopping = threading.Event()
        self._pauses = 0
        self._next = 0.0
        """When the next message may be sent, on the clock of time.monotonic()."""
        self._domains = MovingWindowRateLimiter(MemoryStorage())

    def stop(self) -> None:
        """End `run` after the current message."""
        self._stopping.set()

    def run(self) -> None:
        """Send messages until `stop` is called."""
        while not self._stopping.is_set():
            self._stopping.wait(self.send_some())
        self._connection.close()

    def send_some(self) -> float:
        """Send the messages of one lease, and return how many seconds to wait before the next call."""
        try:
            leased = outbox.lease(self._engine, self._holder, datetime.now(UTC))
            if not leased:
                return LOOK_AGAIN
            while leased:
                message = leased[0]
                if self._stopping.is_set() or not self._is_in_time(message):
                    outbox.give_back(self._engine, leased, datetime.now(UTC))
                    return 0
                try:
                    self._send(message)
                except AwayError as error:
                    # Not the message's fault. The others would fail, too.
                    outbox.give_back(self._engine, leased, datetime.now(UTC))
                    return self._pause("the mail server is away: %s", error)
                leased = leased[1:]
                self._pauses = 0
            return 0
        except STORAGE_ERRORS as error:
            # What was leased is free again once the lease ends.
            return self._pause("the outbox can't be used: %s", error)

    def _is_in_time(self, message: Leased) -> bool:
        """Return whether sending a message ends before its lease does, even if the server is slow."""
        return datetime.now(UTC) + timedelta(seconds=2 * TIMEOUT) < message.until

    def _pause(self, what: str, error: Exception) -> float:
        _log.warning(what, error)
        self._pauses += 1
        return min(FIRST_PAUSE * 2.0 ** min(self._pauses - 1, 10), LAST_PAUSE)

    def _send(self, message: Leased) -> None:
        """Send a message and store the outcome.

        Raises:
            AwayError: The mail server can't be reached.
            STORAGE_ERRORS: The outcome could not be stored. The message may be sent again.
        """
        if wait := self._domain_wait(message):
            outbox.postpone(self._engine, message, datetime.now(UTC) + wait)
            return
        self._connection.open()
        self._keep_rate()
        composed = composing.compose(message, self._settings)
        sender = composing.Sender.of(self._settings).address
        store: Callable[[datetime], None]
        try:
            self._connection.send(composed, sender, message.recipient)
        except RefusedError as error:
            words = str(error)
            store = lambda now: outbox.is_refused(self._engine, message, words, now)  # noqa: E731
        except (BrokenError, TemporaryError) as error:
            if isinstance(error, AwayError):
                raise
            words = str(error)
            store = lambda now: outbox.try_later(self._engine, message, words, now)  # noqa: E731
        else:
            store = lambda now: outbox.is_sent(self._engine, message, now)  # noqa: E731
        self._store(store)

    def _store(self, store: Callable[[datetime], None]) -> None:
        """Store an outcome. A database that is away for a moment must not make the message be sent again."""
        for pause in (0.1, 0.5, 1, 2, 5, 10):
            try:
                store(datetime.now(UTC))
            except STORAGE_ERRORS:
                time.sleep(pause)
            else:
                return
        store(datetime.now(UTC))

    def _keep_rate(self) -> None:
        """Wait until the next message may be sent."""
        if not self._settings.mail_per_second:
            return
        now = time.monotonic()
        if self._next > now:
            time.sleep(self._next - now)
        self._next = max(self._next, now) + 1 / self._settings.mail_per_second

    def _domain_wait(self, message: Leased) -> timedelta | None:
        """Return how long a message must wait because too many went to its domain in the last minute, or None."""
        if not self._settings.mail_per_domain:
            return None
        limit, domain = RateLimitItemPerMinute(self._settings.mail_per_domain), message.recipient.rpartition("@")[2]
        if self._domains.hit(limit, domain.lower()):
            return None
        until = self._domains.get_window_stats(limit, domain.lower()).reset_time
        return timedelta(seconds=max(until - time.time(), 1))
