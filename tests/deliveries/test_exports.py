"""Exports are requested, recorded in the audit log, downloaded for a day, and then deleted."""

from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import Engine, event, func, select, update

from campaign.accounts.audit_log import Actor
from campaign.deliveries import contents, exports
from campaign.deliveries.contents import Purpose
from campaign.deliveries.exports import Kind
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.models.export import Export, ExportChunk, ExportState
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import Publish, Sign
from tests.deliveries.conftest import HAND_OVER, OURS, Ask, Make, content, export_of


def actions() -> list[tuple[str, dict[str, object]]]:
    db.session.rollback()
    entries = select(Record).where(Record.action.startswith("export.")).order_by(Record.id)
    return [(entry.action, entry.after) for entry in db.session.scalars(entries)]


def test_second_request_is_queued_unless_the_same_file_is_waiting(ask: Ask, publish: Publish, grace: Actor) -> None:
    first = ask()
    assert ask() == first
    fewer = ask(order=contents.order(Purpose.HAND_OVER, ["name"]))
    assert fewer != first, "it has other columns"
    assert ask(Kind.SPREADSHEET) not in (first, fewer)
    internal = ask(order=OURS)
    assert internal != first, "nobody may get the internal file in place of the one for delivery"
    assert ask(order=OURS) == internal
    other = publish(slug="other")
    with write_transaction() as session:
        assert exports.ask(session, grace, other, Kind.CSV, HAND_OVER, datetime.now(UTC)).id != first
    with write_transaction() as session:
        session.execute(update(Export).where(Export.id == first).values(state=ExportState.MAKING))
    second = ask()
    assert second != first, "it includes signatures that have arrived since the first was begun"
    assert exports.order_of(export_of(fewer)).columns == ("name",)
    assert exports.ahead(db.session(), export_of(second)) == 5


def test_queue_of_a_campaign_has_a_limit(
    ask: Ask, publish: Publish, grace: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MOST_WAITING", 2)
    first = ask()
    ask(Kind.BOOK)
    with pytest.raises(exports.QueueFullError):
        ask(Kind.SPREADSHEET)
    assert ask() == first
    other = publish(slug="other")
    with write_transaction() as session:
        assert exports.ask(session, grace, other, Kind.CSV, HAND_OVER, datetime.now(UTC))


def test_simultaneous_requests_create_one_export(app: Flask, campaign: Campaign, ask: Ask) -> None:
    together, export_ids = Barrier(6), set[int]()

    def press() -> None:
        with app.app_context():
            together.wait()
            export_ids.add(ask())

    presses = [Thread(target=press) for _ in range(6)]
    for thread in presses:
        thread.start()
    for thread in presses:
        thread.join()
    assert len(export_ids) == 1


def test_book_is_only_for_the_addressees(ask: Ask) -> None:
    with pytest.raises(ValueError, match="for the addressees"):
        ask(Kind.BOOK, OURS)


@pytest.mark.slow
def test_export_expires_after_a_day(sign: Sign, ask: Ask, make: Make, campaign: Campaign, grace: Actor) -> None:
    sign()
    export = make(ask())
    before, after = export.expires_at - timedelta(seconds=1), export.expires_at
    export_id = export.id
    assert exports.find(db.session(), campaign, export_id, before)
    gone = after + timedelta(minutes=10)
    assert exports.of_campaign(db.session(), campaign, after) == []
    with write_transaction() as session:
        assert exports.hand_out(session, grace, campaign, export_id, after) is None
        assert exports.delete_expired(session, gone) == 0, "its chunks are deleted first, a few at a time"
        assert exports.delete_unneeded_chunks(session, after) is False
        assert exports.delete_unneeded_chunks(session, gone) is True
        assert exports.delete_unneeded_chunks(session, gone) is False
        assert exports.delete_expired(session, gone) == 1
    assert content(export_id) == b""


def test_forget_exports_deletes_expired_exports(ask: Ask, runner: FlaskCliRunner) -> None:
    ask(Kind.BOOK)
    ask()
    with write_transaction() as session:
        session.execute(
            update(Export)
            .where(Export.kind == "csv")
            .values(state=ExportState.READY, expires_at=datetime.now(UTC) - timedelta(minutes=10))
        )
    assert (
        runner.invoke(args=["signatures", "forget-exports"]).output
        == "Deleted 1 expired exports and 0 unused pictures.\n"
    )
    assert db.session.scalars(select(Export.kind)).all() == ["pdf"]


def test_waiting_export_does_not_expire(ask: Ask, campaign: Campaign) -> None:
    export_id = ask()
    with write_transaction() as session:
        assert exports.delete_expired(session, datetime.now(UTC) + timedelta(days=3)) == 0
    assert exports.find(db.session(), campaign, export_id, datetime.now(UTC) + timedelta(days=3))


def test_downloads_in_progress_finish_after_the_export_expires_but_no_new_one_starts(
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
    with write_transaction() as session:
        assert exports.delete_unneeded_chunks(session, now) is False
        assert exports.delete_expired(session, now) == 0
        assert exports.hand_out(session, grace, campaign, export_id, now) is None
    assert [b"".join(each) for each in fetched] == [b"A" * 9] * 2


def test_expired_file_is_deleted_a_few_chunks_per_transaction(app: Flask, ask: Ask, runner: FlaskCliRunner) -> None:
    old, deletions = ask(), list[str]()
    with write_transaction() as session:
        session.execute(
            update(Export).values(state=ExportState.READY, expires_at=datetime.now(UTC) - timedelta(minutes=10))
        )
        session.add_all(ExportChunk(export_id=old, number=number, data=b"A") for number in range(10))

    def record_deletion(_: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("DELETE FROM export_chunk"):
            deletions.append(statement)

    event.listen(Engine, "after_cursor_execute", record_deletion)
    result = runner.invoke(args=["signatures", "forget-exports"])
    event.remove(Engine, "after_cursor_execute", record_deletion)
    assert result.output == "Deleted 1 expired exports and 0 unused pictures.\n"
    # Four, four, and two chunks.
    assert len(deletions) == 3
    assert db.session.scalar(select(func.count()).select_from(ExportChunk)) == 0


@pytest.mark.slow
def test_requests_and_downloads_are_in_the_audit_log(
    sign: Sign, ask: Ask, make: Make, campaign: Campaign, grace: Actor
) -> None:
    sign()
    export_id = ask(order=OURS)
    with write_transaction() as session:
        assert exports.hand_out(session, grace, campaign, export_id, datetime.now(UTC)) is None, "it is not ready yet"
    make(export_id)
    with write_transaction() as session:
        assert exports.hand_out(session, grace, campaign, export_id, datetime.now(UTC))
    what = {"export": export_id, "kind": "csv", "purpose": "ours", "columns": list(OURS.columns), "only_updates": True}
    asked_at = db.session.get_one(Export, export_id).asked_at.isoformat()
    assert actions() == [("export.ask", what), ("export.download", what | {"asked_at": asked_at})]


@pytest.mark.slow
def test_export_of_another_campaign_is_not_found(
    sign: Sign, ask: Ask, make: Make, publish: Publish, grace: Actor
) -> None:
    sign()
    export = make(ask())
    other = publish(slug="other")
    assert exports.find(db.session(), other, export.id, datetime.now(UTC)) is None
    export_id = export.id
    with write_transaction() as session:
        assert exports.hand_out(session, grace, other, export_id, datetime.now(UTC)) is None
