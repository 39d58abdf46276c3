"""Exports are made one after the other. A process that makes one may be killed, or run out of disk or database."""

import csv
import errno
import io
import logging
import os
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Event

import openpyxl
import pypdf
import pytest
from flask import Flask
from sqlalchemy import Engine, event, func, select, update
from sqlalchemy.exc import OperationalError

from campaign.deliveries import contents, making, queue
from campaign.deliveries.contents import Purpose
from campaign.deliveries.exports import Kind
from campaign.deliveries.queue import Lost, Taken
from campaign.deliveries.work_folder import work_folder
from campaign.models.campaign import Campaign
from campaign.models.export import Export, ExportChunk, ExportState
from campaign.models.signature import Signature
from campaign.settings import Settings
from campaign.signatures import fake
from campaign.storage.database import STORAGE_ERRORS, db
from campaign.storage.transactions import write_transaction
from tests import services
from tests.conftest import Sign, dispose, wait_for
from tests.deliveries.conftest import OURS, Ask, Make, Start, content, export_of, make_next, use_folder
from tests.faults.disk import small_disk

pytestmark = pytest.mark.usefixtures("room")


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.slow
def test_export_of_each_format_is_made_and_can_be_downloaded(
    sign: Sign, ask: Ask, make: Make, room: Path, kind: Kind
) -> None:
    sign()
    requested = datetime.now(UTC)
    export = make(ask(kind))
    assert (export.state, export.done, export.total, export.fault) == (ExportState.READY, 1, 1, "")
    assert export.expires_at >= requested + timedelta(hours=24)
    file = content(export.id)
    assert len(file) == export.bytes
    if kind is Kind.CSV:
        assert file.startswith("\ufeffname,".encode())
        assert [row["name"] for row in csv.DictReader(io.StringIO(file.decode("utf-8-sig")))] == ["Ada Lovelace"]
    elif kind is Kind.SPREADSHEET:
        assert openpyxl.load_workbook(io.BytesIO(file)).active["A2"].value == "Ada Lovelace"
    else:
        cover, *_, last = (page.extract_text() for page in pypdf.PdfReader(io.BytesIO(file)).pages)
        assert cover.startswith("For delivery")
        assert "Ada Lovelace" in last
    assert list(room.iterdir()) == [], "no copy may remain on the disk"


@pytest.mark.slow
def test_export_has_the_requested_columns_and_signers(sign: Sign, ask: Ask, make: Make) -> None:
    sign()
    sign(email="grace@example.org", updates="y")
    with write_transaction() as session:
        session.execute(update(Signature).values(name="=1+1"))
    (row,) = csv.DictReader(io.StringIO(content(make(ask(order=OURS)).id).decode("utf-8-sig")))
    assert (row["email"], row["name"]) == ("grace@example.org", "'=1+1")
    assert list(row.items())[-1] == ("use", "internal use only")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Kind.CSV, Kind.SPREADSHEET])
def test_internal_file_has_the_language_after_the_source(sign: Sign, ask: Ask, make: Make, kind: Kind) -> None:
    sign()
    file = content(make(ask(kind, contents.order(Purpose.OURS, ["source", "language", "signed_at"]))).id)
    if kind is Kind.CSV:
        header, row = list(csv.reader(io.StringIO(file.decode("utf-8-sig"))))
    else:
        header, row = ([cell.value for cell in row] for row in openpyxl.load_workbook(io.BytesIO(file)).active.rows)
    assert header == ["source", "language", "signed_at", "anonymous", "use"]
    assert row[1] == "en"


@pytest.mark.slow
def test_export_requested_before_a_column_was_added_keeps_its_columns(sign: Sign, ask: Ask, make: Make) -> None:
    sign()
    export_id = ask()
    columns = ["name", "email", "country", "region", "city", "postal_code", "wants_updates", "source", "signed_at"]
    with write_transaction() as session:
        options = {"purpose": "ours", "columns": columns, "only_updates": False}
        session.execute(update(Export).values(options=options))
    (row,) = csv.DictReader(io.StringIO(content(make(export_id).id).decode("utf-8-sig")))
    assert [*row] == [*columns, "anonymous", "use"]


