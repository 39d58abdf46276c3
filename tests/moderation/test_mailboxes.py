"""Removing a signature releases its mailbox, so that its owner can sign, unless an organizer blocks the mailbox."""

import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import Connection, event, insert, select, update

from campaign.accounts import audit_log
from campaign.deliveries import contents
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.models.signature import Signature, SignatureState, Standing, standing
from campaign.moderation import actions, duplicates, mailboxes
from campaign.moderation import undo as undoing
from campaign.moderation.actions import Action
from campaign.moderation.changes import Done
from campaign.moderation.table import Filter
from campaign.signatures import fake, feed, tally
from campaign.signatures.equal_work import slot_of
from campaign.statistics import figures
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import Sign, store_batch, stored
from tests.moderation.signatures import found, look
from tests.statistics.rolling import roll_up

HIDE, REMOVE, BLOCK, RESTORE = Action
BY = audit_log.COMMAND
ADDRESS = "ada@example.org"

Act = Callable[..., Done]


@pytest.fixture
def act(app: Flask, campaign: Campaign) -> Act:
    def act(action: Action, *ids: int) -> Done:
        with write_transaction() as session:
            return actions.act(session, BY, campaign.id, action, ids, "spam", datetime.now(UTC), may_remove=True)

    return act


def undo(campaign: Campaign, done: Done) -> Done:
    return undoing.undo_all(BY, campaign.id, done.entries, datetime.now(UTC), may_remove=True)


def standings() -> list[str]:
    return [standing(each.state, each.listed_at, each.email_key).value for each in stored()]


def counted(campaign: Campaign) -> int:
    db.session.rollback()
    check = tally.check(db.session(), campaign.id)
    assert check.is_correct
    return check.stored


def withdraw(signature_id: int) -> None:
    """Withdraw a signature. The site can't do that yet."""
    with write_transaction() as session:
        gone = {"state": SignatureState.WITHDRAWN, "listed_at": None, "email_key": mailboxes.released()}
        session.execute(update(Signature).where(Signature.id == signature_id).values(gone))
        tally.repair(session, stored()[0].campaign_id, tally.check(session, stored()[0].campaign_id))


def same_again(campaign: Campaign, sign: Sign, act: Act) -> list[int]:
    """Let a stranger sign with Ada's address, remove that, let Ada sign, and return the ids of both signatures."""
    sign(name="Stranger")
    act(REMOVE, stored()[0].id)
    sign()
    return [signature.id for signature in stored()]


def test_owner_of_a_removed_signatures_address_can_sign_and_is_counted(
    campaign: Campaign, sign: Sign, act: Act
) -> None:
    same_again(campaign, sign, act)
    assert standings() == ["removed", "listed"]
    assert [each.name for each in feed.read(campaign.id, fresh=True).recent] == ["Ada Lovelace"]
    assert counted(campaign) == 1
    sign(name="Stranger", email="ADA+x@example.org")
    assert standings() == ["removed", "listed"]


def test_withdrawn_signer_can_sign_again(campaign: Campaign, sign: Sign) -> None:
    for times in range(3):
        sign()
        assert standings() == [*["withdrawn"] * times, "listed"]
        assert counted(campaign) == 1
        withdraw(stored()[-1].id)


def test_mailbox_can_sign_after_each_of_several_removals(campaign: Campaign, sign: Sign, act: Act) -> None:
    for times in range(3):
        sign(email=("ada@example.org", "Ada+1@example.org", "ADA@EXAMPLE.ORG")[times])
        act((HIDE, REMOVE)[times % 2], stored()[-1].id)
        act(REMOVE, stored()[-1].id)
    assert standings() == ["removed"] * 3
    assert counted(campaign) == 0
    sign()
    assert counted(campaign) == 1


def test_blocked_address_is_not_counted_and_its_attempts_are_shown(campaign: Campaign, sign: Sign, act: Act) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    sign()
    assert act(BLOCK, stored()[0].id).changed == 1
    assert standings() == ["blocked"]
    [entry] = look(campaign).entries
    assert entry.attempts == mailboxes.Attempts(0, None)
    sign(name="Ada Again")
    sign(email="ada+tag@example.org")
    sign(email="grace@example.org")
    assert standings() == ["blocked", "listed"]
    assert counted(campaign) == 1
    grace, entry = look(campaign).entries
    assert grace.attempts is None
    assert entry.attempts
    assert entry.attempts.number == 2
    assert entry.attempts.last
    assert before < entry.attempts.last < datetime.now(UTC) + timedelta(seconds=1)
    assert found(campaign, standing=Standing.BLOCKED) == ["Ada Lovelace"]
    act(RESTORE, entry.id)
    assert counted(campaign) == 2
    sign()
    act(BLOCK, entry.id)
    assert look(campaign).entries[1].attempts == mailboxes.Attempts(0, None)


