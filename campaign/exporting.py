"""Makes one export, in a process of its own: `python -m campaign.exporting ID`, which exports.py starts."""

import errno
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

from sqlalchemy import Engine, create_engine, delete, update
from sqlalchemy.orm import Session

from campaign import book, delivery, logs, spreadsheet
from campaign.delivery import Cell
from campaign.desk_models import Export, ExportChunk, ExportState
from campaign.exports import DEAD_AFTER, KEPT, Kind, order_of
from campaign.extensions import STORAGE_ERRORS, engine_options, turn_to_write, write_connection
from campaign.models import Campaign
from campaign.settings import Settings

NICENESS = 10
"""Signers come first."""
PULSE_SECONDS = 1
"""How often it says that it is alive, and how far it has come."""
GIVE_UP_SECONDS = DEAD_AFTER.total_seconds()
"""How long it tries to say why it could not be made; after that it counts as dead."""
PIECE = 1024 * 1024
"""Bytes that are stored in one transaction, so that signers get in between."""
_FOLDER = "campaign-export-"


def main() -> None:
    """Make the export whose id is the first argument, with the settings of the environment."""
    # The system may not let it, as the service in deploy/ is not let.
    with suppress(OSError):
        os.nice(NICENESS)
    # Stopped with the machine, it takes its files away first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    logs.set_up()
    settings = Settings.from_environ()
    engine = create_engine(settings.database_url, **engine_options(settings.database_url, 2))
    make(engine, int(sys.argv[1]), settings.site_name)
    engine.dispose()


def make(engine: Engine, export_id: int, site_name: str) -> None:
    """Make an export that is waiting, and store it; or write into its row why it could not be made."""
    try:
        if not _change(engine, export_id, ExportState.WAITING, state=ExportState.MAKING):
            return
        with _folder() as folder:
            maker = _Maker(engine, export_id, site_name)
            with maker.pulse():
                file = maker.make(folder)
                _store(engine, export_id, file)
            size = file.stat().st_size
        ready = {"state": ExportState.READY, "done": maker.of.count, "bytes": size, "spelled_out": maker.spelled_out}
        kept = _change(engine, export_id, ExportState.MAKING, expires_at=datetime.now(UTC) + KEPT, **ready)
        if not kept:
            # It was given up meanwhile, as after a machine that slept.
            _forget(engine, export_id)
    except Exception as error:
        logging.getLogger(__name__).exception("an export could not be made")
        _give_up(engine, export_id, fault_of(error))


def _give_up(engine: Engine, export_id: int, fault: str) -> None:
    """Write into its row why it could not be made; where the database itself is away, when it is back."""
    until = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            _forget(engine, export_id)
            for begun in (ExportState.WAITING, ExportState.MAKING):
                _change(engine, export_id, begun, state=ExportState.FAILED, fault=fault)
            return
        except STORAGE_ERRORS:
            if time.monotonic() >= until:
                return
            time.sleep(PULSE_SECONDS)


class _Maker:
    """One export that is being made."""

    def __init__(self, engine: Engine, export_id: int, site_name: str) -> None:
        self._engine, self._site_name = engine, site_name
        with Session(engine, expire_on_commit=False) as session:
            self._export = session.get_one(Export, export_id)
            self._campaign = session.get_one(Campaign, self._export.campaign_id)
            self._order = order_of(self._export)
            self.of = delivery.snapshot(session, self._campaign.id, only_updates=self._order.only_updates)
        self._done = self.spelled_out = 0
        _change(engine, export_id, ExportState.MAKING, total=self.of.count)

    def make(self, folder: Path) -> Path:
        """The file, in the folder."""
        kind = Kind(self._export.kind)
        file = folder / f"export.{kind}"
        if kind is Kind.BOOK:
            self._book(file)
            return file
        header = delivery.header(self._campaign, self._order)
        chunks = self._counted(delivery.rows(self._engine, self._campaign, self._order, self.of))
        if kind is Kind.SPREADSHEET:
            spreadsheet.write(file, header, chunks)
        else:
            with file.open("w", encoding="utf-8", newline="") as opened:
                opened.writelines(delivery.csv_chunks(header, chunks))
        return file

    def _book(self, file: Path) -> None:
        entries = delivery.entries(self._engine, self._campaign, self.of)
        period = (self.of.first, self.of.last) if self.of.first and self.of.last else None
        self.spelled_out = book.make(
            self._campaign,
            entries,
            file,
            site_name=self._site_name,
            period=period,
            now=datetime.now(UTC),
            progress=self._count,
        ).spelled_out

    def _counted(self, chunks: Iterable[list[list[Cell]]]) -> Iterator[list[list[Cell]]]:
        for chunk in chunks:
            yield chunk
            self._count(self._done + len(chunk))

    def _count(self, done: int) -> None:
        self._done = done

    @contextmanager
    def pulse(self) -> Iterator[None]:
        """Meanwhile, say every PULSE_SECONDS that it is being made, and how far."""
        over = Event()

        def beat() -> None:
            while not over.wait(PULSE_SECONDS):
                # One that could not be written is of no matter; who has written none for long counts as dead.
                with suppress(*STORAGE_ERRORS):
                    _change(self._engine, self._export.id, ExportState.MAKING, done=self._done)

        thread = Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _change(engine: Engine, export_id: int, before: ExportState, **values: Any) -> bool:
    """Write that into its row, and when, if its state was `before`; say whether it was."""
    of_export = Export.id == export_id, Export.state == before
    with turn_to_write(engine), write_connection(engine) as connection:
        changed = connection.execute(update(Export).where(*of_export).values(touched_at=datetime.now(UTC), **values))
    return changed.rowcount == 1


def _store(engine: Engine, export_id: int, file: Path) -> None:
    with file.open("rb") as opened:
        for number, data in enumerate(iter(lambda: opened.read(PIECE), b"")):
            with turn_to_write(engine), write_connection(engine) as connection, Session(connection) as session:
                session.add(ExportChunk(export_id=export_id, number=number, data=data))
                session.flush()


def _forget(engine: Engine, export_id: int) -> None:
    with turn_to_write(engine), write_connection(engine) as connection:
        connection.execute(delete(ExportChunk).where(ExportChunk.export_id == export_id))


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder on the disk for as long as this lasts; those of makers that were killed go too."""
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        # Python has found no folder that takes a file.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    for left in folder.glob(f"{_FOLDER}*-*"):
        maker = left.name.removeprefix(_FOLDER).partition("-")[0]
        if maker.isdigit() and not _runs(int(maker)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-") as name:
        yield Path(name)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True


def fault_of(error: BaseException) -> str:
    """Why it could not be made, for who asked for it."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(os.strerror(errno.ENOSPC) in str(each) for each in causes if not isinstance(each, STORAGE_ERRORS)):
        return "There was no room for it on the site’s machine."
    if isinstance(error, STORAGE_ERRORS):
        return "The database could not be reached, or had no room for it."
    return "That should not happen. The site’s log says more."


if __name__ == "__main__":
    main()
