"""Rate limits: how often a client may send a form."""

import hmac
import math
import time
from ipaddress import ip_network

from limits import parse_many
from limits.strategies import FixedWindowRateLimiter

from campaign.settings import Settings
from campaign.storage.redis import SharedRedis
from campaign.storage.request_counts import Counts
from campaign.text.client_network import ip_of, network_of


class RateLimitError(Exception):
    """A client has reached a rate limit."""

    def __init__(self, seconds: int, *, first: bool = False) -> None:
        """Store the seconds until the next allowed request, and whether this is the first refused one."""
        super().__init__(f"limited for {seconds} s")
        self.seconds = seconds
        self.first = first


class RateLimit:
    """A rate limit. It allows every request if rate limits are disabled."""

    def __init__(self, settings: Settings, shared: SharedRedis, limits: str) -> None:
        """Create a limit in the format of RATELIMIT_SIGN. If Redis is configured, all processes share its counts."""
        self._limits = sorted(parse_many(limits)) if settings.ratelimit_enabled else []
        self._trusted = [ip_network(network.strip()) for network in settings.ratelimit_trusted.split(",")]
        self._key = settings.secret_key.encode()
        self._counts = Counts(shared)
        self._windows = FixedWindowRateLimiter(self._counts)

    @property
    def seconds_kept(self) -> int:
        """How long the limit keeps a client's counts: the longest of its windows; 0 if rate limits are disabled."""
        return max((limit.get_expiry() for limit in self._limits), default=0)

    def count(self, address: str | None) -> None:
        """Count a request from an IP address.

        Raises:
            RateLimitError: The client has reached the limit.
        """
        self._count(self._client(address))

    def count_word(self, word: str) -> None:
        """Count a request by a word, such as an email address. Only a keyed hash of the word is stored.

        Raises:
            RateLimitError: The word has reached the limit.
        """
        self._count(hmac.digest(self._key, word.encode(), "sha256").hex()[:32])

    def _count(self, key: str) -> None:
        for limit in self._limits if key else ():
            if not self._windows.hit(limit, key):
                wait = self._windows.get_window_stats(limit, key).reset_time - time.time()
                first = self._counts.get(limit.key_for(key)) == limit.amount + 1
                raise RateLimitError(max(1, math.ceil(wait)), first=first)

    def _client(self, address: str | None) -> str:
        """Return the rate-limit key of a client: a keyed hash of its network, or "" if the client is exempt.

        Without the secret key, nobody can recover an IP address by hashing all possible ones.
        """
        ip = ip_of(address)
        # The IP address is unknown if a proxy connects over a Unix socket and doesn't send the client's IP address.
        if ip is None or any(ip in network for network in self._trusted):
            return ""
        return hmac.digest(self._key, network_of(address), "sha256").hex()[:32]
