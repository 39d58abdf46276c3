"""Checks before a request reaches a view: no cross-site posts, no broken bodies, and no sessions on the public site.

`create_app()` and site/views.py register these checks. The sign view applies its rate limit itself, and the honeypot
field is in the sign form (sign_form.py).
"""

from urllib.parse import unquote_to_bytes, urlsplit

from flask import Flask
from flask.sessions import NullSession, SessionInterface
from werkzeug.exceptions import BadRequest, Forbidden, UnsupportedMediaType
from werkzeug.wrappers import Request

from campaign.settings import Settings
from campaign.web import hosts

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def refuse_cross_site(request: Request, settings: Settings) -> None:
    """Refuse requests that a page of another site sends to change data.

    The check uses Fetch Metadata if present, else it compares Origin with SITE_URL and the requested trusted host.
    OWASP's "Cross-Site Request Forgery Prevention" accepts this as a complete defense. Recent browsers send at least
    one of these headers. Older browsers may sign without either: there is no cookie that another site could exploit.

    Raises:
        Forbidden: The request would change data and comes from another site.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        refused = site not in ("same-origin", "none")
    else:
        refused = origin is not None and not _is_ours(origin, request, settings)
    if refused:
        raise Forbidden


def _is_ours(origin: str, request: Request, settings: Settings) -> bool:
    origin = origin.lower()
    # An http site accepts its https origin, but an https site refuses its http origin: an attacker on the network could
    # forge a page there.
    if origin == settings.site_url or settings.site_url == origin.replace("https:", "http:", 1):
        return True
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(host) and host == request.environ.get(hosts.REQUESTED_HOST)


def refuse_broken_body(request: Request) -> None:
    """Refuse a request that would change data, unless its body is a complete form in UTF-8.

    Raises:
        BadRequest: Content-Length is missing or wrong, or the body isn't UTF-8.
        UnsupportedMediaType: The body isn't a URL-encoded form.
        RequestEntityTooLarge: The body has more than body_limits.MOST_BYTES bytes.
    """
    if request.method in SAFE_METHODS:
        return
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/x-www-form-urlencoded" or charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType
    # Browsers send Content-Length with forms. Without it, only reading the body would reveal its size.
    if request.content_length is None:
        raise BadRequest
    body = request.get_data()
    try:
        # Decode strictly: Werkzeug would accept bytes that aren't UTF-8.
        unquote_to_bytes(body).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest from None
    if len(body) != request.content_length:
        raise BadRequest


class NoSessions(SessionInterface):
    """A session interface without sessions or cookies. Flask's own would parse cookies in every request."""

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """Return a session that refuses to store anything."""
        return NullSession()
