"""Typed codes and names are equal in every spelling."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.text import folding
from campaign.text.bounded_text import TextTooLongError, TooManyMarksError


@pytest.mark.parametrize(
    "typed",
    [
        "1a2b-3c4d",
        "1A2B-3C4D",
        " 1a2b 3c4d\n",
        "1a2b3c4d",
        "1a2b–3c4d",
        "1a2b\u20113c4d",
        "1a2b−3c4d.",
        "１ａ２ｂ－３ｃ４ｄ",
        "١a٢b-٣c٤d",
        "۱a۲b-۳c۴d",
        "१a२b३c४d",
        "\u200e1a2b\u200b-3c\ufeff4d",
        "1a2b\u00a03c4d",
    ],
    ids=ascii,
)
def test_code_is_the_same_in_every_spelling(typed: str) -> None:
    assert folding.code(typed, 20) == "1a2b3c4d"


def test_code_keeps_its_limits() -> None:
    with pytest.raises(TextTooLongError):
        folding.code("1" * 21, 20)
    with pytest.raises(TooManyMarksError):
        folding.code("a" + "\u0301" * 31, 64)


SAME_NAME = [
    ("José", "Jose\u0301"),
    ("Nguyễn", "Nguye\u0302\u0303n"),
    ("ADA LOVELACE", "Ada  Lovelace"),
    ("STRASSE", "Straße"),
    ("Ａｄａ", "Ada"),
    ("神田", "\ufa19田"),
    ("葛城", "葛\U000e0100城"),
    ("رضا‌پور", "رضاپور"),
    ("محمد", "\ufee3\ufea4\ufee4\ufeaa"),
    ("한글", "\u1112\u1161\u11ab\u1100\u1173\u11af"),
    ("क़", "क\u093c"),
    ("Ada", "\u200fAda\u2060"),
]


@pytest.mark.parametrize(("one", "other"), SAME_NAME, ids=ascii)
def test_name_is_the_same_in_every_spelling(one: str, other: str) -> None:
    assert folding.comparable(one, 100) == folding.comparable(other, 100)


@pytest.mark.parametrize(("one", "other"), [("Jose", "José"), ("Ada L", "AdaL"), ("神", "申"), ("", "a")])
def test_different_names_stay_different(one: str, other: str) -> None:
    assert folding.comparable(one, 100) != folding.comparable(other, 100)


@given(st.text(max_size=100))
def test_comparable_text_is_stable(text: str) -> None:
    once = folding.comparable(text, 100)
    assert folding.comparable(once, folding.MOST_FOLDED**2 * 100) == once


@pytest.mark.slow
def test_every_format_character_is_ignorable() -> None:
    characters = map(chr, range(0x110000))
    assert [c for c in characters if unicodedata.category(c) == "Cf" and not folding.is_ignorable(c)] == []


@pytest.mark.parametrize("character", "aé神\u0301 \t.\u3000한", ids=ascii)
def test_visible_character_is_not_ignorable(character: str) -> None:
    assert not folding.is_ignorable(character)
    assert folding.without_ignorable(f"{character}\u200b\U000e0100") == character


def test_text_beyond_the_limits_is_compared_as_it_is() -> None:
    for text in ("A" * 101, "É" * 101, "A" + "\u0301" * 31):
        assert folding.comparable(text, 100) == text
