"""Names are found in every usual spelling: apostrophes, hyphens, accents, width, case, and parts of names."""

import pytest
from flask import Flask
from sqlalchemy import text

from campaign.models.campaign import Campaign
from campaign.moderation import search_words
from campaign.moderation.search_words import MOST_PAIRS, MOST_WORDS
from campaign.storage.database import db
from campaign.text.bounded_text import RefusedTextError
from tests.moderation.signatures import found, put

SEARCHES = {
    "Pat O'Brien": ("obrien", "o'brien", "O’BRIEN", "brien", "o brien", "pat obr", "OʼBrien", "o´brien"),
    "Kim O’Hara": ("ohara", "o'hara", "o`hara", "hara"),
    "Bob Oconnor": ("o'connor", "O’Connor", "o-connor", "oconn"),
    "Gino D´Angelo": ("dangelo", "d'angelo", "angelo"),
    "Anne-Marie Roux": ("annemarie", "anne-marie", "anne‑marie", "marie", "anne marie", "annem"),
    "Annelise Blanc": ("anne-lise",),
    "J.R.R. Tolkien": ("jrr", "j.r.r.", "tolkien"),
    "Jörg Müller-Groß": ("muller", "mueller", "MÜLLER", "müll", "muellergross", "gross", "groß", "jorg", "joerg"),
    "Eva Schroeder": ("schröder", "schroeder"),
    "Søren Åkesson": ("soren", "soeren", "søren", "akesson", "aakesson", "åk"),
    "Łukasz Żółć": ("lukasz", "zolc", "Łuk"),
    "Þór Æsir": ("thor", "aesir", "æs"),
    "Deniz IŞIK": ("isik", "ışık", "Işık"),
    "ＡＫＩＲＡ Ｓａｔｏ": ("akira", "ａｋｉｒａ", "sato"),
    "山田太郎": ("山田", "太郎", "田太", "郎", "山", "太", "山田太郎", "山田 太郎"),
    "佐藤 花子": ("佐藤花子", "花子", "花", "藤 花"),
    "列奥纳多·达·芬奇": ("达芬奇", "达·芬奇", "芬奇", "奥纳"),
    "Tanaka ジョン・スミス": ("スミス", "ｽﾐｽ", "ジョン", "ｼﾞｮﾝ", "ジョンスミス"),
    "김민준": ("민준", "김", "준", "김민준", "김 민준"),
    "สมชาย ใจดี": ("ชาย", "ใจ", "ดี", "สมชายใจดี"),
    "សុខ ស្រីមុំ": ("ស្រី", "មុំ", "សុ"),
    "東京tower子": ("tower", "東京", "京", "子"),
    "ΓΙΏΡΓΟΣ Παπαδόπουλος": ("γιωργος", "γιώργος", "ΠΑΠΑΔΟΠΟΥΛΟΣ", "παπαδ"),
    "ПЁТР Йовович": ("петр", "пётр", "йовович", "ЙОВ", "Иов"),
    "Zoe\u0308 Andre\u0301": ("zoë", "zoe", "André", "andre"),
    "\ufa19田 葛\U000e0100城": ("神田", "\ufa19田", "葛城", "葛\U000e0101城", "神", "城"),
    "\u200fמשה\u200f (דוד)": ("משה", "דוד\u200e"),
    "ᠴᠢᠮᠡᠭ\u180e\u1820 ᠰ\u180bᠠᠷᠠ": ("ᠴᠢᠮᠡᠭ\u1820", "ᠰᠠᠷᠠ"),
    "\ufee3\ufea4\ufee4\ufeaa": ("محمد",),
    "علی\u200cرضا": ("علیرضا", "علی\u200cرضا"),
}


@pytest.mark.slow
def test_each_name_is_found_in_every_usual_spelling(campaign: Campaign) -> None:
    put(campaign, *({"name": name, "email": f"{number}@example.org"} for number, name in enumerate(SEARCHES)))
    spellings = [(name, words) for name, searches in SEARCHES.items() for words in searches]
    missed = [(name, words) for name, words in spellings if name not in found(campaign, words=words)]
    assert missed == []


OTHERS = (
    *("brian", "obrienx", "abrien", "mariea", "mueler", "muellar", "rien", "towers"),
    *("太山", "郎太", "山太", "ミスス", "민김", "ชม"),
)


def test_other_names_are_not_found(campaign: Campaign) -> None:
    put(campaign, *({"name": name, "email": f"{number}@example.org"} for number, name in enumerate(SEARCHES)))
    assert {words: found(campaign, words=words) for words in OTHERS} == {words: [] for words in OTHERS}


def test_both_databases_index_the_same_words(app: Flask, campaign: Campaign) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("search_words.py makes SQLite's words")
    words_of = text(
        "SELECT unnest(tsvector_to_array(signature_search_words(1, 7, :name, :city, '', :code, 'a@b.c 9')))"
    )
    for name in (
        *SEARCHES,
        "'t Hooft",
        "a_b~c«d»…",
        "ﷺ",
        "㌖",
        "𠮷野家",
        "\u115f\u1161\u3164\uffa0",
        "☎\ufe0f",
        "¼ ⅷ ²",
        "ẞß ĸŊ ǅ Ә ә",
        "",
        "Ａ．Ｂ",
    ):
        code = "12345-6789"
        expected = set(search_words.indexed(name, "Saint-Denis", "", code))
        in_database = db.session.scalars(words_of, {"name": name, "city": "Saint-Denis", "code": code}).all()
        words = {word.removeprefix("7.0.") for word in in_database} - {""}
        assert words - {"\ue001a@b.c", "\ue002b.c"} == expected, name
        assert len(words - expected) == 2


def test_work_for_a_signature_and_for_a_search_is_bounded() -> None:
    assert len(search_words.indexed("山" * 100, "田" * 100, "太" * 100, "")) == 3 + MOST_PAIRS
    for hostile in ("山" * 300, "a'" * 150, "ü-" * 150, "山 " * 150, "ü山.a'" * 60):
        options = search_words.searched(hostile)
        assert sum(max(map(len, each)) for each in options) <= 2 * MOST_WORDS
        assert sum(len(option) for each in options for option in each) <= 4 * MOST_WORDS
    for hostile in ("a" * 301, "a" + "\u0301" * 31):
        with pytest.raises(RefusedTextError):
            search_words.searched(hostile)


def test_imported_name_with_too_many_marks_does_not_stop_the_index(campaign: Campaign) -> None:
    put(
        campaign, {"name": "Zalgo" + "\u0334" * 40, "email": "z@example.org"}, {"name": "Ada", "email": "a@example.org"}
    )
    assert found(campaign, words="ada") == ["Ada"]
