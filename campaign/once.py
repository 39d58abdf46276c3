"""What many ask for is made once a tick: one makes it, the others get it. A tick is a second of the wall clock.

Campaigns, feeds and whole answers are kept this way, in each process; all of one tick, so that what is made of
something kept adds nothing to its age. What takes longer to make is made seldom.
"""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

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
class _Made(Generic[V]):
    """What came of making a value: the value, or what was raised."""

    tick: float
    at: float
    """By the monotonic clock."""
    value: V | None = None
    error: Exception | None = None

    def get(self) -> V:
        """The value; raises what was raised."""
        if self.error:
            raise self.error
        return cast(V, self.value)


class Once(Generic[K, V]):
    """Values by key, each made at most once a tick however many threads ask."""

    def __init__(self, most: int, keep: Callable[[V], bool] = lambda _: True) -> None:
        """Keep `most` values at once, and only those of which `keep` says so."""
        self._most = most
        self._keep = keep
        self._kept: dict[K, _Made[V]] = {}
        self._refused: dict[K, _Made[V]] = {}
        self._making = [threading.Lock() for _ in range(64)]

    def get(self, key: K, make: Callable[[], V], *, fresh: bool = False) -> V:
        """What `make` gives, or has given to somebody in this tick; `fresh`, as it is at this moment.

        What can't be kept, and what `make` raises, goes to all who have waited for it; one after the other they would
        wait for what is away, and hold up everybody else. The next to ask tries again.
        """
        if fresh:
            return self._made(key, make).get()
        began, kept, now = time.monotonic(), self._kept.get(key), tick()
        if kept and kept.tick == now:
            return kept.get()
        lock = self._making[hash(key) % len(self._making)]
        # By either sign: the clock may have been set back.
        if not lock.acquire(blocking=not kept or abs(now - kept.tick) > LAST_TICKS):
            assert kept  # noqa: S101 (who has none, waits)
            return kept.get()
        try:
            kept, refused = self._kept.get(key), self._refused.get(key)
            if kept and kept.tick == tick():
                return kept.get()
            if refused and refused.at >= began:
                return refused.get()
            return self._made(key, make).get()
        finally:
            lock.release()

    def _made(self, key: K, make: Callable[[], V]) -> _Made[V]:
        began = tick()
        try:
            value = make()
            made, where = _Made(began, time.monotonic(), value), self._kept if self._keep(value) else self._refused
        except Exception as error:
            made, where = _Made(began, time.monotonic(), error=error), self._refused
        (self._kept if where is self._refused else self._refused).pop(key, None)
        if len(where) >= self._most and key not in where:
            where.clear()
        where[key] = made
        return made


class Seldom(Generic[K, V]):
    """Values by key, each kept for a while, and made anew only by a process that has rested since it made the last.

    So all that is kept here takes one part in REST of a core at most, however many look; but for what nobody has asked
    for before.
    """

    REST = 20
    """After making a value, a process makes none anew for so many times as long as that took."""

    def __init__(self, most: int, seconds: float) -> None:
        """Keep `most` values at once, each for `seconds` at least."""
        self._most = most
        self._seconds = seconds
        self._slots: dict[K, _Slot[V]] = {}
        self._rested = 0.0

    def get(self, key: K, make: Callable[[], V]) -> V:
        """What `make` gives, or has given; while one makes it anew, the others get the last."""
        slot = self._slots.get(key)
        if slot is None:
            if len(self._slots) >= self._most:
                self._slots.clear()
            slot = self._slots.setdefault(key, _Slot())
        if not slot.lock.acquire(blocking=slot.value is None):
            return cast(V, slot.value)
        try:
            began = clock()
            if slot.value is None or began >= max(slot.due, self._rested):
                slot.value = make()
                self._rested = clock() + self.REST * (clock() - began)
                slot.due = clock() + self._seconds
            return slot.value
        finally:
            slot.lock.release()


clock = time.monotonic


class _Slot(Generic[V]):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: V | None = None
        self.due = 0.0
