"""Moving a site that has outgrown one machine: everything of a SQLite file, into the empty database of the settings."""

from pathlib import Path

from sqlalchemy import URL, Connection, LargeBinary, NullPool, Table, create_engine, func, insert, select, text
from sqlalchemy.orm import Session

from campaign import desk_models  # noqa: F401 (its tables are copied too)
from campaign.extensions import Base
from campaign.models import Campaign

ROWS = 1000
"""Rows held in memory at once."""
LARGE_ROWS = 10
"""The same of those that hold a part of a file, which is a megabyte."""


class CopyError(Exception):
    """The file can't be copied; nothing is."""


def copy_from(file: Path, session: Session) -> dict[str, int]:
    """Copy every row of the SQLite `file`, in the caller's write transaction; give back the rows of each table.

    The file is read as it is at one moment, and not changed. Ids stay what they are.

    Raises:
        CopyError: the file is of another version of the site, or there are campaigns already.
        STORAGE_ERRORS: it is no SQLite file, or the rows can't be stored.
    """
    if session.scalar(select(func.count()).select_from(Campaign)):
        raise CopyError("this database has campaigns already; a file can only be copied into an empty one")
    engine = create_engine(URL.create("sqlite", database=str(file)), poolclass=NullPool)
    with engine.connect() as source:
        theirs, ours = _version(source), _version(session.connection())
        if theirs != ours:
            raise CopyError(f"the file is of version {theirs}, this database is of {ours}; update the site first")
        return {table.name: _copy_table(table, source, session) for table in Base.metadata.sorted_tables}


def _version(connection: Connection) -> str:
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def _copy_table(table: Table, source: Connection, session: Session) -> int:
    copied = 0
    at_once = LARGE_ROWS if any(isinstance(column.type, LargeBinary) for column in table.columns) else ROWS
    for rows in source.execution_options(yield_per=at_once).execute(select(table)).mappings().partitions():
        session.execute(insert(table), [dict(row) for row in rows])
        copied += len(rows)
    key = table.autoincrement_column
    if copied and key is not None and session.get_bind().dialect.name == "postgresql":
        # What is stored next must not get an id that has come with the file.
        sequence = func.pg_get_serial_sequence(table.name, key.name)
        session.execute(select(func.setval(sequence, select(func.max(key)).scalar_subquery())))
    return copied
