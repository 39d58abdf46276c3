"""On SQLite, the worker keeps the search index current. Searches look at the newest signatures themselves."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import Engine, delete, event, text, update

from campaign.accounts.audit_log import COMMAND
from campaign.models.campaign import Campaign
from campaign.models.signature import Signature, Standing
from campaign.moderation import actions, indexing, search, unindexed
from campaign.moderation import table as signature_table
from campaign.moderation.actions import Action
from campaign.moderation.changes import Done
from campaign.moderation.table import Filter, Page
from campaign.signatures import fake
from campaign.storage import single_flight
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import ADA, PATH, Publish, only_sqlite, stored
from tests.moderation.signatures import index_all, put
from tests.statistics.rolling import slow_steps

pytestmark = only_sqlite


def search_for(campaign: Campaign, words: str, before: str | None = None) -> Page:
    db.session.rollback()
    return signature_table.page(db.session(), campaign.id, Filter(words=words), before)


def names(page: Page) -> list[str]:
    return [entry.name for entry in page.entries]


def indexed() -> int:
    db.session.rollback()
    return int(db.session.scalar(text("SELECT count(*) FROM signature_search_words")) or 0)


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """All statements that are executed."""
    found = list[str]()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield found
    event.remove(Engine, "before_cursor_execute", note)


def test_search_finds_new_and_changed_signatures_before_they_are_indexed(
    campaign: Campaign, statements: list[str]
) -> None:
    put(campaign, {"name": "Ada Lovelace"}, {"name": "Grace Hopper", "email": "grace@example.org"})
    index_all()
    put(campaign, {"name": "Ada Byron", "email": "byron@example.org"})
    with write_transaction() as session:
        session.execute(update(Signature).where(Signature.name == "Grace Hopper").values(name="Ada Hopper"))
    statements.clear()
    page = search_for(campaign, "ada")
    assert names(page) == ["Ada Byron", "Ada Hopper", "Ada Lovelace"]
    assert page.missed == 0
    assert names(search_for(campaign, "grace")) == []
    assert not [each for each in statements if each.startswith(("INSERT", "UPDATE", "DELETE", "BEGIN IMMEDIATE"))]
    assert indexed() == 1


@pytest.mark.slow
def test_search_looks_at_the_newest_thousand_and_says_how_many_are_being_indexed(
    campaign: Campaign, statements: list[str]
) -> None:
    put(campaign, {"name": "Zelda Indexed"})
    index_all()
    put(campaign, {"name": "Zelda Waiting", "email": "waiting@example.org"})
    list(fake.sign(campaign.id, 999, datetime.now(UTC)))
    assert names(search_for(campaign, "zelda waiting")) == ["Zelda Waiting"]
    assert search_for(campaign, "zelda").missed == 0
    put(campaign, {"name": "Zelda Newest", "email": "newest@example.org"})
    page = search_for(campaign, "zelda")
    assert {"Zelda Newest", "Zelda Indexed"} <= {*names(page)}
    assert "Zelda Waiting" not in names(page)
    assert page.missed == 1001
    assert signature_table.page(db.session(), campaign.id, Filter(country="US")).missed == 0
    index_all()
    page = search_for(campaign, "zelda")
    assert "Zelda Waiting" in names(page)
    assert page.missed == 0


def rename(campaign: Campaign) -> None:
    """Give the campaign's signatures another name, so that they wait to be indexed again."""
    with write_transaction() as session:
        session.execute(update(Signature).where(Signature.campaign_id == campaign.id).values(name="Zelda Again"))


