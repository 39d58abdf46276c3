"""A circuit breaker: after a failure, a server isn't used for a while, and the log says so once a minute."""

import logging
import threading
import time

LOG_INTERVAL_SECONDS = 60

_log = logging.getLogger(__name__)


class CircuitBreaker:
    """A circuit breaker for an optional server. It is true while it is open: the server must not be used then."""

    def __init__(self, message: str, seconds: float) -> None:
        """Open for `seconds` after each failure. `message` is the log line, to which the reason is added."""
        self._message = message
        self._seconds = seconds
        self._open_until = self._next_log_at = 0.0
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Return whether the circuit breaker is open."""
        return time.monotonic() < self._open_until

    def trip(self, reason: str) -> None:
        """Open the circuit breaker after a failure. Log the failure, unless one was logged in the last minute."""
        with self._lock:
            now = time.monotonic()
            self._open_until = now + self._seconds
            if now < self._next_log_at:
                return
            self._next_log_at = now + LOG_INTERVAL_SECONDS
        _log.error("%s (%s)", self._message, reason)
