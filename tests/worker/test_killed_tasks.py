"""A worker may be killed at any step of a task: the next one finds everything as it must be, and goes on."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from campaign.accounts import known_networks, sessions
from campaign.accounts.audit_log import Actor
from campaign.campaigns.pictures import storage as pictures
from campaign.campaigns.pictures.preparing import Prepared
from campaign.campaigns.versions import sittings
from campaign.mail import outbox, reminders
from campaign.models.account import Account, DeskSession, KnownNetwork, Role
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign, CampaignState, DraftSitting, Picture
from campaign.models.export import Export, ExportChunk, ExportState
from campaign.models.message import MailboxRecord, Message, MessageState, Queue
from campaign.models.signature import Signature, SignatureState
from campaign.moderation import indexing
from campaign.signatures import fake, tally
from campaign.statistics import roll_up_checks, roll_ups
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.worker import drafts, expiry
from campaign.worker import reminders as reminders_task
from campaign.worker.task import NOW
from tests.conftest import Publish, only_sqlite, stored
from tests.moderation.signatures import index_all
from tests.statistics.rolling import counted, roll_up, rolled_up
from tests.statistics.test_roll_ups import add_fake
from tests.worker.kills import Killed, killed_before_step

NEW = 5
"""New signatures before each kill: three pieces of at most two."""
EXPIRING = (Signature, MailboxRecord, ExportChunk, Export, Picture, Message, DeskSession, KnownNetwork)
"""The tables that `expiry` deletes from."""


def was_killed(task: Callable[[], timedelta], step: int) -> bool:
    """Run a task until a kill before this step, and then as the next worker does. Return whether it was killed."""
    try:
        with killed_before_step(step, statements=True):
            run(task)
    except Killed:
        db.session.rollback()
        run(task)
        return True
    return False


def run(task: Callable[[], timedelta]) -> None:
    """Run a task until it has nothing left to do."""
    while task() == NOW:
        pass


def accounts(*names: str) -> list[int]:
    """Add accounts of organizers, and return their ids."""
    with write_transaction() as session:
        added = [
            Account(email=f"{name}@example.org", role=Role.ORGANIZER, created_at=datetime.now(UTC), fs_uniquifier=name)
            for name in names
        ]
        session.add_all(added)
        session.flush()
        return [account.id for account in added]


def add_pending(session: Session, campaign: Campaign, key: str, at: datetime) -> None:
    """Add a signature that waits to be confirmed."""
    waiting = {"state": SignatureState.PENDING, "listed_at": None}
    session.add(Signature(**fake.signature(campaign.id, key, at) | waiting))


def indexed(campaign: Campaign) -> list[int]:
    """Return the ids in the search index of a campaign's signatures."""
    match = "SELECT rowid FROM signature_search WHERE signature_search MATCH :campaign ORDER BY rowid"
    db.session.rollback()
    return list(db.session.scalars(text(match), {"campaign": f'"\ue000{campaign.id}"'}))