@pytest.mark.slow
def test_large_export_is_stored_in_chunks(campaign: Campaign, ask: Ask, make: Make) -> None:
    list(fake.sign(campaign.id, 30_000, datetime.now(UTC)))
    export = make(ask())
    sizes = db.session.scalars(select(func.length(ExportChunk.data)).order_by(ExportChunk.number)).all()
    assert len(sizes) > 1
    assert set(sizes[:-1]) == {making.PIECE}
    assert sum(sizes) == export.bytes
    assert content(export.id).count(b"\r\n") == 30_001


@pytest.mark.slow
def test_making_reports_progress(campaign: Campaign, ask: Ask, start: Start) -> None:
    list(fake.sign(campaign.id, 8_000, datetime.now(UTC)))
    export_id = ask(Kind.BOOK)
    maker = start()
    wait_for(lambda: export_of(export_id).total == 8_000)
    touched = export_of(export_id).touched_at
    wait_for(lambda: export_of(export_id).done > 0)
    assert export_of(export_id).touched_at > touched
    assert maker.wait(timeout=120) == 0
    assert export_of(export_id).done == 8_000


def test_process_reports_that_it_is_alive_while_it_counts_signatures(
    ask: Ask, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "PULSE_SECONDS", 0.01)
    export_id = ask()
    reported = Event()

    def wait_for_report(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT count(*) AS count, min("):
            reported.clear()
            assert reported.wait(10)
        elif statement.startswith("UPDATE export SET"):
            reported.set()

    event.listen(Engine, "before_cursor_execute", wait_for_report)
    try:
        assert make(export_id).state is ExportState.READY
    finally:
        event.remove(Engine, "before_cursor_execute", wait_for_report)


def test_folder_of_a_killed_process_is_deleted_and_that_of_a_living_one_is_not(app: Flask, room: Path) -> None:
    (room / "campaign-export-left").mkdir()
    (room / "campaign-export-left" / "export.csv").write_text("Ada Lovelace")
    with work_folder() as folder:
        assert not make_next(), "no export is waiting"
        assert list(room.iterdir()) == [folder]
    assert list(room.iterdir()) == []


@pytest.mark.slow
def test_exports_are_made_in_the_order_of_the_requests(sign: Sign, ask: Ask) -> None:
    sign()
    first, second = ask(), ask(Kind.SPREADSHEET)
    states = []
    while make_next():
        states.append([export_of(each).state.value for each in (first, second)])
    assert states == [["ready", "waiting"], ["ready", "ready"]]


@pytest.mark.slow
def test_killed_process_is_detected_and_another_makes_the_export(
    campaign: Campaign, ask: Ask, start: Start, make: Make, room: Path
) -> None:
    list(fake.sign(campaign.id, 5000, datetime.now(UTC)))
    export_id = ask(Kind.BOOK)
    maker = start()
    wait_for(lambda: export_of(export_id).state is ExportState.MAKING and any(room.glob("campaign-export-*")))
    os.kill(maker.pid, signal.SIGKILL)
    maker.wait(timeout=30)
    assert not queue.has_work(db.session(), datetime.now(UTC))
    assert not make_next(), "it may still live"
    with write_transaction() as session:
        session.execute(update(Export).values(touched_at=datetime.now(UTC) - timedelta(seconds=31)))
    assert queue.is_interrupted(export_of(export_id), datetime.now(UTC))
    assert make_next()
    export = export_of(export_id)
    assert (export.state, export.attempts, export.done) == (ExportState.READY, 2, 5000)
    assert content(export_id).startswith(b"%PDF-")
    assert list(room.iterdir()) == [], "files of the killed process must be deleted too"


def test_export_that_kills_three_processes_fails(ask: Ask) -> None:
    export_id = ask()
    for maker in ("a", "b", "c"):
        assert queue.take(db.engine, maker) == Taken(export_id, maker)
        assert queue.take(db.engine, "other") is None
        queue.give_back_of(db.engine, maker)
    assert queue.take(db.engine, "d") is None
    assert export_of(export_id).state is ExportState.FAILED
    assert "three attempts" in export_of(export_id).fault


def test_process_that_ends_in_order_gives_its_export_back_without_an_attempt(ask: Ask) -> None:
    export_id = ask()
    for number in range(5):
        taken = queue.take(db.engine, str(number))
        assert taken
        queue.give_back(db.engine, taken)
    assert (export_of(export_id).state, export_of(export_id).attempts) == (ExportState.WAITING, 0)


def test_suspended_process_changes_nothing_after_another_has_begun(ask: Ask) -> None:
    export_id = ask()
    slow = queue.take(db.engine, "slow")
    assert slow
    queue.store_chunk(db.engine, slow, 0, b"old")
    with write_transaction() as session:
        session.execute(update(Export).values(touched_at=datetime.now(UTC) - timedelta(minutes=1)))
    fast = queue.take(db.engine, "fast")
    assert fast == Taken(export_id, "fast")
    with pytest.raises(Lost):
        queue.report(db.engine, slow, done=9)
    with pytest.raises(Lost):
        queue.store_chunk(db.engine, slow, 1, b"old")
    with pytest.raises(Lost):
        queue.delete_chunks(db.engine, slow)
    with pytest.raises(Lost):
        queue.finish(db.engine, slow)
    queue.give_back(db.engine, slow, "fault")
    queue.give_back_of(db.engine, "slow")
    queue.fail(db.engine, slow, "fault")
    queue.delete_chunks(db.engine, fast)
    queue.store_chunk(db.engine, fast, 0, b"new")
    queue.finish(db.engine, fast, done=1)
    assert content(export_id) == b"new"
    assert (export_of(export_id).state, export_of(export_id).done) == (ExportState.READY, 1)


def test_simultaneous_processes_take_each_export_once(app: Flask, ask: Ask) -> None:
    wanted = {ask(), ask(Kind.SPREADSHEET), ask(Kind.BOOK)}
    together = Barrier(6)

    def take(number: int) -> int | None:
        with app.app_context():
            together.wait()
            taken = queue.take(db.engine, str(number))
            return taken.export_id if taken else None

    with ThreadPoolExecutor(6) as crowd:
        taken = [each for each in crowd.map(take, range(6)) if each]
    assert len(taken) == len({*taken})
    # On PostgreSQL, a process that finds only locked rows takes none. The worker looks again a second later.
    while found := queue.take(db.engine, "late"):
        taken.append(found.export_id)
    assert sorted(taken) == sorted(wanted)


@pytest.mark.slow
def test_terminated_process_deletes_its_temporary_files_and_gives_its_export_back(
    campaign: Campaign, ask: Ask, start: Start, room: Path
) -> None:
    list(fake.sign(campaign.id, 5000, datetime.now(UTC)))
    export_id = ask(Kind.BOOK)
    maker = start()
    wait_for(lambda: any(room.glob("*/*")))
    maker.terminate()
    assert maker.wait(timeout=60) == 1
    assert list(room.iterdir()) == []
    assert (export_of(export_id).state, export_of(export_id).attempts) == (ExportState.WAITING, 0)


@pytest.mark.slow
def test_finished_export_is_not_made_again(sign: Sign, ask: Ask, make: Make) -> None:
    sign()
    export = make(ask())
    expires = export.expires_at
    assert not make_next()
    assert export_of(export.id).expires_at == expires


def test_failed_export_has_a_reason_and_is_logged(
    app: Flask, ask: Ask, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    export_id = ask()
    with write_transaction() as session:
        session.execute(update(Campaign).values(time_zone="Europe/Atlantis"))
    with caplog.at_level(logging.ERROR):
        assert make_next()
    assert export_of(export_id).state is ExportState.FAILED
    assert "we’ve logged it" in export_of(export_id).fault
    assert "could not be made" in caplog.text


# The files don't depend on the database.
@pytest.mark.parametrize(
    ("database", "kind"), [*(("sqlite", kind) for kind in Kind), ("postgresql", Kind.CSV)], indirect=["database"]
)
@pytest.mark.slow
def test_export_fails_on_a_small_disk_and_succeeds_on_a_larger_one(
    campaign: Campaign, ask: Ask, start: Start, room: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    list(fake.sign(campaign.id, 10_000, datetime.now(UTC)))
    with small_disk(kilobytes=256) as disk:
        use_folder(disk.outside, monkeypatch)
        export_id = ask(kind)
        assert start().wait(timeout=120) == 0
        export = export_of(export_id)
        assert export.state is ExportState.FAILED
        assert "disk is full" in export.fault
        assert list(disk.outside.iterdir()) == [], "the unfinished file must be deleted"
    use_folder(room, monkeypatch)
    export_id = ask(kind)
    assert start().wait(timeout=120) == 0
    assert export_of(export_id).state is ExportState.READY


def test_export_fails_on_a_full_disk(ask: Ask, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    with small_disk(kilobytes=256) as disk:
        disk.fill()
        # Python tries these folders in order.
        monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(disk.outside)])
        monkeypatch.setattr(tempfile, "tempdir", None)
        export_id = ask()
        assert make_next()
    assert export_of(export_id).state is ExportState.FAILED
    assert "disk is full" in export_of(export_id).fault


class TestDatabaseOutage:
    """PostgreSQL is killed while an export is being made."""

    @pytest.fixture
    def database(self, own_server: services.Service) -> str:
        return own_server.url

    def test_export_waits_until_the_database_is_back_and_is_then_made(
        self, sign: Sign, ask: Ask, settings: Settings, own_server: services.Service
    ) -> None:
        sign()
        export_id = ask()
        dispose()

        def kill(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("INSERT INTO export_chunk"):
                own_server.kill()

        engine = making.connect(own_server.url)
        event.listen(engine, "before_cursor_execute", kill)
        with pytest.raises(STORAGE_ERRORS):
            making.make_next(engine, settings, "maker")
        engine.dispose()
        own_server.start()
        # The process could not even say that it has failed. It counts as dead after a while.
        assert export_of(export_id).state is ExportState.MAKING
        with write_transaction() as session:
            session.execute(update(Export).values(touched_at=datetime.now(UTC) - timedelta(seconds=31)))
        assert make_next()
        assert export_of(export_id).state is ExportState.READY
        assert content(export_id).count(b"Ada Lovelace") == 1


def test_export_fails_with_the_reason_after_three_storage_errors(ask: Ask) -> None:
    export_id = ask()

    def fail(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO export_chunk"):
            raise OperationalError("", {}, Exception("database or disk is full"))

    event.listen(Engine, "before_cursor_execute", fail)
    for number in range(1, 4):
        with pytest.raises(OperationalError):
            make_next()
        assert export_of(export_id).attempts == number
    event.remove(Engine, "before_cursor_execute", fail)
    assert export_of(export_id).state is ExportState.FAILED
    assert "database was unreachable or full" in export_of(export_id).fault
    assert not make_next()


def test_fault_tells_a_full_disk_from_an_unreachable_database() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    wrapped = RuntimeError("not written")
    wrapped.__cause__ = full
    for error in (full, wrapped):
        assert "server’s disk is full" in making.fault_of(error)
    away = OperationalError("", {}, Exception(os.strerror(errno.ENOSPC)))
    assert "database was unreachable or full" in making.fault_of(away)
