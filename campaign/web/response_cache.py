"""A response cache: popular pages are rendered once a second, no matter how many people request them.

This WSGI middleware caches whole compressed responses. It stores only responses that are the same for everyone, which
responses.cacheable marks with `Cache-Control: public`.
"""

import hashlib
import io
import json
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from werkzeug.test import run_wsgi_app

from campaign.languages import catalogs
from campaign.monitoring import logging_setup
from campaign.settings import ROOT, Settings
from campaign.storage.redis import PREFIX, SharedRedis
from campaign.storage.single_flight import SingleFlightCache, tick
from campaign.web.limits import header_limits

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CACHED_PATHS = re.compile(
    rf"/campaigns/[a-z0-9-]{{1,80}}(?:/{catalogs.TAG})?(?:/feed|\.json|\.atom)?|/static/[A-Za-z0-9_.-]{{1,80}}"
)
"""Paths that are cached. Only valid slugs, language tags, and file names match, because the path is part of the cache
key. None of these responses depends on the query string, which only says which link a visitor followed."""
MOST_ENTRIES = 512
"""The most cache entries in a process. A campaign's page has 15 KB, and one entry for each of the four encodings."""
REDIS_TTL_MS = 2000
"""How long Redis keeps a response. A tick lasts half of that, and no request reads the response after its tick."""


@dataclass(frozen=True)
class Answer:
    """A complete response of the site."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes
    etag: str | None
    """The entity tag of a cacheable response; None if the response must not be cached."""

    def to_bytes(self) -> bytes:
        """Serialize the response: a line of JSON, then the body."""
        return json.dumps([self.status, self.headers, self.etag]).encode() + b"\n" + self.body

    @classmethod
    def from_bytes(cls, data: bytes) -> "Answer":
        """Return the response that `to_bytes` serialized."""
        head, _, body = data.partition(b"\n")
        status, headers, etag = json.loads(head)
        return cls(status, [(name, value) for name, value in headers], body, etag)


class ResponseCache:
    """Middleware that answers requests from the cache."""

    def __init__(self, app: "WSGIApplication", shared: SharedRedis, edition: str, site_url: str) -> None:
        """Wrap `app`, and share its responses with the other processes of the same `edition`.

        Cached responses are rendered for `site_url`, whichever host name a visitor requested.
        """
        self._app = app
        self._site = urlsplit(site_url)
        self._shared = shared
        self._edition = edition
        self._immutable: dict[tuple[str, str], Answer] = {}
        self._answers: SingleFlightCache[tuple[str, str, bool], Answer] = SingleFlightCache(
            MOST_ENTRIES, keep=lambda answer: answer.etag is not None, share=_is_shareable
        )

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Respond from the cache, or call the app."""
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "GET" or not CACHED_PATHS.fullmatch(path):
            return self._app(environ, start_response)
        encoding = header_limits.encoding(environ.get("HTTP_ACCEPT_ENCODING", ""))
        # Error responses differ between htmx and other clients.
        by_htmx = environ.get("HTTP_HX_REQUEST") == "true"
        answer = self._immutable.get((path, encoding)) or self._answers.get(
            (path, encoding, by_htmx),
            lambda: self._fetch_or_render(path, encoding, by_htmx, environ.get(logging_setup.REQUEST)),
        )
        if answer.status.startswith("3") and environ.get("QUERY_STRING"):
            # A redirect from a former slug keeps the query string, which isn't part of the cache key.
            return self._app(environ, start_response)
        if answer.etag and answer.etag in environ.get("HTTP_IF_NONE_MATCH", "")[: header_limits.ENTITY_TAGS]:
            start_response("304 Not Modified", [pair for pair in answer.headers if pair[0] not in _BODY_HEADERS])
            return []
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _fetch_or_render(self, path: str, encoding: str, by_htmx: bool, log_fields: object) -> Answer:
        key = f"{PREFIX}answer:{self._edition}:{encoding}:{path}:{tick():.0f}"
        cached = self._shared.ask(lambda redis: redis.get(key), lambda: None)
        # Ignore a value that isn't a serialized response: other programs may use the same Redis.
        with suppress(ValueError, TypeError):
            if isinstance(cached, bytes):
                return Answer.from_bytes(cached)
        answer = self._render(path, encoding, by_htmx, log_fields)
        if answer.etag and any("immutable" in value for _, value in answer.headers):
            self._immutable[path, encoding] = answer
        elif answer.etag:
            self._shared.ask(lambda redis: redis.set(key, answer.to_bytes(), px=REDIS_TTL_MS), lambda: None)
        return answer

    def _render(self, path: str, encoding: str, by_htmx: bool, log_fields: object) -> Answer:
        """Call the app with a new request that contains nothing from the visitor but these arguments."""
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": self._site.hostname,
            "SERVER_PORT": str(self._site.port or (443 if self._site.scheme == "https" else 80)),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": self._site.netloc,
            "HTTP_ACCEPT_ENCODING": encoding,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self._site.scheme,
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            # The request log's dictionary, to which the app adds its route.
            logging_setup.REQUEST: log_fields,
        }
        if by_htmx:
            environ["HTTP_HX_REQUEST"] = "true"
        body, status, headers = run_wsgi_app(self._app, environ, buffered=True)
        keep = status.startswith("200") and "public" in headers.get("Cache-Control", "")
        return Answer(status, list(headers), b"".join(body), headers.get("ETag") if keep else None)


def _is_shareable(answer: Answer) -> bool:
    """Return whether waiting requests share an uncached response: successes, redirects, and 503, but no other error."""
    return answer.status < "4" or answer.status.startswith("503")


_BODY_HEADERS = {"Content-Type", "Content-Length", "Content-Encoding"}


def edition(settings: Settings) -> str:
    """Return a hash of the code and settings that pages depend on, so that versions don't share cache entries."""
    digest = hashlib.sha256(f"{settings.site_name}|{settings.site_url}|{settings.htmx_url}".encode())
    digest.update(_code_hash())
    return digest.hexdigest()[:16]


@cache
def _code_hash() -> bytes:
    """Return a hash of all files that make pages, as they were when the process first needed it."""
    digest = hashlib.sha256()
    for folder in ("campaign", "static", "templates"):
        for file in source_files(ROOT / folder):
            # An editor may have replaced it since.
            with suppress(FileNotFoundError):
                digest.update(file.read_bytes())
    return digest.digest()


def source_files(folder: Path) -> list[Path]:
    """Return the files below a folder, without hidden ones and without Python's bytecode.

    Processes that start at the same time write bytecode to files with temporary names, and rename them.
    """
    found = (path for path in folder.rglob("*.*") if path.parent.name != "__pycache__" and path.name[0] != ".")
    return sorted(path for path in found if path.is_file())
