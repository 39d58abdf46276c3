"""Mounts the organizers' desk, a separate Flask app, under /desk. The desk is loaded on its first request.

A separate app keeps the desk's sessions, hooks, and memory out of the public site.
"""

import gc
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PREFIX = "/desk"


class Desk:
    """A WSGI application that loads the desk on the first request."""

    def __init__(self, load: Callable[[], Flask]) -> None:
        """Store the function `load`, which creates the desk."""
        self._load = load
        self._app: Flask | None = None
        self._loading = threading.Lock()

    @property
    def app(self) -> Flask:
        """Return the desk. Load it on first use."""
        if self._app is None:
            with self._loading:
                if self._app is None:
                    self._app = self._load()
                    if gc.get_freeze_count():
                        # As gunicorn.conf.py does for the site: exclude long-lived objects from garbage collection,
                        # whose pauses would delay signers and readers.
                        gc.freeze()
        return self._app

    @property
    def loaded(self) -> bool:
        """Return whether the desk is loaded."""
        return self._app is not None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass the request to the desk."""
        return self.app(environ, start_response)


def init_app(app: Flask, load: Callable[[Flask], Flask]) -> None:
    """Mount the desk in the site. `load` creates the desk from the site."""
    app.extensions["desk"] = Desk(lambda: load(app))
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {PREFIX: app.extensions["desk"]})  # type: ignore[method-assign]


def link_to_site(desk: Flask, site: Flask) -> None:
    """Let `url_for` in the desk's templates also build paths of the public site, including its static files."""

    def build(_error: Exception, endpoint: str, values: dict[str, Any]) -> str:
        given = {name: value for name, value in values.items() if not name.startswith("_")}
        site.inject_url_defaults(endpoint, given)
        return site.url_map.bind("").build(endpoint, given)

    desk.url_build_error_handlers.append(build)
