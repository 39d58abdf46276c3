"""The watch at the gate: every request passes it first and every answer last, to be named, timed, logged and counted.

What kept.py answers, thousands a second, gets no line in the log; it is counted.
"""

import logging
import re
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request

from campaign import logs, metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ROUTE = "Campaign-Route"
"""The header by which an answer tells the watch its route, so that one that was kept can tell it too; it ends here."""
NO_ROUTE = "none"
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
"""Those that are written and counted; of any other, nobody knows what it may hold."""

_log = logging.getLogger(__name__)
_trusted_id = re.compile(r"[A-Za-z0-9._-]{1,64}")


def init_app(app: Flask, *, trust_proxy: bool) -> None:
    """Stand before the whole app; `trust_proxy`, if a proxy's request ids are taken.

    Call it after all other middleware is there, and before others hang functions before and after requests: what these
    log has its route then, and none of them sees the header that tells it.
    """
    app.wsgi_app = Watched(app.wsgi_app, trust_proxy)  # type: ignore[method-assign]
    tell_routes(app)


def tell_routes(app: Flask) -> None:
    """Let the watch know the routes of an app that it stands before."""
    app.before_request(_note_route)
    app.after_request(_tell_route)


def _route() -> str:
    return request.root_path.rstrip("/") + request.url_rule.rule if request.url_rule else NO_ROUTE


def _note_route() -> None:
    request.environ.setdefault(logs.REQUEST, {})["route"] = _route()


def _tell_route(response: Response) -> Response:
    response.headers[ROUTE] = _route()
    if request.endpoint == "site.sign":
        metrics.sign(response.status_code)
    return response


class Watched:
    """The middleware."""

    def __init__(self, app: "WSGIApplication", trust_proxy: bool) -> None:
        """Stand before `app`."""
        self._app = app
        self._trust_proxy = trust_proxy

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Let the app answer, and write down how."""
        began = time.perf_counter()
        method = environ["REQUEST_METHOD"]
        # kept.py hands a copy of the environ on, but this same dictionary: the app's route comes back in it.
        said: dict[str, Any] = {
            "request_id": self._id(environ),
            "method": method if method in METHODS else "other",
        }
        environ[logs.REQUEST] = said
        route, status = NO_ROUTE, ""

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal route, status
            status = line[:3]
            # A new list: that of an answer which is kept belongs to all who get it.
            ours = [("X-Request-ID", said["request_id"])]
            for header in headers:
                if header[0] == ROUTE:
                    route = header[1]
                else:
                    ours.append(header)
            return start_response(line, ours, *exc_info)

        answer = self._app(environ, start)
        metrics.request(route, said["method"], status)
        if "route" in said:
            duration = round((time.perf_counter() - began) * 1000, 1)
            level = logging.ERROR if status >= "500" else logging.INFO
            _log.log(level, "answered", extra={"fields": {**said, "status": int(status), "duration_ms": duration}})
        return answer

    def _id(self, environ: "WSGIEnvironment") -> str:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        return given if self._trust_proxy and _trusted_id.fullmatch(given) else secrets.token_hex(8)
