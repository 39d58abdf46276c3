"""Static files whose names contain a hash of their content, so that browsers and proxies cache them forever.

Templates use `url_for('static', filename='site.css')` as usual. response_cache.py caches the compressed files.
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from flask_compress import Compress

YEAR = 31_536_000
"""A year in seconds, the longest lifetime that caches respect (RFC 2616; RFC 9111 sets no limit)."""


class CompressWhole(Compress):
    """Flask-Compress, except that static files are read completely first. Flask-Compress would leave them open."""

    def after_request(self, response: Response | None) -> Response:
        """Compress a response if the client accepts it."""
        if response is not None and request.endpoint == "static":
            response.direct_passthrough = False
            response.get_data()
        return super().after_request(response)


compress = CompressWhole()


def init_app(app: Flask) -> None:
    """Add hashes to the URLs of the app's static files, and serve the files at these URLs."""
    folder = Path(app.static_folder or "")

    def add_hash(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values["filename"] = hashed_name(folder, values["filename"])

    def send(filename: str) -> Response:
        name = re.sub(r"\.[0-9a-f]{12}(\.\w+)$", r"\1", filename)
        answer = app.send_static_file(name)
        # A page of another version of the site may request that version's file. It gets ours, but must not cache it.
        if filename == hashed_name(folder, name):
            answer.cache_control.no_cache = None
            answer.cache_control.public = answer.cache_control.immutable = True
            answer.cache_control.max_age = YEAR
        return answer

    app.url_defaults(add_hash)
    app.view_functions["static"] = send


def hashed_name(folder: Path, name: str) -> str:
    """Return `site.css` as `site.0123456789ab.css`, or the name unchanged if there is no such file."""
    file = folder / name
    try:
        return f"{Path(name).with_suffix('')}.{_hash(file, file.stat().st_mtime_ns)}{file.suffix}"
    except OSError:
        return name


@lru_cache(maxsize=256)
def _hash(file: Path, _changed: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
