"""A cache with single flight: once a tick, one thread refreshes a value, and the others reuse it.

A tick is a second of the wall clock. Each process caches campaigns, feeds, and whole responses this way. All caches
expire at the same tick, so ages don't add up when a cached value is made from another one.
"""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from campaign.storage.database import STORAGE_ERRORS

CACHE_SECONDS = 1.0
"""The maximum age of what a visitor sees."""
LAST_TICKS = 3
"""While one thread refreshes a value, the others get the previous one if it was valid at most this many ticks ago.
Otherwise they wait."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def tick() -> float:
    """Return a number that changes every CACHE_SECONDS, at the same time on all machines with synchronized clocks."""
    return time.time() // CACHE_SECONDS


@dataclass(frozen=True)
class _Outcome(Generic[V]):
    """The outcome of making a value: the value, or the error that was raised."""

    tick: float
    at: float
    """When it was made, by the monotonic clock."""
    value: V | None = None
    error: Exception | None = None

    def get(self) -> V:
        """Return the value, or raise the error."""
        if self.error:
            raise self.error
        return cast(V, self.value)


class SingleFlightCache(Generic[K, V]):
    """Values by key, each made at most once a tick, or once in several, however many threads need it."""

    def __init__(
        self,
        most: int,
        keep: Callable[[V], bool] = lambda _: True,
        share: Callable[[V], bool] = lambda _: True,
        ticks: int = 1,
    ) -> None:
        """Cache at most `most` values, and only those for which `keep` returns true.

        Threads that waited for a value that isn't cached get it too if `share` returns true. A value is cached for this
        many ticks, including the one in which it was made.
        """
        self._ticks = ticks
        self._most = most
        self._keep = keep
        self._share = share
        self._cached: dict[K, _Outcome[V]] = {}
        self._shared: dict[K, _Outcome[V]] = {}
        """Outcomes that are not cached, for the threads that waited for them."""
        self._locks = [threading.Lock() for _ in range(64)]

    def get(self, key: K, make: Callable[[], V], *, fresh: bool = False) -> V:
        """Return the value that was cached in this tick, or make it. With `fresh`, always make it.

        A database error goes to all threads that have waited for the value, and so does a value that is shared, but not
        cached. If each thread tried an unreachable database in turn, they would hold up all other requests. The next
        request tries again. Any other error is raised only in the thread that made the value, because its request may
        have caused the error.
        """
        if fresh:
            return self._make(key, make).get()
        began, cached, now = time.monotonic(), self._cached.get(key), tick()
        if cached and self._is_valid(cached, now):
            return cached.get()
        lock = self._locks[hash(key) % len(self._locks)]
        if not lock.acquire(blocking=not cached or not self._is_valid(cached, now, LAST_TICKS)):
            assert cached  # noqa: S101 (a thread without a cached value waits)
            return cached.get()
        try:
            cached, shared = self._cached.get(key), self._shared.get(key)
            if cached and self._is_valid(cached, tick()):
                return cached.get()
            if shared and shared.at >= began:
                return shared.get()
            return self._make(key, make).get()
        finally:
            lock.release()

    def _is_valid(self, cached: _Outcome[V], now: float, more: int = 0) -> bool:
        """Return whether a value may be used in this tick, or was valid at most `more` ticks ago."""
        # The absolute difference, because the clock may have been set back.
        return abs(now - cached.tick) < self._ticks + more

    def _make(self, key: K, make: Callable[[], V]) -> _Outcome[V]:
        began = tick()
        store: dict[K, _Outcome[V]] | None
        try:
            value = make()
            outcome = _Outcome(began, time.monotonic(), value)
            store = self._cached if self._keep(value) else self._shared if self._share(value) else None
        except STORAGE_ERRORS as error:
            outcome, store = _Outcome(began, time.monotonic(), error=error), self._shared
        for other in (self._cached, self._shared):
            if other is not store:
                other.pop(key, None)
        if store is not None:
            if len(store) >= self._most and key not in store:
                store.clear()
            store[key] = outcome
        return outcome
