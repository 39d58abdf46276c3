"""The organisers' table shows, filters and searches a campaign's signatures, a page at a time."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, event, insert, text, update

from campaign import fake, search, signature_table, tally
from campaign.extensions import db, write_transaction
from campaign.models import Campaign, Signature, SignatureState, Standing
from campaign.signature_table import Count, Filter, Page
from tests.conftest import Publish, only_sqlite

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)


def put(campaign: Campaign, *people: dict[str, Any]) -> list[int]:
    """Store these signatures, each a minute after the one before; give back their ids."""
    ids = []
    with write_transaction() as session:
        for number, person in enumerate(people):
            plain = fake.signature(campaign.id, f"{number}-{len(people)}", NOW + timedelta(minutes=number))
            plain |= {"name": "No One", "country": "US", "city": "", "region": "", "postal_code": "", "source": ""}
            plain |= {"anonymous": False} | person
            plain["email_key"] = plain["email"]
            ids.append(session.scalar(insert(Signature).values(plain).returning(Signature.id)) or 0)
        tally.repair(session, campaign.id)
    return ids


def look(campaign: Campaign, before: str | None = None, size: int = 50, **wanted: Any) -> Page:
    db.session.rollback()
    search.catch_up()
    return signature_table.page(db.session(), campaign.id, Filter(**wanted), before, size=size)


def found(campaign: Campaign, **wanted: Any) -> list[str]:
    """The names of all that match, read by small pages."""
    names, before = [], None
    while True:
        page = look(campaign, before, 2, **wanted)
        names += [entry.name for entry in page.entries]
        before = page.next
        if before is None:
            return names


@pytest.fixture
def people(campaign: Campaign) -> Campaign:
    removed = {"state": SignatureState.REMOVED, "listed_at": None}
    put(
        campaign,
        {"name": "Ada Lovelace", "email": "ada@example.org", "city": "London", "country": "GB", "source": "radio"},
        {"name": "Zoë Müller-Lüdenscheidt", "email": "zoe.mueller@mail.example.net", "city": "Köln", "country": "DE"},
        {"name": "Adam O’Neill", "email": "adam@example.org", "anonymous": True, "postal_code": "M5H 2N2"},
        {"name": "Иван Петров", "email": "ivan@example.com", "region": "Москва", "source": "radio"},
        {"name": "Hidden Hugo", "email": "hugo@example.org", "listed_at": None, "region": "North Rhine"},
        {"name": "Removed Rita", "email": "rita@example.com", "source": "radio", **removed},
        {"name": "प्रिया शर्मा", "email": "priya@example.in", "country": "IN", "city": "पुणे"},
    )
    return campaign


EVERYONE = [
    "प्रिया शर्मा",
    "Removed Rita",
    "Hidden Hugo",
    "Иван Петров",
    "Adam O’Neill",
    "Zoë Müller-Lüdenscheidt",
    "Ada Lovelace",
]


def test_all_are_there_newest_first(people: Campaign) -> None:
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
def test_filters_leave_those_that_were_asked_for(people: Campaign, wanted: dict[str, Any], names: list[str]) -> None:
    assert found(people, **wanted) == names
    assert look(people, **wanted).count == Count(len(names), exact=True)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("lovel", ["Ada Lovelace"]),
        ("ADA", ["Adam O’Neill", "Ada Lovelace"]),
        ("ada love", ["Ada Lovelace"]),
        ("  love,  ada ", ["Ada Lovelace"]),
        ("ovelace", []),
        ("zoe", ["Zoë Müller-Lüdenscheidt"]),
        ("zoë mul", ["Zoë Müller-Lüdenscheidt"]),
        ("MÜLLER", ["Zoë Müller-Lüdenscheidt"]),
        ("lüdenscheidt", ["Zoë Müller-Lüdenscheidt"]),
        ("müller-lüden", ["Zoë Müller-Lüdenscheidt"]),
        ("neill", ["Adam O’Neill"]),
        ("o’neill", ["Adam O’Neill"]),
        ("köln", ["Zoë Müller-Lüdenscheidt"]),
        ("koln", ["Zoë Müller-Lüdenscheidt"]),
        ("london ada", ["Ada Lovelace"]),
        ("m5h", ["Adam O’Neill"]),
        ("M5H 2N2", ["Adam O’Neill"]),
        ("north rhine", ["Hidden Hugo"]),
        ("Иван", ["Иван Петров"]),
        ("Моск", ["Иван Петров"]),
        ("प्रि", ["प्रिया शर्मा"]),
        ("पुणे", ["प्रिया शर्मा"]),
        ("nobody", []),
    ],
)
def test_names_and_places_are_found_by_how_their_words_begin(people: Campaign, words: str, names: list[str]) -> None:
    assert found(people, words=words) == names


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("ada@example.org", ["Ada Lovelace"]),
        ("ADA@Example.org ", ["Ada Lovelace"]),
        ("ada+petitions@example.org", ["Ada Lovelace"]),
        ("ada", ["Adam O’Neill", "Ada Lovelace"]),
        ("zoe.mue", ["Zoë Müller-Lüdenscheidt"]),
        ("ada@exam", ["Ada Lovelace"]),
        ("@example.org", ["Hidden Hugo", "Adam O’Neill", "Ada Lovelace"]),
        ("@EXAMPLE.ORG", ["Hidden Hugo", "Adam O’Neill", "Ada Lovelace"]),
        ("@example.net", []),
        ("@mail.example.net", ["Zoë Müller-Lüdenscheidt"]),
        ("example.org", []),
        ("@", []),
        ("ad", []),
    ],
)
def test_addresses_are_found_whole_by_their_beginning_and_by_their_domain(
    people: Campaign, address: str, names: list[str]
) -> None:
    assert found(people, address=address) == names


def test_an_address_is_found_as_google_knows_it(campaign: Campaign) -> None:
    put(campaign, {"name": "Ada", "email": "adalovelace@gmail.com"})
    for address in ("ada.lovelace@googlemail.com", "ada.love", "Ada.Lovelace+x@gmail.com", "@googlemail.com"):
        assert found(campaign, address=address) == ["Ada"]


def test_words_and_address_together_must_both_match(people: Campaign) -> None:
    assert found(people, words="ada", address="adam@example.org") == ["Adam O’Neill"]


MARK = "\ue001"
PROBES = [
    "ada@example.org",
    "@example.org",
    "example",
    "org",
    f"{MARK}ada@example.org",
    "\ue002example.org",
    f"{MARK}{b'ada@example.org'.hex()}",
    b"ada@example.org".hex(),
    "words:ada",
    "rowid",
]


@pytest.mark.parametrize("probe", PROBES)
def test_a_search_for_words_finds_nothing_out_about_an_address(people: Campaign, probe: str) -> None:
    assert "Hidden Hugo" not in found(people, words=probe)
    with_name_alone = found(people, words=probe.replace("ada", "hugo"))
    assert with_name_alone == []


HOSTILE = [
    '"',
    "'",
    "''",
    "\\",
    "\\'",
    "a' | 'b",
    "'a':*",
    "a & !b",
    "a <-> b",
    '" OR words:a',
    "NEAR(a b)",
    "a OR b",
    "NOT a",
    "AND",
    "*",
    "^a",
    "-a",
    "+",
    "{words}: a",
    "%",
    "_",
    "a\x00b",
    "\ud800",
    "(((",
    "; DROP TABLE signature",
    "a" * 5000,
    "a " * 5000,
    "\u0301",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_search_cannot_speak_to_the_database(people: Campaign, hostile: str) -> None:
    assert "Zoë Müller-Lüdenscheidt" not in found(people, words=hostile)
    assert "Zoë Müller-Lüdenscheidt" not in found(people, address=hostile)
    assert found(people) == EVERYONE


def test_nothing_to_look_for_finds_nothing(people: Campaign) -> None:
    assert found(people, words="!?") == []


def test_another_campaigns_signatures_are_not_found(people: Campaign, publish: Publish) -> None:
    other = publish(slug="other")
    put(other, {"name": "Ada Byron", "email": "ada@example.org"})
    assert found(other) == ["Ada Byron"]
    for wanted in ({"words": "ada"}, {"address": "@example.org"}, {"country": "US"}):
        assert found(other, **wanted) == ["Ada Byron"]
        assert "Ada Byron" not in found(people, **wanted)


def test_addresses_are_read_only_for_who_asks_for_them(people: Campaign) -> None:
    assert {entry.email for entry in look(people).entries} == {None}
    search.catch_up()
    page = signature_table.page(db.session(), people.id, Filter(words="lovelace"), with_addresses=True)
    assert [entry.email for entry in page.entries] == ["ada@example.org"]


@pytest.mark.parametrize("wanted", [{}, {"country": "US"}, {"words": "one"}, {"anonymous": False, "country": "US"}])
def test_pages_have_each_signature_once_though_people_sign_meanwhile(campaign: Campaign, wanted: Any) -> None:
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


def test_signatures_of_the_same_moment_are_all_shown(campaign: Campaign) -> None:
    ids = put(campaign, *({"email": f"{n}@example.org", "signed_at": NOW} for n in range(7)))
    assert len(found(campaign)) == len(ids)


@pytest.mark.parametrize("cursor", ["", "x", "1", "-", "1-", "1-x", "٣-1", "1" * 19 + "-1"])
def test_a_bad_cursor_is_refused(campaign: Campaign, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        look(campaign, cursor)


@pytest.mark.parametrize("wanted", [{"anonymous": True, "country": "US"}, {"words": "one", "anonymous": True}])
def test_a_page_looks_only_so_far_and_the_next_goes_on_from_there(
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


def test_a_count_of_matches_goes_only_so_far(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature_table, "MOST_COUNTED", 20)
    put(campaign, *({"email": f"{n}@example.org"} for n in range(30)))
    for wanted in ({"country": "US"}, {"words": "one"}, {"anonymous": False}):
        assert look(campaign, size=5, **wanted).count == Count(20, exact=False)


def test_the_search_index_follows_what_is_changed_and_deleted(people: Campaign) -> None:
    with write_transaction() as session:
        session.execute(update(Signature).where(Signature.name == "Ada Lovelace").values(name="Grace Hopper"))
        session.execute(delete(Signature).where(Signature.name == "Adam O’Neill"))
    assert found(people, words="lovelace") == []
    assert found(people, words="hopper") == ["Grace Hopper"]
    assert found(people, words="ada") == []
    assert found(people, address="adam@example.org") == []


@only_sqlite
def test_the_search_index_catches_up_in_batches_and_each_signature_is_in_it_once(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BATCH", 10)
    for number in (25, 10, 0):
        put(campaign, *({"name": "Ada", "email": f"{n}@{number}.example"} for n in range(number)))
        assert set(found(campaign, words="ada")) == {"Ada"}
    assert len(found(campaign, words="ada")) == 35
    with write_transaction() as session:
        session.execute(delete(Signature).where(Signature.id.in_([34, 35])))
    put(campaign, {"name": "Bea", "email": "bea@example.org"}, {"name": "Cleo", "email": "cleo@example.org"})
    with write_transaction() as session:
        session.execute(update(Signature).where(Signature.id == 35).values(name="Dora"))
        session.execute(delete(Signature).where(Signature.id == 34))
    assert len(found(campaign, words="ada")) == 33
    assert found(campaign, words="bea") == found(campaign, words="cleo") == []
    assert found(campaign, words="dora") == ["Dora"]
    with db.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO signature_search (signature_search) VALUES ('integrity-check')")


def test_everything_is_found_in_a_large_table_as_in_a_small_one(campaign: Campaign) -> None:
    # PostgreSQL's search goes back block by block.
    if db.engine.dialect.name == "postgresql":
        with write_transaction() as session:
            session.execute(text("SELECT setval('signature_id_seq', 65536 * 5)"))
    old = put(campaign, {"name": "Old Timer"}, {"name": "Old Hand"})
    if db.engine.dialect.name == "postgresql":
        with write_transaction() as session:
            session.execute(text("SELECT setval('signature_id_seq', 65536 * 45)"))
    new = put(campaign, {"name": "Old Bore", "email": "bore@example.org"})
    assert found(campaign, words="old") == ["Old Bore", "Old Hand", "Old Timer"]
    assert search.newest(db.session(), campaign.id, "old", "", new[0], 10) == old[::-1]


@pytest.mark.parametrize(
    ("zone", "begins"),
    [
        ("UTC", datetime(2027, 3, 28, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2027, 3, 27, 23, tzinfo=UTC)),
        ("America/Los_Angeles", datetime(2027, 3, 28, 7, tzinfo=UTC)),
    ],
)
def test_a_day_begins_when_it_does_where_the_campaign_is(zone: str, begins: datetime) -> None:
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
            way = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
            rows = connection.connection.driver_connection.execute(way + statement, parameters).fetchall()
            plans.append(" ".join(str(row[-1]) for row in rows))

    put(campaign, *({"email": f"{n}@example.org"} for n in range(30)))
    with write_transaction() as session:
        if session.connection().dialect.name == "postgresql":
            # Of so few rows it would read all.
            session.execute(text("ALTER TABLE signature SET (autovacuum_enabled = off)"))
    event.listen(db.engine, "before_cursor_execute", explain)
    db.session.rollback()
    if db.engine.dialect.name == "postgresql":
        db.session.execute(text("SET LOCAL enable_seqscan = off"))
        db.session.execute(text("SET LOCAL enable_bitmapscan = off"))
    signature_table.page(db.session(), campaign.id, Filter(**wanted))
    event.remove(db.engine, "before_cursor_execute", explain)
    walk = plans[0]
    assert "SCAN signature " not in walk + " "
    assert "Sort" not in walk
    if wanted:
        expected = next((name for name in ("country", "source", "anonymous") if name in wanted), None)
        expected = expected or wanted["standing"].value
        assert expected in walk
