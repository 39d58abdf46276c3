"""Cleaning keeps every letter that was typed, and drops what nobody sees."""

import unicodedata

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from campaign.models.campaign import Campaign
from campaign.signatures.cleaning import clean, is_blank
from tests.conftest import PATH, Sign, stored

KEPT = {
    "compatibility ideographs of Japanese names": "\ufa19田 \ufa11\ufa10 朗\uf929 \U0002f80e",
    "ideographs with variation selectors": "葛\U000e0100城 辻\U000e0101 榊\ufe00",
    "Mongolian with its vowel separator": "ᠰᠠᠷᠠ ᠴᠢᠮᠡᠭ\u180e\u1820 ᠪ\u180bᠠ",
    "Persian with a zero-width non-joiner": "رضا\u200cپور",
    "Sinhala with a zero-width joiner": "ශ්\u200dරී",
    "Malayalam that ends with a joiner": "മോഹന്\u200d",
    "Bengali ya-phala": "র\u200d্যাব",
    "Arabic presentation forms": "\ufee3\ufea4\ufee4\ufeaa \ufdf2",
    "Hebrew points in the order of typing": "בּ\u05b7\u05bcר יְרוּשָׁלַ\u05b4ם",
    "Hebrew presentation forms": "\ufb2a\ufb2b",
    "Devanagari letters that NFC decomposes": "\u0958\u0959\u095b",
    "Greek with oxia": "\u1f71\u1f75",
    "the Kelvin and Angstrom signs": "\u212a \u212b",
    "Hangul letters of old syllables": "\u115f\u1161 \u1100\u1160",
    "Khmer inherent vowels": "ក\u17b5",
    "a Hebrew name with a direction mark": "משה (\u200fדוד)",
    "an Arabic number sign": "\u0600١٢",
    "a family emoji": "Ada 👩\u200d👧 ❤\ufe0f\u200d🔥",
    "the flag of Scotland": "Ewan 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "full-width letters": "Ａｄａ",
    "typographic variants": "ﬁona ſ Ⅷ ½ ª",
}


@pytest.mark.parametrize("name", KEPT.values(), ids=KEPT)
def test_letters_are_kept_as_they_were_typed(name: str) -> None:
    assert clean(name) == name


COMPOSED = [
    ("Jose\u0301", "José"),
    ("Nguye\u0302\u0303n", "Nguyễn"),
    ("Nguy\u00ea\u0303n Th\u00ea\u0323", "Nguyễn Thệ"),
    ("\u1112\u1161\u11ab", "한"),
    ("ক\u09c7\u09be", "কো"),
    ("\ufa19e\u0301田", "\ufa19é田"),
    ("e\u200d\u0301", "e\u200d\u0301"),
    ("e\u200b\u0301", "é"),
]


@pytest.mark.parametrize(("typed", "shown"), COMPOSED, ids=ascii)
def test_accents_are_composed_with_their_letters(typed: str, shown: str) -> None:
    assert clean(typed) == shown


DROPPED = [
    "A\u202eda",
    "\u2066Ada\u2069",
    "A\u200bda",
    "\u200dAda",
    "A\u200eda",
    "A\U000e0041\U000e0042da",
    "Ad\ufeffa",
    "A\u3164da",
    "\u115fAda\u1160",
    "\ufe0fAda",
    "Ad\u00ada",
    "A\u180eda",
    "A\u180bda",
    "A\u206ada",
    "Ada \U000e0100",
    "Ada\ufff9",
]


@pytest.mark.parametrize("typed", DROPPED, ids=ascii)
def test_invisible_character_that_no_letter_needs_is_dropped(typed: str) -> None:
    assert clean(typed) == "Ada"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("a\u200d\u200d\u200d", "a\u200d"),
        ("葛\U000e0100\U000e0101\ufe00", "葛\U000e0100"),
        ("אב\u200f", "אב"),
        ("אב \u200f\u200fג", "אב ג"),
        ("🏴\U000e0067\U000e0062", "🏴"),
    ],
    ids=ascii,
)
def test_invisible_characters_cannot_pile_up(typed: str, kept: str) -> None:
    assert clean(typed) == kept


@pytest.mark.parametrize(
    "typed", ["\u3164", "\u115f", "\u1160\u1160", "\u200d", "\ufe0f", "\U000e0041", "\u115f\u200b"]
)
def test_invisible_name_is_blank(typed: str) -> None:
    assert is_blank(clean(typed))


INVISIBLE = st.sampled_from(
    "\u200b\u200c\u200d\u200e\u200f\u180b\u180e\ufe0f\U000e0100\u115f\u1160\u3164\u202e\u0301\u0323 "
)


@given(st.text(st.one_of(INVISIBLE, st.characters(exclude_categories=["Cs"])), max_size=30))
def test_cleaning_loses_no_visible_letter(text: str) -> None:
    def letters(text: str) -> str:
        decomposed = unicodedata.normalize("NFD", text)
        return "".join(
            c for c in decomposed if unicodedata.category(c)[0] in "LNPS" and c not in "\u115f\u1160\u3164\uffa0"
        )

    assert letters(clean(text)) == letters(text)
    assert clean(clean(text)) == clean(text)


def test_name_is_stored_and_shown_with_the_ideographs_that_were_typed(
    app: Flask, sign: Sign, campaign: Campaign
) -> None:
    name = "\ufa19田葛\U000e0100城"
    assert sign(name=name, city="\ufa19戸", country="JP", postal_code="６５０－００４４").status_code == 303
    (signature,) = stored()
    assert (signature.name, signature.city, signature.postal_code) == (name, "\ufa19戸", "650-0044")
    assert name in app.test_client().get(PATH).text
