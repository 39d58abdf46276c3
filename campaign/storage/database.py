"""Database connections: Flask-SQLAlchemy, engine options, and how SQLite's transactions begin."""

import json
import sqlite3
from collections.abc import Collection
from typing import Any

from click import get_current_context
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Select,
    any_,
    event,
    func,
    literal,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Session

from campaign.settings import ROOT, THREADS


class Base(DeclarativeBase):
    """Base class of all tables."""

    # Constraints need names that don't depend on the database, so that migrations can find them.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base)


def is_command() -> bool:
    """Return whether this process runs a flask command, not a server."""
    return get_current_context(silent=True) is not None


def init_migrations(app: Flask) -> None:
    """Enable migrations of the app's database. Workers don't call this, because Alembic takes 10 MB of memory."""
    from flask_migrate import Migrate

    Migrate(app, db, directory=str(ROOT / "migrations"))


STORAGE_ERRORS = (DBAPIError, PoolTimeoutError)
"""SQLAlchemy's errors when the database is unreachable, locked, full, or read-only."""
WAIT_SECONDS = 5
"""How long a write waits for its turn. Python's SQLite driver waits equally long for a locked file."""
STORE_SECONDS = 8
"""How long a database may take for a statement. With WAIT_SECONDS, it is less than the 15 seconds after which nginx
gives up (deploy/nginx.conf)."""
IDLE_SECONDS = 30
"""How long a transaction may be idle. PostgreSQL then rolls it back. Otherwise, a machine that dies in a transaction
would keep its rows locked for hours."""


def engine_options(database_url: str, connections: int = THREADS, *, for_requests: bool) -> dict[str, Any]:
    """Return SQLAlchemy's engine options for a database.

    Args:
        database_url: The URL of the database.
        connections: The size of the pool.
        for_requests: Whether statements have a timeout, because a browser waits. A command, the background worker, and
            a process that makes a file may count millions of rows.
    """
    # Parameters are names and email addresses, which must not get into a log as part of an error message.
    options: dict[str, Any] = {"hide_parameters": True, "pool_size": connections}
    if make_url(database_url).get_backend_name() == "postgresql":
        # pool_pre_ping replaces a connection that a restart of the server has broken. Connecting and waiting for a
        # locked row have the timeout of a write's turn. A server that stops responding has a slightly longer timeout.
        keepalive = {
            "tcp_user_timeout": STORE_SECONDS * 1000,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        }
        limits = {"lock_timeout": WAIT_SECONDS, "idle_in_transaction_session_timeout": IDLE_SECONDS}
        chosen = [f"{name}={seconds}s" for name, seconds in limits.items()]
        if for_requests:
            # For a plan that looks costly, PostgreSQL would start parallel workers or its JIT compiler. Requests do
            # little work, and both take longer than that.
            chosen += [f"statement_timeout={STORE_SECONDS}s", "max_parallel_workers_per_gather=0", "jit=off"]
        timeouts = {"connect_timeout": WAIT_SECONDS, "options": " ".join(f"-c {each}" for each in chosen)}
        options |= {"pool_pre_ping": True, "connect_args": timeouts | keepalive}
    return options


def replica_binds(database_read_url: str) -> dict[str, dict[str, Any]]:
    """Return Flask-SQLAlchemy's bind of the replica, or nothing if the site has no replica."""
    if not database_read_url:
        return {}
    # These timeouts are short, because pages can be read from the primary instead.
    arguments = {"connect_timeout": 2, "options": "-c default_transaction_read_only=on -c statement_timeout=2s"}
    return {
        "read": {
            "url": database_read_url,
            **engine_options(database_read_url, for_requests=True),
            "connect_args": arguments,
        }
    }


def insert_into(dialect: str, table: type[Base]) -> Any:
    """Return an INSERT that supports ON CONFLICT, for which SQLAlchemy has a class for each database."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table.__table__)  # type: ignore[arg-type]


def is_one_of(session: Session, column: InstrumentedAttribute[int], numbers: Collection[int]) -> ColumnElement[bool]:
    """Return the condition that a column has one of these numbers, which are one parameter of the statement.

    With IN and a parameter for each, a thousand of them take several times as long.
    """
    if session.get_bind().dialect.name == "postgresql":
        return column == any_(literal(list(numbers), ARRAY(BigInteger)))
    given = func.json_each(json.dumps(list(numbers))).table_valued("value")
    return column.in_(select(given.c.value))


def read_ids(session: Session, query: Select[int]) -> list[int]:
    """Return the ids that a query selects, in its order. The query needs a limit, or SQLite ignores its order.

    On SQLite, the ids are one row, because Python's driver lets other threads run after each row.
    """
    if session.get_bind().dialect.name == "postgresql":
        return list(session.scalars(query))
    ids: list[int] = json.loads(session.scalars(select(func.json_group_array(query.subquery().c[0]))).one())
    return ids


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, _record: object) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    # Stop Python's driver from beginning transactions by its own rules; _begin_sqlite begins them.
    connection.isolation_level = None
    # FULL, because a thanked signature must survive a power cut; WAL, because readers must not wait for writers.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
