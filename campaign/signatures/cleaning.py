"""Cleaning and checking of text in forms: which characters are dropped, and which are refused.

sign_form.py first cleans every text field with `clean`. Its validators then call the other functions.
"""

import re
import unicodedata
from contextlib import suppress

from campaign.text.bounded_text import MOST_TYPED, RefusedTextError, composed
from campaign.text.email_address import EMAIL_LENGTH
from campaign.text.folding import is_ignorable

LONGEST = MOST_TYPED * EMAIL_LENGTH
"""The most code points of a text that is cleaned. In the sign form, no field is longer than the email address."""

# All white space except the old teletype separators, which are refused like other control characters.
_SPACE = re.compile(r"[^\S\x1c-\x1f\x85]+")

# Direction marks order punctuation in Hebrew and Arabic text. They are harmless, but useless elsewhere.
_DIRECTION_MARKS = "\u200e\u200f\u061c"
_JOINERS = "\u200c\u200d"
# Format characters that are visible: signs that enclose or stand above the following digits or letters (UAX 44,
# Prepended_Concatenation_Mark).
_SIGNS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
_MONGOLIAN = re.compile("[\u180b-\u180f\u1820-\u18aa]")
_HANGUL_LEADING = re.compile("[\u1100-\u115e\ua960-\ua97c]")
_HANGUL_VOWEL = re.compile("[\u1161-\u11a7\ud7b0-\ud7c6]")
# A black flag with invisible tags is the flag of a region, such as Scotland's (UTS 51).
_FLAG = re.compile("(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)")


def clean(text: str | None) -> str:
    """Return the text without characters that nobody sees, and with white space trimmed and collapsed.

    Letters are stored as they were typed; accents are composed (`bounded_text.composed`). Invisible characters are kept
    where a letter needs them, as in Persian, Indic, Mongolian, and old Korean spelling, and after an ideograph or emoji
    that they vary. Text that exceeds the limits of bounded_text.py is returned as it is. `form_checks.text` refuses it
    later.
    """
    text = text or ""
    if len(text) > LONGEST:
        return text
    if text.isascii():
        return _SPACE.sub(" ", text).strip(" ")
    # Remove invisible characters before composing: a mark after one belongs to the letter before it.
    visible = "".join(map(_without_invisible, _FLAG.split(text)))
    with suppress(RefusedTextError):
        visible = composed(visible, LONGEST)
        return _SPACE.sub(" ", visible).strip(f" {_DIRECTION_MARKS}")
    return visible


def _without_invisible(text: str) -> str:
    if not text or _FLAG.fullmatch(text):
        return text
    is_right_to_left = any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)
    marks = _DIRECTION_MARKS if is_right_to_left else ""
    kept, before = [], " "
    for character, after in zip(text, f"{text[1:]} ", strict=True):
        if not is_ignorable(character) or _is_needed(character, before, after, marks):
            kept.append(character)
            before = character
    return "".join(kept)


def _is_needed(character: str, before: str, after: str, marks: str) -> bool:
    """Return whether an invisible character is a part of a letter or sign next to it.

    Format characters can reverse or hide the text next to them (UAX 9; Trojan Source, CVE-2021-42574). People paste
    them without noticing, so all others are dropped rather than refused.
    """
    if character in _SIGNS:
        return True
    if "\u180b" <= character <= "\u180f":
        return _MONGOLIAN.match(before) is not None
    if character == "\u115f":
        return _HANGUL_VOWEL.match(after) is not None
    if character == "\u1160":
        return _HANGUL_LEADING.match(before) is not None
    if before.isspace() or character in "\u3164\uffa0":
        return False
    if character in _JOINERS:
        return before not in _JOINERS
    is_first = not is_ignorable(before)
    return is_first and (character in marks or unicodedata.category(character) == "Mn")


def has_forbidden_character(text: str) -> bool:
    """Return whether the text has a control character, surrogate, private-use character, or noncharacter."""
    return any(
        unicodedata.category(character) in ("Cc", "Cs", "Co")
        or ord(character) & 0xFFFE == 0xFFFE
        or 0xFDD0 <= ord(character) <= 0xFDEF
        for character in text
    )


def is_blank(text: str) -> bool:
    """Return whether the text has no letter or digit of any script."""
    return not any(character.isalnum() for character in text)
