"""Signatures are hidden, removed and restored with a reason, and the count and the record stay right."""

import re
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, event, select, update

from campaign import fake, feed, moderation, record, signature_table, tally
from campaign.desk_models import Record
from campaign.extensions import db, write_transaction
from campaign.models import Campaign, Signature, SignatureState, Standing, standing
from campaign.moderation import Action, Done
from campaign.signature_table import Filter
from tests.conftest import Publish, Sign, stored

HIDE, REMOVE, RESTORE = Action.HIDE, Action.REMOVE, Action.RESTORE
NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
BY = record.COMMAND
Act = Callable[..., Done]


@pytest.fixture
def act(app: Flask, campaign: Campaign) -> Act:
    def act(action: Action, ids: Collection[int], may_remove: bool = True, reason: str = "spam") -> Done:
        with write_transaction() as session:
            return moderation.act(session, BY, campaign.id, action, ids, reason, NOW, may_remove=may_remove)

    return act


@pytest.fixture
def ids(campaign: Campaign, sign: Sign) -> list[int]:
    """Three signatures."""
    for name in ("ada", "bea", "cleo"):
        sign(email=f"{name}@example.org", name=name.title())
    return [signature.id for signature in stored()]


def undo(campaign: Campaign, done: Done, may_remove: bool = True) -> Done:
    return moderation.undo_all(BY, campaign.id, done.entries, NOW, may_remove=may_remove)


def standings() -> list[str]:
    return [standing(signature.state, signature.listed_at).value for signature in stored()]


def counted(campaign: Campaign) -> int:
    db.session.rollback()
    found = tally.check(db.session(), campaign.id)
    assert found.right
    return found.stored


def shown(campaign: Campaign) -> list[str]:
    return [signatory.name for signatory in feed.read(campaign.id, fresh=True).recent]


def entries() -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    db.session.rollback()
    of_signatures = select(Record).where(Record.action.startswith("signature.")).order_by(Record.id)
    return [(entry.action, entry.reason, entry.before, entry.after) for entry in db.session.scalars(of_signatures)]


def test_a_hidden_signature_leaves_the_list_and_is_counted(campaign: Campaign, ids: list[int], act: Act) -> None:
    assert act(HIDE, ids[:1]).changed == 1
    assert standings() == ["hidden", "listed", "listed"]
    assert shown(campaign) == ["Cleo", "Bea"]
    assert counted(campaign) == 3
    assert entries() == [("signature.hide", "spam", {"listed": ids[:1]}, {"hidden": ids[:1]})]


def test_a_removed_signature_is_neither_listed_nor_counted(campaign: Campaign, ids: list[int], act: Act) -> None:
    act(HIDE, ids[:1])
    assert act(REMOVE, ids[:2]).changed == 2
    assert standings() == ["removed", "removed", "listed"]
    assert shown(campaign) == ["Cleo"]
    assert counted(campaign) == 1
    assert entries()[1][2:] == ({"hidden": ids[:1], "listed": ids[1:2]}, {"removed": ids[:2]})


def test_a_restored_signature_is_listed_where_it_was_and_counted(campaign: Campaign, ids: list[int], act: Act) -> None:
    act(HIDE, ids[:1])
    act(REMOVE, ids[1:2])
    assert act(RESTORE, ids).changed == 2
    assert shown(campaign) == ["Cleo", "Bea", "Ada"]
    assert all(signature.listed_at == signature.signed_at for signature in stored())
    assert counted(campaign) == 3


@pytest.mark.parametrize("action", [HIDE, REMOVE])
def test_a_second_time_changes_nothing_and_is_not_written_down(
    campaign: Campaign, ids: list[int], act: Act, action: Action
) -> None:
    act(action, ids[:2])
    again = act(action, ids[:2])
    assert (again.changed, again.left, again.entries) == (0, 2, ())
    assert len(entries()) == 1
    assert act(action, ids).changed == 1
    counted(campaign)


