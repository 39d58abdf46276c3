"""How what happens is written down: a JSON object a line, or a short line where a terminal reads it.

A log is read by more people than a database, and kept longer. So by its making no line holds what a visitor typed or
where they come from: of an address only the route that it fits, of an exception only its class, the database's code for
it and where in the code it happened. Its text stays out: a database quotes whole rows in it.
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
"""Where a request's environ has what its log lines say of it; watch.py puts it there."""
MOST_FRAMES = 30
"""Frames of a traceback that are written, the innermost ones: lines of several workers must not mix on a pipe, and a
system writes 4 KB to one at once (pipe(7))."""

# Looked up anew for each line, because tests and commands put other streams in its place.
_stderr = cast(TextIO, LocalProxy(lambda: sys.stderr))
_handler = logging.StreamHandler(_stderr)
_encode = json.JSONEncoder(default=str).encode


def set_up() -> None:
    """Let everything in this process write to standard error in our form; a second call changes nothing."""
    dress(_handler)
    logging.getLogger().addHandler(_handler)
    logging.getLogger("campaign").setLevel(logging.INFO)
    # The development server's own lines have addresses in them, of visitors and of pages.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    # Where a line can't be written, Python would print its raw arguments.
    logging.raiseExceptions = False


def dress(handler: logging.Handler) -> None:
    """Make a handler write in the form that its reader wants."""
    terminal = isinstance(handler, logging.StreamHandler) and handler.stream.isatty()
    handler.setFormatter(ForPeople() if terminal else ForMachines())


class ForMachines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record."""
        return _encode(_fields(record))


class ForPeople(logging.Formatter):
    """Time of day, level, message and the rest; the frames of an exception below."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record."""
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
    # What others would fill in may be a path, an address or an exception's text, so their sentences stay unfilled.
    # gunicorn's have numbers of processes in them, but where they tell of an exception, the request's address.
    if record.name.partition(".")[0] in ("campaign", "gunicorn") and not record.exc_info:
        return record.getMessage()
    return record.msg if isinstance(record.msg, str) else type(record.msg).__name__


def _of_exception(error: BaseException, traceback: TracebackType | None) -> Mapping[str, Any]:
    chain = list(_chain(error))
    fields: dict[str, Any] = {"exception": " from ".join(_name(type(one)) for one in chain)}
    codes = [code for one in chain if (code := database_code(one))]
    if codes:
        fields["code"] = codes[0]
    frames = [(frame.f_code, line) for frame, line in walk_tb(traceback)][-MOST_FRAMES:]
    fields["frames"] = [f"{_short(code.co_filename)}:{line} {code.co_qualname}" for code, line in frames]
    return fields


def database_code(error: BaseException) -> str | None:
    """What a database calls an error, without its words: PostgreSQL's SQLSTATE, or SQLite's name for it.

    Also of an SQLAlchemy error that was made of it; None for what is no database's.
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
