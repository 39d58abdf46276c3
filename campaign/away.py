"""What can't be reached is left alone for a while, and the log says so once a minute."""

import logging
import threading
import time

SAY_AGAIN_SECONDS = 60

_log = logging.getLogger(__name__)


class Away:
    """The state of a server that we can do without."""

    def __init__(self, what: str, seconds: float) -> None:
        """`what` begins the line in the log; for `seconds` after a failure the server is not asked again."""
        self._what = what
        self._seconds = seconds
        self._until = self._say_at = 0.0
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Whether it is to be left alone now."""
        return time.monotonic() < self._until

    def note(self, reason: str) -> None:
        """It has failed."""
        with self._lock:
            now = time.monotonic()
            self._until = now + self._seconds
            if now < self._say_at:
                return
            self._say_at = now + SAY_AGAIN_SECONDS
        _log.error("%s (%s)", self._what, reason)
