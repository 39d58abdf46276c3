"""Makes one export in a separate process, `python -m campaign.deliveries.making ID`, which exports.py starts."""

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

from campaign.deliveries import book, contents, signatories, spreadsheet
from campaign.deliveries.contents import Cell
from campaign.deliveries.exports import DEAD_AFTER, KEPT, Kind, order_of
from campaign.deliveries.pages import paper_of
from campaign.models.campaign import Campaign, Picture
from campaign.models.export import Export, ExportChunk, ExportState
from campaign.monitoring import logging_setup
from campaign.settings import Settings
from campaign.storage.database import STORAGE_ERRORS, engine_options
from campaign.storage.transactions import turn_to_write, write_connection

NICENESS = 10
"""A low priority, so that signing comes first."""
PULSE_SECONDS = 1
"""How often the process reports that it is alive, and its progress."""
GIVE_UP_SECONDS = DEAD_AFTER.total_seconds()
"""How long the process tries to store the reason for a failure. After that, the export counts as dead anyway."""
PIECE = 1024 * 1024
"""Bytes that are stored in one transaction. They are few, so that signers don't wait."""
_FOLDER = "campaign-export-"


def main() -> None:
    """Make the export whose id is the first argument, with the settings of the environment."""
    # The system may forbid this, as deploy/campaign.service does.
    with suppress(OSError):
        os.nice(NICENESS)
    # Exit in order, so that temporary files are deleted when the machine shuts down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    logging_setup.set_up()
    settings = Settings.from_environ()
    engine = create_engine(settings.database_url, **engine_options(settings.database_url, 2))
    make(engine, int(sys.argv[1]), settings)
    engine.dispose()


def make(engine: Engine, export_id: int, settings: Settings) -> None:
    """Make an export that is waiting, and store it, or store the reason why it failed."""
    try:
        if not _change(engine, export_id, ExportState.WAITING, state=ExportState.MAKING):
            return
        with _folder() as folder:
            maker = _Maker(engine, export_id, settings)
            with maker.pulse():
                file = maker.make(folder)
                _store(engine, export_id, file)
            size = file.stat().st_size
        ready = {"state": ExportState.READY, "done": maker.of.count, "bytes": size, "spelled_out": maker.spelled_out}
        is_stored = _change(engine, export_id, ExportState.MAKING, expires_at=datetime.now(UTC) + KEPT, **ready)
        if not is_stored:
            # The export was marked as failed in the meantime, for example because the machine was suspended.
            _delete_chunks(engine, export_id)
    except Exception as error:
        logging.getLogger(__name__).exception("an export could not be made")
        _give_up(engine, export_id, fault_of(error))


def _give_up(engine: Engine, export_id: int, fault: str) -> None:
    """Store why an export failed. If the database is unreachable, try again for GIVE_UP_SECONDS."""
    until = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            _delete_chunks(engine, export_id)
            for before in (ExportState.WAITING, ExportState.MAKING):
                _change(engine, export_id, before, state=ExportState.FAILED, fault=fault)
            return
        except STORAGE_ERRORS:
            if time.monotonic() >= until:
                return
            time.sleep(PULSE_SECONDS)


class _Maker:
    """Makes the file of one export."""

    def __init__(self, engine: Engine, export_id: int, settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        with Session(engine, expire_on_commit=False) as session:
            self._export = session.get_one(Export, export_id)
            self._campaign = session.get_one(Campaign, self._export.campaign_id)
            self._order = order_of(self._export)
            # The book counts hidden signatures that it doesn't name.
            only_listed = self._export.kind != Kind.BOOK and not self._order.has_hidden
            self.of = contents.snapshot(
                session, self._campaign.id, only_updates=self._order.only_updates, only_listed=only_listed
            )
        self._done = self.spelled_out = 0
        _change(engine, export_id, ExportState.MAKING, total=self.of.count)

    def make(self, folder: Path) -> Path:
        """Write the file to the folder, and return its path."""
        kind = Kind(self._export.kind)
        file = folder / f"export.{kind}"
        if kind is Kind.BOOK:
            self._book(file)
            return file
        purpose = self._order.purpose
        rows = self._counted(contents.rows(self._engine, self._campaign, self._order, self.of))
        header, chunks = contents.marked(purpose, contents.header(self._campaign, self._order), rows)
        if kind is Kind.SPREADSHEET:
            spreadsheet.write(file, header, chunks, purpose)
        else:
            with file.open("w", encoding="utf-8", newline="") as opened:
                opened.write(contents.BOM)
                opened.writelines(contents.csv_chunks(header, chunks))
        return file

    def _book(self, file: Path) -> None:
        entries = signatories.entries(self._engine, self._campaign, self._order, self.of, file.parent)
        period = (self.of.first, self.of.last) if self.of.first and self.of.last else None
        with Session(self._engine) as session:
            picture = session.get(Picture, self._campaign.picture)
        self.spelled_out = book.make(
            self._campaign,
            entries,
            file,
            cover=book.Cover(self._settings.site_name, period, picture.data if picture else None),
            paper=paper_of(self._settings.site_country),
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
        """Until the block ends, report every PULSE_SECONDS that the export is being made, and its progress."""
        over = Event()

        def beat() -> None:
            while not over.wait(PULSE_SECONDS):
                # A single report may fail. The export counts as dead only if there is none for DEAD_AFTER.
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
    """Change an export's row if its state is `before`; return whether it was."""
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


def _delete_chunks(engine: Engine, export_id: int) -> None:
    with turn_to_write(engine), write_connection(engine) as connection:
        connection.execute(delete(ExportChunk).where(ExportChunk.export_id == export_id))


@contextmanager
def _folder() -> Iterator[Path]:
    """Create a temporary folder, delete it when the block ends, and delete folders left by killed processes."""
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        # Python raises this if it can't write to any of the usual folders.
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
    """Return why an export failed, in a sentence for the organizer."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(os.strerror(errno.ENOSPC) in str(each) for each in causes if not isinstance(each, STORAGE_ERRORS)):
        return "The server’s disk is full. Ask the person who runs the site to free some space."
    if isinstance(error, STORAGE_ERRORS):
        return "The database was unreachable or full. Please try again later."
    return "Something went wrong, and we’ve logged it. Please try again later."


if __name__ == "__main__":
    main()
