"""Groups of commands that report a database error in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask.cli import AppGroup, ScriptInfo
from sqlalchemy import make_url

from campaign.storage.database import STORAGE_ERRORS


class Commands(AppGroup):
    """A group of commands that report a database error in one line."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command.

        Raises:
            click.ClickException: The database failed.
        """
        with database_error_in_one_line(". Have you run `flask prepare`?"):
            return super().invoke(context)


@contextmanager
def database_error_in_one_line(hint: str = "") -> Iterator[None]:
    """Turn a database error into a one-line error message of the command."""
    try:
        yield
    except STORAGE_ERRORS as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        raise click.ClickException(f"can't use the database: {reason}{_sqlite_file(reason)}{hint}") from error


def _sqlite_file(reason: str) -> str:
    """Return which SQLite file an error is about, and what to do; nothing for PostgreSQL."""
    settings = click.get_current_context().ensure_object(ScriptInfo).load_app().config["SETTINGS"]
    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite":
        return ""
    advice = (
        "; check that its folder exists and that you can write to it" if reason.startswith("unable to open") else ""
    )
    # Like Flask-SQLAlchemy, resolve a relative path in the instance folder.
    return f": {settings.instance / str(url.database)}{advice}"