def test_what_is_withdrawn_or_pending_is_never_touched(campaign: Campaign, ids: list[int], act: Act) -> None:
    with write_transaction() as session:
        for one, state in zip(ids, (SignatureState.WITHDRAWN, SignatureState.PENDING), strict=False):
            session.execute(update(Signature).where(Signature.id == one).values(state=state, listed_at=None))
        tally.repair(session, campaign.id)
    for action in Action:
        act(action, ids)
    assert standings() == ["withdrawn", "pending", "listed"]
    assert counted(campaign) == 1


def test_another_campaigns_signatures_are_never_touched(ids: list[int], publish: Publish) -> None:
    other = publish(slug="other")
    with write_transaction() as session:
        done = moderation.act(session, BY, other.id, REMOVE, ids, "spam", NOW, may_remove=True)
    assert done.changed == 0
    assert standings() == ["listed"] * 3


def test_a_removed_mailbox_that_signs_again_stays_removed_and_gets_the_same_thanks(
    campaign: Campaign, sign: Sign, act: Act
) -> None:
    thanks = sign(htmx=True)
    act(REMOVE, [stored()[0].id])
    again = sign(htmx=True)
    without_time = [re.sub("<time.*?</time>", "", answer.text) for answer in (thanks, again)]
    assert (again.status, without_time[1]) == (thanks.status, without_time[0])
    assert standings() == ["removed"]
    assert counted(campaign) == 0


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_without_a_reason_nothing_happens(ids: list[int], act: Act, reason: str) -> None:
    with pytest.raises(moderation.NoReasonError):
        act(HIDE, ids, reason=reason)
    assert standings() == ["listed"] * 3


def test_who_may_not_remove_can_neither_remove_nor_take_back_in(ids: list[int], act: Act, campaign: Campaign) -> None:
    with pytest.raises(moderation.NotAllowedError):
        act(REMOVE, ids, may_remove=False)
    removed = act(REMOVE, ids[:1])
    assert act(HIDE, ids[1:2], may_remove=False).changed == 1
    restored = act(RESTORE, ids, may_remove=False)
    assert (restored.changed, restored.left) == (1, 2)
    assert standings() == ["removed", "listed", "listed"]
    with pytest.raises(moderation.NotAllowedError):
        undo(campaign, removed, may_remove=False)


@pytest.mark.parametrize("action", Action)
def test_undo_puts_each_back_as_it_was_and_can_be_undone(
    campaign: Campaign, ids: list[int], act: Act, action: Action
) -> None:
    act(HIDE, ids[:1])
    act(REMOVE, ids[1:2])
    before = standings(), counted(campaign)
    done = act(action, ids)
    after = standings(), counted(campaign)
    undone = undo(campaign, done)
    assert (undone.changed, undone.left) == (done.changed, 0)
    assert (standings(), counted(campaign)) == before
    assert entries()[-1] == ("signature.undo", "spam", entries()[-2][3], entries()[-2][2] | {"undoes": done.entries[0]})
    undo(campaign, undone)
    assert (standings(), counted(campaign)) == after


def test_undo_leaves_alone_what_has_been_changed_since(campaign: Campaign, ids: list[int], act: Act) -> None:
    done = act(HIDE, ids)
    act(REMOVE, ids[:1])
    act(RESTORE, ids[1:2])
    undone = undo(campaign, done)
    assert (undone.changed, undone.left) == (1, 2)
    assert standings() == ["removed", "listed", "listed"]
    assert undo(campaign, done).changed == 0


def test_only_changes_of_this_campaigns_signatures_can_be_undone(
    campaign: Campaign, ids: list[int], act: Act, publish: Publish
) -> None:
    done = act(HIDE, ids)
    with write_transaction() as session:
        other = record.write(session, BY, "campaign.publish", NOW, campaign_id=campaign.id, before={}, after={}).id
    for where, entry in ((campaign, other), (campaign, 10**6), (publish(slug="other"), done.entries[0])):
        with pytest.raises(moderation.NoSuchEntryError):
            undo(where, Done(0, 0, (entry,)))


def test_the_record_has_ids_and_states_and_nothing_of_a_person(campaign: Campaign, ids: list[int], act: Act) -> None:
    act(REMOVE, ids)
    assert not any(word in str(entries()) for word in ("Ada", "example.org", "90012"))


