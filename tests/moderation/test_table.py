"""The organizers' table of signatures: filters, paging, limits, and query plans."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, insert, text

from campaign.models.campaign import Campaign
from campaign.models.signature import Signature, SignatureState, Standing
from campaign.moderation import table as signature_table
from campaign.moderation.table import Count, Filter
from campaign.signatures import fake
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.moderation.signatures import EVERYONE, NOW, found, look, put


def test_table_lists_all_signatures_newest_first(people: Campaign) -> None:
    assert found(people) == EVERYONE


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"standing": Standing.HIDDEN}, ["Hidden Hugo"]),
        ({"standing": Standing.REMOVED}, ["Removed Rita"]),
        ({"standing": Standing.LISTED}, [name for name in EVERYONE if "Hugo" not in name and "Rita" not in name]),
        ({"standing": Standing.PENDING}, []),
        ({"country": "GB"}, ["Ada Lovelace"]),
        ({"country": "LI"}, []),
        ({"anonymous": True}, ["Adam O’Neill"]),
        ({"anonymous": False}, [name for name in EVERYONE if "Adam" not in name]),
        ({"source": "radio"}, ["Removed Rita", "Иван Петров", "Ada Lovelace"]),
        ({"source": "radio", "country": "US"}, ["Removed Rita", "Иван Петров"]),
        ({"source": "radio", "country": "US", "standing": Standing.REMOVED}, ["Removed Rita"]),
        ({"since": NOW + timedelta(minutes=4)}, EVERYONE[:3]),
        ({"since": NOW + timedelta(minutes=1), "until": NOW + timedelta(minutes=3)}, EVERYONE[4:6]),
        ({"country": "US", "until": NOW + timedelta(minutes=3)}, ["Adam O’Neill"]),
        ({"words": "ada", "country": "US"}, ["Adam O’Neill"]),
        ({"words": "ada", "until": NOW + timedelta(minutes=1)}, ["Ada Lovelace"]),
        ({"words": "r", "standing": Standing.REMOVED}, ["Removed Rita"]),
    ],
)
def test_filters_select_matching_signatures(people: Campaign, wanted: dict[str, Any], names: list[str]) -> None:
    assert found(people, **wanted) == names
    assert look(people, **wanted).count == Count(len(names), exact=True)


def test_email_addresses_are_read_only_on_request(people: Campaign) -> None:
    assert {entry.email for entry in look(people).entries} == {None}
    page = signature_table.page(db.session(), people.id, Filter(words="lovelace"), with_addresses=True)
    assert [entry.email for entry in page.entries] == ["ada@example.org"]


@pytest.mark.parametrize("wanted", [{}, {"country": "US"}, {"words": "one"}, {"anonymous": False, "country": "US"}])
def test_paging_shows_each_signature_once_while_people_sign(campaign: Campaign, wanted: Any) -> None:
    ids = put(campaign, *({"email": f"{n}@example.org"} for n in range(25)))
    seen, before = [], None
    while True:
        page = look(campaign, before, size=10, **wanted)
        seen += page.ids
        put(campaign, {"email": f"late-{len(seen)}@example.org", "signed_at": NOW + timedelta(days=1)})
        if page.next is None:
            break
        before = page.next
    assert seen == ids[::-1]


def test_signatures_with_the_same_time_are_all_shown(campaign: Campaign) -> None:
    ids = put(campaign, *({"email": f"{n}@example.org", "signed_at": NOW} for n in range(7)))
    assert len(found(campaign)) == len(ids)


@pytest.mark.parametrize("cursor", ["", "x", "1", "-", "1-", "1-x", "٣-1", "1" * 19 + "-1"])
def test_invalid_cursor_is_refused(campaign: Campaign, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        look(campaign, cursor)


@pytest.mark.parametrize("wanted", [{"anonymous": True, "country": "US"}, {"words": "one", "anonymous": True}])
@pytest.mark.slow
def test_page_stops_at_the_limit_and_the_next_page_continues(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any]
) -> None:
    monkeypatch.setattr(signature_table, "LOOK", 40)
    monkeypatch.setattr(signature_table, "LOOK_FOUND", 40)
    oldest = {"name": "One Alone", "email": "alone@example.org", "country": "US", "anonymous": True}
    others = ({"email": f"{n}@example.org", "anonymous": n % 2 == 0, "country": "DE"} for n in range(99))
    put(campaign, oldest, *others, *({"email": f"us{n}@example.org"} for n in range(99)))
    first = look(campaign, size=5, **wanted)
    assert first.next
    assert not first.full
    assert not first.count or not first.count.exact
    assert "One Alone" in found(campaign, **wanted)


def test_count_of_matches_has_a_limit(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature_table, "MOST_COUNTED", 20)
    put(campaign, *({"email": f"{n}@example.org"} for n in range(30)))
    for wanted in ({"country": "US"}, {"words": "one"}, {"anonymous": False}):
        assert look(campaign, size=5, **wanted).count == Count(20, exact=False)


def test_page_has_fifty_signatures(campaign: Campaign) -> None:
    ids = put(campaign, *({"email": f"{n}@example.org"} for n in range(51)))
    first = signature_table.page(db.session(), campaign.id, Filter())
    assert first.ids == ids[:0:-1]
    assert first.full
    assert first.next
    last = signature_table.page(db.session(), campaign.id, Filter(), first.next)
    assert (last.ids, last.full, last.next) == (ids[:1], False, None)


def test_exactly_full_page_is_the_last(campaign: Campaign) -> None:
    put(campaign, *({"email": f"{n}@example.org"} for n in range(50)))
    page = signature_table.page(db.session(), campaign.id, Filter())
    assert (len(page.entries), page.full, page.next) == (50, False, None)


def put_many(campaign: Campaign, number: int, **same: Any) -> None:
    """Store many similar signatures in one statement. Only the first, oldest one is not anonymous."""
    rows = [fake.signature(campaign.id, str(n), NOW + timedelta(seconds=n)) for n in range(number)]
    with write_transaction() as session:
        session.execute(insert(Signature), [row | {"anonymous": n > 0} | same for n, row in enumerate(rows)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "count"), [(499, Count(499, exact=True)), (500, Count(500, exact=True)), (501, Count(500, exact=False))]
)
def test_matches_are_counted_up_to_five_hundred(campaign: Campaign, number: int, count: Count) -> None:
    put_many(campaign, number, anonymous=False, name="No One", country="US")
    for wanted in ({"country": "US"}, {"words": "one"}, {"anonymous": False}):
        assert look(campaign, **wanted).count == count


@pytest.mark.parametrize(
    ("wanted", "number"), [({"anonymous": False}, 2000), ({"words": "one", "anonymous": False}, 1000)], ids=str
)
@pytest.mark.slow
def test_page_checks_2000_signatures_or_1000_search_results(
    campaign: Campaign, wanted: dict[str, Any], number: int
) -> None:
    put_many(campaign, number, name="No One")
    assert len(look(campaign, **wanted).entries) == 1
    put(campaign, {"email": "late@example.org", "anonymous": True, "signed_at": NOW + timedelta(days=1)})
    first = look(campaign, **wanted)
    assert (first.entries, first.full) == ([], False)
    assert first.next
    assert len(look(campaign, first.next, **wanted).entries) == 1


def test_withdrawn_and_pending_signatures_can_be_filtered(campaign: Campaign) -> None:
    for state in (SignatureState.PENDING, SignatureState.WITHDRAWN):
        put(campaign, {"name": state.name, "email": f"{state}@example.org", "state": state, "listed_at": None})
    assert found(campaign, standing=Standing.PENDING) == ["PENDING"]
    assert found(campaign, standing=Standing.WITHDRAWN) == ["WITHDRAWN"]


@pytest.mark.parametrize(
    ("zone", "begins"),
    [
        ("UTC", datetime(2027, 3, 28, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2027, 3, 27, 23, tzinfo=UTC)),
        ("America/Los_Angeles", datetime(2027, 3, 28, 7, tzinfo=UTC)),
    ],
)
def test_day_begins_at_midnight_in_the_time_zone(zone: str, begins: datetime) -> None:
    assert signature_table.day(date(2027, 3, 28), zone) == begins


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"standing": Standing.HIDDEN},
        {"standing": Standing.REMOVED},
        {"country": "LI"},
        {"source": "radio"},
        {"anonymous": True},
        {"country": "LI", "since": NOW},
    ],
)
def test_no_filter_reads_or_sorts_the_whole_table(app: Flask, campaign: Campaign, wanted: dict[str, Any]) -> None:
    plans: list[str] = []

    def explain(connection: Any, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if "FROM signature" in statement and "EXPLAIN" not in statement:
            command = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
            rows = connection.connection.driver_connection.execute(command + statement, parameters).fetchall()
            plans.append(" ".join(str(row[-1]) for row in rows))

    put(campaign, *({"email": f"{n}@example.org"} for n in range(30)))
    with write_transaction() as session:
        if session.connection().dialect.name == "postgresql":
            # PostgreSQL would scan a table with so few rows.
            session.execute(text("ALTER TABLE signature SET (autovacuum_enabled = off)"))
    event.listen(db.engine, "before_cursor_execute", explain)
    db.session.rollback()
    if db.engine.dialect.name == "postgresql":
        db.session.execute(text("SET LOCAL enable_seqscan = off"))
        db.session.execute(text("SET LOCAL enable_bitmapscan = off"))
    signature_table.page(db.session(), campaign.id, Filter(**wanted))
    event.remove(db.engine, "before_cursor_execute", explain)
    start, plan = plans[:2]
    assert "SCAN signature " not in f"{start} {plan} "
    assert "Sort" not in start + plan
    if wanted:
        expected = next((name for name in ("country", "source", "anonymous") if name in wanted), None)
        expected = expected or wanted["standing"].value
        assert expected in plan
