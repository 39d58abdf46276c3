"""Roll-ups are exact whatever happens between two pieces: signing, moderation, several workers, and kills."""

import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from flask import Flask
from sqlalchemy import delete, event, select

from campaign.accounts.audit_log import COMMAND
from campaign.models.campaign import Campaign, CampaignState
from campaign.models.roll_up import GroupCount, Kind, MinuteCount, QuarterCount, RollUp
from campaign.models.signature import Signature
from campaign.moderation import actions, indexing, undo
from campaign.moderation.actions import Action
from campaign.settings import ROOT, Settings
from campaign.signatures import fake, tally
from campaign.signatures.signing import insert_unless_signed
from campaign.statistics import roll_ups
from campaign.storage import transactions
from campaign.storage.database import Base, db
from campaign.storage.transactions import write_transaction
from tests.conftest import Publish, stored
from tests.statistics.rolling import counted, roll_up, rolled_up, slow_steps

NOW = datetime.now(UTC).replace(microsecond=0)

only_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


def add_fake(campaign: Campaign, number: int) -> None:
    for _ in fake.sign(campaign.id, number, NOW):
        pass


def add_in(campaign: Campaign, *languages: str) -> None:
    """Add a signature in each of these languages."""
    with write_transaction() as session:
        connection = session.connection()
        rows = [fake.signature(campaign.id, secrets.token_hex(8), NOW, language) for language in languages]
        connection.execute(insert_unless_signed(connection.dialect.name), rows)
        tally.add(connection, campaign.id, len(rows))


def act(campaign: Campaign, action: Action, ids: list[int]) -> list[int]:
    """Apply an action, and return the audit log entries."""
    with write_transaction() as session:
        return list(actions.act(session, COMMAND, campaign.id, action, ids, "spam", NOW, may_remove=True).entries)


def assert_exact(*campaigns: Campaign) -> None:
    for campaign in campaigns:
        assert rolled_up(campaign, NOW) == counted(campaign, NOW)
        assert tally.check(db.session(), campaign.id).is_correct
    db.session.rollback()


def in_thread(app: Flask, work: Callable[[], None]) -> Callable[[], None]:
    """Return the function with a database session of its own, as in another process."""

    def working() -> None:
        with app.app_context():
            work()

    return working


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll_ups, "PIECE", 4)


