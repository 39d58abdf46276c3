"""Folding: different spellings of the same text become equal. Use it to compare text, not to store names.

`code` folds codes that people type, such as recovery codes and ZIP codes. `comparable` folds names and places.
"""

import re
import unicodedata

from campaign.text.bounded_text import RefusedTextError, normalized

MOST_FOLDED = 18
"""The most characters that one character becomes in form NFKC: U+FDFA, an Arabic phrase (UAX 15)."""


def ascii_digits(text: str) -> str:
    """Return the text with decimal digits of every script, such as Arabic ones, as 0 to 9."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(character)) if character.isdecimal() else character for character in text)


def code(typed: str, longest: int) -> str:
    """Return the letters and digits of a typed code.

    Full-width letters become ordinary ones, uppercase becomes lowercase, and digits of every script become 0 to 9.
    Everything else is dropped: spaces, every kind of hyphen, and invisible characters.

    Args:
        typed: The code as typed.
        longest: The most code points allowed.

    Raises:
        RefusedTextError: The text is too long, or has too many combining marks in a row.
    """
    plain = ascii_digits(normalized(typed, longest, "NFKC")).lower()
    return "".join(character for character in plain if character.isalnum())


def comparable(text: str, longest: int) -> str:
    """Return a name or place so that its spellings are equal. Text that exceeds the limits is returned unchanged.

    Case, white space, invisible characters, and variants of the same letter make no difference. Variants are composed
    and decomposed accents, full-width letters, Arabic presentation forms, and ideographs with a variation selector.
    """
    if text.isascii() or len(text) > longest:
        return " ".join(text.casefold().split()) if len(text) <= longest else text
    try:
        folded = normalized(without_ignorable(text), longest, "NFKC").casefold()
        # Case folding decomposes a few letters.
        return " ".join(normalized(folded, MOST_FOLDED * longest, "NFKC").split())
    except RefusedTextError:
        return text


# Every format character (general category Cf); then selectors of variants, and blank letters: the combining grapheme
# joiner, fillers of Hangul, and inherent vowels of Khmer.
_IGNORABLE = re.compile(
    "[\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
    "\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
    "\U000e0020-\U000e007f"
    "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0]"
)


def is_ignorable(character: str) -> bool:
    """Return whether the character is invisible by itself: a format character, variation selector, or blank letter."""
    return _IGNORABLE.match(character) is not None


def without_ignorable(text: str) -> str:
    """Return the text without characters that are invisible by themselves."""
    return text if text.isascii() else _IGNORABLE.sub("", text)
