"""Request headers that the apps may read, with a length limit for each. All other headers are removed.

This WSGI middleware runs between the response cache, which reads three headers itself, and the apps. If new code reads
another header, add the header here with a limit. Libraries parse every header that they find.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ENTITY_TAGS = 1024
"""The most characters of If-None-Match. One of our entity tags has 40, and a cache may send several."""
ACCEPT_ENCODING = 128
"""The most characters of Accept-Encoding. Browsers send 25."""

LONGEST = {
    "HTTP_HOST": 300,
    # More than page_language.LONGEST, which cuts it.
    "HTTP_ACCEPT_LANGUAGE": 512,
    # encoding() replaces it with one short word.
    "HTTP_ACCEPT_ENCODING": 10,
    # Our cookie has a few hundred bytes. The organization's other sites on the same domain may add cookies.
    "HTTP_COOKIE": 8190,
    # A URL of our own, for which gunicorn allows 4,096 bytes, or another site's origin.
    "HTTP_REFERER": 4400,
    "HTTP_ORIGIN": 300,
    "HTTP_SEC_FETCH_SITE": 20,
    "HTTP_USER_AGENT": 512,
    "HTTP_HX_REQUEST": 10,
    "HTTP_X_CSRFTOKEN": 512,
    "HTTP_IF_NONE_MATCH": ENTITY_TAGS,
    "HTTP_IF_MATCH": ENTITY_TAGS,
    "HTTP_IF_RANGE": 128,
    "HTTP_IF_MODIFIED_SINCE": 64,
    "HTTP_IF_UNMODIFIED_SINCE": 64,
    "HTTP_RANGE": 64,
    "HTTP_TRANSFER_ENCODING": 64,
    # The boundary of a multipart form has at most 70 characters (RFC 2046).
    "CONTENT_TYPE": 256,
    "CONTENT_LENGTH": 20,
}
"""The longest value of each header that the apps read. A longer header is removed, unless it is in _TRUNCATED."""
_TRUNCATED = {"HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE", "HTTP_USER_AGENT"}
"""Headers that are cut instead of removed. Without Origin, a request from another site would look like our own."""


class HeaderLimits:
    """Middleware that removes unread headers and limits the others."""

    def __init__(self, app: "WSGIApplication") -> None:
        """Wrap `app`."""
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Call the app with the headers that it may read."""
        environ["HTTP_ACCEPT_ENCODING"] = encoding(environ.get("HTTP_ACCEPT_ENCODING", ""))
        for name in [name for name in environ if name.startswith(("HTTP_", "CONTENT_"))]:
            if len(environ[name]) > (most := LONGEST.get(name, -1)):
                if name in _TRUNCATED:
                    environ[name] = environ[name][:most]
                else:
                    del environ[name]
        return self._app(environ, start_response)


_ENCODINGS = ("zstd", "br", "gzip")
"""The encodings that we produce, best first."""


def encoding(accepted: str) -> str:
    """Return the encoding to use for an Accept-Encoding value; "identity" for none.

    The response cache uses this word as its key. Using the header value itself would let clients fill the cache.
    """
    return _KNOWN.get(accepted) or _choose(accepted)


def _choose(accepted: str) -> str:
    if len(accepted) > ACCEPT_ENCODING:
        return "identity"
    wanted = {}
    for each in accepted.lower().split(","):
        name, _, parameter = each.partition(";")
        # RFC 9110, section 12.4.2: a quality of zero, with up to three decimals, means "not acceptable".
        wanted[name.strip()] = parameter.replace(" ", "").rstrip("0.") != "q="
    return next((name for name in _ENCODINGS if wanted.get(name, wanted.get("*", False))), "identity")


_KNOWN = {
    value: _choose(value)
    for value in ("", "identity", "gzip", "br", "zstd", "gzip, deflate", "gzip, deflate, br", "gzip, deflate, br, zstd")
}
"""The encodings for the values that browsers and proxies send, and for the words that `encoding` returns."""
