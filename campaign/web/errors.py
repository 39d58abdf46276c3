"""Error responses: a page of our own for each status, and never a stack trace.

When an htmx request to sign fails, the response is a notice above the form, which keeps what the user typed. When an
htmx request for a partial fails (the feed, the city of a ZIP code, the next page of the list), the page stays as it is.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from flask import Flask, Response, current_app, make_response, render_template, request
from flask.typing import ResponseReturnValue
from markupsafe import escape
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from campaign.languages import speaking
from campaign.languages.speaking import LazyText, current, lazy_gettext
from campaign.settings import Settings
from campaign.storage.database import STORAGE_ERRORS, db
from campaign.web import health, page_language, security_headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True)
class Words:
    """The text of an error page, in the language of the page."""

    _title: LazyText
    _text: LazyText

    @property
    def title(self) -> str:
        """What happened."""
        return str(self._title)

    @property
    def text(self) -> str:
        """What the user can do."""
        return str(self._text)


WORDS = {
    400: Words(
        lazy_gettext("Your request was incomplete"),
        lazy_gettext("Part of it was lost on the way to us. Please go back and try again."),
    ),
    403: Words(
        lazy_gettext("This request came from another site"),
        lazy_gettext(
            "We accept signatures only from our own pages, so that nobody else can sign in your name. "
            "Please open the petition on this site and sign it here."
        ),
    ),
    404: Words(
        lazy_gettext("Page not found"),
        lazy_gettext("Check the web address. If it’s correct, the page may have been removed."),
    ),
    405: Words(
        lazy_gettext("You can’t do that here"),
        lazy_gettext("Please go back and use the buttons and links on the page."),
    ),
    410: Words(
        lazy_gettext("This link has expired"),
        lazy_gettext("Preview links work for seven days. Ask the person who sent you this link for a new one."),
    ),
    413: Words(
        lazy_gettext("Your form is too large"),
        lazy_gettext("Nothing was saved. Go back, shorten what you typed, and send it again."),
    ),
    415: Words(
        lazy_gettext("We can’t process this kind of request"),
        lazy_gettext("Please use the form on the petition’s page."),
    ),
    500: Words(
        lazy_gettext("Something went wrong on our side"),
        lazy_gettext("We’ve logged it. Please try again later."),
    ),
    503: Words(
        lazy_gettext("This page isn’t available right now"),
        lazy_gettext("We can’t reach our database. Please try again in a minute."),
    ),
}
"""The text for each status. Other statuses use the text for 400 or 500."""

_NOT_SAVED = lazy_gettext("We couldn’t save your changes")
NOT_STORED = {
    health.FULL: Words(
        _NOT_SAVED,
        lazy_gettext(
            "Nothing changed in our database. Its disk is full. The operator of this site must free up space. "
            "Please try again later."
        ),
    ),
    health.READ_ONLY: Words(
        _NOT_SAVED,
        lazy_gettext(
            "Nothing changed in our database. It is read-only right now. The operator of this site must check its disk "
            "or server. Please try again later."
        ),
    ),
    health.LOCKED: Words(
        _NOT_SAVED, lazy_gettext("Nothing changed in our database. It is busy. Please try again in a minute.")
    ),
}
"""Texts for a failed POST, by the fault of the database (health.py). They replace the text for 503."""

OTHER_HOST = Words(
    lazy_gettext("This site doesn’t use this host name"),
    lazy_gettext(
        "Open the site at its own URL. If you run the site, set SITE_URL to the URL that people use, or add this host "
        "name to TRUSTED_HOSTS."
    ),
)
"""The text for a request whose Host header names another site."""


class ErrorStyle(NamedTuple):
    """How an app shows errors."""

    page: str = "errors/error.html"
    """The template of a full error page."""
    noticed: frozenset[str] | None = frozenset({"site.sign", "site.confirm_signature"})
    """Endpoints whose failed htmx requests show a notice; None for all. Other failures don't change the page."""
    words: Mapping[int, Words] = MappingProxyType({})
    """Texts of this app, which replace those in WORDS."""
    typing: frozenset[str] = frozenset()
    """Endpoints requested while the user types. Their notice takes the place of their response, without focus."""
    negotiates: bool = True
    """Whether errors that belong to no campaign are in the language that the visitor prefers."""


SITE = ErrorStyle()


def init_app(app: Flask, style: ErrorStyle = SITE) -> None:
    """Register the error handlers of an app."""
    app.extensions["errors"] = style
    app.register_error_handler(HTTPException, answer)
    # Flask's own log line would contain the requested URL.
    app.log_exception = lambda exc_info: app.logger.error("a response could not be created", exc_info=exc_info)  # type: ignore[method-assign]
    for error in STORAGE_ERRORS:
        app.register_error_handler(error, handle_storage_error)


def handle_storage_error(error: Exception) -> ResponseReturnValue:
    """Log a database error, and respond with 503."""
    current_app.logger.exception("the database could not be used")
    return answer(ServiceUnavailable(), NOT_STORED.get(health.meaning(error)) if request.method == "POST" else None)


def answer(error: HTTPException, override: Words | None = None) -> ResponseReturnValue:
    """Return the error page, or the notice for htmx, for an HTTP error. Flask turns other exceptions into a 500.

    `override` replaces the usual text for the error's status.
    """
    if error.code is None or error.code < 400:
        return error
    if error.code >= 500:
        # The failed transaction must end before the error page reads from the database.
        with suppress(Exception):
            db.session.rollback()
    style: ErrorStyle = current_app.extensions["errors"]
    if style.negotiates and not speaking.is_chosen():
        page_language.negotiate()
    known = {**WORDS, **style.words}
    words = override or known.get(error.code) or known[error.code // 100 * 100]
    try:
        response = _page(error.code, words, style)
    except Exception:
        # The error page can fail for the same reason as the request: the session, the database, or a template.
        current_app.logger.exception("an error page could not be rendered")
        response = plain(error.code, words)
    response.status_code = error.code
    response.cache_control.no_store = True
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _page(status: int, words: Words, style: ErrorStyle) -> Response:
    if request.headers.get("HX-Request") != "true":
        return make_response(render_template(style.page, words=words, status=status))
    if style.noticed is None or request.endpoint in style.noticed:
        typing = request.endpoint in style.typing
        response = make_response(render_template("errors/_notice.html", words=words, typing=typing))
        if not typing:
            response.headers["HX-Retarget"] = "#notice"
            response.headers["HX-Reswap"] = "innerHTML"
        return response
    response = make_response("")
    response.headers["HX-Reswap"] = "none"
    return response


def plain(status: int, words: Words) -> Response:
    """Return an error page that needs no template, session, database, request, or app."""
    language, title, text = current(), escape(words.title), escape(words.text)
    return Response(
        f"""<!doctype html>
<html lang="{language.tag}" dir="{language.direction}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<h1>{title}</h1>
<p>{text}</p>
</html>
""",
        status,
        {"Cache-Control": "no-store"},
        mimetype="text/html",
    )


def wsgi_error(status: int, words: Words, settings: Settings) -> "WSGIApplication":
    """Return a WSGI application that sends this error page when no Flask app can respond."""

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with speaking.use(page_language.preferred(environ.get("HTTP_ACCEPT_LANGUAGE", ""), settings)):
            response = plain(status, words)
        return security_headers.add_headers(response, settings)(environ, start_response)

    return application
