"""Fixtures for exports: an organizer, and functions that request and make an export."""

import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask, current_app

from campaign.accounts.audit_log import Actor, actor
from campaign.deliveries import contents, exports, making
from campaign.deliveries.contents import Order, Purpose
from campaign.deliveries.exports import Kind
from campaign.models.account import Account, Role
from campaign.models.campaign import Campaign
from campaign.models.export import Export, ExportState
from campaign.settings import Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.worker import export_process

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
    """The temporary folder for making exports."""
    folder = tmp_path / "room"
    folder.mkdir()
    use_folder(folder, monkeypatch)
    return folder


def use_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make exports in this folder, in this process and in those that it starts."""
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


def make_next() -> bool:
    """Make the export that has waited longest, in this process; return whether there was one."""
    db.session.rollback()
    return making.make_next(db.engine, current_app.config["SETTINGS"], secrets.token_hex(16))


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
Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def ask(grace: Actor, campaign: Campaign) -> Ask:
    def ask(kind: Kind = Kind.CSV, order: Order = HAND_OVER, now: datetime | None = None) -> int:
        with write_transaction() as session:
            return exports.ask(session, grace, campaign, kind, order, now or datetime.now(UTC)).id

    return ask


@pytest.fixture
def start(settings: Settings, room: Path) -> Iterator[Start]:
    """Start processes that make an export, as the worker does, and kill them after the test."""
    started = []

    def start() -> "subprocess.Popen[bytes]":
        started.append(export_process.start(settings, secrets.token_hex(16)))
        return started[-1]

    yield start
    for maker in started:
        maker.kill()
        maker.wait(timeout=30)


@pytest.fixture
def make(room: Path) -> Callable[[int], Export]:
    """Return a function that makes exports until this one has been made, and returns it."""

    def make(export_id: int) -> Export:
        while export_of(export_id).state is ExportState.WAITING:
            assert make_next()
        return export_of(export_id)

    return make


Make = Callable[[int], Export]