@pytest.mark.parametrize("is_changed", [False, True])
def test_search_looks_at_a_small_campaigns_signatures_while_a_crowd_signs_another(
    campaign: Campaign, publish: Publish, monkeypatch: pytest.MonkeyPatch, is_changed: bool
) -> None:
    monkeypatch.setattr(unindexed, "LOOK", 3)
    small = publish(slug="small")
    put(small, {"name": "Zelda"})
    put(campaign, *({"name": "Zelda", "email": f"{n}@example.org"} for n in range(5)))
    if is_changed:
        index_all()
        rename(small)
        rename(campaign)
    page = search_for(small, "zelda")
    assert (len(page.ids), page.missed) == (1, 0)
    page = search_for(campaign, "zelda")
    assert (len(page.ids), page.missed) == (3, 5)


def test_search_says_that_it_may_miss_changes_in_a_large_campaign(
    campaign: Campaign, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unindexed, "LOOK", 3)
    monkeypatch.setattr(unindexed, "MOST_COUNTED", 4)
    put(campaign, *({"name": "Ada", "email": f"{n}@example.org"} for n in range(5)))
    other = publish(slug="other")
    put(other, *({"name": "Ada", "email": f"{n}@example.org"} for n in range(4)))
    index_all()
    with write_transaction() as session:
        session.execute(update(Signature).where(Signature.email == "0@example.org").values(name="Zelda"))
    rename(other)
    assert names(search_for(campaign, "zelda")) == []
    assert search_for(campaign, "zelda").missed > unindexed.MOST_COUNTED


def test_unindexed_signatures_of_a_large_campaign_are_found_without_a_scan(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, statements: list[str]
) -> None:
    monkeypatch.setattr(unindexed, "LOOK", 3)
    put(campaign, *({"name": "Ada", "email": f"{n}@example.org"} for n in range(5)))
    statements.clear()
    search_for(campaign, "ada")
    found = next(each for each in statements if "ORDER BY signed_at DESC" in each)
    plan = db.session().connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {found}", (campaign.id, 9)).all()
    assert [step for *_, step in plan if step.split()[1] == "signature"] == [
        "SEARCH signature USING COVERING INDEX ix_signature_campaign_id_signed_at_id (campaign_id=?)"
    ]


def test_every_signature_is_on_one_page_while_the_worker_indexes(campaign: Campaign) -> None:
    for number in range(3):
        put(campaign, *({"name": "Ada", "email": f"{n}@{number}.example"} for n in range(60)))
        if number == 0:
            index_all()
    seen, before = list[int](), None
    while True:
        page = search_for(campaign, "ada", before)
        seen += page.ids
        before = page.next
        if before is None:
            break
        index_all()
    assert seen == sorted((signature.id for signature in stored()), reverse=True)


def test_action_on_all_matches_counts_unsearched_signatures(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unindexed, "LOOK", 5)
    put(campaign, *({"name": "Spam", "email": f"{n}@example.org"} for n in range(8)))

    def hide_all() -> Done:
        wanted, now = Filter(words="spam"), datetime.now(UTC)
        return actions.act_on_all(COMMAND, campaign.id, Action.HIDE, wanted, "spam", now, may_remove=True)

    done = hide_all()
    assert (done.changed, done.missed) == (5, 8)
    index_all()
    done = hide_all()
    assert (done.changed, done.left, done.missed) == (3, 5, 0)