def test_attempts_in_one_batch_are_all_counted(campaign: Campaign, sign: Sign, act: Act) -> None:
    for name in ("ada", "bea", "cleo"):
        sign(email=f"{name}@example.org", name=name.title())
    act(BLOCK, *(signature.id for signature in stored()[:2]))
    now = datetime.now(UTC)
    batch = [fake.signature(campaign.id, str(number), now) for number in range(70)]
    for number, name in enumerate(["ada"] * 3 + ["bea"] * 2 + ["cleo"] * 40):
        batch[number] |= {"email_key": f"{name}@example.org"}
    store_batch(batch)
    shown = {entry.name: entry.attempts and entry.attempts.number for entry in look(campaign).entries}
    assert {name: shown[name] for name in ("Ada", "Bea", "Cleo")} == {"Ada": 3, "Bea": 2, "Cleo": None}
    assert counted(campaign) == 1 + 25


@pytest.mark.parametrize("htmx", [False, True])
def test_answer_is_the_same_whatever_happened_to_the_mailbox(
    campaign: Campaign, sign: Sign, act: Act, htmx: bool
) -> None:
    kinds = ("duplicate", "hidden", "removed", "blocked", "withdrawn", "new")
    for kind in kinds[:-1]:
        sign(email=f"{kind}@example.org")
    ids = [signature.id for signature in stored()]
    for action, id_ in zip((HIDE, REMOVE, BLOCK), ids[1:], strict=False):
        act(action, id_)
    withdraw(ids[4])
    answers = [sign(htmx=htmx, email=f"{kind}@example.org") for kind in kinds]
    for answer in answers:
        del answer.headers["X-Request-ID"]
    plain = {(answer.status, str(answer.headers), re.sub("<time.*?</time>", "", answer.text)) for answer in answers}
    assert len(plain) == 1
    assert counted(campaign) == 5


def test_removed_signature_whose_address_signed_again_cannot_be_restored(
    campaign: Campaign, sign: Sign, act: Act
) -> None:
    old, new = same_again(campaign, sign, act)
    sign(name="Grace", email="grace@example.org")
    grace = stored()[-1].id
    act(REMOVE, grace)
    assert [(entry.name, entry.signed_again) for entry in look(campaign).entries] == [
        ("Grace", False),
        ("Ada Lovelace", False),
        ("Stranger", True),
    ]
    for action in (RESTORE, BLOCK):
        done = act(action, old, new)
        assert (done.signed_again, standings()[0]) == (1, "removed")
        undo(campaign, done)
    done = act(RESTORE, old, grace)
    assert (done.changed, done.left, done.signed_again) == (1, 0, 1)
    assert standings() == ["removed", "listed", "listed"]
    db.session.rollback()
    newest = db.session.scalars(select(Record).order_by(Record.id.desc())).first()
    assert newest
    assert (newest.before, newest.after) == ({"removed": [grace]}, {"listed": [grace]})
    act(REMOVE, new)
    assert act(RESTORE, old).changed == 1
    assert standings()[:2] == ["listed", "removed"]
    assert counted(campaign) == 2


def test_undo_restores_no_signature_whose_address_signed_again(campaign: Campaign, sign: Sign, act: Act) -> None:
    sign(name="Stranger")
    sign(name="Grace", email="grace@example.org")
    ids = [signature.id for signature in stored()]
    removed = act(REMOVE, *ids)
    restored = undo(campaign, removed)
    assert (restored.changed, counted(campaign)) == (2, 2)
    removed_again = undo(campaign, restored)
    assert standings() == ["removed", "removed"]
    sign()
    waiting = {"email_key": "grace@example.org", "state": SignatureState.PENDING, "listed_at": None}
    store_batch([fake.signature(campaign.id, "waiting", datetime.now(UTC)) | waiting])
    db.session.rollback()
    planned = undoing.plan(db.session(), campaign.id, removed_again.entries, may_remove=True)
    undone = undo(campaign, removed_again)
    assert (undone.changed, undone.signed_again, undone.effects) == (1, 1, planned)
    assert standings() == ["removed", "listed", "listed"]
    assert counted(campaign) == 2


def test_undo_of_a_block_accepts_the_address_again_and_can_be_undone(campaign: Campaign, sign: Sign, act: Act) -> None:
    sign()
    sign(name="Grace", email="grace@example.org")
    ids = [signature.id for signature in stored()]
    act(REMOVE, ids[1])
    blocked = act(BLOCK, *ids)
    assert standings() == ["blocked", "blocked"]
    undone = undo(campaign, blocked)
    assert standings() == ["listed", "removed"]
    redone = undo(campaign, undone)
    assert standings() == ["blocked", "blocked"]
    undo(campaign, redone)
    sign(name="Grace", email="grace@example.org")
    assert standings() == ["listed", "removed", "listed"]
    assert act(BLOCK, *ids).signed_again == 1
    assert counted(campaign) == 1


def test_of_several_removed_signatures_from_one_mailbox_the_newest_is_restored(
    campaign: Campaign, sign: Sign, act: Act
) -> None:
    for _ in range(3):
        sign()
        act(REMOVE, stored()[-1].id)
    sign(name="Grace", email="grace@example.org")
    act(REMOVE, stored()[-1].id)
    now = datetime.now(UTC)
    done = actions.act_on_all(BY, campaign.id, RESTORE, Filter(), "real", now, may_remove=True)
    assert (done.changed, done.signed_again) == (2, 2)
    assert standings() == ["removed", "removed", "listed", "listed"]
    assert counted(campaign) == 2


