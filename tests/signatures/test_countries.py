"""Countries are named in the campaign's language, and sorted as readers of that language expect."""

import re
import tracemalloc

import babel
import pytest
from babel import Locale
from babel.localedata import locale_identifiers

from campaign.signatures import countries as module
from campaign.signatures.countries import countries


# Words in the order of a dictionary in each language. The letter or rule that decides is at the right.
@pytest.mark.parametrize(
    ("language", "names"),
    [
        ("pl", ["Litwa", "Luksemburg", "Łotwa", "Macedonia Północna"]),  # Ł after L
        ("cs", ["Cookovy ostrovy", "Curaçao", "Čad", "Česko", "Čína", "Dánsko"]),  # Č after C
        ("cs", ["Honduras", "Chile", "Chorvatsko", "Indie"]),  # ch after h
        ("cs", ["Rwanda", "Řecko", "Salvador"]),  # Ř after R
        ("sk", ["Hongkong – OAO Číny", "Chorvátsko", "India"]),  # ch after h
        ("vi", ["Dominica", "Đài Loan", "Đan Mạch", "Đức", "Ecuador"]),  # Đ after D
        ("sv", ["Zambia", "Zimbabwe", "Åland", "Österrike", "Östtimor"]),  # Å, Ä, Ö after Z
        ("da", ["Zimbabwe", "Ækvatorialguinea", "Østrig", "Åland"]),  # Æ, Ø, Å after Z
        ("nb", ["Zimbabwe", "Østerrike", "Åland"]),
        ("is", ["Vestur-Sahara", "Þýskaland"]),  # Þ after Y
        ("de", ["Afghanistan", "Ägypten", "Ålandinseln", "Albanien"]),  # Ä as A
        ("de", ["Oman", "Österreich", "Pakistan"]),
        ("fr", ["Égypte", "Émirats arabes unis", "Équateur", "Érythrée", "Espagne"]),
        ("et", ["Svalbard ja Jan Mayen", "Šveits", "Zimbabwe", "Taani"]),  # Z before T
        ("hu", ["Costa Rica", "Curaçao", "Csád", "Csehország", "Dánia"]),  # cs after c
        ("hr", ["Curaçao", "Čad", "Češka", "Čile", "Danska"]),
        ("lv", ["Kuveita", "Ķīna", "Laosa"]),  # Ķ after K
        ("tr", ["Irak", "İran", "İrlanda", "İspanya"]),  # I before İ
        ("tr", ["Curaçao", "Çad", "Çekya", "Çin", "Danimarka"]),
        ("cy", ["Gwlad Belg", "Gwlad Pwyl", "Haiti"]),
        ("uk", ["Естонія", "Ефіопія", "Ємен", "Замбія"]),  # Є after Е
        ("ru", ["Венгрия", "Венесуэла", "Виргинские о-ва (Великобритания)"]),
        ("ar", ["ألبانيا", "ألمانيا", "أنغولا"]),
        ("fa", ["پاکستان", "تاجیکستان", "چین", "ژاپن", "گرجستان"]),  # پ, چ, ژ, and گ in their places
        ("he", ["אוגנדה", "גרמניה", "ישראל", "צרפת"]),
        ("ko", ["가나", "대한민국", "독일", "미국"]),
        ("ja", ["アメリカ合衆国", "イタリア", "ドイツ", "フランス", "日本"]),
        ("zh", ["德国", "法国", "美国", "日本", "中国"]),  # by Pinyin: dé, fǎ, měi, rì, zhōng
        ("zh-Hant", ["中國", "日本", "法國", "美國", "德國"]),  # by strokes: 4, 4, 8, 9, 15
        ("th", ["กรีซ", "ไทย", "ฝรั่งเศส", "เยอรมนี"]),  # by the consonant after a leading vowel
        ("en", ["Afghanistan", "Åland Islands", "Albania"]),
    ],
)
@pytest.mark.slow
def test_countries_are_where_readers_of_a_language_look_for_them(language: str, names: list[str]) -> None:
    in_order = list(countries(language).values())
    positions = [in_order.index(name) for name in names]
    assert positions == sorted(positions)


def test_order_is_complete_for_every_language_and_made_with_this_version_of_babel() -> None:
    first, *lines = module.ORDER.read_text(encoding="utf-8").splitlines()
    assert f"Babel {babel.__version__} " in first, "names may have changed: run script/sort_countries.py"
    languages, orders = zip(*(line.split("\t") for line in lines), strict=True)
    assert sorted(" ".join(languages).split()) == sorted(locale_identifiers())
    codes = sorted(countries("en"))
    assert all(sorted(re.findall("..", order)) == codes for order in orders)


@pytest.mark.parametrize("language", ["ar", "pt-BR", "zh-Hant", "zh-TW", "sr-Latn", "en-US-posix", "vo", "no", "iw"])
def test_every_language_has_the_same_countries(language: str) -> None:
    english = countries("en")
    assert len(english) == 250, "249 of ISO 3166-1, and Kosovo"
    assert {"US", "FR", "XK", "TW", "PS"} <= english.keys()
    assert not {"EU", "UN", "ZZ", "XA"} & english.keys()
    assert countries(language).keys() == english.keys()
    assert list(countries(language)) == module._order(str(Locale.parse(language, sep="-")))


@pytest.mark.parametrize(("language", "code"), [("wa", "DE"), ("yi", "AX"), ("bo", "FR"), ("mi", "SX")])
def test_name_that_cldr_lacks_is_in_english(language: str, code: str) -> None:
    assert not re.fullmatch("[A-Z]{2}", countries(language)[code])
    if code not in Locale.parse(language).territories:
        assert countries(language)[code] == countries("en")[code]


def test_country_that_the_order_lacks_is_listed_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_order", lambda _: ["DE", "AT"])
    listed = countries.__wrapped__("de")
    assert list(listed.values())[:2] == ["Deutschland", "Österreich"]
    assert len(listed) == 250


def test_order_of_other_languages_stays_out_of_memory() -> None:
    countries("de")
    tracemalloc.start()
    try:
        countries.cache_clear()
        countries("de")
        used, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 100_000
    assert peak < 500_000
