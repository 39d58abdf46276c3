"""What a crowd reads, made once a second, however many look: a WSGI middleware before the site.

It keeps whole answers, compressed as their readers take them, and only those that say of themselves that they are the
same for everyone (`Cache-Control: public`; views.cacheable says so).
"""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from werkzeug.http import parse_accept_header
from werkzeug.test import run_wsgi_app

from campaign.once import Once, tick
from campaign.shared import PREFIX, Shared

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CROWDED = re.compile(r"/campaigns/[^/]+?(?:/feed|\.json|\.atom)?|/static/[^/]+")
"""The paths that a crowd asks for. No answer of theirs depends on a query, which only says by which link one came."""
MOST = 512
"""Answers kept at once: a page of 15 KB for each campaign and each of the four ways to compress it."""
SHARED_MS = 2000
"""How long Redis keeps an answer; nobody asks for it after its tick, which lasts half of that."""


@dataclass(frozen=True)
class Answer:
    """An answer of the site."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes
    etag: str | None
    """Of an answer that may be kept; None of one that may not."""

    def to_bytes(self) -> bytes:
        """All of it, as `from_bytes` reads it: a line of JSON, and the body."""
        return json.dumps([self.status, self.headers, self.etag]).encode() + b"\n" + self.body

    @classmethod
    def from_bytes(cls, data: bytes) -> "Answer":
        """The answer that `to_bytes` has written."""
        head, _, body = data.partition(b"\n")
        status, headers, etag = json.loads(head)
        return cls(status, [(name, value) for name, value in headers], body, etag)


class Kept:
    """The middleware."""

    def __init__(self, app: "WSGIApplication", shared: Shared, edition: str) -> None:
        """Stand before `app`, and share its answers with the other processes of the same `edition`."""
        self._app = app
        self._shared = shared
        self._edition = edition
        self._for_ever: dict[tuple[str, str], Answer] = {}
        self._answers: Once[tuple[str, str, bool], Answer] = Once(MOST, keep=lambda answer: answer.etag is not None)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer from what is kept, or let the app answer."""
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "GET" or not CROWDED.fullmatch(path):
            return self._app(environ, start_response)
        encoding = _encoding(environ.get("HTTP_ACCEPT_ENCODING", ""))
        answer = self._for_ever.get((path, encoding)) or self._answers.get(
            # To htmx an error is another than to a reader.
            (path, encoding, "HTTP_HX_REQUEST" in environ),
            lambda: self._made_by_one_of_us(path, encoding, environ),
        )
        if answer.status.startswith("3") and environ.get("QUERY_STRING"):
            # A former address leads to the new one with the word of the link, which was left out here.
            return self._app(environ, start_response)
        if answer.etag and answer.etag in environ.get("HTTP_IF_NONE_MATCH", ""):
            start_response("304 Not Modified", [pair for pair in answer.headers if pair[0] not in _OF_THE_BODY])
            return []
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _made_by_one_of_us(self, path: str, encoding: str, environ: "WSGIEnvironment") -> Answer:
        key = f"{PREFIX}answer:{self._edition}:{encoding}:{path}:{tick():.0f}"
        kept = self._shared.ask(lambda redis: redis.get(key), lambda: None)
        # What somebody else has put there is not ours to read.
        with suppress(ValueError, TypeError):
            if isinstance(kept, bytes):
                return Answer.from_bytes(kept)
        answer = self._made(encoding, environ)
        if answer.etag and any("immutable" in value for _, value in answer.headers):
            self._for_ever[path, encoding] = answer
        elif answer.etag:
            self._shared.ask(lambda redis: redis.set(key, answer.to_bytes(), px=SHARED_MS), lambda: None)
        return answer

    def _made(self, encoding: str, environ: "WSGIEnvironment") -> Answer:
        whole = {name: value for name, value in environ.items() if name not in _FOR_ONE}
        whole["HTTP_ACCEPT_ENCODING"] = encoding
        body, status, headers = run_wsgi_app(self._app, whole, buffered=True)
        keep = status.startswith("200") and "public" in headers.get("Cache-Control", "")
        return Answer(status, list(headers), b"".join(body), headers.get("ETag") if keep else None)


@lru_cache(maxsize=1024)
def _encoding(accepted: str) -> str:
    """The one compression that we give to who accepts these: few kinds, so that few answers are made."""
    taken = {word for word, quality in parse_accept_header(accepted) if quality > 0}
    return next((ours for ours in ("zstd", "br", "gzip") if ours in taken or "*" in taken), "identity")


_FOR_ONE = {
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_RANGE",
    "HTTP_RANGE",
    "HTTP_REFERER",
    "QUERY_STRING",
    "RAW_URI",
    "REQUEST_URI",
}
"""By these, somebody asks for less than others get, or says where they come from."""
_OF_THE_BODY = {"Content-Type", "Content-Length", "Content-Encoding"}
