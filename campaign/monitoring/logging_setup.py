"""Logging: one JSON object per line, or a short readable line if a terminal shows the log.

More people read a log than a database, and logs are kept longer. So no line contains what a visitor typed or where
they come from. A line has the route instead of the URL. For an exception, it has the class, the database's error code,
and the place in the code, but not the text, because databases quote whole rows in it.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from traceback import walk_tb
from types import TracebackType
from typing import Any, TextIO, cast

from flask import has_request_context, request
from werkzeug.local import LocalProxy

from campaign.settings import ROOT

REQUEST = "campaign.request"
"""The key in a request's environ with the fields for its log lines; request_log.py sets them."""
MOST_FRAMES = 30
"""How many frames of a traceback are logged, the innermost ones. Lines of several workers must not mix on a pipe, where
only writes of up to 4 KB are atomic (pipe(7))."""

# sys.stderr is looked up for each line, because tests and commands replace it.
_stderr = cast(TextIO, LocalProxy(lambda: sys.stderr))
_handler = logging.StreamHandler(_stderr)
_encode = json.JSONEncoder(default=str).encode


def set_up() -> None:
    """Log everything in this process to standard error in our format. A second call changes nothing."""
    dress(_handler)
    logging.getLogger().addHandler(_handler)
    logging.getLogger("campaign").setLevel(logging.INFO)
    # The development server's own lines contain IP addresses and URLs.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    # If a line can't be written, Python would print its raw arguments.
    logging.raiseExceptions = False


def dress(handler: logging.Handler) -> None:
    """Set a handler's format: readable lines for a terminal, JSON for anything else."""
    terminal = isinstance(handler, logging.StreamHandler) and handler.stream.isatty()
    handler.setFormatter(ForPeople() if terminal else ForMachines())


class ForMachines(logging.Formatter):
    """Formats a log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        return _encode(_fields(record))


class ForPeople(logging.Formatter):
    """Formats a log record as a readable line, with the frames of an exception below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the time of day, level, message, and other fields."""
        fields = _fields(record)
        time, level, message = fields.pop("time")[11:19], fields.pop("level"), fields.pop("message")
        frames = fields.pop("frames", [])
        rest = [f"{name}={value}" for name, value in fields.items()]
        return "\n    ".join([" ".join([time, level, message, *rest]), *frames])


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "message": _message(record),
    }
    if has_request_context():
        fields |= request.environ.get(REQUEST, {})
    fields |= getattr(record, "fields", {})
    if record.exc_info and record.exc_info[1]:
        fields |= _of_exception(record.exc_info[1], record.exc_info[2])
    return fields


def _message(record: logging.LogRecord) -> str:
    # Other libraries' arguments may be a URL, an email address, or an exception's text, so their placeholders stay
    # unfilled. gunicorn's arguments are process ids, except that its messages about exceptions contain the URL.
    if record.name.partition(".")[0] in ("campaign", "gunicorn") and not record.exc_info:
        return record.getMessage()
    return record.msg if isinstance(record.msg, str) else type(record.msg).__name__


def _of_exception(error: BaseException, traceback: TracebackType | None) -> Mapping[str, Any]:
    chain = list(_chain(error))
    fields: dict[str, Any] = {"exception": " from ".join(_name(type(link)) for link in chain)}
    codes = [code for link in chain if (code := database_code(link))]
    if codes:
        fields["code"] = codes[0]
    frames = [(frame.f_code, line) for frame, line in walk_tb(traceback)][-MOST_FRAMES:]
    fields["frames"] = [f"{_short(code.co_filename)}:{line} {code.co_qualname}" for code, line in frames]
    return fields


def database_code(error: BaseException) -> str | None:
    """Return a database error's code: PostgreSQL's SQLSTATE or SQLite's name; None if it isn't a database error.

    A SQLAlchemy error has the code of the driver's error that it wraps.
    """
    error = getattr(error, "orig", None) or error
    return getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _short(path: str) -> str:
    return path.rpartition("/site-packages/")[2].removeprefix(f"{ROOT}/")
