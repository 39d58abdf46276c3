"""Exports: made by a process of their own, kept for a day, handed out with an entry in the record."""

import csv
import errno
import io
import logging
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import openpyxl
import pypdf
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import Engine, ExceptionContext, create_engine, event, func, select, update
from sqlalchemy.exc import OperationalError

from campaign import delivery, exporting, exports, fake
from campaign.delivery import Order, Purpose
from campaign.desk_models import Account, Export, ExportChunk, ExportState, Record, Role
from campaign.exports import DEAD_AFTER, KEPT, LAST_FETCH, Kind
from campaign.extensions import db, engine_options, write_transaction
from campaign.models import Campaign, Signature
from campaign.record import Actor, actor
from campaign.settings import Settings
from tests import services
from tests.conftest import Publish, Sign, dispose, migrate
from tests.faults.disk import small_disk

HAND_OVER = delivery.order(Purpose.HAND_OVER, delivery.COLUMNS[Purpose.HAND_OVER])
OURS = delivery.order(Purpose.OURS, delivery.COLUMNS[Purpose.OURS], only_updates=True)


def export_of(export_id: int) -> Export:
    db.session.rollback()
    export = db.session.get(Export, export_id)
    assert export
    return export


def content(export_id: int) -> bytes:
    return b"".join(exports.chunks(db.engine, export_id))


