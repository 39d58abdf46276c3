"""Where the organisers' desk stands: an app of its own under /desk, loaded when somebody first asks for it.

So the public site has none of its sessions, its hooks and its memory.
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
    """The desk's place in a site."""

    def __init__(self, load: Callable[[], Flask]) -> None:
        """Keep a place for the desk, which `load` makes."""
        self._load = load
        self._app: Flask | None = None
        self._loading = threading.Lock()

    @property
    def app(self) -> Flask:
        """The desk; loaded now, if nobody has asked for it before."""
        if self._app is None:
            with self._loading:
                if self._app is None:
                    self._app = self._load()
                    if gc.get_freeze_count():
                        # As gunicorn.conf.py does with the site: what stays is not looked through for garbage again and
                        # again, which signers and readers would wait for.
                        gc.freeze()
        return self._app

    @property
    def loaded(self) -> bool:
        """Whether anybody has asked for it."""
        return self._app is not None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer as the desk."""
        return self.app(environ, start_response)


def init_app(app: Flask, load: Callable[[Flask], Flask]) -> None:
    """Mount the desk into the site; `load` makes it."""
    app.extensions["desk"] = Desk(lambda: load(app))
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {PREFIX: app.extensions["desk"]})  # type: ignore[method-assign]


def link_to_site(desk: Flask, site: Flask) -> None:
    """Let `url_for` in the desk's templates give the site's addresses too, static files among them, as paths."""

    def build(_error: Exception, endpoint: str, values: dict[str, Any]) -> str:
        given = {name: value for name, value in values.items() if not name.startswith("_")}
        site.inject_url_defaults(endpoint, given)
        return site.url_map.bind("").build(endpoint, given)

    desk.url_build_error_handlers.append(build)
