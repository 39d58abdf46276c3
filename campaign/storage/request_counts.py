"""Counts of requests for the rate limits, in this process or in Redis."""

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from limits.storage import Storage

from campaign.storage.redis import PREFIX, SharedRedis

if TYPE_CHECKING:
    from redis import Redis

MOST_COUNTS = 100_000
"""The most counts that a process stores, at about 300 bytes each. A client with endless IP addresses must not fill its
memory."""
SWEEP_SECONDS = 60
"""How often a process deletes expired counts; 100,000 of them take about 40 ms."""
LEVELS = 8
"""Number of levels by which counts are evicted. The last level holds every count of 128 or more."""

clock = time.monotonic


class OwnCounts:
    """The counts of one process, at most MOST_COUNTS of them.

    When there is no room for another count, the oldest of the smallest counts is evicted. So a flood of new clients
    evicts its own counts, but not the count of a locked account. Level n holds the counts from 2ⁿ to 2ⁿ⁺¹ - 1.
    Counting and evicting take constant time, however many counts there are.
    """

    def __init__(self) -> None:
        """Start with no counts."""
        self._levels: list[OrderedDict[str, tuple[int, float]]] = [OrderedDict() for _ in range(LEVELS)]
        self._sweep_at = 0.0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of counts."""
        return sum(map(len, self._levels))

    def add(self, key: str, expiry: float, amount: int) -> int:
        """Add `amount` to a count and return the sum. The first request opens a window of `expiry` seconds."""
        now = clock()
        with self._lock:
            if now >= self._sweep_at:
                self._sweep(now)
            count, until = self._take(key)
            if until <= now:
                count, until = 0, now + expiry
            if len(self) >= MOST_COUNTS:
                next(level for level in self._levels if level).popitem(last=False)
            count += amount
            self._levels[min(count.bit_length(), LEVELS) - 1][key] = (count, until)
            return count

    def get(self, key: str) -> tuple[int, float]:
        """Return a count and the seconds until its window ends, or zeros if there is no such count."""
        now = clock()
        with self._lock:
            count, until = next((level[key] for level in self._levels if key in level), (0, 0.0))
        return (count, until - now) if until > now else (0, 0.0)

    def forget(self, key: str) -> None:
        """Delete one count."""
        with self._lock:
            self._take(key)

    def clear(self) -> None:
        """Delete all counts."""
        with self._lock:
            for level in self._levels:
                level.clear()

    def _take(self, key: str) -> tuple[int, float]:
        for level in self._levels:
            if key in level:
                return level.pop(key)
        return 0, 0.0

    def _sweep(self, now: float) -> None:
        for level in self._levels:
            for key in [key for key, (_, until) in level.items() if until <= now]:
                del level[key]
        self._sweep_at = now + SWEEP_SECONDS


class Counts(Storage):
    """Storage for the `limits` package: counts each client's requests in a window of time, in Redis or in this process.

    The package's own storage for a single process starts a thread every hundredth of a second, and the thread goes
    through all counts. With very many signers, this would bring a worker to a halt.
    """

    STORAGE_SCHEME = None

    def __init__(self, shared: SharedRedis) -> None:
        """Use this Redis connection, or the process's own counts while Redis is unavailable."""
        super().__init__()
        self._shared = shared
        self._own = OwnCounts()

    @property
    def base_exceptions(self) -> type[Exception]:
        """Return an exception class, because the interface requires one. The storage itself raises no errors."""
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add `amount` to a count and return the sum. The first request opens a window of `expiry` seconds."""

        def in_redis(redis: "Redis") -> int:
            with redis.pipeline() as pipe:
                pipe.set(PREFIX + key, 0, ex=int(expiry), nx=True)
                pipe.incrby(PREFIX + key, amount)
                return int(pipe.execute()[1])

        return self._shared.ask(in_redis, lambda: self._own.add(key, expiry, amount))

    def get(self, key: str) -> int:
        """Return a count."""
        return self._shared.ask(lambda redis: int(redis.get(PREFIX + key) or 0), lambda: self._own.get(key)[0])

    def get_expiry(self, key: str) -> float:
        """Return when a count's window ends, in seconds since 1970."""
        left = self._shared.ask(lambda redis: int(redis.pttl(PREFIX + key)) / 1000, lambda: self._own.get(key)[1])
        return time.time() + max(0.0, left)

    def check(self) -> bool:
        """Return whether the storage works, which it always does."""
        return True

    def reset(self) -> None:
        """Delete all counts of this process."""
        self._own.clear()

    def clear(self, key: str) -> None:
        """Delete one count, here and in Redis."""
        self._own.forget(key)
        self._shared.ask(lambda redis: redis.delete(PREFIX + key), lambda: 0)