def actions() -> list[tuple[str, dict[str, object]]]:
    db.session.rollback()
    entries = select(Record).where(Record.action.startswith("export.")).order_by(Record.id)
    return [(entry.action, entry.after) for entry in db.session.scalars(entries)]


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which makers work."""
    folder = tmp_path / "room"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def grace(app: Flask) -> Actor:
    """An organiser."""
    with write_transaction() as session:
        account = Account(
            email="grace@example.org", role=Role.ORGANISER, created_at=datetime.now(UTC), fs_uniquifier="g"
        )
        session.add(account)
        session.flush()
        return actor(account)


Ask = Callable[..., int]
Start = Callable[[int], "subprocess.Popen[bytes]"]


@pytest.fixture
def ask(grace: Actor, campaign: Campaign) -> Ask:
    def ask(kind: Kind = Kind.CSV, order: Order = HAND_OVER, now: datetime | None = None) -> int:
        with write_transaction() as session:
            return exports.ask(session, grace, campaign, kind, order, now or datetime.now(UTC))[0].id

    return ask


@pytest.fixture
def start(settings: Settings) -> Iterator[Start]:
    """Start a maker, as the desk does; none outlives the test."""
    started = []

    def start(export_id: int) -> "subprocess.Popen[bytes]":
        started.append(exports.start(export_id, settings))
        return started[-1]

    yield start
    for maker in started:
        maker.kill()
        maker.wait(timeout=30)


@pytest.fixture
def make(start: Start) -> Callable[[int], Export]:
    def make(export_id: int) -> Export:
        assert start(export_id).wait(timeout=120) == 0
        return export_of(export_id)

    return make


Make = Callable[[int], Export]


@pytest.mark.parametrize("kind", Kind)
def test_what_is_asked_for_is_made_and_can_be_fetched(sign: Sign, ask: Ask, make: Make, room: Path, kind: Kind) -> None:
    sign()
    asked = datetime.now(UTC)
    export = make(ask(kind))
    assert (export.state, export.done, export.total, export.fault) == (ExportState.READY, 1, 1, "")
    assert export.expires_at >= asked + KEPT
    file = content(export.id)
    assert len(file) == export.bytes
    if kind is Kind.CSV:
        assert [row["name"] for row in csv.DictReader(io.StringIO(file.decode()))] == ["Ada Lovelace"]
    elif kind is Kind.SPREADSHEET:
        assert openpyxl.load_workbook(io.BytesIO(file)).active["A2"].value == "Ada Lovelace"
    else:
        assert "Ada Lovelace" in pypdf.PdfReader(io.BytesIO(file)).pages[-1].extract_text()
    assert list(room.iterdir()) == [], "no copy is left on the disk"


def test_it_holds_what_was_asked_for(sign: Sign, ask: Ask, make: Make) -> None:
    sign()
    sign(email="grace@example.org", updates="y")
    with write_transaction() as session:
        session.execute(update(Signature).values(name="=1+1"))
    (row,) = csv.DictReader(io.StringIO(content(make(ask(order=OURS)).id).decode()))
    assert (row["email"], row["name"]) == ("grace@example.org", "'=1+1")


def test_a_large_one_is_stored_in_pieces(campaign: Campaign, ask: Ask, make: Make) -> None:
    list(fake.sign(campaign.id, 30_000, datetime.now(UTC)))
    export = make(ask())
    sizes = db.session.scalars(select(func.length(ExportChunk.data)).order_by(ExportChunk.number)).all()
    assert len(sizes) > 1
    assert set(sizes[:-1]) == {exporting.PIECE}
    assert sum(sizes) == export.bytes
    assert content(export.id).count(b"\r\n") == 30_001


def test_one_sees_how_far_it_has_come_and_it_lets_others_before_it(campaign: Campaign, ask: Ask, start: Start) -> None:
    list(fake.sign(campaign.id, 20_000, datetime.now(UTC)))
    export_id = ask(Kind.BOOK)
    maker = start(export_id)
    wait_for(lambda: export_of(export_id).total == 20_000)
    assert os.getpriority(os.PRIO_PROCESS, maker.pid) == exporting.NICENESS
    assert os.getsid(maker.pid) == maker.pid, "it does not go with the worker that started it"
    touched = export_of(export_id).touched_at
    wait_for(lambda: export_of(export_id).done > 0)
    assert export_of(export_id).touched_at > touched
    assert maker.wait(timeout=120) == 0
    assert export_of(export_id).done == 20_000


def test_a_killed_maker_is_noticed_and_the_file_is_made_again(
    campaign: Campaign, ask: Ask, start: Start, make: Make, room: Path
) -> None:
    list(fake.sign(campaign.id, 5000, datetime.now(UTC)))
    export_id = ask(Kind.BOOK)
    maker = start(export_id)
    wait_for(lambda: export_of(export_id).state is ExportState.MAKING and any(room.glob("campaign-export-*")))
    os.kill(maker.pid, signal.SIGKILL)
    maker.wait(timeout=30)
    export = export_of(export_id)
    assert not exports.is_dead(export, export.touched_at + DEAD_AFTER)
    later = datetime.now(UTC) + DEAD_AFTER + timedelta(seconds=1)
    assert exports.is_dead(export, later)
    again = ask(Kind.BOOK, now=later)
    assert again != export_id
    assert export_of(export_id).state is ExportState.FAILED
    assert "made again" in export_of(export_id).fault
    assert make(again).state is ExportState.READY
    assert list(room.iterdir()) == [], "what the killed one left is gone too"


def test_a_maker_that_was_given_up_leaves_no_file(campaign: Campaign, ask: Ask, start: Start) -> None:
    list(fake.sign(campaign.id, 5000, datetime.now(UTC)))
    export_id = ask(Kind.BOOK)
    maker = start(export_id)
    wait_for(lambda: export_of(export_id).state is ExportState.MAKING)
    with write_transaction() as session:
        exports.clean(session, datetime.now(UTC) + 2 * DEAD_AFTER)
    assert maker.wait(timeout=120) == 0
    assert export_of(export_id).state is ExportState.FAILED
    assert content(export_id) == b""


def test_a_maker_that_is_stopped_takes_its_files_away(campaign: Campaign, ask: Ask, start: Start, room: Path) -> None:
    list(fake.sign(campaign.id, 5000, datetime.now(UTC)))
    maker = start(ask(Kind.BOOK))
    wait_for(lambda: any(room.glob("*/*")))
    maker.terminate()
    assert maker.wait(timeout=60) == 1
    assert list(room.iterdir()) == []


def test_asking_again_gives_the_one_that_is_being_made(ask: Ask, publish: Publish, grace: Actor) -> None:
    first = ask()
    assert ask() == first
    assert ask(Kind.SPREADSHEET) != first
    other = publish(slug="other")
    with write_transaction() as session:
        export, new = exports.ask(session, grace, other, Kind.CSV, HAND_OVER, datetime.now(UTC))
        assert new
        assert export.id != first


def test_a_button_pressed_twice_at_once_makes_one_file(app: Flask, campaign: Campaign, ask: Ask) -> None:
    together, asked = Barrier(6), set[int]()

    def press() -> None:
        with app.app_context():
            together.wait()
            asked.add(ask())

    presses = [Thread(target=press) for _ in range(6)]
    for thread in presses:
        thread.start()
    for thread in presses:
        thread.join()
    assert len(asked) == 1


def test_a_book_is_never_for_ourselves(ask: Ask) -> None:
    with pytest.raises(ValueError, match="handed over"):
        ask(Kind.BOOK, OURS)


def test_it_is_made_once(sign: Sign, ask: Ask, make: Make) -> None:
    sign()
    export = make(ask())
    expires = export.expires_at
    assert make(export.id).expires_at == expires


def test_after_a_day_it_is_gone(sign: Sign, ask: Ask, make: Make, campaign: Campaign, grace: Actor) -> None:
    sign()
    export = make(ask())
    before, after = export.expires_at - timedelta(seconds=1), export.expires_at
    export_id = export.id
    assert exports.find(db.session(), campaign, export_id, before)
    gone = after + LAST_FETCH
    assert not exports.needs_cleaning(db.session(), after)
    assert exports.needs_cleaning(db.session(), gone)
    assert exports.of_campaign(db.session(), campaign, after) == []
    with write_transaction() as session:
        assert exports.hand_out(session, grace, campaign, export_id, after) is None
        assert exports.clean(session, gone) == 1
    assert content(export_id) == b""


def test_the_operator_can_have_old_files_deleted(ask: Ask, runner: FlaskCliRunner) -> None:
    ask(Kind.BOOK)
    ask()
    with write_transaction() as session:
        session.execute(update(Export).where(Export.kind == "csv").values(expires_at=datetime.now(UTC) - LAST_FETCH))
    assert runner.invoke(args=["signatures", "forget-exports"]).output == "1 deleted\n"
    assert db.session.scalars(select(Export.kind)).all() == ["pdf"]


def test_two_who_fetch_it_while_it_expires_get_it_whole_and_nobody_begins_any_more(
    ask: Ask, campaign: Campaign, grace: Actor
) -> None:
    export_id = ask()
    with write_transaction() as session:
        session.execute(update(Export).values(state=ExportState.READY))
        session.add_all(ExportChunk(export_id=export_id, number=number, data=b"A") for number in range(10))
    fetched = [exports.chunks(db.engine, export_id) for _ in range(2)]
    assert [next(each) for each in fetched] == [b"A"] * 2
    now = export_of(export_id).expires_at
    db.session.rollback()
    exports.sweep(now)
    with write_transaction() as session:
        assert exports.clean(session, now) == 0
        assert exports.hand_out(session, grace, campaign, export_id, now) is None
    assert [b"".join(each) for each in fetched] == [b"A" * 9] * 2


def test_signers_wait_for_no_more_than_a_few_pieces_of_an_old_file(
    app: Flask, ask: Ask, runner: FlaskCliRunner
) -> None:
    old, deletions = ask(), list[str]()
    with write_transaction() as session:
        session.execute(update(Export).values(state=ExportState.READY, expires_at=datetime.now(UTC) - LAST_FETCH))
        session.add_all(ExportChunk(export_id=old, number=number, data=b"A") for number in range(10))

    def note(_: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("DELETE FROM export_chunk"):
            deletions.append(statement)

    event.listen(Engine, "after_cursor_execute", note)
    said = runner.invoke(args=["signatures", "forget-exports"])
    event.remove(Engine, "after_cursor_execute", note)
    assert said.output == "1 deleted\n"
    # Four, four and two; and what the last one finds, which is nothing.
    assert len(deletions) == 4
    assert "LIMIT" in deletions[0]
    assert db.session.scalar(select(func.count()).select_from(ExportChunk)) == 0


def test_who_asks_and_who_fetches_is_in_the_record(
    sign: Sign, ask: Ask, make: Make, campaign: Campaign, grace: Actor
) -> None:
    sign()
    export_id = ask(order=OURS)
    with write_transaction() as session:
        assert exports.hand_out(session, grace, campaign, export_id, datetime.now(UTC)) is None, "it is not ready"
    make(export_id)
    with write_transaction() as session:
        assert exports.hand_out(session, grace, campaign, export_id, datetime.now(UTC))
    what = {"export": export_id, "kind": "csv", "purpose": "ours", "columns": list(OURS.columns), "only_updates": True}
    assert actions() == [("export.ask", what), ("export.download", what)]


def test_another_campaigns_file_is_not_found(sign: Sign, ask: Ask, make: Make, publish: Publish, grace: Actor) -> None:
    sign()
    export = make(ask())
    other = publish(slug="other")
    assert exports.find(db.session(), other, export.id, datetime.now(UTC)) is None
    export_id = export.id
    with write_transaction() as session:
        assert exports.hand_out(session, grace, other, export_id, datetime.now(UTC)) is None


def test_one_that_can_not_be_made_says_so(app: Flask, ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    export_id = ask()
    with write_transaction() as session:
        session.execute(update(Campaign).values(time_zone="Europe/Atlantis"))
    with caplog.at_level(logging.ERROR):
        exporting.make(db.engine, export_id, "Friends")
    assert export_of(export_id).state is ExportState.FAILED
    assert export_of(export_id).fault == "That should not happen. The site’s log says more."
    assert "could not be made" in caplog.text


@pytest.mark.parametrize("kind", Kind)
def test_on_a_small_disk_it_says_that_there_was_no_room_and_elsewhere_it_is_made(
    campaign: Campaign, ask: Ask, make: Make, room: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    list(fake.sign(campaign.id, 10_000, datetime.now(UTC)))
    with small_disk(kilobytes=256) as disk:
        monkeypatch.setenv("TMPDIR", str(disk.outside))
        export = make(ask(kind))
        assert (export.state, export.fault) == (ExportState.FAILED, "There was no room for it on the site’s machine.")
        assert list(disk.outside.iterdir()) == [], "what was begun is gone"
    monkeypatch.setenv("TMPDIR", str(room))
    assert make(ask(kind)).state is ExportState.READY


def test_with_no_room_at_all_it_says_so_too(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(kilobytes=256) as disk:
        disk.fill()
        # Python looks through these for one that takes a file.
        monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(disk.outside)])
        monkeypatch.setattr(tempfile, "tempdir", None)
        export_id = ask()
        exporting.make(db.engine, export_id, "Friends")
    assert export_of(export_id).state is ExportState.FAILED
    assert export_of(export_id).fault == "There was no room for it on the site’s machine."


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[services.Service]:
    """A PostgreSQL of the test's own, with tables."""
    with services.postgresql() as server:
        migrate(Settings.from_environ({"DATABASE_URL": server.url}, tmp_path))
        yield server