@pytest.mark.slow
@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("seed", range(6))
def test_roll_ups_are_exact_after_any_sequence_of_changes(publish: Publish, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (a test's sequence)
    campaigns = [publish(slug=f"campaign-{number}") for number in range(2)]
    entries: list[tuple[Campaign, int]] = []
    for _ in range(40):
        campaign = chance.choice(campaigns)
        ids = [each.id for each in stored() if each.campaign_id == campaign.id]
        match chance.choice(("sign", "sign", "roll up", "act", "act", "undo")):
            case "sign":
                add_fake(campaign, chance.randint(1, 4))
                add_in(campaign, *chance.choices(["", "es", "pt-BR"], k=2))
            case "roll up":
                roll_ups.add_piece(NOW)
            case "act" if ids:
                some = chance.sample(ids, min(len(ids), chance.randint(1, 8)))
                entries += [(campaign, entry) for entry in act(campaign, chance.choice([*Action]), some)]
            case "undo" if entries:
                of, entry = entries.pop(chance.randrange(len(entries)))
                done = undo.undo_all(COMMAND, of.id, [entry], NOW, may_remove=True)
                entries += [(of, entry) for entry in done.entries]
        assert_exact(*campaigns)
    roll_up(NOW)
    assert_exact(*campaigns)
    assert roll_ups.position(db.session()) == stored()[-1].id


STEPS: dict[str, Callable[[Campaign, list[int]], object]] = {
    "roll up": lambda _campaign, _ids: roll_up(NOW),
    **{action.value: lambda campaign, ids, action=action: act(campaign, action, ids) for action in Action},  # type: ignore[misc]
}


@pytest.mark.parametrize("first", ["hide", "remove", "block"])
@pytest.mark.parametrize("position", range(4))
@pytest.mark.slow
def test_change_counts_once_whenever_the_signature_is_rolled_up(campaign: Campaign, first: str, position: int) -> None:
    add_fake(campaign, 5)
    ids = [each.id for each in stored()][1:4]
    steps = [first, "restore", "remove"]
    for step in [*steps[:position], "roll up", *steps[position:]]:
        STEPS[step](campaign, ids)
        assert_exact(campaign)
    assert sum(rolled_up(campaign, NOW)["country"].values()) == 2


def test_count_of_a_language_changes_only_when_a_signature_is_removed_or_restored(campaign: Campaign) -> None:
    add_in(campaign, "", "en", "es", "es", "pt-BR")
    roll_up(NOW)
    both_spanish = [each.id for each in stored() if each.language == "es"]
    expected = {"": 1, "en": 1, "es": 2, "pt-BR": 1}
    assert rolled_up(campaign, NOW)["language"] == expected
    act(campaign, Action.HIDE, both_spanish)
    assert rolled_up(campaign, NOW)["language"] == expected
    act(campaign, Action.REMOVE, both_spanish[:1])
    assert rolled_up(campaign, NOW)["language"] == expected | {"es": 1}
    act(campaign, Action.BLOCK, both_spanish[1:])
    assert rolled_up(campaign, NOW)["language"] == {"": 1, "en": 1, "pt-BR": 1}
    act(campaign, Action.RESTORE, both_spanish)
    assert rolled_up(campaign, NOW)["language"] == expected
    assert_exact(campaign)


def test_worker_without_new_signatures_writes_nothing(campaign: Campaign) -> None:
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    assert roll_ups.add_piece(NOW) is False
    add_fake(campaign, 3)
    roll_up(NOW)
    statements.clear()
    assert roll_ups.add_piece(NOW + timedelta(minutes=1)) is False
    assert all(statement.startswith(("SELECT", "BEGIN")) for statement in statements), statements


@pytest.mark.usefixtures("small_pieces")
def test_statistics_task_rests_on_sqlite_in_proportion_to_a_full_piece(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_fake(campaign, roll_ups.PIECE + 1)
    # Storing the piece takes two seconds, and committing it one.
    with slow_steps(roll_ups, {"UPDATE roll_up ": 2, "COMMIT": 1}, monkeypatch):
        rest = roll_ups.roll_up()
        assert roll_ups.roll_up() == roll_ups.EVERY, "the second piece isn't full"
    is_sqlite = db.engine.dialect.name == "sqlite"
    assert rest == timedelta(seconds=roll_ups.REST * 3 if is_sqlite else 0)


def test_statistics_and_index_together_take_a_twentieth_of_the_time_to_write() -> None:
    assert 1 / (1 + roll_ups.REST) + 1 / (1 + indexing.REST) <= 1 / 20


@pytest.mark.usefixtures("small_pieces")
def test_roll_up_is_as_of_the_last_signature_that_it_includes(campaign: Campaign) -> None:
    add_fake(campaign, 9)
    assert roll_ups.add_piece(NOW)
    assert db.session.scalar(select(RollUp.as_of)) == stored()[3].signed_at
    assert roll_ups.add_piece(NOW)
    assert not roll_ups.add_piece(NOW)
    db.session.rollback()
    assert db.session.scalar(select(RollUp.as_of)) == NOW


def test_counts_by_minute_are_kept_for_a_day(campaign: Campaign) -> None:
    with write_transaction() as session:
        old, new = (NOW - timedelta(hours=hours) for hours in (26, 23))
        rows = [fake.signature(campaign.id, str(at), at) for at in (old, new)]
        session.connection().execute(insert_unless_signed(session.connection().dialect.name), rows)
        tally.add(session.connection(), campaign.id, 2)
    minutes = select(MinuteCount.bucket)
    roll_up(NOW)
    assert db.session.scalars(minutes).all() == [int(new.timestamp()) // 60]
    act(campaign, Action.REMOVE, [each.id for each in stored()])
    db.session.rollback()
    assert db.session.scalars(select(MinuteCount.count)).all() == [0], "the minute of an old signature does not return"
    add_fake(campaign, 1)
    roll_up(NOW + timedelta(hours=3))
    assert int(new.timestamp()) // 60 not in db.session.scalars(minutes).all()


def test_source_without_signatures_is_forgotten(campaign: Campaign) -> None:
    with write_transaction() as session:
        row = fake.signature(campaign.id, "1", NOW) | {"source": "rare"}
        session.connection().execute(insert_unless_signed(session.connection().dialect.name), [row])
        tally.add(session.connection(), campaign.id, 1)
    roll_up(NOW)
    act(campaign, Action.REMOVE, [stored()[0].id])
    db.session.rollback()
    assert "rare" not in db.session.scalars(select(GroupCount.name)).all()


def test_counts_of_a_deleted_campaign_are_deleted(campaign: Campaign) -> None:
    values = {column.name: getattr(campaign, column.name) for column in Campaign.__table__.columns}
    with write_transaction() as session:
        session.add(Campaign(**values | {"id": 77, "slug": "empty", "state": CampaignState.DRAFT}))
        session.flush()
        counts: list[Base] = [MinuteCount(campaign_id=77, bucket=1, count=0)]
        counts += [QuarterCount(campaign_id=77, bucket=1, count=0)]
        counts += [GroupCount(campaign_id=77, kind=Kind.COUNTRY, name="US", count=0)]
        session.add_all(counts)
    with write_transaction() as session:
        session.execute(delete(Campaign).where(Campaign.id == 77))
    for table in (MinuteCount, QuarterCount, GroupCount):
        assert db.session.scalars(select(table.count)).all() == []


@only_postgresql
def test_signature_that_is_stored_later_with_a_lower_id_is_included(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "WRITER_SECONDS", 0.1)
    with db.engine.begin() as slow:
        slow.execute(insert_unless_signed("postgresql"), [fake.signature(campaign.id, "slow", NOW)])
        add_fake(campaign, 1)
        assert roll_ups.add_piece(NOW) is False
        db.session.rollback()
        assert roll_ups.position(db.session()) == 0, "the worker waits for the slow signer"
        db.session.rollback()
        with ThreadPoolExecutor(1) as other:
            monkeypatch.setattr(transactions, "WRITER_SECONDS", 30)
            rolling = other.submit(in_thread(app, lambda: roll_up(NOW)))
            time.sleep(0.1)
            add_fake(campaign, 1)
            tally.add(slow, campaign.id, 1)
            slow.commit()
            rolling.result()
    roll_up(NOW)
    assert sum(rolled_up(campaign, NOW)["country"].values()) == 3
    assert_exact(campaign)


@pytest.mark.slow
@pytest.mark.usefixtures("small_pieces")
def test_roll_ups_are_exact_while_people_sign_and_organizers_moderate(app: Flask, campaign: Campaign) -> None:
    add_fake(campaign, 60)
    ids, done = [each.id for each in stored()], Event()
    db.session.remove()

    def work() -> None:
        while not done.is_set():
            roll_ups.add_piece(NOW)

    def sign() -> None:
        for _ in range(8):
            add_fake(campaign, 7)

    def moderate() -> None:
        for number in range(12):
            act(campaign, [Action.REMOVE, Action.RESTORE][number % 2], ids[number : number + 20])
            db.session.remove()

    with ThreadPoolExecutor(8) as threads:
        workers = [threads.submit(in_thread(app, work)) for _ in range(2)]
        others = [threads.submit(in_thread(app, each)) for each in (sign, sign, sign, moderate, moderate)]
        wait(others)
        done.set()
        for each in [*others, *workers]:
            each.result()
    roll_up(NOW)
    assert_exact(campaign)
    assert roll_ups.position(db.session()) == max(each.id for each in stored())


WORK = """
from datetime import UTC, datetime
from campaign import create_app
from campaign.statistics import roll_ups
roll_ups.PIECE = 5
with create_app().app_context():
    print("ready", flush=True)
    while roll_ups.add_piece(datetime.now(UTC)):
        print("piece", flush=True)
"""


@pytest.mark.slow
@pytest.mark.server
def test_killed_worker_neither_loses_nor_repeats_a_signature(campaign: Campaign, settings: Settings) -> None:
    add_fake(campaign, 500)
    environ = {"DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
    positions = []
    for pieces in (1, 3, 10):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORK], cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert worker.stdout
        assert worker.stderr
        for _ in range(1 + pieces):
            worker.stdout.readline()
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
        worker.stderr.close()
        assert_exact(campaign)
        positions.append(roll_ups.position(db.session()))
        db.session.rollback()
    last = db.session.scalars(select(Signature.id).order_by(Signature.id.desc())).first()
    assert 0 < positions[0] < positions[1] < positions[2] < (last or 0)
    roll_up(NOW)
    assert_exact(campaign)