def test_search_shows_signatures_right_after_they_were_removed(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(campaign, {"name": "Spam"})
    index_all()
    # All happens within the second for which a search reuses what it has read.
    monkeypatch.setattr(single_flight, "tick", lambda: 1.0)
    wanted, now = Filter(words="spam"), datetime.now(UTC)
    actions.act_on_all(COMMAND, campaign.id, Action.REMOVE, wanted, "spam", now, may_remove=True)
    assert [entry.standing for entry in search_for(campaign, "spam").entries] == [Standing.REMOVED]


def test_index_is_filled_in_pieces_that_leave_signers_their_turn(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "BATCH", 10)
    put(campaign, *({"name": "Ada", "email": f"{n}@example.org"} for n in range(25)))
    for expected in (10, 20):
        assert indexing.index_piece() < indexing.LOOK_AGAIN
        assert indexed() == expected
    assert indexing.index_piece() == indexing.LOOK_AGAIN
    assert indexed() == 25
    assert indexing.index_piece() == indexing.LOOK_AGAIN


@pytest.mark.parametrize("waited", [0.0, 0.5])
def test_index_task_rests_in_proportion_to_a_full_batch_while_others_write(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, waited: float
) -> None:
    monkeypatch.setattr(indexing, "BATCH", 1)
    put(campaign, {"name": "Ada"}, {"name": "Bea", "email": "bea@example.org"})
    # The turn to write comes after `waited` seconds. Then, storing the batch takes two, and committing it one.
    with slow_steps(indexing, {"BEGIN IMMEDIATE": waited, "UPDATE signature_search_done": 2, "COMMIT": 1}, monkeypatch):
        rest = indexing.index_piece()
    assert indexed() == 1
    assert rest == timedelta(seconds=indexing.REST * 3 if waited else 0)


def test_signature_that_arrives_during_a_piece_is_stored_after_it(
    app: Flask, campaign: Campaign, statements: list[str]
) -> None:
    put(campaign, {"name": "Ada"})
    visitor, answers = app.test_client(), []

    with ThreadPoolExecutor(1) as crowd:

        def sign(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if "UPDATE signature_search_done" in statement:
                answers.append(crowd.submit(visitor.post, f"{PATH}/signatures", data=ADA))

        event.listen(Engine, "before_cursor_execute", sign)
        indexing.index_piece()
        event.remove(Engine, "before_cursor_execute", sign)
    assert [answer.result().status_code for answer in answers] == [303]
    assert [signature.name for signature in stored()] == ["Ada", "Ada Lovelace"]
    assert indexed() == 1


def test_piece_that_another_worker_has_indexed_is_not_indexed_twice(campaign: Campaign) -> None:
    put(campaign, {"name": "Ada"}, {"name": "Bea", "email": "bea@example.org"})
    # A worker has read the rows and is then suspended, while another worker indexes them and an organizer changes one.
    known = {tuple(row): indexing._indexed_text(row) for row in indexing._next(db.session())}
    db.session.rollback()
    index_all()
    with write_transaction() as session:
        session.execute(update(Signature).where(Signature.name == "Bea").values(name="Cleo"))
    with write_transaction() as session:
        indexing._store(session, known)
    assert indexed() == 2
    with db.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO signature_search (signature_search) VALUES ('integrity-check')")
    assert unindexed.look(db.session(), campaign.id, [], 2**62) == []
    assert [len(search.newest(db.session(), campaign.id, [each], "", None, 9)) for each in ("ada", "bea", "cleo")] == [
        1,
        0,
        1,
    ]


def test_failed_piece_leaves_the_index_as_it_was(campaign: Campaign) -> None:
    put(campaign, {"name": "Ada"})

    def fail(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO signature_search "):
            raise OSError

    event.listen(Engine, "before_cursor_execute", fail)
    with pytest.raises(OSError):  # noqa: PT011 (raised above)
        indexing.index_piece()
    event.remove(Engine, "before_cursor_execute", fail)
    assert indexed() == 0
    index_all()
    assert names(search_for(campaign, "ada")) == ["Ada"]
    assert unindexed.look(db.session(), campaign.id, [], 2**62) == []


def test_signature_with_the_id_of_a_deleted_one_is_found(campaign: Campaign) -> None:
    put(campaign, {"name": "Ada"}, {"name": "Bea", "email": "bea@example.org"})
    index_all()
    with write_transaction() as session:
        session.execute(delete(Signature).where(Signature.name == "Bea"))
    put(campaign, {"name": "Cleo", "email": "cleo@example.org"})
    assert names(search_for(campaign, "cleo")) == ["Cleo"]
    index_all()
    assert names(search_for(campaign, "cleo")) == ["Cleo"]
