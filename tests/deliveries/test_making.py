"""Exports are made in a separate process, which may be killed, or run out of disk space or database."""

import csv
import errno
import io
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
import pypdf
import pytest
from flask import Flask
from sqlalchemy import ExceptionContext, create_engine, event, func, select, update
from sqlalchemy.exc import OperationalError

from campaign.deliveries import exports, making
from campaign.deliveries.exports import Kind
from campaign.models.campaign import Campaign
from campaign.models.export import ExportChunk, ExportState
from campaign.models.signature import Signature
from campaign.settings import Settings
from campaign.signatures import fake
from campaign.storage.database import db, engine_options
from campaign.storage.transactions import write_transaction
from tests import services
from tests.conftest import Sign, dispose, migrate
from tests.deliveries.conftest import OURS, Ask, Make, Start, content, export_of, wait_for
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
def test_large_export_is_stored_in_chunks(campaign: Campaign, ask: Ask, make: Make) -> None:
    list(fake.sign(campaign.id, 30_000, datetime.now(UTC)))
    export = make(ask())
    sizes = db.session.scalars(select(func.length(ExportChunk.data)).order_by(ExportChunk.number)).all()
    assert len(sizes) > 1
    assert set(sizes[:-1]) == {making.PIECE}
    assert sum(sizes) == export.bytes
    assert content(export.id).count(b"\r\n") == 30_001


@pytest.mark.slow
def test_making_reports_progress_and_runs_at_low_priority(campaign: Campaign, ask: Ask, start: Start) -> None:
    list(fake.sign(campaign.id, 20_000, datetime.now(UTC)))
    export_id = ask(Kind.BOOK)
    maker = start(export_id)
    wait_for(lambda: export_of(export_id).total == 20_000)
    assert os.getpriority(os.PRIO_PROCESS, maker.pid) == making.NICENESS
    assert os.getsid(maker.pid) == maker.pid, "it must outlive the worker that started it"
    touched = export_of(export_id).touched_at
    wait_for(lambda: export_of(export_id).done > 0)
    assert export_of(export_id).touched_at > touched
    assert maker.wait(timeout=120) == 0
    assert export_of(export_id).done == 20_000


@pytest.mark.slow
def test_killed_process_is_detected_and_the_export_can_be_requested_again(
    campaign: Campaign, ask: Ask, start: Start, make: Make, room: Path
) -> None:
    list(fake.sign(campaign.id, 5000, datetime.now(UTC)))
    export_id = ask(Kind.BOOK)
    maker = start(export_id)
    wait_for(lambda: export_of(export_id).state is ExportState.MAKING and any(room.glob("campaign-export-*")))
    os.kill(maker.pid, signal.SIGKILL)
    maker.wait(timeout=30)
    export = export_of(export_id)
    assert not exports.is_dead(export, export.touched_at + timedelta(seconds=60))
    later = datetime.now(UTC) + timedelta(seconds=61)
    assert exports.is_dead(export, later)
    again = ask(Kind.BOOK, now=later)
    assert again != export_id
    assert export_of(export_id).state is ExportState.FAILED
    assert "request it again" in export_of(export_id).fault
    assert make(again).state is ExportState.READY
    assert list(room.iterdir()) == [], "files of the killed process must be deleted too"


@pytest.mark.slow
def test_process_whose_export_was_marked_as_failed_leaves_no_file(campaign: Campaign, ask: Ask, start: Start) -> None:
    list(fake.sign(campaign.id, 5000, datetime.now(UTC)))
    export_id = ask(Kind.BOOK)
    maker = start(export_id)
    wait_for(lambda: export_of(export_id).state is ExportState.MAKING)
    with write_transaction() as session:
        exports.clean(session, datetime.now(UTC) + timedelta(seconds=120))
    assert maker.wait(timeout=120) == 0
    assert export_of(export_id).state is ExportState.FAILED
    assert content(export_id) == b""


@pytest.mark.slow
def test_terminated_process_deletes_its_temporary_files(campaign: Campaign, ask: Ask, start: Start, room: Path) -> None:
    list(fake.sign(campaign.id, 5000, datetime.now(UTC)))
    maker = start(ask(Kind.BOOK))
    wait_for(lambda: any(room.glob("*/*")))
    maker.terminate()
    assert maker.wait(timeout=60) == 1
    assert list(room.iterdir()) == []


