"""What the processes of a site have in common, through Redis if there is one: counts of requests, and whole answers.

guard.py limits signing by the counts, kept.py keeps answers. Where Redis is away, or was never there, each process is
on its own; nothing waits for it and nothing fails.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from limits.storage import Storage

from campaign.away import Away
from campaign.settings import ROOT, Settings

if TYPE_CHECKING:
    from redis import Redis

ANSWER_SECONDS = 0.25
"""How long an answer of Redis is waited for; on a network of one's own it comes in a hundredth of that."""
AWAY_SECONDS = 1.0
"""After a failure, how long it is not asked again."""

MOST_COUNTS = 100_000
"""Counts that a process keeps, each of 240 bytes; who has addresses without end must not fill its memory."""
PREFIX = "campaign:"
"""What begins all of our keys; others may use the same Redis."""

T = TypeVar("T")


class Shared:
    """Redis, or what takes its place."""

    def __init__(self, settings: Settings) -> None:
        """Take the Redis of the settings; it is not asked before it is needed."""
        self._redis = _redis(settings.redis_url) if settings.redis_url else None
        self._away = Away("Redis can't be used: each process limits and keeps on its own", AWAY_SECONDS)

    def ask(self, work: "Callable[[Redis], T]", otherwise: Callable[[], T]) -> T:
        """What `work` gets from Redis; what `otherwise` gives, where there is none or it can't be used."""
        if self._redis is None or self._away:
            return otherwise()
        try:
            return work(self._redis)
        except Exception as error:
            if type(error).__module__ != "redis.exceptions":
                raise
            self._away.note(type(error).__name__)
            return otherwise()

    @property
    def away(self) -> bool:
        """Whether there should be a Redis that can't be used now."""
        return self._redis is not None and not self.ask(lambda redis: bool(redis.ping()), lambda: False)


def _redis(url: str) -> "Redis":
    # Not loaded where it is not used: a worker should be small.
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis.from_url(
        url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)
    )


def edition(settings: Settings) -> str:
    """A word that differs wherever the same address gives another page: by version of the site, or by its settings."""
    digest = hashlib.sha256(f"{settings.site_name}|{settings.site_url}|{settings.htmx_url}".encode())
    for folder in ("campaign", "static", "templates"):
        for file in sorted(path for path in (ROOT / folder).rglob("*.*") if path.suffix != ".pyc" and path.is_file()):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


class Counts(Storage):
    """The counts of Limits, the package: how many requests of whom are in a window of time; forgotten with the window.

    Its own store for one process starts a thread every hundredth of a second, which goes through all that is counted; a
    nation that signs would stop it.
    """

    STORAGE_SCHEME = None

    def __init__(self, shared: Shared) -> None:
        """Count in `shared`."""
        super().__init__()
        self._shared = shared
        self._own: dict[str, tuple[int, float]] = {}
        self._sweep_at = 0.0
        self._lock = threading.Lock()

    @property
    def base_exceptions(self) -> type[Exception]:
        """What a count may raise: nothing."""
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count `amount` more in the window of `expiry` seconds that the first one opens; gives the sum."""

        def in_redis(redis: "Redis") -> int:
            with redis.pipeline() as pipe:
                pipe.set(PREFIX + key, 0, ex=int(expiry), nx=True)
                pipe.incrby(PREFIX + key, amount)
                return int(pipe.execute()[1])

        return self._shared.ask(in_redis, lambda: self._own_incr(key, expiry, amount))

    def _own_incr(self, key: str, expiry: float, amount: int) -> int:
        now = time.monotonic()
        with self._lock:
            if now >= self._sweep_at:
                self._own = {key: entry for key, entry in self._own.items() if entry[1] > now}
                self._sweep_at = now + 60
            if len(self._own) >= MOST_COUNTS and key not in self._own:
                self._own.clear()
            count, until = self._own.get(key, (0, 0.0))
            if until <= now:
                count, until = 0, now + expiry
            self._own[key] = (count + amount, until)
            return count + amount

    def get(self, key: str) -> int:
        """The sum."""
        return self._shared.ask(
            lambda redis: int(redis.get(PREFIX + key) or 0), lambda: self._own.get(key, (0, 0.0))[0]
        )

    def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since 1970."""

        def own() -> float:
            return self._own.get(key, (0, 0.0))[1] - time.monotonic()

        return time.time() + max(0.0, self._shared.ask(lambda redis: int(redis.pttl(PREFIX + key)) / 1000, own))

    def check(self) -> bool:
        """Whether it can count: always."""
        return True

    def reset(self) -> None:
        """Forget what this process has counted."""
        self._own.clear()

    def clear(self, key: str) -> None:
        """Forget one count."""
        self._own.pop(key, None)
        self._shared.ask(lambda redis: redis.delete(PREFIX + key), lambda: 0)
