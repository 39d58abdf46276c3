"""The Flask extensions, unbound, and how a transaction begins. No rule of the petition lives here."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from typing import Any

from click import get_current_context
from flask import Flask, Response, request
from flask_compress import Compress
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, MetaData, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Session, SessionTransaction

from campaign.settings import ROOT, THREADS


class Base(DeclarativeBase):
    """What every table's class inherits."""

    # Constraints need names that do not depend on the database, or a migration can't find them again.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class CompressWhole(Compress):
    """Flask-Compress, but static files are read whole first: as streams it would leave them open."""

    def after_request(self, response: Response | None) -> Response:
        """Compress an answer if its reader takes it so."""
        if response is not None and request.endpoint == "static":
            response.direct_passthrough = False
            response.get_data()
        return super().after_request(response)


db = SQLAlchemy(model_class=Base)
compress = CompressWhole()


def is_command() -> bool:
    """Whether it is the flask command that works here, and no server."""
    return get_current_context(silent=True) is not None


def init_migrations(app: Flask) -> None:
    """Let the app's database be migrated. Not in a worker: Alembic would take 10 MB of it."""
    from flask_migrate import Migrate

    Migrate(app, db, directory=str(ROOT / "migrations"))


STORAGE_ERRORS = (DBAPIError, PoolTimeoutError)
"""What SQLAlchemy raises when the database is away, locked, full or read-only."""


WAIT_SECONDS = 5
"""How long somebody waits for their turn to write, as Python's driver does for a SQLite file that is locked."""
STORE_SECONDS = 8
"""How long a database may take that has begun; with the wait before it less than a proxy waits for us (15 seconds)."""


def engine_options(database_url: str, connections: int = THREADS) -> dict[str, Any]:
    """How SQLAlchemy connects to the database, with so many connections that are kept."""
    # Parameters are names and addresses; they must not get into a log by way of an error message.
    options: dict[str, Any] = {"hide_parameters": True, "pool_size": connections}
    if make_url(database_url).get_backend_name() == "postgresql":
        # A connection that a restart of the server has broken is found and replaced before it is used. A server that is
        # away, or a row that is locked, is waited for like a turn; one that has gone silent, little longer.
        silent = {
            "tcp_user_timeout": STORE_SECONDS * 1000,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        }
        # A command may count millions, and nobody waits for it in a browser.
        patience = "" if is_command() else f" -c statement_timeout={STORE_SECONDS}s"
        waiting = {"connect_timeout": WAIT_SECONDS, "options": f"-c lock_timeout={WAIT_SECONDS}s{patience}"}
        arguments = waiting | silent
        options |= {"pool_pre_ping": True, "connect_args": arguments}
    return options


def replica_binds(database_read_url: str) -> dict[str, dict[str, Any]]:
    """Flask-SQLAlchemy's name for the replica, if there is one, and how to connect to it."""
    if not database_read_url:
        return {}
    # It must be slow or away for less time than a reader waits, for there is another to ask.
    arguments = {"connect_timeout": 2, "options": "-c default_transaction_read_only=on -c statement_timeout=2s"}
    return {"read": {"url": database_read_url, **engine_options(database_read_url), "connect_args": arguments}}


@contextmanager
def write_transaction() -> Iterator[Session]:
    """One transaction on the app's own database that may write: committed at its end, rolled back on any exception.

    A command waits for its turn as long as it takes; a request no longer than WAIT_SECONDS. What a request has read so
    far stays readable, but its connection goes back first: a thread that held one and waited for another could wait for
    one that waits for it.

    Raises:
        STORAGE_ERRORS: it could not begin or be committed; nothing of it is stored.
    """
    db.session.close()
    engine = db.engine
    with turn_to_write(engine, _patience()), write_connection(engine) as connection, Session(connection) as session:
        yield session
        session.flush()