@pytest.mark.slow
def test_finished_export_is_not_made_again(sign: Sign, ask: Ask, make: Make) -> None:
    sign()
    export = make(ask())
    expires = export.expires_at
    assert make(export.id).expires_at == expires


def test_failed_export_has_a_reason_and_is_logged(
    app: Flask, ask: Ask, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    export_id = ask()
    with write_transaction() as session:
        session.execute(update(Campaign).values(time_zone="Europe/Atlantis"))
    with caplog.at_level(logging.ERROR):
        making.make(db.engine, export_id, settings)
    assert export_of(export_id).state is ExportState.FAILED
    assert "we’ve logged it" in export_of(export_id).fault
    assert "could not be made" in caplog.text


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.slow
def test_export_fails_on_a_small_disk_and_succeeds_on_a_larger_one(
    campaign: Campaign, ask: Ask, make: Make, room: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    list(fake.sign(campaign.id, 10_000, datetime.now(UTC)))
    with small_disk(kilobytes=256) as disk:
        monkeypatch.setenv("TMPDIR", str(disk.outside))
        export = make(ask(kind))
        assert export.state is ExportState.FAILED
        assert "disk is full" in export.fault
        assert list(disk.outside.iterdir()) == [], "the unfinished file must be deleted"
    monkeypatch.setenv("TMPDIR", str(room))
    assert make(ask(kind)).state is ExportState.READY


def test_export_fails_on_a_full_disk(ask: Ask, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    with small_disk(kilobytes=256) as disk:
        disk.fill()
        # Python tries these folders in order.
        monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(disk.outside)])
        monkeypatch.setattr(tempfile, "tempdir", None)
        export_id = ask()
        making.make(db.engine, export_id, settings)
    assert export_of(export_id).state is ExportState.FAILED
    assert "disk is full" in export_of(export_id).fault


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[services.Service]:
    """A PostgreSQL server with tables, for one test."""
    with services.postgresql() as server:
        migrate(Settings.from_environ({"DATABASE_URL": server.url}, tmp_path))
        yield server


class TestDatabaseOutage:
    """PostgreSQL is killed while an export is being made."""

    @pytest.fixture
    def database(self, own_server: services.Service) -> str:
        return own_server.url

    def test_failure_is_stored_once_the_database_is_back_and_the_export_can_be_requested_again(
        self, sign: Sign, ask: Ask, make: Make, own_server: services.Service, settings: Settings
    ) -> None:
        sign()
        export_id, failed = ask(), list[ExceptionContext]()
        dispose()

        def kill(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("INSERT INTO export_chunk"):
                own_server.kill()

        def restart(context: ExceptionContext) -> None:
            if not context.is_pre_ping:
                failed.append(context)
                # The first failure is storing the chunk; the second is storing the reason.
                if len(failed) == 2:
                    own_server.start()

        engine = create_engine(own_server.url, **engine_options(own_server.url))
        event.listen(engine, "before_cursor_execute", kill)
        event.listen(engine, "handle_error", restart)
        making.make(engine, export_id, settings)
        engine.dispose()
        assert len(failed) == 2
        assert export_of(export_id).state is ExportState.FAILED
        assert "database was unreachable" in export_of(export_id).fault
        assert content(export_id) == b""
        assert make(ask()).state is ExportState.READY


def test_unreachable_database_ends_the_process_with_a_log_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(making, "GIVE_UP_SECONDS", 0)
    engine = create_engine("sqlite:////nowhere/at-all.sqlite")
    with caplog.at_level(logging.ERROR):
        making.make(engine, 1, settings)
    assert "could not be made" in caplog.text


def test_fault_tells_a_full_disk_from_an_unreachable_database() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    wrapped = RuntimeError("not written")
    wrapped.__cause__ = full
    for error in (full, wrapped):
        assert "server’s disk is full" in making.fault_of(error)
    away = OperationalError("", {}, Exception(os.strerror(errno.ENOSPC)))
    assert "database was unreachable or full" in making.fault_of(away)