def test_all_that_match_are_done_in_batches_and_undone_whole(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moderation, "BATCH", 100)
    list(fake.sign(campaign.id, 1000, NOW))
    with write_transaction() as session:
        session.execute(update(Signature).where(Signature.id % 4 == 0).values(country="LI", city="Vaduz"))
    wanted = Filter(country="LI", standing=Standing.LISTED)
    done = moderation.act_on_all(BY, campaign.id, REMOVE, wanted, "spam", NOW, may_remove=True)
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
def test_all_that_match_are_all_also_where_they_are_more_than_a_page_would_count(
    app: Flask, campaign: Campaign, wanted: Filter
) -> None:
    list(fake.sign(campaign.id, 1200, NOW))
    with write_transaction() as session:
        session.execute(update(Signature).values(country="LI", city="Vaduz", anonymous=False))
    assert moderation.BATCH > signature_table.MOST_COUNTED
    done = moderation.act_on_all(BY, campaign.id, HIDE, wanted, "spam", NOW, may_remove=False)
    assert (done.changed, set(standings())) == (1200, {"hidden"})


def test_all_that_match_end_somewhere_and_a_second_press_goes_on_from_there(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moderation, "BATCH", 100)
    monkeypatch.setattr(moderation, "MOST", 250)
    list(fake.sign(campaign.id, 400, NOW))
    presses = [moderation.act_on_all(BY, campaign.id, HIDE, Filter(), "spam", NOW, may_remove=False) for _ in range(3)]
    assert [press.changed for press in presses] == [250, 150, 0]


def test_signers_do_not_wait_while_all_that_match_are_looked_for(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moderation, "BATCH", 20)
    list(fake.sign(campaign.id, 50, NOW))
    looked: list[bool] = []

    def note(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "ORDER BY signature.signed_at DESC" in statement:
            looked.append(bool(connection.get_execution_options().get("writes")))

    event.listen(db.engine, "after_cursor_execute", note)
    done = moderation.act_on_all(BY, campaign.id, HIDE, Filter(), "spam", NOW, may_remove=False)
    event.remove(db.engine, "after_cursor_execute", note)
    assert done.changed == 50
    assert looked
    assert not any(looked)


def test_moderators_at_the_same_time_and_signers_among_them_keep_the_count_right(
    app: Flask, campaign: Campaign, ids: list[int]
) -> None:
    list(fake.sign(campaign.id, 60, NOW))
    every = [signature.id for signature in stored()]
    changed, failed = [], []

    def moderate(action: Action, ids: list[int]) -> None:
        try:
            with app.app_context(), write_transaction() as session:
                done = moderation.act(session, BY, campaign.id, action, ids, "spam", NOW, may_remove=True)
                changed.append(done.changed)
        except Exception as error:  # a thread's own would be lost
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


def test_all_that_match_by_several_at_the_same_time_leave_count_and_record_right(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moderation, "BATCH", 50)
    list(fake.sign(campaign.id, 400, NOW))

    def moderate(first: Action, second: Action) -> None:
        with app.app_context():
            done = moderation.act_on_all(BY, campaign.id, first, Filter(), "spam", NOW, may_remove=True)
            moderation.act_on_all(BY, campaign.id, second, Filter(country="US"), "spam", NOW, may_remove=True)
            moderation.undo_all(BY, campaign.id, done.entries, NOW, may_remove=True)

    def sign_too() -> None:
        with app.app_context():
            list(fake.sign(campaign.id, 50, NOW))

    with ThreadPoolExecutor(4) as crowd:
        together = [crowd.submit(moderate, *two) for two in ((REMOVE, HIDE), (HIDE, RESTORE), (REMOVE, RESTORE))]
        together.append(crowd.submit(sign_too))
        for each in together:
            each.result(timeout=60)
    # Each entry begins where the one before it ended.
    is_now = dict.fromkeys((signature.id for signature in stored()), "listed")
    for _, _, before, after in entries():
        for was, changed in before.items():
            assert {is_now[one] for one in changed} == {was}
        is_now |= {one: becomes for becomes, ids in after.items() if isinstance(ids, list) for one in ids}
    assert standings() == list(is_now.values())
    assert counted(campaign) == sum(each != "removed" for each in is_now.values())
