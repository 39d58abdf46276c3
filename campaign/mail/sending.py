"""Sends the messages of the outbox, one after the other, through one connection.

The background worker runs this in a thread of its own (`worker/mail_thread.py`), so that a slow mail server delays
nothing else. Any number of workers may run.
"""

import logging
import secrets
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, repeat
from typing import TypeVar

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from sqlalchemy import Engine

from campaign.mail import about_signatures, composing, outbox
from campaign.mail.outbox import Leased
from campaign.mail.server import LONGEST, Address, AwayError, BrokenError, Connection, RefusedError, TemporaryError
from campaign.models.message import Queue
from campaign.settings import Settings
from campaign.storage.database import STORAGE_ERRORS
from campaign.text.addresses import parsed

LOOK_AGAIN = 0.5
"""Seconds until the sender looks for messages again if none waits."""
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
"""Seconds until it tries again while the mail server or the database is away. They double, up to LAST_PAUSE."""
DRAFTS = 1
"""How many messages are made ahead. More don't help: making them needs the processor, not the network."""
SWITCH_SECONDS = 0.0005
"""How long the thread that makes a message may keep the other one from the answers of the mail server and the database.
Python's default is ten times as long, which is longer than most answers take."""
FRESH = 2.0
"""Seconds after which a draft is made again: its signer may have withdrawn while the mail server took its time."""
MOST_IN_VAIN = 10
"""How many messages in a row the server may refuse before the sender takes a pause: it may refuse all of them, and a
refused message is not sent again."""

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Draft:
    """A message as it is sent."""

    message: bytes
    recipient: str
    """The email address."""


@dataclass(frozen=True)
class Ahead:
    """A draft that is made while messages before it are sent."""

    at: float
    """When making it began, on the clock of time.monotonic()."""
    draft: Future[Draft]


