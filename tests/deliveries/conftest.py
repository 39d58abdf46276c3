"""Fixtures for exports: an organizer, and functions that request and make an export."""

import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from campaign.accounts.audit_log import Actor, actor
from campaign.deliveries import contents, exports
from campaign.deliveries.contents import Order, Purpose
from campaign.deliveries.exports import Kind
from campaign.models.account import Account, Role
from campaign.models.campaign import Campaign
from campaign.models.export import Export
from campaign.settings import Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction

HAND_OVER = contents.order(Purpose.HAND_OVER, contents.COLUMNS[Purpose.HAND_OVER])
OURS = contents.order(Purpose.OURS, contents.COLUMNS[Purpose.OURS], only_updates=True)


def export_of(export_id: int) -> Export:
    db.session.rollback()
    export = db.session.get(Export, export_id)
    assert export
    return export


def content(export_id: int) -> bytes:
    return b"".join(exports.chunks(db.engine, export_id))


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of processes that make exports."""
    folder = tmp_path / "room"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def grace(app: Flask) -> Actor:
    """An organizer."""
    with write_transaction() as session:
        account = Account(
            email="grace@example.org", role=Role.ORGANIZER, created_at=datetime.now(UTC), fs_uniquifier="g"
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
def start(settings: Settings, room: Path) -> Iterator[Start]:
    """Start processes that make exports, as the desk does, and kill them after the test."""
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


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