class TestDatabaseThatGoesAway:
    """PostgreSQL, killed while a file is being made."""

    @pytest.fixture
    def database(self, own_server: services.Service) -> str:
        return own_server.url

    def test_when_it_is_back_one_is_told_at_once_and_the_file_can_be_made_again(
        self, sign: Sign, ask: Ask, make: Make, own_server: services.Service
    ) -> None:
        sign()
        export_id, failed = ask(), list[ExceptionContext]()
        dispose()

        def leave(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("INSERT INTO export_chunk"):
                own_server.kill()

        def come_back(context: ExceptionContext) -> None:
            if not context.is_pre_ping:
                failed.append(context)
                # What could not be stored, and that it could not be stored.
                if len(failed) == 2:
                    own_server.start()

        engine = create_engine(own_server.url, **engine_options(own_server.url))
        event.listen(engine, "before_cursor_execute", leave)
        event.listen(engine, "handle_error", come_back)
        exporting.make(engine, export_id, "Friends")
        engine.dispose()
        assert len(failed) == 2
        assert export_of(export_id).state is ExportState.FAILED
        assert export_of(export_id).fault == "The database could not be reached, or had no room for it."
        assert content(export_id) == b""
        assert make(ask()).state is ExportState.READY


def test_a_database_that_is_away_ends_it_quietly(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "GIVE_UP_SECONDS", 0)
    engine = create_engine("sqlite:////nowhere/at-all.sqlite")
    with caplog.at_level(logging.ERROR):
        exporting.make(engine, 1, "Friends")
    assert "could not be made" in caplog.text


def test_its_fault_says_whose_it_is() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    wrapped = RuntimeError("not written")
    wrapped.__cause__ = full
    assert {exporting.fault_of(full), exporting.fault_of(wrapped)} == {
        "There was no room for it on the site’s machine."
    }
    away = OperationalError("", {}, Exception(os.strerror(errno.ENOSPC)))
    assert exporting.fault_of(away) == "The database could not be reached, or had no room for it."


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
