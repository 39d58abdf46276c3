"""Signatures are hidden, removed, and restored with a reason; the count and the audit log stay correct."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, event, select, update

from campaign.accounts import audit_log
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.models.signature import Signature, SignatureState, Standing, standing
from campaign.moderation import actions
from campaign.moderation import table as signature_table
from campaign.moderation import undo as undoing
from campaign.moderation.actions import Action
from campaign.moderation.changes import Done
from campaign.moderation.table import Filter
from campaign.signatures import fake, feed, tally
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import Publish, Sign, stored
from tests.moderation.signatures import index_all

HIDE, REMOVE, BLOCK, RESTORE = Action
NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
BY = audit_log.COMMAND
Act = Callable[..., Done]


@pytest.fixture
def act(app: Flask, campaign: Campaign) -> Act:
    def act(action: Action, ids: Collection[int], may_remove: bool = True, reason: str = "spam") -> Done:
        with write_transaction() as session:
            return actions.act(session, BY, campaign.id, action, ids, reason, NOW, may_remove=may_remove)

    return act


@pytest.fixture
def ids(campaign: Campaign, sign: Sign) -> list[int]:
    """Store three signatures, and return their ids."""
    for name in ("ada", "bea", "cleo"):
        sign(email=f"{name}@example.org", name=name.title())
    return [signature.id for signature in stored()]


def undo(campaign: Campaign, done: Done, may_remove: bool = True) -> Done:
    return undoing.undo_all(BY, campaign.id, done.entries, NOW, may_remove=may_remove)


def standings() -> list[str]:
    return [standing(signature.state, signature.listed_at).value for signature in stored()]


def counted(campaign: Campaign) -> int:
    db.session.rollback()
    found = tally.check(db.session(), campaign.id)
    assert found.is_correct
    return found.stored


def shown(campaign: Campaign) -> list[str]:
    return [signatory.shown_name for signatory in feed.read(campaign.id, fresh=True).recent]


def entries() -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    db.session.rollback()
    of_signatures = select(Record).where(Record.action.startswith("signature.")).order_by(Record.id)
    return [(entry.action, entry.reason, entry.before, entry.after) for entry in db.session.scalars(of_signatures)]


def test_hidden_signature_is_counted_but_not_listed(campaign: Campaign, ids: list[int], act: Act) -> None:
    assert act(HIDE, ids[:1]).changed == 1
    assert standings() == ["hidden", "listed", "listed"]
    assert shown(campaign) == ["Cleo", "Bea"]
    assert counted(campaign) == 3
    assert entries() == [("signature.hide", "spam", {"listed": ids[:1]}, {"hidden": ids[:1]})]


def test_removed_signature_is_neither_listed_nor_counted(campaign: Campaign, ids: list[int], act: Act) -> None:
    act(HIDE, ids[:1])
    assert act(REMOVE, ids[:2]).changed == 2
    assert standings() == ["removed", "removed", "listed"]
    assert shown(campaign) == ["Cleo"]
    assert counted(campaign) == 1
    assert entries()[1][2:] == ({"hidden": ids[:1], "listed": ids[1:2]}, {"removed": ids[:2]})


def test_restored_signature_returns_to_its_place_and_is_counted(campaign: Campaign, ids: list[int], act: Act) -> None:
    act(HIDE, ids[:1])
    act(REMOVE, ids[1:2])
    assert act(RESTORE, ids).changed == 2
    assert shown(campaign) == ["Cleo", "Bea", "Ada"]
    assert all(signature.listed_at == signature.signed_at for signature in stored())
    assert counted(campaign) == 3


@pytest.mark.parametrize(
    ("is_now", "hidden", "removed", "restored"),
    [
        ("listed", "hidden", "removed", "listed"),
        ("hidden", "hidden", "removed", "listed"),
        ("removed", "removed", "removed", "listed"),
        ("pending", "pending", "pending", "pending"),
        ("withdrawn", "withdrawn", "withdrawn", "withdrawn"),
    ],
)
def test_each_action_changes_only_the_intended_states(
    campaign: Campaign, ids: list[int], act: Act, is_now: str, hidden: str, removed: str, restored: str
) -> None:
    with write_transaction() as session:
        state = SignatureState.PUBLIC if is_now in ("listed", "hidden") else SignatureState(is_now)
        listed_at = Signature.listed_at if is_now == "listed" else None
        session.execute(update(Signature).values(state=state, listed_at=listed_at))
        tally.repair(session, campaign.id, tally.check(session, campaign.id))
    for id_, action, becomes in zip(ids, (HIDE, REMOVE, RESTORE), (hidden, removed, restored), strict=True):
        assert act(action, [id_]).changed == (becomes != is_now)
    assert standings() == [hidden, removed, restored]
    assert counted(campaign) == sum(each in ("listed", "hidden") for each in (hidden, removed, restored))


@pytest.mark.parametrize("action", [HIDE, REMOVE])
def test_repeated_action_changes_and_records_nothing(
    campaign: Campaign, ids: list[int], act: Act, action: Action
) -> None:
    act(action, ids[:2])
    again = act(action, ids[:2])
    assert (again.changed, again.left, again.entries) == (0, 2, ())
    assert len(entries()) == 1
    assert act(action, ids).changed == 1
    counted(campaign)


def test_withdrawn_and_pending_signatures_are_never_changed(campaign: Campaign, ids: list[int], act: Act) -> None:
    with write_transaction() as session:
        for id_, state in zip(ids, (SignatureState.WITHDRAWN, SignatureState.PENDING), strict=False):
            session.execute(update(Signature).where(Signature.id == id_).values(state=state, listed_at=None))
        tally.repair(session, campaign.id, tally.check(session, campaign.id))
    for action in Action:
        act(action, ids)
    assert standings() == ["withdrawn", "pending", "listed"]
    assert counted(campaign) == 1


def test_other_campaigns_signatures_are_never_changed(ids: list[int], publish: Publish) -> None:
    other = publish(slug="other")
    with write_transaction() as session:
        done = actions.act(session, BY, other.id, REMOVE, ids, "spam", NOW, may_remove=True)
    assert done.changed == 0
    assert standings() == ["listed"] * 3


@pytest.mark.parametrize("reason", ["", "  \n"])
@pytest.mark.slow
def test_missing_reason_changes_nothing(ids: list[int], act: Act, reason: str) -> None:
    with pytest.raises(actions.NoReasonError):
        act(HIDE, ids, reason=reason)
    assert standings() == ["listed"] * 3


def test_removing_and_restoring_removed_signatures_need_permission(
    ids: list[int], act: Act, campaign: Campaign
) -> None:
    for action in (REMOVE, BLOCK):
        with pytest.raises(actions.NotAllowedError):
            act(action, ids, may_remove=False)
    removed = act(REMOVE, ids[:1])
    assert act(HIDE, ids[1:2], may_remove=False).changed == 1
    restored = act(RESTORE, ids, may_remove=False)
    assert (restored.changed, restored.left) == (1, 2)
    assert standings() == ["removed", "listed", "listed"]
    with pytest.raises(actions.NotAllowedError):
        undo(campaign, removed, may_remove=False)
    restored_by_admin = act(RESTORE, ids[:1])
    with pytest.raises(actions.NotAllowedError):
        undo(campaign, restored_by_admin, may_remove=False)


def test_audit_log_has_ids_and_states_but_no_personal_data(campaign: Campaign, ids: list[int], act: Act) -> None:
    act(REMOVE, ids)
    assert not any(word in str(entries()) for word in ("Ada", "example.org", "90012"))


@pytest.mark.slow
def test_all_matching_signatures_are_changed_in_batches_and_undone_together(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 100)
    list(fake.sign(campaign.id, 1000, NOW))
    with write_transaction() as session:
        session.execute(update(Signature).where(Signature.id % 4 == 0).values(country="LI", city="Vaduz"))
    wanted = Filter(country="LI", standing=Standing.LISTED)
    done = actions.act_on_all(BY, campaign.id, REMOVE, wanted, "spam", NOW, may_remove=True)
    assert (done.changed, done.left, len(done.entries)) == (250, 0, 3)
    assert counted(campaign) == 750
    assert signature_table.page(db.session(), campaign.id, wanted).entries == []
    assert undo(campaign, done).changed == 250
    assert counted(campaign) == 1000


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(country="LI"),
        Filter(country="LI", anonymous=False),
        Filter(words="vaduz"),
        Filter(words="vaduz", standing=Standing.LISTED),
    ],
)
@pytest.mark.slow
def test_all_matching_signatures_are_changed_beyond_the_count_limit(
    app: Flask, campaign: Campaign, wanted: Filter
) -> None:
    list(fake.sign(campaign.id, 1200, NOW))
    with write_transaction() as session:
        session.execute(update(Signature).values(country="LI", city="Vaduz", anonymous=False))
    index_all()
    assert actions.BATCH > signature_table.MOST_COUNTED
    done = actions.act_on_all(BY, campaign.id, HIDE, wanted, "spam", NOW, may_remove=False)
    assert (done.changed, set(standings())) == (1200, {"hidden"})


def in_steps(campaign: Campaign, action: Action) -> list[tuple[int, int]]:
    """Change all signatures, and return how many each step changed and left."""
    steps, first = [], None
    while True:
        done = actions.act_on_all(BY, campaign.id, action, Filter(), "spam", NOW, may_remove=False, first=first)
        steps.append((done.changed, done.left))
        first = done.rest
        if first is None:
            return steps


@pytest.mark.slow
def test_bulk_change_stops_at_the_limit_and_goes_on_from_there(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 100)
    monkeypatch.setattr(actions, "MOST", 250)
    list(fake.sign(campaign.id, 400, NOW))
    assert in_steps(campaign, HIDE) == [(250, 0), (150, 0)]


def test_bulk_change_that_changes_nothing_looks_at_a_limited_number_of_signatures(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 10)
    monkeypatch.setattr(actions, "MOST_PAGES", 3)
    list(fake.sign(campaign.id, 45, NOW))
    assert in_steps(campaign, RESTORE) == [(0, 30), (0, 15)]


@pytest.mark.slow
def test_batch_has_a_thousand_signatures(app: Flask, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 1001, NOW))
    actions.act_on_all(BY, campaign.id, HIDE, Filter(), "spam", NOW, may_remove=False)
    assert [len(before["listed"]) for _, _, before, _ in entries()] == [1000, 1]


def test_matching_signatures_are_found_outside_the_write_transaction(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 20)
    list(fake.sign(campaign.id, 50, NOW))
    in_write_transaction: list[bool] = []

    def record(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "ORDER BY signature.signed_at DESC" in statement:
            in_write_transaction.append(bool(connection.get_execution_options().get("writes")))

    event.listen(db.engine, "after_cursor_execute", record)
    done = actions.act_on_all(BY, campaign.id, HIDE, Filter(), "spam", NOW, may_remove=False)
    event.remove(db.engine, "after_cursor_execute", record)
    assert done.changed == 50
    assert in_write_transaction
    assert not any(in_write_transaction)


def test_concurrent_moderators_and_signers_keep_the_count_correct(
    app: Flask, campaign: Campaign, ids: list[int]
) -> None:
    list(fake.sign(campaign.id, 60, NOW))
    every = [signature.id for signature in stored()]
    changed, failed = [], []

    def moderate(action: Action, ids: list[int]) -> None:
        try:
            with app.app_context(), write_transaction() as session:
                done = actions.act(session, BY, campaign.id, action, ids, "spam", NOW, may_remove=True)
                changed.append(done.changed)
        except Exception as error:  # An exception in a thread would get lost.
            failed.append(error)

    def sign_too() -> None:
        with app.app_context():
            list(fake.sign(campaign.id, 20, NOW))

    threads = [Thread(target=moderate, args=(REMOVE, every[start:] + every[:start])) for start in range(0, 60, 10)]
    threads += [Thread(target=sign_too) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sum(changed) == len(every)
    assert counted(campaign) == 60
    assert len(entries()) == 1


@pytest.mark.slow
def test_concurrent_batch_changes_keep_count_and_audit_log_correct(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 50)
    list(fake.sign(campaign.id, 400, NOW))

    def moderate(first: Action, second: Action) -> None:
        with app.app_context():
            done = actions.act_on_all(BY, campaign.id, first, Filter(), "spam", NOW, may_remove=True)
            actions.act_on_all(BY, campaign.id, second, Filter(country="US"), "spam", NOW, may_remove=True)
            undoing.undo_all(BY, campaign.id, done.entries, NOW, may_remove=True)

    def sign_too() -> None:
        with app.app_context():
            list(fake.sign(campaign.id, 50, NOW))

    with ThreadPoolExecutor(4) as crowd:
        together = [crowd.submit(moderate, *two) for two in ((REMOVE, HIDE), (HIDE, RESTORE), (REMOVE, RESTORE))]
        together.append(crowd.submit(sign_too))
        for each in together:
            each.result(timeout=60)
    # The states before each entry are those after the previous entries.
    is_now = dict.fromkeys((signature.id for signature in stored()), "listed")
    for _, _, before, after in entries():
        for was, changed in before.items():
            assert {is_now[id_] for id_ in changed} == {was}
        is_now |= {id_: becomes for becomes, ids in after.items() if isinstance(ids, list) for id_ in ids}
    assert standings() == list(is_now.values())
    assert counted(campaign) == sum(each != "removed" for each in is_now.values())
