"""Lists in mixed languages are sorted without regard to case and accents, and names by the alphabet of a language."""

import pytest

from campaign.campaigns import time_zones
from campaign.text import sorting
from campaign.text.sorting import sort_key


def test_case_and_accents_do_not_matter() -> None:
    names = ["李", "Zoe", "Öztürk", "émile", "Борис", "adam", "Emil", "Ёлка", "Élodie", "Ada"]
    in_order = ["Ada", "adam", "Élodie", "Emil", "émile", "Öztürk", "Zoe", "Борис", "Ёлка", "李"]
    assert sorted(names, key=sort_key) == in_order


def test_equal_keys_are_sorted_by_the_text_itself() -> None:
    assert sorted(["ada", "Áda", "Ada"], key=sort_key) == ["Ada", "ada", "Áda"]


def test_long_or_hostile_text_is_sorted_without_work() -> None:
    hostile = "a" + "\u0301" * 1_000_000
    assert sorted([hostile, "b", "a" * 1_000_000, ""], key=sort_key)[0] == ""


def test_time_zones_are_sorted_as_words() -> None:
    names = time_zones.names()
    assert names[0] == "UTC"
    for before, after in (("America/Port_of_Spain", "America/Port-au-Prince"), ("Australia/North", "Australia/NSW")):
        assert names.index(before) < names.index(after)


@pytest.mark.parametrize(
    ("language", "names"),
    [
        ("en", "Ada Åsa Đorđe Łucja O'Neil Oona Østergaard Zoe"),
        ("sv", "Ada Zoe Åsa Änglund Öberg"),
        ("nb", "Ada Zoe Ærø Østergaard Aagaard Åsa"),
        ("de-AT", "Adler Ähre Aigner Ost Öztürk Zoe"),
        ("cs", "Cyril Černý Dana Hus Chalupa Ivan Říha"),
        ("pl", "Lis Łoś Zieliński Żak"),
        ("tr", "Cem Çelik Isparta İpek Oya Öz"),
        ("es", "Nuria Ñáñez Óscar"),
        ("ru", "Ёлка Ида Йода Ким"),
        ("uk", "Гнат Ґалаґан Євген Зоя Ігор Їжак Йосип"),
        ("fa", "بابک پدرام جواد چنگیز کاوه گیتی"),
        ("vi", "An Ân Dung Đào"),
    ],
)
def test_names_follow_the_alphabet_of_the_language(language: str, names: str) -> None:
    in_order = names.split()
    assert sorted(set(in_order), key=lambda name: sorting.alphabetical_key(name, language)) == in_order


def test_case_does_not_matter_in_an_alphabet() -> None:
    names = ["ada", "Bob", "ÇELİK", "çelik", "deniz"]
    assert sorted(names, key=lambda name: sorting.alphabetical_key(name, "tr")) == names


def test_hostile_name_is_sorted_without_work() -> None:
    hostile = "a" + "\u0301" * 1_000_000
    assert sorted([hostile, "b", ""], key=lambda name: sorting.alphabetical_key(name, "vi"))[0] == ""
