"""Cleaning what a signer typed: names, places, codes. Here, and nowhere else, is decided what becomes of a character.

forms.py cleans every text with `clean` before it checks it, and refuses what the other functions find.
"""

import re
import unicodedata

# Invisible, and able to turn round or hide the text beside them (Unicode Standard Annex 9; Trojan Source,
# CVE-2021-42574). People paste them without knowing, so they are dropped rather than refused. The joiners
# U+200C and U+200D stay: Persian and Indic names are spelt with them.
_INVISIBLE = dict.fromkeys(
    [
        0x00AD,
        0x061C,
        0x180E,
        0x200B,
        0x200E,
        0x200F,
        0x2060,
        0xFEFF,
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    ]
)

# "Ada.Com" might be somebody's name, "ada.com" is a link to most programs that show it.
_LINK = re.compile(
    r"://|\bwww\.|[^\W_]\.(?:com|net|org|info|biz|io|co|me|tv|xyz|top|site|online|shop|store|club|link|live|ru|cn|de|uk"
    r"|eu|fr|nl|in|br|app|dev|ai|gg|ly)\b",
    re.IGNORECASE,
)


def clean(text: str | None) -> str:
    """The text in Unicode form C, without invisible direction marks, with runs of white space folded to one space."""
    shown = unicodedata.normalize("NFC", text or "").translate(_INVISIBLE)
    return " ".join(shown.split())


def has_control_character(text: str) -> bool:
    """Whether a character is in it that is no text: a control, a private one, or one that Unicode keeps out of text."""
    return any(
        unicodedata.category(character) in ("Cc", "Cs", "Co") or ord(character) & 0xFFFE == 0xFFFE for character in text
    )


def holds_link(text: str) -> bool:
    """Whether it holds a link or an @, as spammers' names do."""
    return "@" in text or _LINK.search(text) is not None


def is_blank(text: str) -> bool:
    """Whether nothing in it is a letter or a digit of any script."""
    return not any(character.isalnum() for character in text)
