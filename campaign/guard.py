"""What keeps visitors safe at the door: no cross-site posts, no broken bodies, no floods, a strict policy everywhere.

`create_app()` and site/views.py hang them before and after every request, but for the limit, which is on the sign view.
The trap for bots is a field of the sign form (sign_form.py).
"""

import hmac
import math
import time
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Flask
from flask.sessions import NullSession, SessionInterface
from limits import parse_many
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import BadRequest, Forbidden, UnsupportedMediaType
from werkzeug.wrappers import Request, Response

from campaign.settings import Settings
from campaign.shared import Counts, Shared

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
MOST_BYTES = 64 * 1024
"""The largest request body; a sign form with every field full of four-byte characters, percent-encoded, has 8 KB."""


def refuse_cross_site(request: Request) -> None:
    """Let another site's page post nothing here.

    By Fetch Metadata, else by Origin against the host that was asked for (OWASP, "Cross-Site Request Forgery
    Prevention", which takes this for a complete defence). With neither header it is no browser of the last years;
    there is no cookie whose power a page could borrow, so old browsers may sign.

    Raises:
        Forbidden: the request would change something and comes from another site.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        refused = site not in ("same-origin", "none")
    else:
        refused = origin is not None and _host(origin) != request.host.lower()
    if refused:
        raise Forbidden


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def refuse_broken_body(request: Request) -> None:
    """Of what would change something, take only a whole form in UTF-8.

    Raises:
        BadRequest: the body has not the length it announced, or announced none, or is not UTF-8.
        UnsupportedMediaType: it is no form.
        RequestEntityTooLarge: it has more than MOST_BYTES bytes.
    """
    if request.method in SAFE_METHODS:
        return
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/x-www-form-urlencoded" or charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType
    # Browsers announce a form's length. What does not could only be measured by reading it.
    if request.content_length is None:
        raise BadRequest
    body = request.get_data()
    try:
        # Read strictly once; Werkzeug would let bytes through that are not UTF-8.
        unquote_to_bytes(body).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest from None
    if len(body) != request.content_length:
        raise BadRequest


class LimitedError(Exception):
    """Somebody has done something too often."""

    def __init__(self, seconds: int) -> None:
        """Remember in how many seconds it may be done again."""
        super().__init__(f"limited for {seconds} s")
        self.seconds = seconds


class Limit:
    """How often somebody may do something, where limits are enabled."""

    def __init__(self, settings: Settings, shared: Shared, limits: str) -> None:
        """Count in what the processes share; `limits` as RATELIMIT_SIGN has them."""
        self._limits = sorted(parse_many(limits)) if settings.ratelimit_enabled else []
        self._trusted = [ip_network(network.strip()) for network in settings.ratelimit_trusted.split(",")]
        self._key = settings.secret_key.encode()
        self._windows = FixedWindowRateLimiter(Counts(shared))

    def count(self, address: str | None) -> None:
        """Count what comes from `address`.

        Raises:
            LimitedError: it is one too many.
        """
        self._count(self._client(address))

    def count_word(self, word: str) -> None:
        """The same for what comes in the name of somebody; of the word, too, only a keyed hash is kept.

        Raises:
            LimitedError: it is one too many.
        """
        self._count(hmac.digest(self._key, word.encode(), "sha256").hex()[:32])

    def _count(self, key: str) -> None:
        for limit in self._limits if key else ():
            if not self._windows.hit(limit, key):
                wait = self._windows.get_window_stats(limit, key).reset_time - time.time()
                raise LimitedError(max(1, math.ceil(wait)))

    def _client(self, address: str | None) -> str:
        """Whom to count for: a keyed hash of the IPv4 address or IPv6 /64; nobody, where there is no limit.

        A provider gives each customer a /64 at the least (RFC 6177). Nobody without the secret key finds the address by
        trying them all.
        """
        try:
            ip = ip_address(address or "")
        except ValueError:
            # A proxy on a Unix socket, which has not said for whom it asks.
            return ""
        if isinstance(ip, IPv6Address):
            ip = ip.ipv4_mapped or ip
        if any(ip in network for network in self._trusted):
            return ""
        network = ip.packed[:8] if ip.version == 6 else ip.packed
        return hmac.digest(self._key, network, "sha256").hex()[:32]


class NoSessions(SessionInterface):
    """Visitors have no session, and so no cookie; Flask would look for one in every request."""

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """Nothing can be kept in it."""
        return NullSession()


@lru_cache(maxsize=2)
def headers(settings: Settings, *, images: str = "'self'") -> dict[str, str]:
    """The headers that every answer carries; `images` is where they may come from."""
    scripts = "'self'" if settings.htmx_url.startswith("/") else f"'self' {settings.htmx_url}"
    policy = {
        "default-src": "'none'",
        "script-src": scripts,
        "style-src": "'self'",
        "img-src": images,
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    always = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "browsing-topics=(), camera=(), geolocation=(), microphone=()",
        # A share link must not tell the other site that its visitor comes from a thank-you page. Not "no-referrer":
        # with that, browsers send "Origin: null" with our own form.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        # By it site.js knows our answers from those of a proxy or a hotel's log-in page.
        "Campaign-Answer": "1",
        "X-Frame-Options": "DENY",
    }
    if settings.site_url.startswith("https:"):
        # Two years, as hstspreload.org asks; without subdomains, which are not ours to promise.
        always["Strict-Transport-Security"] = "max-age=63072000"
    return always


def add_headers(response: Response, settings: Settings, *, images: str = "'self'") -> Response:
    """Put them on an answer; what a view has set itself stands."""
    set_already = {name for name, _ in response.headers}
    ours = headers(settings, images=images)
    response.headers.extend((name, value) for name, value in ours.items() if name not in set_already)
    return response
