"""Write transactions: how they begin, and the queue for SQLite's single writer."""

import fcntl
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache

from sqlalchemy import Connection, Engine, UpdateBase, event, func, select, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, SessionTransaction

from campaign.storage.database import WAIT_SECONDS, db, is_command


@contextmanager
def write_transaction() -> Iterator[Session]:
    """Open a session for one write transaction on the app's database: commit at the end, roll back on any exception.

    A command waits for its turn as long as it takes, a request at most WAIT_SECONDS. The request's own session is
    closed first, which returns its connection to the pool: threads that hold one connection and wait for another could
    deadlock. Objects that the request has loaded stay readable.

    Raises:
        STORAGE_ERRORS: The transaction could not begin or commit; nothing of it is stored.
    """
    db.session.close()
    engine = db.engine
    with turn_to_write(engine, _timeout()), write_connection(engine) as connection, Session(connection) as session:
        yield session
        session.flush()


@contextmanager
def write_connection(engine: Engine) -> Iterator[Connection]:
    """Open a connection for one write transaction, for callers that already have their turn to write.

    The transaction takes SQLite's write lock at its start, so that it can't fail later because another has written.

    Raises:
        STORAGE_ERRORS: The transaction could not begin or commit; nothing of it is stored.
    """
    with _writing(engine).begin() as connection:
        yield connection


def write_statement(engine: Engine, statement: UpdateBase) -> None:
    """Execute one statement in a transaction of its own. On PostgreSQL, that is a single round trip to the server.

    Raises:
        STORAGE_ERRORS: The statement could not be executed or committed; nothing of it is stored.
    """
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(statement)
        return
    with turn_to_write(engine), write_connection(engine) as connection:
        connection.execute(statement)


# The cache has room for two engines: one for the public site, one for the desk.
@lru_cache(maxsize=2)
def _writing(engine: Engine) -> Engine:
    return engine.execution_options(writes=True)


@event.listens_for(Session, "before_flush")
def _write_in_turn(session: Session, *_: object) -> None:
    """Turn a session's read transaction into a write transaction before its first write, on SQLite.

    If another connection has written since a read transaction began, SQLite refuses to write in it, without waiting.
    So the read transaction ends here, and a new one begins once it is the session's turn to write.
    """
    connection = session.connection()
    if connection.dialect.name != "sqlite" or connection.get_execution_options().get("writes") or _turn in session.info:
        return
    with ExitStack() as turn:
        connection.exec_driver_sql("COMMIT")
        turn.enter_context(turn_to_write(connection.engine, _timeout()))
        session.info[_turn] = turn.pop_all()
    connection.exec_driver_sql("BEGIN IMMEDIATE")


_turn = "turn to write"


@event.listens_for(Session, "after_transaction_end")
def _release_turn(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None and _turn in session.info:
        session.info.pop(_turn).close()


def _timeout() -> float | None:
    return None if is_command() else WAIT_SECONDS


@contextmanager
def turn_to_write(engine: Engine, seconds: float | None = None) -> Iterator[None]:
    """Hold the turn to write in a SQLite database, for which all threads and processes queue; no-op on PostgreSQL.

    SQLite's own waiting only retries every tenth of a second, so a writer may be overtaken forever. The operating
    system's queue for a file lock (flock(2)) passes the turn on at once, even if the process that has it is killed.
    If the system has no such queue, or the folder isn't writable, SQLite's own waiting remains.

    Args:
        engine: The database's engine.
        seconds: The timeout; None to wait as long as it takes.

    Raises:
        PoolTimeoutError: The turn did not come within `seconds`.
    """
    file = engine.url.database or ""
    if engine.dialect.name != "sqlite" or file.startswith("file:"):
        yield
        return
    with ExitStack() as held:
        with suppress(OSError):
            held.callback(os.close, _wait_for_turn(file) if seconds is None else _turn_within(file, seconds))
        yield


def _wait_for_turn(file: str) -> int:
    # A file beside the database: opening and closing the database file itself would release SQLite's locks on it.
    turn = os.open(f"{file}-turn", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
    except OSError:
        os.close(turn)
        raise
    return turn


def _turn_within(file: str, seconds: float) -> int:
    # flock() has no timeout. So one thread waits in the system's queue, in order, for all requests that have one.
    turn = _queueing_thread.submit(_wait_for_turn, file)
    try:
        return turn.result(seconds)
    except TimeoutError:
        if not turn.cancel():
            turn.add_done_callback(_pass_on)
        raise PoolTimeoutError("timed out while others were writing") from None


_queueing_thread = ThreadPoolExecutor(1, thread_name_prefix="turn")


def _pass_on(turn: "Future[int]") -> None:
    with suppress(OSError):
        os.close(turn.result())


def wait_for_writers(engine: Engine, table: str) -> bool:
    """Wait until every transaction that is writing to the table now has ended. Return False if one takes too long.

    Afterward, every row with an id that was taken before this call is visible, or its transaction was rolled back: on
    PostgreSQL, a transaction locks the table before it takes an id, and its rows are visible before it releases the
    lock. So this costs writers nothing. `CREATE INDEX CONCURRENTLY` waits in the same way. SQLite has only one writer.
    """
    if engine.dialect.name != "postgresql":
        return True
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        until = time.monotonic() + WRITER_SECONDS
        writers = now = set(connection.scalars(_WRITERS, {"table": table}))
        while writers & now:
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
            now = set(connection.scalars(_WRITERS, {"table": table}))
    return True


WRITER_SECONDS = 0.5
"""How long `wait_for_writers` waits. Storing signatures takes a fraction of that."""
_WRITERS = text(
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted "
    "AND relation = CAST(CAST(:table AS text) AS regclass) "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def lock_out_other_nodes(connection: Connection) -> None:
    """Let only one process of all machines set up the database, until the end of this transaction.

    On SQLite, the write transaction itself is enough.
    """
    if connection.dialect.name == "postgresql":
        # Any number that nothing else uses will do; this one is the letters of "camp".
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.execute(select(func.pg_advisory_xact_lock(0x63616D70)))
