"""What is answered when something is wrong: our own page for each status, and never a stack trace.

To HTMX a wrong sign request answers with a notice above the form, which keeps what was typed; a wrong request for a
partial (a poll, a ZIP code's city, the next page of the list) changes nothing.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from flask import Flask, current_app, make_response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from campaign import readiness
from campaign.extensions import STORAGE_ERRORS, db


class Words(NamedTuple):
    """What a person is told: what happened, and what they can do."""

    title: str
    text: str


WORDS = {
    400: Words("That did not arrive whole", "Something was lost on the way to us. Please go back and try again."),
    403: Words(
        "That came from another site",
        "We only take signatures from our own pages, so that nobody can sign in your name. "
        "Please open the petition here and sign it there.",
    ),
    404: Words("There is nothing here", "The address may be mistyped, or the page may have gone."),
    405: Words("That can’t be done here", "Please go back and use the page’s own buttons and links."),
    410: Words(
        "This link has expired",
        "A link to a preview is good for seven days. Please ask whoever gave it to you for a new one.",
    ),
    413: Words("That was too much", "What was sent is larger than our form can be. Please go back and shorten it."),
    415: Words("That was no form", "Please use the form on the petition’s page."),
    500: Words(
        "That was our mistake",
        "Something broke on our side. It is written down; please try again in a while.",
    ),
    503: Words(
        "We can’t reach our records",
        "Nothing could be read just now. Please try again in a minute.",
    ),
}
"""By status; one that is missing here gets the words of 400 or 500, whichever is of its kind."""

_WHY = {
    readiness.FULL: "The disk under our records is full: whoever runs the site must make room. Please try again then.",
    readiness.READ_ONLY: "Our records can only be read: whoever runs the site must look at their disk or server. "
    "Please try again then.",
    readiness.LOCKED: "Something else is busy with our records. Please try again in a minute.",
}
NOT_STORED = {
    why: Words("That could not be stored", f"Nothing has changed in our records. {text}") for why, text in _WHY.items()
}
"""Instead of those of 503 where something was to be changed, and it is known what was in its way."""


class Manner(NamedTuple):
    """How a surface tells of errors."""

    page: str = "errors/error.html"
    """The template of a whole page."""
    noticed: frozenset[str] | None = frozenset({"site.sign"})
    """The endpoints whose HTMX requests are answered with a notice; None for all. The others change nothing."""
    words: Mapping[int, Words] = MappingProxyType({})
    """Where it has words of its own."""
    typing: frozenset[str] = frozenset()
    """The endpoints that are asked while somebody types: their notice stands in the answer's place, without focus."""


SITE = Manner()


def init_app(app: Flask, manner: Manner = SITE) -> None:
    """Answer every error of the app in that manner."""
    app.extensions["errors"] = manner
    app.register_error_handler(HTTPException, answer)
    # Flask's own line would quote the address that was asked for.
    app.log_exception = lambda exc_info: app.logger.error("an answer could not be made", exc_info=exc_info)  # type: ignore[method-assign]
    for error in STORAGE_ERRORS:
        app.register_error_handler(error, storage_away)


def storage_away(error: Exception) -> ResponseReturnValue:
    """The database can't be used: say so, and write down why."""
    current_app.logger.exception("the database could not be used")
    return answer(ServiceUnavailable(), NOT_STORED.get(readiness.meaning(error)) if request.method == "POST" else None)


def answer(error: HTTPException, told: Words | None = None) -> ResponseReturnValue:
    """The page, or for HTMX the notice, of an HTTP error; an unforeseen exception comes as a 500.

    `told` is what a person is told, where that is not what they are told of every error of its status.
    """
    if error.code is None or error.code < 400:
        return error
    if error.code >= 500:
        # Whatever the page still reads, it reads from the beginning.
        db.session.rollback()
    manner: Manner = current_app.extensions["errors"]
    known = {**WORDS, **manner.words}
    words = told or known.get(error.code) or known[error.code // 100 * 100]
    if request.headers.get("HX-Request") != "true":
        response = make_response(render_template(manner.page, words=words, status=error.code))
    elif manner.noticed is None or request.endpoint in manner.noticed:
        typing = request.endpoint in manner.typing
        response = make_response(render_template("errors/_notice.html", words=words, typing=typing))
        if not typing:
            response.headers["HX-Retarget"] = "#notice"
            response.headers["HX-Reswap"] = "innerHTML"
    else:
        response = make_response("")
        response.headers["HX-Reswap"] = "none"
    response.status_code = error.code
    response.cache_control.no_store = True
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response
