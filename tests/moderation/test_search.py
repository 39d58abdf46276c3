"""Searching signatures by words of names and places, and by email address."""

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, event, text, update

from campaign.models.campaign import Campaign
from campaign.models.signature import Signature
from campaign.moderation import indexing, search, unindexed
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.text.bounded_text import RefusedTextError
from tests.conftest import Publish, only_sqlite
from tests.moderation.signatures import EVERYONE, found, put


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
def test_search_matches_beginnings_of_words(people: Campaign, words: str, names: list[str]) -> None:
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
def test_email_search_matches_address_prefix_and_domain(people: Campaign, address: str, names: list[str]) -> None:
    assert found(people, address=address) == names


def test_gmail_address_is_found_in_every_spelling(campaign: Campaign) -> None:
    put(campaign, {"name": "Ada", "email": "adalovelace@gmail.com"})
    for address in ("ada.lovelace@googlemail.com", "ada.love", "Ada.Lovelace+x@gmail.com", "@googlemail.com"):
        assert found(campaign, address=address) == ["Ada"]


def test_words_and_email_address_must_both_match(people: Campaign) -> None:
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
def test_word_search_reveals_nothing_about_email_addresses(people: Campaign, probe: str) -> None:
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
    "a" * 300,
    "a " * 150,
    "\u0301",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_search_text_cannot_inject_query_syntax(people: Campaign, hostile: str) -> None:
    assert "Zoë Müller-Lüdenscheidt" not in found(people, words=hostile)
    assert "Zoë Müller-Lüdenscheidt" not in found(people, address=hostile)
    assert found(people) == EVERYONE


def test_search_over_300_characters_is_refused(people: Campaign) -> None:
    for hostile in ("a" * 301, "a " * 5000):
        with pytest.raises(RefusedTextError):
            found(people, words=hostile)
        with pytest.raises(RefusedTextError):
            found(people, address=hostile)


def test_search_without_letters_or_digits_finds_nothing(people: Campaign) -> None:
    assert found(people, words="!?") == []


def test_other_campaigns_signatures_are_not_found(people: Campaign, publish: Publish) -> None:
    other = publish(slug="other")
    put(other, {"name": "Ada Byron", "email": "ada@example.org"})
    assert found(other) == ["Ada Byron"]
    for wanted in ({"words": "ada"}, {"address": "@example.org"}, {"country": "US"}):
        assert found(other, **wanted) == ["Ada Byron"]
        assert "Ada Byron" not in found(people, **wanted)


def test_search_index_follows_updates_and_deletions(people: Campaign) -> None:
    with write_transaction() as session:
        session.execute(update(Signature).where(Signature.name == "Ada Lovelace").values(name="Grace Hopper"))
        session.execute(delete(Signature).where(Signature.name == "Adam O’Neill"))
    assert found(people, words="lovelace") == []
    assert found(people, words="hopper") == ["Grace Hopper"]
    assert found(people, words="ada") == []
    assert found(people, address="adam@example.org") == []


@only_sqlite
@pytest.mark.slow
def test_sqlite_index_catches_up_in_batches_without_duplicates(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "BATCH", 10)
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


def test_search_finds_old_signatures_across_id_blocks(campaign: Campaign) -> None:
    # PostgreSQL is searched in blocks of ids, so use ids in distant blocks.
    if db.engine.dialect.name == "postgresql":
        with write_transaction() as session:
            session.execute(text("SELECT setval('signature_id_seq', 65536 * 5)"))
    old = put(campaign, {"name": "Old Timer"}, {"name": "Old Hand"})
    if db.engine.dialect.name == "postgresql":
        with write_transaction() as session:
            session.execute(text("SELECT setval('signature_id_seq', 65536 * 45)"))
    new = put(campaign, {"name": "Old Bore", "email": "bore@example.org"})
    assert found(campaign, words="old") == ["Old Bore", "Old Hand", "Old Timer"]
    assert search.newest(db.session(), campaign.id, ["old"], "", new[0], 10) == old[::-1]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_search_looks_at_as_many_blocks_as_it_needs(app: Flask, campaign: Campaign) -> None:
    looked_at: list[int] = []

    def count(_connection: object, _cursor: object, _statement: str, parameters: Any, *_: object) -> None:
        if isinstance(parameters, dict) and "wanted" in parameters:
            looked_at.append(len(set(re.findall(rf"'{campaign.id}\.(\d+)\.", parameters["wanted"]))))

    with write_transaction() as session:
        session.execute(text("SELECT setval('signature_id_seq', 16384 * 60 - 30)"))
    put(campaign, *({"name": "Old Hand", "email": f"{n}@example.org"} for n in range(35)))
    event.listen(db.engine, "before_cursor_execute", count)
    # The newest block has only six signatures. All are matches, so the next block is enough for twenty.
    assert len(search.newest(db.session(), campaign.id, ["old"], "", None, 20)) == 20
    assert looked_at == [2, 1]
    with write_transaction() as session:
        session.execute(text("SELECT setval('signature_id_seq', 16384 * 60 + 1000)"))
    put(campaign, {"name": "Old Bore", "email": "bore@example.org"})
    looked_at.clear()
    # No match among a thousand ids: matches are rare.
    assert search.newest(db.session(), campaign.id, ["nobody"], "", None, 500) == []
    assert looked_at == [2, 8, 32, 20]
    event.remove(db.engine, "before_cursor_execute", count)


@pytest.mark.parametrize(
    ("number", "said"),
    [(1001, 1000), (1049, 1000), (1251, 1300), (12_345, 12_000), (99_999, 100_000), (1_000_000, 1_000_000)],
)
def test_number_of_waiting_signatures_is_rounded_as_people_say_it(number: int, said: int) -> None:
    assert unindexed.rounded(number) == said
