"""What many ask for is made once a tick: one makes it, the others get it. A tick is a second of the wall clock.

Campaigns, feeds and whole answers are kept this way, in each process; all of one tick, so that what is made of
something kept adds nothing to its age.
"""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

KEPT_SECONDS = 1.0
"""How old something may be that a visitor sees."""
LAST_TICKS = 3
"""How many ticks old the last one may be that others get while one makes it anew; after a quiet hour they wait."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def tick() -> float:
    """A number that changes every KEPT_SECONDS, and is the same on all machines whose clocks are."""
    return time.time() // KEPT_SECONDS


@dataclass(frozen=True)
class _Entry(Generic[V]):
    tick: float
    value: V


class Once(Generic[K, V]):
    """Values by key, each made at most once a tick however many threads ask."""

    def __init__(self, most: int, keep: Callable[[V], bool] = lambda _: True) -> None:
        """Keep `most` values at once, and only those of which `keep` says so."""
        self._most = most
        self._keep = keep
        self._entries: dict[K, _Entry[V]] = {}
        self._making = [threading.Lock() for _ in range(64)]

    def get(self, key: K, make: Callable[[], V], *, fresh: bool = False) -> V:
        """What `make` gives, or has given to somebody in this tick; `fresh`, as it is at this moment.

        What `make` raises goes to who called it, and the next one tries again.
        """
        if fresh:
            return self._made(key, make)
        entry, now = self._entries.get(key), tick()
        if entry and entry.tick == now:
            return entry.value
        lock = self._making[hash(key) % len(self._making)]
        # By either sign: the clock may have been set back.
        if not lock.acquire(blocking=not entry or abs(now - entry.tick) > LAST_TICKS):
            assert entry  # noqa: S101 (who has none, waits)
            return entry.value
        try:
            entry = self._entries.get(key)
            return entry.value if entry and entry.tick == tick() else self._made(key, make)
        finally:
            lock.release()

    def _made(self, key: K, make: Callable[[], V]) -> V:
        began = tick()
        value = make()
        if not self._keep(value):
            self._entries.pop(key, None)
            return value
        if len(self._entries) >= self._most:
            self._entries.clear()
        self._entries[key] = _Entry(began, value)
        return value
