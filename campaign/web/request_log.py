"""The outermost WSGI middleware. It gives each request an ID, measures its duration, logs it, and counts it.

Responses from response_cache.py, thousands a second, are counted but not logged.
"""

import logging
import re
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request

from campaign.monitoring import logging_setup, metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ROUTE = "Campaign-Route"
"""An internal response header with the route, so that cached responses have it as well. This middleware removes it."""
NO_ROUTE = "none"
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
"""Methods that logs and metrics name. Clients can send any text as a method, so all others count as "other"."""

_log = logging.getLogger(__name__)
_trusted_id = re.compile(r"[A-Za-z0-9._-]{1,64}")


def init_app(app: Flask, *, trust_proxy: bool, broken: "WSGIApplication") -> None:
    """Wrap the whole app in the request log.

    Call this after adding all other middleware, and before registering functions that run before or after requests.
    Then the log lines of those functions contain the route, and none of them sees the internal header.

    Args:
        app: The public site.
        trust_proxy: Whether to use the request IDs that a proxy sends.
        broken: The WSGI application that responds if the app raises an exception.
    """
    app.wsgi_app = RequestLog(app, app.wsgi_app, broken, trust_proxy=trust_proxy)  # type: ignore[method-assign]
    report_routes(app)


def report_routes(app: Flask) -> None:
    """Report an app's routes to the request log."""
    app.before_request(_remember_route)
    app.after_request(_add_route_header)


def _route() -> str:
    return request.root_path.rstrip("/") + request.url_rule.rule if request.url_rule else NO_ROUTE


def _remember_route() -> None:
    request.environ.setdefault(logging_setup.REQUEST, {})["route"] = _route()


def _add_route_header(response: Response) -> Response:
    response.headers[ROUTE] = _route()
    if request.endpoint == "site.sign":
        metrics.sign(response.status_code)
    return response


class RequestLog:
    """Middleware that identifies, times, logs, and counts requests."""

    def __init__(self, flask: Flask, app: "WSGIApplication", broken: "WSGIApplication", *, trust_proxy: bool) -> None:
        """Wrap `app`, which is `flask` with other middleware around it."""
        self._flask = flask
        self._app = app
        self._broken = broken
        self._trust_proxy = trust_proxy

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Call the app, and log the request."""
        began = time.perf_counter()
        method = environ["REQUEST_METHOD"]
        # response_cache.py passes this dictionary on to the app, which adds its route to it.
        fields: dict[str, Any] = {
            "request_id": self._id(environ),
            "method": method if method in METHODS else "other",
        }
        environ[logging_setup.REQUEST] = fields
        route, status = NO_ROUTE, ""

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal route, status
            status = line[:3]
            # Copy the list: a cached response shares its headers with other requests.
            ours = [("X-Request-ID", fields["request_id"])]
            for header in headers:
                if header[0] == ROUTE:
                    route = header[1]
                else:
                    ours.append(header)
            return start_response(line, ours, *exc_info)

        try:
            answer = self._app(environ, start)
        except Exception:
            # In debug mode, the browser shows the exception. A response that has started can't be replaced.
            if self._flask.debug or status:
                raise
            _log.exception("a response could not be created", extra={"fields": fields})
            answer = self._broken(environ, start)
        metrics.request(route, fields["method"], status)
        if "route" in fields:
            duration = round((time.perf_counter() - began) * 1000, 1)
            level = logging.ERROR if status >= "500" else logging.INFO
            _log.log(level, "answered", extra={"fields": {**fields, "status": int(status), "duration_ms": duration}})
        return answer

    def _id(self, environ: "WSGIEnvironment") -> str:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        return given if self._trust_proxy and _trusted_id.fullmatch(given) else secrets.token_hex(8)
