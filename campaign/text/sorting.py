"""Sorting of names and titles: `sort_key` in mixed languages, and `alphabetical_key` in the alphabet of one language.

Countries are sorted by the complete collation of their language, which was computed beforehand
(signatures/countries.py).
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from campaign.text.bounded_text import RefusedTextError, normalized

LONGEST = 200
"""How many characters of a text count."""

_NORDIC = "z:ä=æ ö=ø aa=å"
_SOUTH_SLAVIC = "c:č ć d:dž đ l:lj n:nj s:š z:ž"
_ALPHABETS = {
    "az": "c:ç e:ə g:ğ h:x ı k:q o:ö s:ş u:ü z:w",
    "be": "е:ё и:і й у:ў",
    "bg": "и:й",
    "bs": _SOUTH_SLAVIC,
    "cs": "c:č h:ch r:ř s:š z:ž",
    "cy": "c:ch d:dd f:ff g:ng l:ll p:ph r:rh t:th",
    "da": _NORDIC,
    "eo": "c:ĉ g:ĝ h:ĥ j:ĵ s:ŝ u:ŭ",
    "es": "n:ñ",
    "et": "s:š z ž w:õ ä ö ü",
    "fa": "ب:پ ج:چ ز:ژ ق:ک=ك گ ن:و ه ی=ي",
    "fi": "z:å ä=æ ö=ø",
    "fo": _NORDIC,
    "gl": "n:ñ",
    "hr": _SOUTH_SLAVIC,
    "hu": "c:cs d:dzs g:gy l:ly n:ny o:ö=ő s:sz t:ty u:ü=ű z:zs",
    "is": "a:á d:ð e:é i:í o:ó u:ú y:ý z:þ æ=ä ö=ø å",
    "lt": "c:č h:i=y s:š z:ž",
    "lv": "a:ā c:č e:ē g:ģ i:y ī k:ķ l:ļ n:ņ r:ŗ s:š u:ū z:ž",
    "mk": "д:ѓ з:ѕ и:ј л:љ н:њ т:ќ ч:џ",
    "mt": "b:ċ f:ġ g:għ h:ħ y:ż",
    "nb": _NORDIC,
    "nn": _NORDIC,
    "no": _NORDIC,
    "pl": "a:ą c:ć e:ę l:ł n:ń o:ó s:ś z:ź ż",
    "ro": "a:ă â i:î s:ș=ş t:ț=ţ",
    "ru": "и:й",
    "sk": "a:ä c:č h:ch o:ô r:ř s:š z:ž",
    "sl": "c:č ć d:dž đ s:š z:ž",
    "sq": "c:ç d:dh e:ë g:gj l:ll n:nj r:rr s:sh t:th x:xh z:zh",
    "sr": "д:ђ и:ј л:љ н:њ т:ћ ч:џ",
    "sv": "z:å ä=æ ö=ø",
    "tr": "c:ç g:ğ h:ı o:ö s:ş u:ü",
    "uk": "г:ґ е:є и:і ї й",
    "ur": "ب:پ ت:ٹ ج:چ د:ڈ ر:ڑ ز:ژ ق:ک=ك گ ن:ں و ہ=ه ھ ء ی=ي ے",
    "vi": "a:ă=ắ=ằ=ẳ=ẵ=ặ â=ấ=ầ=ẩ=ẫ=ậ d:đ e:ê=ế=ề=ể=ễ=ệ o:ô=ố=ồ=ổ=ỗ=ộ ơ=ớ=ờ=ở=ỡ=ợ u:ư=ứ=ừ=ử=ữ=ự",
}
"""For each language, the letters that aren't variants of another, from CLDR's collations as of ICU 78. They stand after
the letter that comes before them in the alphabet and a colon. An equals sign joins letters with the same place."""
_VARIANTS = str.maketrans({"ł": "l", "đ": "d", "ø": "o", "æ": "ae", "œ": "oe", "ħ": "h", "ð": "d", "ı": "i", "ŧ": "t"})
"""Variants of other letters that Unicode doesn't decompose."""
_AFTER = 0x100000
"""The first private character. In a key, it follows a letter to make another that comes after it."""
_DOTLESS = str.maketrans({"I": "ı", "İ": "i"})


def sort_key(text: str) -> tuple[str, str]:
    """Return a key that sorts text without regard to case and accents: Émile comes after Elena, and before Frank.

    Texts that differ in nothing else are sorted by these. The names of time zones have underscores for spaces.
    """
    start = text[:LONGEST]
    try:
        return _bare(start).casefold().replace("_", " "), text
    except RefusedTextError:
        return start, text


def alphabetical_key(text: str, language: str) -> tuple[str, str]:
    """Return a key that sorts names by the alphabet of a language (BCP 47 tag): in Swedish, Åsa comes after Zoe.

    Letters that have no place of their own in the alphabet are variants, as in `sort_key`. The key has the size of the
    text, so sorting on disk needs no memory for it. Chinese characters are in the order of Unicode, which is about that
    of radicals and strokes; a reading can't be told from a name.
    """
    alphabet = _alphabet(language.partition("-")[0].lower())
    start = text[:LONGEST]
    try:
        if alphabet.dotless:
            start = start.translate(_DOTLESS)
        start = normalized(start.casefold(), 3 * LONGEST, "NFC")
        if alphabet.letters:
            start = alphabet.pattern.sub(lambda found: alphabet.letters[found[0]], start)
        return _bare(start).translate(_VARIANTS), text
    except RefusedTextError:
        return start, text


def _bare(text: str) -> str:
    return "".join(c for c in normalized(text, 4 * LONGEST, "NFKD") if not unicodedata.combining(c))


class _Alphabet(NamedTuple):
    letters: dict[str, str]
    """Letters, and what stands for them in a key."""
    pattern: re.Pattern[str]
    """Finds these letters, longer ones first."""
    dotless: bool
    """Whether I is the capital of ı, and İ that of i."""


@lru_cache(maxsize=8)
def _alphabet(language: str) -> _Alphabet:
    letters, before, number = dict[str, str](), "", 0
    for word in _ALPHABETS.get(language, "").split():
        if ":" in word:
            before, _, word = word.partition(":")
            number = 0
        for letter in word.split("="):
            letters[letter] = before + chr(_AFTER + number)
        number += 1
    pattern = re.compile("|".join(sorted(letters, key=len, reverse=True)) or "(?!)")
    return _Alphabet(letters, pattern, language in ("az", "tr"))
