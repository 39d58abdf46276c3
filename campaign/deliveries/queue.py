"""The queue of exports that wait to be made: each is made by one process at a time, its maker.

A maker reports every second. If it is silent for DEAD_AFTER, it has died, and another process starts the export again.
A maker that was only suspended finds out before it changes anything: each change is made on the condition that the
export is still its own. Each function here is a transaction of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from campaign.deliveries.exports import PIECES
from campaign.models.export import Export, ExportChunk, ExportState
from campaign.storage.transactions import turn_to_write, write_connection

DEAD_AFTER = timedelta(seconds=30)
"""How long a maker may be silent before it counts as dead."""
MOST_ATTEMPTS = 3
"""How many processes may die of an export, for example because memory is short. After that, the export has failed."""
_STOPPED = (
    "The file couldn’t be finished in three attempts, perhaps because the server ran out of memory. Ask the person who "
    "runs the site."
)


class Lost(Exception):  # noqa: N818 (it isn't an error of this process)
    """The export is no longer the caller's: another process makes it, or it was deleted."""


@dataclass(frozen=True)
class Taken:
    """An export that a process makes."""

    export_id: int
    maker: str


def _is_dead(now: datetime) -> ColumnElement[bool]:
    return and_(Export.state == ExportState.MAKING, Export.touched_at < now - DEAD_AFTER)


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(Export.state == ExportState.WAITING, _is_dead(now))


def is_interrupted(export: Export, now: datetime) -> bool:
    """Return whether the export was begun, and now waits for a process that starts it again."""
    dead = export.state is ExportState.MAKING and export.touched_at < now - DEAD_AFTER
    return dead or (export.state is ExportState.WAITING and export.maker != "")


def has_work(session: Session, now: datetime) -> bool:
    """Return whether an export waits for a process that makes it."""
    return session.scalar(select(Export.id).where(_is_free(now)).limit(1)) is not None


def take(engine: Engine, maker: str) -> Taken | None:
    """Take the export that has waited longest, or return None if none is waiting.

    Raises:
        STORAGE_ERRORS: The database failed; nothing is taken.
    """
    now = datetime.now(UTC)
    with _transaction(engine) as session:
        session.execute(_fail(_STOPPED).where(_is_free(now), Export.attempts >= MOST_ATTEMPTS))
        # On PostgreSQL, of two processes at the same moment, the second skips what the first takes.
        oldest = select(Export).where(_is_free(now)).order_by(Export.id).limit(1).with_for_update(skip_locked=True)
        export = session.scalar(oldest)
        if export is None:
            return None
        export.state, export.maker, export.touched_at = ExportState.MAKING, maker, now
        export.attempts += 1
        export.done = export.total = 0
        return Taken(export.id, maker)


def _fail(fault: str) -> Any:
    failed = update(Export).values(state=ExportState.FAILED, fault=fault)
    return failed.execution_options(synchronize_session=False)


def report(engine: Engine, taken: Taken, **values: int) -> None:
    """Store that the process is alive, and its progress.

    Raises:
        Lost: The export is no longer the caller's.
        STORAGE_ERRORS: The database failed; nothing is stored.
    """
    with _transaction(engine) as session:
        _change(session, taken, **values)


def store_chunk(engine: Engine, taken: Taken, number: int, data: bytes) -> None:
    """Store a part of the file.

    Raises:
        Lost, STORAGE_ERRORS: As in `report`.
    """
    with _transaction(engine) as session:
        _change(session, taken)
        session.add(ExportChunk(export_id=taken.export_id, number=number, data=data))


def delete_chunks(engine: Engine, taken: Taken) -> None:
    """Delete what an earlier maker has stored, a few chunks at a time, so that signers don't wait.

    Raises:
        Lost, STORAGE_ERRORS: As in `report`.
    """
    number = ExportChunk.number
    while True:
        with _transaction(engine) as session:
            _change(session, taken)
            own = ExportChunk.export_id == taken.export_id
            some = session.scalars(select(number).where(own).order_by(number).limit(PIECES)).all()
            if not some:
                return
            session.execute(delete(ExportChunk).where(own, number.in_(some)))


def finish(engine: Engine, taken: Taken, **values: Any) -> None:
    """Store that the file is complete.

    Raises:
        Lost, STORAGE_ERRORS: As in `report`.
    """
    with _transaction(engine) as session:
        _change(session, taken, state=ExportState.READY, **values)


def fail(engine: Engine, taken: Taken, fault: str) -> None:
    """Store why the file can't be made, and delete what there is of it, unless the export is no longer the caller's.

    Raises:
        STORAGE_ERRORS: The database failed. The export will be begun again.
    """
    try:
        delete_chunks(engine, taken)
        report_failure = {"state": ExportState.FAILED, "fault": fault}
        with _transaction(engine) as session:
            _change(session, taken, **report_failure)
    except Lost:
        return


def give_back(engine: Engine, taken: Taken, fault: str = "") -> None:
    """Let another process make the export, unless it is no longer the caller's.

    Args:
        engine: The database's engine.
        taken: The export.
        fault: Why this attempt has failed. After MOST_ATTEMPTS, the export has failed for this reason. Without a fault,
            the attempt doesn't count, because the process was only asked to end.

    Raises:
        STORAGE_ERRORS: The database failed. The export will be begun again after DEAD_AFTER.
    """
    with _transaction(engine) as session:
        own = Export.id == taken.export_id, Export.maker == taken.maker, Export.state == ExportState.MAKING
        if fault:
            session.execute(_fail(fault).where(*own, Export.attempts >= MOST_ATTEMPTS))
        attempts = Export.attempts if fault else Export.attempts - 1
        back = update(Export).where(*own).values(state=ExportState.WAITING, attempts=attempts)
        session.execute(back.execution_options(synchronize_session=False))


def give_back_of(engine: Engine, maker: str) -> None:
    """Let another process make the export of a maker that has died. The attempt counts.

    Raises:
        STORAGE_ERRORS: The database failed. The export will be begun again after DEAD_AFTER.
    """
    with _transaction(engine) as session:
        own = Export.maker == maker, Export.state == ExportState.MAKING
        back = update(Export).where(*own).values(state=ExportState.WAITING)
        session.execute(back.execution_options(synchronize_session=False))


def _change(session: Session, taken: Taken, **values: Any) -> None:
    own = Export.id == taken.export_id, Export.maker == taken.maker, Export.state == ExportState.MAKING
    changed = update(Export).where(*own).values(touched_at=datetime.now(UTC), **values)
    done = session.execute(changed, execution_options={"synchronize_session": False})
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise Lost


@contextmanager
def _transaction(engine: Engine) -> Iterator[Session]:
    with turn_to_write(engine), write_connection(engine) as connection, Session(connection) as session:
        yield session
        session.flush()
