"""Undoing changes to signatures: what an undo says it will do, does, and says it did, and that it happens once."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import delete, event, select, text

from campaign.accounts import audit_log
from campaign.accounts.audit_log import Actor
from campaign.models.audit_log import Record, Undone
from campaign.models.campaign import Campaign
from campaign.models.signature import Signature, Standing, standing
from campaign.moderation import actions
from campaign.moderation import undo as undoing
from campaign.moderation.actions import Action
from campaign.moderation.changes import Done
from campaign.moderation.effects import Effects, by_id
from campaign.moderation.undo import Plan
from campaign.signatures import tally
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import Publish, only_sqlite, stored
from tests.moderation.signatures import put

HIDE, REMOVE, BLOCK, RESTORE = Action
NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
BY = audit_log.COMMAND
NAMES = ("listed", "hidden", "removed", "blocked")
Act = Callable[..., Done]


@pytest.fixture
def act(app: Flask, campaign: Campaign) -> Act:
    def act(action: Action, ids: Collection[int]) -> Done:
        with write_transaction() as session:
            return actions.act(session, BY, campaign.id, action, ids, "spam", NOW, may_remove=True)

    return act


@pytest.fixture
def ids(campaign: Campaign, act: Act) -> list[int]:
    """Store a signature of each state in NAMES, and return their ids."""
    ids = put(campaign, *({"name": name, "email": f"{name}@example.org"} for name in NAMES))
    for id_, action in zip(ids[1:], (HIDE, REMOVE, BLOCK), strict=True):
        act(action, [id_])
    return ids


def undo(campaign: Campaign, done: Done, by: Actor = BY) -> Done:
    return undoing.undo_all(by, campaign.id, done.entries, NOW, may_remove=True)


def plan(campaign: Campaign, done: Done) -> Effects:
    db.session.rollback()
    return undoing.plan(db.session(), campaign.id, done.entries, may_remove=True)


def standings() -> list[str]:
    return [standing(each.state, each.listed_at, each.email_key).value for each in stored()]


def state(campaign: Campaign) -> tuple[list[str], int]:
    """Return the states of all signatures and the count, after a check that the count is right."""
    db.session.rollback()
    found = tally.check(db.session(), campaign.id)
    assert found.is_correct
    return standings(), found.stored


def entry(done: Done) -> Record:
    db.session.rollback()
    return db.session.get_one(Record, done.entries[0])


# The states are those of the signatures that were listed, hidden, removed, and blocked before.
TABLE = [
    (
        HIDE,
        "hidden hidden removed blocked",
        "1 signature hidden",
        ("restore 1 signature", "1 signature restored"),
        ("hide 1 signature again", "1 signature hidden again"),
    ),
    (
        REMOVE,
        "removed removed removed blocked",
        "2 signatures removed",
        (
            "restore 1 signature and restore 1 signature, but not to the list",
            "1 signature restored and 1 signature restored, but not to the list",
        ),
        ("remove 2 signatures again", "2 signatures removed again"),
    ),
    (
        BLOCK,
        "blocked blocked blocked blocked",
        "2 signatures removed and blocked and 1 removed signature blocked",
        (
            "restore 1 signature, restore 1 signature, but not to the list, and unblock the email address of "
            "1 removed signature",
            "1 signature restored, 1 signature restored, but not to the list, and 1 removed signature unblocked",
        ),
        (
            "remove 2 signatures and block their email addresses again and block the email address of "
            "1 removed signature",
            "2 signatures removed and blocked again and 1 removed signature blocked",
        ),
    ),
    (
        RESTORE,
        "listed listed listed listed",
        "3 signatures restored",
        (
            "hide 1 signature again, remove 1 signature again, and remove 1 signature and block its email address "
            "again",
            "1 signature hidden again, 1 signature removed again, and 1 signature removed and blocked again",
        ),
        ("restore 3 signatures", "3 signatures restored"),
    ),
]


@pytest.mark.parametrize(("action", "becomes", "result", "undone", "redone"), TABLE)
def test_action_undo_and_undo_of_the_undo_do_and_say_the_truth(
    campaign: Campaign,
    ids: list[int],
    act: Act,
    action: Action,
    becomes: str,
    result: str,
    undone: tuple[str, str],
    redone: tuple[str, str],
) -> None:
    before = state(campaign)
    done = act(action, ids)
    after = state(campaign)
    assert (" ".join(after[0]), done.effects.results()) == (becomes, result)
    for words, expected in ((undone, before), (redone, after), (undone, before), (redone, after)):
        planned, previous = plan(campaign, done), entry(done)
        assert planned.orders(again=True) == words[0]
        is_undone = done
        done = undo(campaign, done)
        assert (done.effects.results(again=True), done.effects, done.left) == (words[1], planned, 0)
        assert state(campaign) == expected
        stated = entry(done)
        assert (stated.action, stated.reason) == ("signature.undo", "spam")
        assert by_id(stated.before) == by_id(previous.after)
        assert (stated.after["undoes"], Effects.of(stated)) == (is_undone.entries[0], planned)


def test_entry_is_undone_only_once(campaign: Campaign, ids: list[int], act: Act) -> None:
    done = act(HIDE, ids)
    undone = undo(campaign, done, Actor(None, "grace@example.org"))
    act(HIDE, ids)
    assert plan(campaign, done) == Effects()
    again = undo(campaign, done)
    assert (again.changed, again.entries) == (0, ())
    db.session.rollback()
    [by] = undoing.undone_by(db.session(), done.entries).values()
    assert (by.actor, by.at) == ("grace@example.org", NOW)
    assert undoing.undone_by(db.session(), undone.entries) == {}


@pytest.mark.slow
def test_entry_undone_by_two_requests_at_once_is_undone_once(
    app: Flask, campaign: Campaign, ids: list[int], act: Act
) -> None:
    done = act(REMOVE, ids)

    def undo_in_thread(_: int) -> Done:
        with app.app_context():
            return undo(campaign, done)

    with ThreadPoolExecutor(4) as crowd:
        results = list(crowd.map(undo_in_thread, range(4)))
    assert sorted(each.changed for each in results) == [0, 0, 0, 2]
    db.session.rollback()
    assert len(db.session.scalars(select(Undone)).all()) == 1


def test_undo_that_can_change_nothing_is_offered_again(campaign: Campaign, ids: list[int], act: Act) -> None:
    done = act(HIDE, ids)
    act(REMOVE, ids[:1])
    assert undo(campaign, done).changed == 0
    assert undoing.undone_by(db.session(), done.entries) == {}
    db.session.rollback()
    act(RESTORE, ids[:1])
    act(HIDE, ids[:1])
    assert undo(campaign, done).changed == 1


def test_undo_skips_erased_signatures(campaign: Campaign, ids: list[int], act: Act) -> None:
    done = act(REMOVE, ids)
    with write_transaction() as session:
        session.execute(delete(Signature).where(Signature.id == ids[0]))
    assert plan(campaign, done).total() == 1
    undone = undo(campaign, done)
    assert (undone.changed, undone.left) == (1, 1)


def test_undo_skips_signatures_changed_since(campaign: Campaign, ids: list[int], act: Act) -> None:
    done = act(REMOVE, ids)
    act(RESTORE, ids[1:2])
    planned = plan(campaign, done)
    undone = undo(campaign, done)
    assert (undone.changed, undone.left, undone.effects) == (1, 1, planned)
    assert standings()[:2] == ["listed", "listed"]


def test_plans_look_up_a_limited_number_of_signatures_and_promise_no_more_than_they_know(
    campaign: Campaign, ids: list[int], act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = entry(act(REMOVE, ids))
    small = entry(act(RESTORE, ids[:1]))
    remove_again = Effects({(Standing.LISTED, Standing.REMOVED): 1})
    restore = Effects({(Standing.REMOVED, Standing.HIDDEN): 1})
    db.session.rollback()
    plans = undoing.plans(db.session(), campaign.id, [large, small])
    assert plans == {small.id: Plan(remove_again, at_most=False), large.id: Plan(restore, at_most=False)}
    monkeypatch.setattr(undoing, "MOST_LOOKED_UP", 2)
    plans = undoing.plans(db.session(), campaign.id, [large, small])
    assert plans[small.id] == Plan(remove_again, at_most=False), "small changes are looked up first"
    assert plans[large.id] == Plan(Effects({(Standing.REMOVED, Standing.LISTED): 1} | restore), at_most=True)


def test_undo_that_may_do_less_says_up_to_how_many_signatures() -> None:
    effects = Effects(
        {
            (Standing.REMOVED, Standing.LISTED): 1000,
            (Standing.LISTED, Standing.HIDDEN): 1,
            (Standing.LISTED, Standing.BLOCKED): 2,
            (Standing.REMOVED, Standing.BLOCKED): 3,
        }
    )
    assert effects.orders(again=True, at_most=True) == (
        "restore up to 1,000 signatures, hide up to 1 signature again, remove up to 2 signatures and block their email "
        "addresses again, and block the email address of up to 3 removed signatures"
    )


def test_only_changes_of_this_campaigns_signatures_can_be_undone(
    campaign: Campaign, ids: list[int], act: Act, publish: Publish
) -> None:
    done = act(HIDE, ids)
    with write_transaction() as session:
        other = audit_log.write(session, BY, "campaign.publish", NOW, campaign_id=campaign.id, before={}, after={}).id
    for where, entry_id in ((campaign, other), (campaign, 10**6), (publish(slug="other"), done.entries[0])):
        for attempt in (undo, plan):
            with pytest.raises(undoing.NoSuchEntryError):
                attempt(where, Done(0, 0, (entry_id,)))


@pytest.mark.slow
def test_upgrade_knows_earlier_undos(app: Flask, campaign: Campaign, ids: list[int], act: Act) -> None:
    done = act(HIDE, ids)
    undone = undo(campaign, done)
    db.session.rollback()
    downgrade(revision="0012")
    upgrade()
    with db.engine.connect() as connection:
        rows = connection.execute(text("SELECT entry_id, undo_id FROM undone")).all()
    assert [tuple(row) for row in rows] == [(done.entries[0], undone.entries[0])]


@only_sqlite
def test_plan_reads_only_the_signatures_of_the_change(campaign: Campaign, act: Act) -> None:
    [entry] = act(HIDE, put(campaign, *({"email": f"{n}@example.org"} for n in range(30)))).entries
    statements: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if "FROM signature" in statement:
            statements.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    undoing.plan(db.session(), campaign.id, [entry], may_remove=True)
    event.remove(db.engine, "before_cursor_execute", note)
    [(statement, parameters)] = statements
    plan = db.session().connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert [step for *_, step in plan if step.split()[1] == "signature"] == [
        "SEARCH signature USING INTEGER PRIMARY KEY (rowid=?)"
    ]