class Sender:
    """Sends the messages that wait, until it is stopped."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        """Create a sender with the mail server and the limits of the settings."""
        self._engine, self._settings = engine, settings
        sender = composing.Sender.of(settings).address
        self._connection = Connection(Address.of(settings.mail_url), sender, settings.mail_per_connection)
        self._holder = secrets.token_hex(16)
        self._stopping = threading.Event()
        self._rest: list[Leased] = []
        """What is leased, and not begun."""
        self._drafter = ThreadPoolExecutor(1, thread_name_prefix="drafts")
        self._ahead: dict[int, Ahead] = {}
        """Drafts of the next messages by their ids."""
        self._last: Queue | None = None
        """The queue that was served last."""
        self._pauses = 0
        self._in_vain = 0
        """How many messages in a row the server has refused, or ended the connection at."""
        self._next = 0.0
        """When the next message may be sent, on the clock of time.monotonic()."""
        self._domains = MovingWindowRateLimiter(MemoryStorage())
        self._slots: dict[str, float] = {}
        """When the next message that a limit delays may be sent to a domain, as a Unix time."""

    def stop(self) -> None:
        """End `run` after the current message."""
        self._stopping.set()

    def give_back(self) -> None:
        """Let other workers send what is leased and not begun, after `stop`, if `run` doesn't end."""
        outbox.give_back(self._engine, self._rest, datetime.now(UTC))

    def run(self) -> None:
        """Send messages until `stop` is called."""
        sys.setswitchinterval(SWITCH_SECONDS)
        while not self._stopping.is_set():
            self._stopping.wait(self.send_some())
        self._connection.close()

    def send_some(self) -> float:
        """Send the messages of one lease, and return how many seconds to wait before the next call."""
        try:
            return self._send_lease()
        except STORAGE_ERRORS:
            # What was leased is free again once the lease ends.
            return self._pause("the outbox can't be used")

    def _send_lease(self) -> float:
        # By two clocks: one may be set back, and the other stands still while the machine is suspended.
        deadline = time.monotonic() + outbox.LEASE.total_seconds() - LONGEST
        rate = self._settings.mail_per_second
        most = min(outbox.LEASED, max(2 * rate, 1)) if rate else outbox.LEASED
        now = datetime.now(UTC)
        self._rest = outbox.lease(
            self._engine, self._holder, now, self._settings.secret_key, after=self._last, most=most
        )
        self._ahead.clear()
        if not self._rest:
            return LOOK_AGAIN
        self._last = self._rest[0].queue
        while self._rest:
            message, now = self._rest[0], datetime.now(UTC)
            is_in_time = time.monotonic() < deadline and now + timedelta(seconds=LONGEST) < message.until
            if self._stopping.is_set() or not is_in_time:
                return self._end_lease(0)
            try:
                self._connection.open()
            except AwayError:
                # Not the message's fault. The others would fail, too.
                return self._end_lease(self._pause("the mail server is away"))
            self._rest = self._rest[1:]
            try:
                self._send(message)
            except AwayError:
                outbox.give_back(self._engine, [message], datetime.now(UTC))
                return self._end_lease(self._pause("the mail server refuses this site"))
            if self._in_vain >= MOST_IN_VAIN:
                return self._end_lease(self._pause("the mail server accepts nothing"))
        return 0

    def _end_lease(self, pause: float) -> float:
        """Give back what is left, and return how long to wait."""
        rest, self._rest = self._rest, []
        outbox.give_back(self._engine, rest, datetime.now(UTC))
        return pause

    def _pause(self, what: str) -> float:
        """Return how long to wait after a failure, and log it, without the server's words, which may have addresses."""
        _log.warning(what)
        self._pauses += 1
        return min(FIRST_PAUSE * 2.0 ** min(self._pauses - 1, 10), LAST_PAUSE)

    def _send(self, message: Leased) -> None:
        """Send a message and store the outcome.

        Raises:
            AwayError: The mail server takes no messages of this site.
            STORAGE_ERRORS: The sender was stopped while the outcome could not be stored.
        """
        now = datetime.now(UTC)
        if outbox.is_expired(message, now):
            self._patiently(lambda now: outbox.mark_expired(self._engine, message, "mail was down", now))
            return
        try:
            draft = self._drafted(message)
        except about_signatures.NothingToSayError as error:
            why = str(error)
            self._patiently(lambda now: outbox.mark_skipped(self._engine, message, why, now))
            return
        except STORAGE_ERRORS:
            raise
        except Exception as error:
            self._patiently(self._unmade(message, error))
            return
        if slot := self._slot(message):
            self._patiently(lambda _: outbox.postpone(self._engine, message, slot))
        else:
            self._keep_rate()
            self._patiently(self._outcome(message, draft))

    def _drafted(self, message: Leased) -> Draft:
        """Return a message as it is sent, and begin to make the next ones while this one is sent.

        Raises:
            NothingToSayError: The message must not be sent.
            STORAGE_ERRORS: The sender was stopped while the database was away.
        """
        ahead = self._ahead.pop(message.id, None)
        if ahead is None or time.monotonic() > ahead.at + FRESH:
            ahead = self._begin(message)
        for following in self._rest[:DRAFTS]:
            if following.id not in self._ahead:
                self._ahead[following.id] = self._begin(following)
        return ahead.draft.result()

    def _begin(self, message: Leased) -> Ahead:
        return Ahead(time.monotonic(), self._drafter.submit(self._draft, message))

    def _draft(self, message: Leased) -> Draft:
        contents = self._patiently(partial(about_signatures.contents, self._engine, message, self._settings))
        composed = composing.compose(message, contents, self._settings)
        return Draft(composed.as_bytes(), parsed(contents.recipient or message.recipient)[1])

    def _outcome(self, message: Leased, draft: Draft) -> Callable[[datetime], None]:
        """Send a message, and return what stores the outcome, given the current time.

        Raises:
            AwayError: The mail server takes no messages of this site.
        """
        self._in_vain += 1
        try:
            self._connection.send(draft.message, draft.recipient)
        except AwayError:
            raise
        except RefusedError as error:
            return partial(outbox.mark_refused, self._engine, message, str(error))
        except TemporaryError as error:
            if not isinstance(error, BrokenError):
                self._in_vain = 0
            return partial(outbox.try_later, self._engine, message, str(error))
        self._in_vain = self._pauses = 0
        return partial(outbox.mark_sent, self._engine, message)

    def _unmade(self, message: Leased, error: Exception) -> Callable[[datetime], None]:
        """Log an error in our code, and return what stores it. One such message must not stop the others."""
        _log.exception("a message could not be made", extra={"fields": {"queue": message.queue}})
        return partial(outbox.try_later, self._engine, message, type(error).__name__)

    def _patiently(self, use: Callable[[datetime], T]) -> T:
        """Use the database, given the current time, and return the result.

        While the database is away, wait: if an outcome isn't stored, the message is sent again.
        """
        for pause in chain((0.1, 0.5, 1, 2, 5), repeat(10)):
            try:
                return use(datetime.now(UTC))
            except STORAGE_ERRORS:
                if self._stopping.wait(pause):
                    break
        return use(datetime.now(UTC))

    def _keep_rate(self) -> None:
        """Wait until the next message may be sent."""
        if not self._settings.mail_per_second:
            return
        now = time.monotonic()
        if self._next > now:
            time.sleep(self._next - now)
        self._next = max(self._next, now) + 1 / self._settings.mail_per_second

    def _slot(self, message: Leased) -> datetime | None:
        """Return when to send a message because too many went to its domain in the last minute, or None."""
        most, domain = self._settings.mail_per_domain, message.recipient.rpartition("@")[2].lower()
        if not most:
            return None
        limit = RateLimitItemPerMinute(most)
        if self._domains.hit(limit, domain):
            return None
        # Each gets a time of its own, so that it isn't put off again and again.
        free = self._domains.get_window_stats(limit, domain).reset_time
        slot = max(self._slots.get(domain, 0.0) + 60 / most, free, time.time() + 1)
        self._slots[domain] = slot
        return datetime.fromtimestamp(slot, UTC)
