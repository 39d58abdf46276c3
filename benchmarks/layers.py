"""Measure how long each layer takes to store one signature: `.venv/bin/python -m benchmarks.layers`.

Signs repeatedly in one process without a server, one signature at a time, each in a batch of its own. Prints
microseconds.
"""

import functools
import io
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks import measure
from campaign import create_app
from campaign.settings import Settings
from campaign.signatures import signing
from campaign.site import sign_form, views
from campaign.web import request_checks, request_log, response_cache
from campaign.web.limits import rate_limits

SIGNS = 2000

spent: defaultdict[str, float] = defaultdict(float)
"""Seconds by layer, including the layers that it calls."""


def timed(owner: Any, name: str, layer: str) -> None:
    """Wrap a function so that its time is added to the layer."""
    original: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            spent[layer] += time.perf_counter() - began

    setattr(owner, name, wrapper)


def main() -> None:
    """Print the table."""
    for owner, name, layer in (
        (request_log.RequestLog, "__call__", "all"),
        (response_cache.ResponseCache, "__call__", "flask"),
        (request_checks, "refuse_broken_body", "checks"),
        (rate_limits.RateLimit, "count", "checks"),
        (views, "find_or_404", "campaign"),
        (sign_form.SignForm, "__init__", "form"),
        (sign_form.SignForm, "validate", "form"),
        (sign_form.SignForm, "details", "form"),
        (signing, "sign", "sign"),
        (signing, "_store", "store"),
        (views, "render_template", "thanks"),
    ):
        timed(owner, name, layer)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_environ({"RATELIMIT_SIGN": "1000000 per minute"}, Path(folder))
        measure.prepare(settings)
        app = create_app(settings)
        for number in range(SIGNS + 200):
            if number == 200:
                spent.clear()
            sign(app, number)
    parts = {
        "`web/request_log.py`: request ID, log line": spent["all"] - spent["flask"],
        "`web/request_checks.py`, `web/limits/`: complete form, rate limit": spent["checks"],
        "finding the campaign, cached for a second": spent["campaign"],
        "the form: creating, cleaning, validating": spent["form"],
        "handing over to the batch, and waking up": spent["sign"] - spent["store"],
        "the batch: two statements and a commit to the disk": spent["store"],
        "the thank-you panel and the signer's own entry": spent["thanks"],
    }
    parts["Flask: routing, contexts, headers"] = spent["all"] - sum(parts.values())
    for layer, seconds in parts.items():
        print(f"| {layer} | {seconds / SIGNS * 1e6:,.0f} |")
    print(f"| all | {spent['all'] / SIGNS * 1e6:,.0f} |")


def sign(app: Any, number: int) -> None:
    """Sign once, with a request like those that a server passes to the app."""
    form = {"name": "Ada Lovelace", "email": f"ada{number}@example.org", "country": "US", "postal_code": "90012"}
    body = urlencode(form | {"city": "", "region": "", "filled_from": "", "website": ""}).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": measure.SIGN,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "HTTP_HX_REQUEST": "true",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_ADDR": "203.0.113.7",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }
    statuses: list[str] = []
    body_chunks = app(environ, lambda status, *_: statuses.append(status))
    b"".join(body_chunks)
    if statuses != ["200 OK"]:
        raise SystemExit(f"not signed: {statuses}")


if __name__ == "__main__":
    main()