def test_signer_who_signs_during_a_restoration_is_counted_once(campaign: Campaign, sign: Sign, act: Act) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer")
    for name in ("ada", "bea"):
        sign(email=f"{name}@example.org")
    ids = [signature.id for signature in stored()]
    act(REMOVE, *ids)
    late = fake.signature(campaign.id, "late", datetime.now(UTC)) | {"name": "Late", "email_key": ADDRESS}

    signed: list[str] = []

    def sign_first(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE signature SET email_key") and not signed:
            signed.append(statement)
            store_batch([late])

    event.listen(db.engine, "before_cursor_execute", sign_first)
    done = act(RESTORE, *ids)
    event.remove(db.engine, "before_cursor_execute", sign_first)
    assert signed
    assert (done.changed, done.signed_again) == (1, 1)
    assert standings() == ["removed", "listed", "listed"]
    assert counted(campaign) == 2


def test_removed_signature_of_a_mailbox_is_found_but_not_counted(campaign: Campaign, sign: Sign, act: Act) -> None:
    same_again(campaign, sign, act)
    for address in (ADDRESS, "ada@exam", "ada"):
        assert found(campaign, address=address) == ["Ada Lovelace", "Stranger"]
    assert found(campaign, address="grace@example.org") == []
    roll_up()
    session, now = db.session(), datetime.now(UTC)
    assert contents.snapshot(session, campaign.id).count == 1
    assert [count for _, count in figures.breakdown(session, campaign).countries] == [1]
    assert sum(span.signatures for span in figures.series(session, campaign, figures.Unit.DAY, now).spans) == 1
    assert duplicates.find(session, campaign.id, with_domains=True).same == []


@pytest.mark.slow
def test_bulk_removal_releases_and_bulk_restoration_claims_mailboxes(app: Flask, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 1500, datetime.now(UTC)))
    now = datetime.now(UTC)
    done = actions.act_on_all(BY, campaign.id, BLOCK, Filter(), "spam", now, may_remove=True)
    assert (done.changed, counted(campaign)) == (1500, 0)
    assert undo(campaign, done).changed == 1500
    done = actions.act_on_all(BY, campaign.id, REMOVE, Filter(), "spam", now, may_remove=True)
    again = [row.email_key.partition(" ")[0] for row in stored()[:100]]
    with write_transaction() as session:
        rows = [fake.signature(campaign.id, key, now) | {"email_key": key} for key in again]
        session.execute(insert(Signature), rows)
        tally.repair(session, campaign.id, tally.check(session, campaign.id))
    undone = undo(campaign, done)
    assert (undone.changed, undone.signed_again, counted(campaign)) == (1400, 100, 1500)


def test_copy_from_keeps_released_and_blocked_mailboxes(
    app: Flask, runner: FlaskCliRunner, empty_sqlite: Path, tmp_path: Path
) -> None:
    source, now = tmp_path / "source.sqlite", "2027-03-01 09:00:00.000000"
    source.write_bytes(empty_sqlite.read_bytes())
    with sqlite3.connect(source) as connection:
        connection.execute(
            "INSERT INTO campaign (id, slug, title, category, summary, addressees, letter, thanks, share_text, goal, "
            "donate_url, donate_text, language, state, created_at, updated_at) "
            f"VALUES (1, 's', 't', 'c', 's', 'a', 'l', 't', 's', 9, '', '', 'en', 'open', '{now}', '{now}')"
        )
        rows = [("a", "a@example.org 1", "removed"), ("a", "a@example.org", "public"), ("b", ADDRESS, "removed")]
        connection.executemany(
            "INSERT INTO signature (campaign_id, name, email, email_key, country, region, city, postal_code, "
            "anonymous, wants_updates, state, signed_at, listed_at) "
            f"SELECT 1, ?1, 'x', ?2, 'US', '', '', '', 0, 0, ?3, '{now}', CASE ?3 WHEN 'public' THEN '{now}' END",
            rows,
        )
        connection.execute(
            f"INSERT INTO scratch_signature SELECT ?, 0, '', '', '', '{now}', '{now}', 3", (slot_of(1, ADDRESS),)
        )
    connection.close()
    result = runner.invoke(args=["copy-from", str(source)])
    assert result.exit_code == 0, result.output
    campaign = db.session.scalars(select(Campaign)).one()
    with write_transaction() as session:
        tally.repair(session, campaign.id, tally.check(session, campaign.id))
    blocked, _, removed = look(campaign).entries
    assert blocked.attempts == mailboxes.Attempts(3, datetime(2027, 3, 1, 9, tzinfo=UTC))
    assert removed.signed_again
    for address in (ADDRESS, "a@example.org", "new@example.org"):
        row = fake.signature(campaign.id, address, datetime.now(UTC)) | {"email_key": address}
        store_batch([row])
    assert counted(campaign) == 2
    [number] = [entry.attempts.number for entry in look(campaign).entries if entry.attempts]
    assert number == 4
    assert len(stored()) == 4