@contextmanager
def write_connection(engine: Engine) -> Iterator[Connection]:
    """The same for whose turn it is, without a session.

    It takes SQLite's write lock at its start, so that it never finds out at its end that it must begin again.

    Raises:
        STORAGE_ERRORS: it could not begin or be committed; nothing of it is stored.
    """
    with _writing(engine).begin() as connection:
        yield connection


# The site's and the desk's.
@lru_cache(maxsize=2)
def _writing(engine: Engine) -> Engine:
    return engine.execution_options(writes=True)


@event.listens_for(Session, "before_flush")
def _write_in_turn(session: Session, *_: object) -> None:
    """A session that has only read so far is about to write: on SQLite, its transaction ends and one begins that may.

    Out of one that has read SQLite lets nobody write once somebody else has written, and says so without waiting.
    """
    connection = session.connection()
    if connection.dialect.name != "sqlite" or connection.get_execution_options().get("writes") or _turn in session.info:
        return
    with ExitStack() as turn:
        connection.exec_driver_sql("COMMIT")
        turn.enter_context(turn_to_write(connection.engine, _patience()))
        session.info[_turn] = turn.pop_all()
    connection.exec_driver_sql("BEGIN IMMEDIATE")


_turn = "turn to write"


@event.listens_for(Session, "after_transaction_end")
def _give_turn_on(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None and _turn in session.info:
        session.info.pop(_turn).close()


def _patience() -> float | None:
    return None if is_command() else WAIT_SECONDS


@contextmanager
def turn_to_write(engine: Engine, seconds: float | None = None) -> Iterator[None]:
    """All threads and processes queue here for SQLite's one writer.

    Who waits by SQLite's own timer looks again after a tenth of a second, and may find somebody else before them for
    ever. The system keeps a queue, and gives the turn on at once, also when who has it is killed (flock(2)). Where it
    has no such queue, or the folder can't be written to, SQLite's timer it is.

    Raises:
        PoolTimeoutError: `seconds` were given, and the turn did not come within them.
    """
    file = engine.url.database or ""
    if engine.dialect.name != "sqlite" or file.startswith("file:"):
        yield
        return
    with ExitStack() as held:
        with suppress(OSError):
            held.callback(os.close, _queue_up(file) if seconds is None else _turn_within(file, seconds))
        yield


def _queue_up(file: str) -> int:
    # Beside the database; not the database itself, whose locks would go when this is closed.
    turn = os.open(f"{file}-turn", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
    except OSError:
        os.close(turn)
        raise
    return turn


def _turn_within(file: str, seconds: float) -> int:
    # The system's queue knows no patience; so one thread stands in it for all who have some, in their order.
    coming = _stands_in_queue.submit(_queue_up, file)
    try:
        return coming.result(seconds)
    except TimeoutError:
        if not coming.cancel():
            coming.add_done_callback(_let_others)
        raise PoolTimeoutError("others are writing") from None


_stands_in_queue = ThreadPoolExecutor(1, thread_name_prefix="turn")


def _let_others(come: "Future[int]") -> None:
    with suppress(OSError):
        os.close(come.result())


def lock_out_other_nodes(connection: Connection) -> None:
    """Let one process at a time, on whichever machine, set the database up; until the end of the transaction.

    SQLite needs nothing more than its write transaction.
    """
    if connection.dialect.name == "postgresql":
        # Any number will do, if nothing else takes it: the letters of "camp".
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.execute(select(func.pg_advisory_xact_lock(0x63616D70)))


def insert_into(dialect: str, table: type[Base]) -> Any:
    """An INSERT that can be given an ON CONFLICT clause, which SQLAlchemy keeps apart for each database."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table.__table__)  # type: ignore[arg-type]


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, _record: object) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    # Python's driver would begin transactions by its own rules; _begin_sqlite does it by ours.
    connection.isolation_level = None
    # FULL, because a thanked signature must outlive a power cut; WAL, because readers must not wait for writers.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
