"""Copies a site that has outgrown one machine from a SQLite file to the empty database of the settings."""

from pathlib import Path

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    LargeBinary,
    NullPool,
    Table,
    TableClause,
    create_engine,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from campaign.models import account, audit_log, export, message  # noqa: F401 (so that their tables are copied too)
from campaign.models.campaign import Campaign
from campaign.models.roll_up import RollUp
from campaign.models.signature import Signature
from campaign.signatures.equal_work import scratch
from campaign.storage.database import Base
from campaign.text.bounded_text import shortened

ROWS = 1000
"""How many rows are held in memory at once."""
LARGE_ROWS = 10
"""How many rows with binary data, of up to a megabyte each, are held in memory at once."""


class CopyError(Exception):
    """The file can't be copied. Nothing is stored."""


def copy_from(file: Path, session: Session) -> dict[str, int]:
    """Copy all rows of a SQLite file in the caller's write transaction, and return the number of rows of each table.

    The file is read in one transaction and does not change. Rows keep their ids.

    Raises:
        CopyError: The database already has campaigns, or the file is of another version or has invalid values.
        STORAGE_ERRORS: The file is not a SQLite file, or the rows can't be stored.
    """
    if session.scalar(select(func.count()).select_from(Campaign)):
        raise CopyError("this database already has campaigns. Copy the file to an empty database.")
    engine = create_engine(URL.create("sqlite", database=str(file)), poolclass=NullPool)
    with engine.connect() as source:
        # A malicious file must not be able to call a function, or return endless rows, through a view.
        source.exec_driver_sql("PRAGMA trusted_schema = OFF")
        tables = set(inspect(source).get_table_names())
        if "alembic_version" not in tables:
            raise CopyError("the file is not a database of this program")
        theirs, ours = _version(source), _version(session.connection())
        if theirs != ours:
            raise CopyError(
                f"the file has version {shortened(theirs)}, but this database has version {ours}. "
                "Run `flask prepare` with DATABASE_URL set to the file, then copy it again."
            )
        if missing := [table.name for table in Base.metadata.sorted_tables if table.name not in tables]:
            raise CopyError(f"the file has no table {missing[0]}")
        copied = {table.name: _copy_table(table, source, session) for table in Base.metadata.sorted_tables}
        _copy_attempts(source, session)
        # In a file of an earlier version, the worker may be ahead of the last signature, and would skip the next ones.
        newest = session.scalar(select(func.max(Signature.id))) or 0
        session.execute(update(RollUp).where(RollUp.position > newest).values(position=newest))
        return copied


def _version(connection: Connection) -> str:
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def _copy_table(table: Table, source: Connection, session: Session) -> int:
    copied = _copy_rows(table, source, session)
    key = table.autoincrement_column
    if copied and key is not None and session.get_bind().dialect.name == "postgresql":
        # New rows must not get an id that a copied row already has.
        sequence = func.pg_get_serial_sequence(table.name, key.name)
        session.execute(select(func.setval(sequence, select(func.max(key)).scalar_subquery())))
    return copied


def _copy_attempts(source: Connection, session: Session) -> None:
    """Copy the attempts to sign with blocked mailboxes. The other scratch rows exist already, and mean nothing."""
    _copy_rows(scratch, source, session, scratch.c.slot < 0)


def _copy_rows(
    table: Table | TableClause, source: Connection, session: Session, *conditions: ColumnElement[bool]
) -> int:
    copied = 0
    at_once = LARGE_ROWS if any(isinstance(column.type, LargeBinary) for column in table.columns) else ROWS
    wanted = select(table).where(*conditions)
    try:
        for rows in source.execution_options(yield_per=at_once).execute(wanted).mappings().partitions():
            session.execute(insert(table), [dict(row) for row in rows])
            copied += len(rows)
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        # SQLAlchemy raises these for an invalid time, or for a word that an enumeration doesn't have.
        raise CopyError(f"table {table.name} of the file has an invalid value: {shortened(str(error))}") from None
    return copied
