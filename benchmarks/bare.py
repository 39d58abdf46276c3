"""The baseline for requests a second: a WSGI callable that only returns the bytes that the site returned."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

STATUS = os.environ.get("BARE_STATUS", "200 OK")
BODY = Path(os.environ["BARE_BODY"]).read_bytes()
HEADERS = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(BODY)))]


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Read the request body, as every server must, and return the bytes."""
    environ["wsgi.input"].read()
    start_response(STATUS, HEADERS)
    return [BODY]
