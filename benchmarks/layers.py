"""Where the time of one sign goes, in microseconds by layer: `.venv/bin/python -m benchmarks.layers`.

Signs one after the other in one process, without a server, each in a batch of its own.
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
from campaign import create_app, guard, kept, sign_form, signing, watch
from campaign.settings import Settings
from campaign.site import views

SIGNS = 2000

spent: defaultdict[str, float] = defaultdict(float)
"""Seconds, by layer, with what the layer calls."""


def timed(owner: Any, name: str, layer: str) -> None:
    """Add to the layer what a function takes."""
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
        (watch.Watched, "__call__", "all"),
        (kept.Kept, "__call__", "flask"),
        (guard, "refuse_broken_body", "guard"),
        (guard.Limit, "count", "guard"),
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
        "watch: request id, log line": spent["all"] - spent["flask"],
        "guard: whole form, limit": spent["guard"],
        "campaign, as it was in this tick": spent["campaign"],
        "form: making, cleaning, validating": spent["form"],
        "handing over to the batch, and waking up": spent["sign"] - spent["store"],
        "the batch: two statements and a commit to the disk": spent["store"],
        "thank-you panel, own entry": spent["thanks"],
    }
    parts["Flask: routing, contexts, headers"] = spent["all"] - sum(parts.values())
    for layer, seconds in parts.items():
        print(f"| {layer} | {seconds / SIGNS * 1e6:,.0f} |")
    print(f"| all | {spent['all'] / SIGNS * 1e6:,.0f} |")


def sign(app: Any, number: int) -> None:
    """Sign once, as a server passes it on."""
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
    answer = app(environ, lambda status, *_: statuses.append(status))
    b"".join(answer)
    if statuses != ["200 OK"]:
        raise SystemExit(f"not signed: {statuses}")


if __name__ == "__main__":
    main()
