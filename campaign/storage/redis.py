"""Redis, where the worker processes of a site share counts of requests and cached responses.

The rate limits use the counts, and response_cache.py caches responses. Without Redis, or while it is unavailable, each
process uses its own counts and cache. No request fails, and none waits longer than ANSWER_SECONDS.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from campaign.settings import Settings
from campaign.storage.circuit_breaker import CircuitBreaker

if TYPE_CHECKING:
    from redis import Redis

ANSWER_SECONDS = 0.25
"""Timeout of a Redis command; on a local network, a response takes a hundredth of that."""
AWAY_SECONDS = 1.0
"""How long Redis is not used after a failure."""
PREFIX = "campaign:"
"""Prefix of all of our keys, because other applications may use the same Redis."""

T = TypeVar("T")


class SharedRedis:
    """A connection to Redis, with a fallback for when it is unavailable or not configured."""

    def __init__(self, settings: Settings) -> None:
        """Use the Redis of the settings, and connect to it only when it is first needed."""
        self._redis = _redis(settings.redis_url) if settings.redis_url else None
        self._away = CircuitBreaker(
            "Redis is unavailable: each process uses its own rate-limit counts and cache", AWAY_SECONDS
        )

    def ask(self, work: "Callable[[Redis], T]", otherwise: Callable[[], T]) -> T:
        """Return the result of `work` with Redis, or of `otherwise` if Redis is unavailable or not configured."""
        if self._redis is None or self._away:
            return otherwise()
        try:
            return work(self._redis)
        except Exception as error:
            if type(error).__module__ != "redis.exceptions":
                raise
            self._away.trip(type(error).__name__)
            return otherwise()

    @property
    def away(self) -> bool:
        """Return whether Redis is configured, but unavailable now."""
        return self._redis is not None and not self.ask(lambda redis: bool(redis.ping()), lambda: False)


def _redis(url: str) -> "Redis":
    # Imported only if the site uses Redis, to save memory.
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis.from_url(
        url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)
    )
