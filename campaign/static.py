"""Static files under names that hold a hash of what is in them, so that browsers and proxies keep them for ever.

Templates go on to say `url_for('static', filename='site.css')`; kept.py keeps the files compressed.
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response

YEAR = 31_536_000
"""Seconds; more than a year means nothing more (RFC 9111 names no limit, RFC 2616 named this one)."""


def init_app(app: Flask) -> None:
    """Give the static files of the app such names, and take them."""
    folder = Path(app.static_folder or "")

    def add_hash(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values["filename"] = hashed_name(folder, values["filename"])

    def send(filename: str) -> Response:
        name = re.sub(r"\.[0-9a-f]{12}(\.\w+)$", r"\1", filename)
        answer = app.send_static_file(name)
        # A page of the version before or after ours may ask for its own file: it gets ours, but may not keep it.
        if filename == hashed_name(folder, name):
            answer.cache_control.no_cache = None
            answer.cache_control.public = answer.cache_control.immutable = True
            answer.cache_control.max_age = YEAR
        return answer

    app.url_defaults(add_hash)
    app.view_functions["static"] = send


def hashed_name(folder: Path, name: str) -> str:
    """`site.css` as `site.0123456789ab.css`; as it is, if there is no such file."""
    file = folder / name
    try:
        return f"{Path(name).with_suffix('')}.{_hash(file, file.stat().st_mtime_ns)}{file.suffix}"
    except OSError:
        return name


@lru_cache(maxsize=256)
def _hash(file: Path, _changed: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
