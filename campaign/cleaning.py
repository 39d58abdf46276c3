"""Cleaning what a signer typed: names, places, codes. Here, and nowhere else, is decided what becomes of a character.

sign_form.py cleans every text with `clean` before it checks it, and refuses what the other functions find.
"""

import re
import unicodedata

# Hangul letters that show nothing; Unicode counts them as letters all the same.
_BLANK_LETTERS = {0x115F, 0x1160, 0x3164, 0xFFA0}

# White space is folded, but for the separators of teletypes, which are refused as other control characters are.
_SPACE = re.compile(r"[^\S\x1c-\x1f\x85]+")

# "J.de Vries" is somebody's name, "de.de" is a link to most programs that show it: two letters before two letters.
_LINK = re.compile(
    r"://|\bwww\.|[^\W_]\.(?:com|net|org|info|biz|xyz|top|site|online|shop|store|club|link|live|app|dev|bet|win|vip|icu"
    r"|pro|fun|click|space)\b|[^\W_]{2}\.(?:io|co|me|tv|ru|cn|de|uk|eu|fr|nl|in|br|ai|gg|ly|pw|cc|ws|su|to)\b",
    re.IGNORECASE,
)


def clean(text: str | None) -> str:
    """The text in Unicode form C, without invisible characters, with runs of white space folded to one space."""
    shown = "".join(c for c in unicodedata.normalize("NFC", text or "") if not _is_invisible(c))
    return _SPACE.sub(" ", shown).strip(" ")


def _is_invisible(character: str) -> bool:
    # Such characters turn round or hide the text beside them (Unicode Standard Annex 9; Trojan Source, CVE-2021-42574).
    # People paste them without knowing, so they are dropped rather than refused. The joiners U+200C and U+200D stay:
    # Persian and Indic names are spelt with them.
    return (unicodedata.category(character) == "Cf" and character not in "\u200c\u200d") or (
        ord(character) in _BLANK_LETTERS
    )


def has_no_text(text: str) -> bool:
    """Whether a character is in it that is no text: a control, a private one, or one that Unicode keeps out of text."""
    return any(
        unicodedata.category(character) in ("Cc", "Cs", "Co")
        or ord(character) & 0xFFFE == 0xFFFE
        or 0xFDD0 <= ord(character) <= 0xFDEF
        for character in text
    )


def holds_link(text: str) -> bool:
    """Whether it holds a link or an @, in whatever width they are typed, as spammers' names do."""
    narrow = unicodedata.normalize("NFKC", text).replace("。", ".")
    return "@" in narrow or _LINK.search(narrow) is not None


def is_blank(text: str) -> bool:
    """Whether nothing in it is a letter or a digit of any script."""
    return not any(character.isalnum() for character in text)