@only_sqlite
def test_index_is_complete_after_kills_at_every_step(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BATCH", 2)
    step, was_killed = 0, True
    while was_killed:
        add_fake(campaign, NEW)
        try:
            with killed_before_step(step, statements=True):
                index_all()
            was_killed = False
        except Killed:
            db.session.rollback()
        index_all()
        assert indexed(campaign) == [signature.id for signature in stored()], step
        step += 1
    assert step > 15, "three pieces have more steps"


@pytest.mark.slow
def test_statistics_are_exact_after_kills_at_every_step(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll_ups, "PIECE", 2)
    step, was_killed, now = 0, True, datetime.now(UTC)
    while was_killed:
        add_fake(campaign, NEW)
        try:
            with killed_before_step(step, statements=True):
                roll_up(now)
            was_killed = False
        except Killed:
            db.session.rollback()
        roll_up(now)
        assert rolled_up(campaign, now) == counted(campaign, now), step
        assert sum(rolled_up(campaign, now)["country"].values()) == NEW * (step + 1), step
        step += 1
    assert step > 15, "three pieces have more steps"


def add_expiring(session: Session, campaign: Campaign, account_id: int, name: str, now: datetime) -> None:
    """Add a row to each table of EXPIRING that expires at `now`."""
    add_pending(session, campaign, name, now - timedelta(days=14))
    session.add(MailboxRecord(campaign_id=campaign.id, mailbox=name, touched_at=now - timedelta(days=14)))
    export = Export(campaign_id=campaign.id, account_id=account_id, kind="csv", options={}, state=ExportState.READY)
    export.asked_at = export.touched_at = now - timedelta(days=1)
    export.expires_at = now - timedelta(minutes=10)
    session.add(export)
    session.flush()
    session.add(ExportChunk(export_id=export.id, number=0, data=b"data"))
    pictures.store(session, Prepared(name.encode(), 1, 1), until=now)
    message = outbox.add(session, Queue.THANKS, f"{name}@example.org", "en", now - timedelta(days=7))
    message.state, message.ended_at = MessageState.SENT, now - timedelta(days=7)
    account = session.get_one(Account, account_id)
    sessions.begin(session, account, "Firefox", now - timedelta(hours=12))
    known_networks.remember(session, account_id, name, now - timedelta(days=90))


def expiring() -> dict[str, set[object]]:
    """Return the primary keys of all rows in the tables of EXPIRING."""
    db.session.rollback()
    keys = {table.__tablename__: table.__table__.primary_key for table in EXPIRING}
    return {name: set(map(tuple, db.session.execute(select(*key)))) for name, key in keys.items()}


@pytest.mark.slow
def test_expired_data_is_deleted_and_nothing_else_after_kills_at_every_step(campaign: Campaign) -> None:
    [account_id], now = accounts("grace"), datetime.now(UTC)
    with write_transaction() as session:
        add_expiring(session, campaign, account_id, "kept", now + timedelta(hours=1))
        ahead = outbox.add(session, Queue.THANKS, "ahead@example.org", "en", now)
        session.flush()
        ahead_id = ahead.id
    step, killed = 0, True
    while killed:
        # On SQLite, the new signature gets the id of an expired one that was deleted before.
        add_fake(campaign, 1)
        kept = expiring()
        with write_transaction() as session:
            add_expiring(session, campaign, account_id, "old", now - timedelta(seconds=1))
            session.get_one(Message, ahead_id).due_at = now + timedelta(days=3)
        roll_up(now)
        killed = was_killed(expiry.delete_expired, step)
        assert expiring() == kept, step
        assert db.session.get_one(Message, ahead_id).due_at < now + timedelta(days=1), step
        assert rolled_up(campaign, now) == counted(campaign, now), step
        assert sum(rolled_up(campaign, now)["country"].values()) == step + 1, step
        step += 1
    assert all(kept.values())
    assert tally.check(db.session(), campaign.id).is_correct
    db.session.rollback()
    assert not roll_up_checks.check(db.engine, campaign.id, now).wrong
    assert step > 20, "two pieces have more steps"


@pytest.mark.slow
def test_idle_sittings_become_one_entry_each_after_kills_at_every_step(
    publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sittings, "MOST_CLOSED", 2)
    idle_drafts = [publish(CampaignState.DRAFT, slug=slug) for slug in ("park", "river")]
    people = [Actor(id_, str(id_)) for id_ in accounts("ada", "grace", "mary")]
    now = datetime.now(UTC)
    idle = now - sittings.IDLE

    def add(by: Actor, draft: Campaign, title: str, at: datetime) -> None:
        with write_transaction() as session:
            sittings.add(session, by, draft, {"title": title, "version": draft.version - 1}, at)

    def entries() -> list[tuple[int | None, int | None, str]]:
        db.session.rollback()
        found = db.session.scalars(select(Record).where(Record.action == "campaign.edit"))
        return sorted((each.campaign_id, each.account_id, each.before["title"]) for each in found)

    add(people[2], idle_drafts[1], "Still typing", now)
    expected, step, killed = entries(), 0, True
    while killed:
        added = [(idle_drafts[0], people[0]), (idle_drafts[0], people[1]), (idle_drafts[1], people[0])]
        for draft, by in added:
            add(by, draft, f"Before step {step}", idle)
        add(people[1], idle_drafts[1], idle_drafts[1].title, idle)
        killed = was_killed(drafts.end_sittings, step)
        expected += [(draft.id, by.account_id, f"Before step {step}") for draft, by in added]
        assert entries() == sorted(expected), step
        left = db.session.scalars(select(DraftSitting)).all()
        assert [each.before["title"] for each in left] == ["Still typing"], step
        step += 1
    assert step > 15, "three pieces have more steps"


@pytest.mark.slow
def test_each_signer_gets_one_reminder_after_kills_at_every_step(
    app: Flask, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminders, "PIECE", 2)
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], mail_url="smtp://localhost", mail_from="a@example.org")
    campaigns = [publish(slug=slug, confirm=True, remind=True) for slug in ("park", "river")]
    now, step, killed = datetime.now(UTC), 0, True
    with write_transaction() as session:
        for campaign, signers in zip(campaigns, ("abcde", "a"), strict=True):
            for number, signer in enumerate(signers):
                # Two sign at the same moment, at the end of the first piece.
                at = now - timedelta(days=3) + timedelta(minutes=min(number, 1) if number < 3 else number)
                add_pending(session, campaign, f"{campaign.slug}-{signer}", at)
        # It is too early to remind this signer.
        add_pending(session, campaigns[0], "early", now - timedelta(days=1))
    signed = sorted(each.email for each in stored() if "early" not in each.email)
    while killed:
        with write_transaction() as session:
            session.execute(delete(Message))
            session.execute(update(Campaign).values(reminded_to=None))
        killed = was_killed(reminders_task.remind, step)
        db.session.rollback()
        assert sorted(db.session.scalars(select(Message.recipient))) == signed, step
        db.session.rollback()
        assert reminders.due(db.session(), datetime.now(UTC)) == [], step
        step += 1
    assert step > 15, "three pieces have more steps"
