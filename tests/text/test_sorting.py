"""Lists in mixed languages are sorted without regard to case and accents."""

from campaign.campaigns import time_zones
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
