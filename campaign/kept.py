"""What a crowd reads, made once a second in each process, however many look: a WSGI middleware before the site.

It keeps whole answers, compressed as their readers take them, and only those that say of themselves that they are the
same for everyone (`Cache-Control: public`; views.cacheable says so).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from werkzeug.test import run_wsgi_app

from campaign.once import Once

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CROWDED = re.compile(r"/campaigns/[^/]+?(?:/feed|\.json|\.atom)?")
"""The paths that a crowd asks for; without a query."""
MOST = 512
"""Answers kept at once: a page of 15 KB for each campaign and each of the few ways in which browsers ask."""


@dataclass(frozen=True)
class Answer:
    """An answer of the site."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes
    etag: str | None
    """Of an answer that may be kept; None of one that may not."""


class Kept:
    """The middleware."""

    def __init__(self, app: "WSGIApplication") -> None:
        """Stand before `app`."""
        self._app = app
        self._answers: Once[tuple[str, str], Answer] = Once(MOST, keep=lambda answer: answer.etag is not None)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer from what is kept, or let the app answer."""
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "GET" or environ.get("QUERY_STRING") or not CROWDED.fullmatch(path):
            return self._app(environ, start_response)
        key = (path, environ.get("HTTP_ACCEPT_ENCODING", ""))
        answer = self._answers.get(key, lambda: self._made(environ))
        if answer.etag and answer.etag in environ.get("HTTP_IF_NONE_MATCH", ""):
            start_response("304 Not Modified", [pair for pair in answer.headers if pair[0] not in _OF_THE_BODY])
            return []
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _made(self, environ: "WSGIEnvironment") -> Answer:
        whole = {name: value for name, value in environ.items() if name != "HTTP_IF_NONE_MATCH"}
        body, status, headers = run_wsgi_app(self._app, whole, buffered=True)
        keep = status.startswith("200") and "public" in headers.get("Cache-Control", "")
        return Answer(status, list(headers), b"".join(body), headers.get("ETag") if keep else None)


_OF_THE_BODY = {"Content-Type", "Content-Length", "Content-Encoding"}
