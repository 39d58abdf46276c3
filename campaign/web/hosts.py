"""Host names that the site accepts. The site takes its own URL from SITE_URL, never from a request.

If a request's host differs from SITE_URL's only by "www.", it is redirected to SITE_URL.

These WSGI middlewares run before any code that reads a request's host, scheme, or path prefix. Redirects, passkeys, and
sign-in build URLs from these, so they are set to SITE_URL's. A trusted proxy decides only the client's IP address.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from werkzeug.wrappers import Response

from campaign.settings import Settings
from campaign.web import security_headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REQUESTED_HOST = "campaign.asked_host"
"""The environ key of the requested host and port, in lowercase. It is missing if the host is SITE_URL's."""
HEALTH_CHECKS = frozenset({"/healthz", "/readyz"})
"""Paths that work with any Host header: load balancers and monitoring use a node's current name or IP address."""

LONGEST_FORWARDED = 512
"""How many characters of X-Forwarded-For are read, from its end. They hold ten IPv6 addresses of 45 characters, one for
each of the ten proxies that TRUSTED_PROXIES allows. Clients can forge everything before those."""

# A domain name has 253 characters at most (RFC 1035), an IPv6 address 45, a port five.
_HOST = re.compile(r"([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")


class HostCheck:
    """Middleware that refuses requests for other hosts, and sets host, scheme, and path prefix to SITE_URL's.

    If SITE_URL names this machine, as in development, a requested loopback or trusted host is kept: a browser at
    http://localhost:8000 needs passkeys for localhost.
    """

    def __init__(self, app: "WSGIApplication", settings: Settings, refuse: "WSGIApplication") -> None:
        """Wrap `app`. `refuse` responds to requests for other hosts."""
        self._app = app
        self._refuse = refuse
        self._settings = settings
        site = urlsplit(settings.site_url)
        self._scheme, self._host, self._name = site.scheme, site.netloc, _name(site.netloc)
        self._trusted = settings.trusted_hosts
        self._is_local = _is_of_this_machine(self._name)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Call the app with SITE_URL's host, or refuse the request."""
        # This comparison accepts almost every request. The checks in _accept take a few microseconds more.
        if environ.get("HTTP_HOST") != self._host and not self._accept(environ):
            name = _name(environ["HTTP_HOST"].lower())
            # Many people type "www.", or leave it out.
            is_ours = name and self._name in (f"www.{name}", name.removeprefix("www."))
            return (self._redirect if is_ours else self._refuse)(environ, start_response)
        environ["SCRIPT_NAME"] = ""
        environ["wsgi.url_scheme"] = self._scheme
        return self._app(environ, start_response)

    def _redirect(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Redirect to the same path and query at SITE_URL. The Host header is not part of the response."""
        # A path that didn't begin with a slash would continue the host name.
        path = f"/{quote(environ['PATH_INFO'].encode('latin-1')).lstrip('/')}"
        query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
        answer = Response(status=308, headers={"Location": f"{self._settings.site_url}{path}{query}"})
        answer.cache_control.no_cache = True
        return security_headers.add_headers(answer, self._settings)(environ, start_response)

    def _accept(self, environ: "WSGIEnvironment") -> bool:
        """Return whether the host is accepted, and set the host that the app sees."""
        # HTTP/1.0 requests may have no Host header.
        requested = environ.get("HTTP_HOST", self._host).lower()
        name, host = _name(requested), self._host
        if requested == self._host:
            pass
        elif name in self._trusted or _is_loopback(name):
            environ[REQUESTED_HOST] = requested
            host = requested if self._is_local else self._host
        elif name == self._name:
            environ[REQUESTED_HOST] = requested
        elif environ["PATH_INFO"] not in HEALTH_CHECKS:
            return False
        environ["HTTP_HOST"] = host
        return True


def _name(host: str) -> str:
    """Return the host without its port, or an empty string if it isn't a valid host."""
    found = _HOST.fullmatch(host)
    return found[1] if found else ""


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name.strip("[]"))
    except ValueError:
        return None


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return address.is_loopback if address else name == "localhost"


def _is_of_this_machine(name: str) -> bool:
    # With HOST=0.0.0.0, the default SITE_URL contains that IP address, which stands for every interface.
    address = _address(name)
    return _is_loopback(name) or (address is not None and address.is_unspecified)


class ClientAddress:
    """Middleware that reads the client's IP address from X-Forwarded-For.

    Unlike Werkzeug's ProxyFix, it doesn't parse quoted strings. A client could send an opening quotation mark, and so
    hide the IP address that a proxy appends to the header.
    """

    def __init__(self, app: "WSGIApplication", hops: int) -> None:
        """Wrap `app`, which runs behind `hops` proxies (TRUSTED_PROXIES)."""
        self._app = app
        self._hops = hops

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Call the app with the client's IP address in REMOTE_ADDR."""
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")[-LONGEST_FORWARDED:].split(",")
        if len(forwarded) >= self._hops and (address := forwarded[-self._hops].strip()):
            environ["REMOTE_ADDR"] = address
        return self._app(environ, start_response)
