"""Makes an export: `make_next` takes the one that has waited longest, makes its file, and stores it.

The background worker runs this in a process of its own, `python -m campaign.deliveries.making PARENT MAKER`, where
PARENT is the process ID of the worker, and MAKER is the name under which queue.py leases the export. A file of a
million signatures takes minutes of computing, which would hold up the worker's other tasks. The memory that a book
needs is free again when the process ends. If the system kills the process because memory is short, the worker lives on.
"""

import errno
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from campaign.deliveries import contents, queue, spreadsheet
from campaign.deliveries.book import book, signatories
from campaign.deliveries.book.pages import paper_of
from campaign.deliveries.contents import Cell, Snapshot
from campaign.deliveries.exports import KEPT, Kind, order_of
from campaign.deliveries.queue import Lost, Taken
from campaign.deliveries.work_folder import delete_left_folders, work_folder
from campaign.models.campaign import Campaign, Picture
from campaign.models.export import Export
from campaign.monitoring import logging_setup
from campaign.settings import Settings
from campaign.storage.database import STORAGE_ERRORS, engine_options

PULSE_SECONDS = 1
"""How often the process reports that it is alive, and its progress, and checks that the worker is alive."""
PIECE = 1024 * 1024
"""Bytes that are stored in one transaction. They are few, so that signers don't wait."""

_log = logging.getLogger(__name__)


def main() -> None:
    """Make the next export, with the settings of the environment. End if the parent ends."""
    # Exit gracefully, so that temporary files are deleted, and another process can make the export at once.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parent, maker = int(sys.argv[1]), sys.argv[2]
    Thread(target=_end_with, args=(parent,), daemon=True).start()
    logging_setup.set_up()
    settings = Settings.from_environ()
    engine = connect(settings.database_url)
    try:
        make_next(engine, settings, maker)
    except STORAGE_ERRORS:
        _log.exception("an export could not be made now")
        sys.exit(1)
    finally:
        engine.dispose()


def connect(database_url: str) -> Engine:
    """Return an engine for one export: a connection that reads or stores the file, and one that reports progress."""
    return create_engine(database_url, **engine_options(database_url, 2, for_requests=False))


def _end_with(parent: int) -> None:
    """Terminate this process once its parent has ended."""
    while os.getppid() == parent:
        time.sleep(PULSE_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def make_next(engine: Engine, settings: Settings, maker: str) -> bool:
    """Make the export that has waited longest, and store it, or store the reason why it failed.

    Args:
        engine: The database's engine.
        settings: The site's settings: a book has the organization's name, and the paper of its country.
        maker: A random name of the caller, which no other process has.

    Returns:
        Whether an export was waiting.

    Raises:
        STORAGE_ERRORS: The database was unreachable. The export waits for another attempt.
    """
    delete_left_folders()
    taken = queue.take(engine, maker)
    if taken is None:
        return False
    try:
        _make(engine, settings, taken)
    except Lost:
        _log.warning("another process makes this export, because this process was silent for too long")
    except STORAGE_ERRORS as error:
        queue.give_back(engine, taken, fault_of(error))
        raise
    except Exception as error:
        _log.exception("an export could not be made")
        queue.fail(engine, taken, fault_of(error))
    except BaseException:
        # The process was asked to end, which says nothing about the export.
        queue.give_back(engine, taken)
        raise
    return True


def _make(engine: Engine, settings: Settings, taken: Taken) -> None:
    queue.delete_chunks(engine, taken)
    with work_folder() as folder:
        maker = _Maker(engine, settings, taken)
        with maker.pulse():
            maker.count()
            file = maker.make(folder)
            _store(engine, taken, file)
        size = file.stat().st_size
    queue.finish(
        engine,
        taken,
        done=maker.of.count,
        bytes=size,
        spelled_out=maker.spelled_out,
        expires_at=datetime.now(UTC) + KEPT,
    )


class _Maker:
    """Makes the file of one export."""

    def __init__(self, engine: Engine, settings: Settings, taken: Taken) -> None:
        self._engine, self._settings, self._taken = engine, settings, taken
        with Session(engine, expire_on_commit=False) as session:
            self._export = session.get_one(Export, taken.export_id)
            self._campaign = session.get_one(Campaign, self._export.campaign_id)
        self._order = order_of(self._export)
        self.of = Snapshot(self._campaign.id, newest=0, only_updates=False, only_listed=False)
        self._done = self.spelled_out = 0

    def count(self) -> None:
        """Decide which signatures the file contains, and report their number. With millions, this takes a while."""
        # The book counts hidden signatures that it doesn't name.
        only_listed = self._export.kind != Kind.BOOK and not self._order.has_hidden
        with Session(self._engine) as session:
            self.of = contents.snapshot(
                session, self._campaign.id, only_updates=self._order.only_updates, only_listed=only_listed
            )
        queue.report(self._engine, self._taken, total=self.of.count)

    def make(self, folder: Path) -> Path:
        """Write the file with the counted signatures to the folder, and return its path."""
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
                # A single report may fail. The process counts as dead only if there is none for DEAD_AFTER. If it
                # has lost the export, it finds out when it stores the file.
                with suppress(Lost, *STORAGE_ERRORS):
                    queue.report(self._engine, self._taken, done=self._done)

        thread = Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _store(engine: Engine, taken: Taken, file: Path) -> None:
    with file.open("rb") as opened:
        for number, data in enumerate(iter(lambda: opened.read(PIECE), b"")):
            queue.store_chunk(engine, taken, number, data)


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
