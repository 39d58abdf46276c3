"""Unicode normalization with limits, for all text that comes from outside.

Normalization reorders combining marks in quadratic time and holds the interpreter lock while it does. A single long
text could therefore block a whole worker. So all text from visitors, organizers, and campaign files is normalized by
`normalized` or `composed`, which check the limits first. Nothing else in this project normalizes text.
"""

import reprlib
import unicodedata
from itertools import groupby
from typing import Literal

MOST_MARKS = 30
"""The most combining marks in a row, as in Unicode's Stream-Safe Text Format (UAX 15, section 13). Real text has
few."""
MOST_TYPED = 4
"""The most code points in which one stored character can be typed. Form D splits no character into more (UAX 15)."""

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]


class RefusedTextError(ValueError):
    """Normalizing the text could take too long, so it is refused."""


class TextTooLongError(RefusedTextError):
    """The text has more characters than allowed. None of them was examined."""


class TooManyMarksError(RefusedTextError):
    """The text has more than MOST_MARKS combining marks in a row."""


def normalized(text: str, longest: int, form: Form = "NFC") -> str:
    """Return the text in a Unicode normalization form.

    Args:
        text: The text as typed.
        longest: The most code points allowed before normalization. An accented letter may be typed as two or more code
            points, so allow a multiple of the stored length.
        form: A normalization form of UAX 15.

    Raises:
        TextTooLongError: The text has more than `longest` code points.
        TooManyMarksError: The text has more combining marks in a row than any language needs.
    """
    check(text, longest)
    return text if text.isascii() else unicodedata.normalize(form, text)


def composed(text: str, longest: int) -> str:
    """Return the text with letters and their accents composed, as form NFC does, but without replacing any letter.

    NFC also replaces letters that Unicode considers equivalent, such as 神 (U+FA19) with 神 (U+795E), although people
    spell their names with one of them. And it reorders the vowel points of Hebrew. Both are kept as they were typed.

    Raises:
        TextTooLongError: The text has more than `longest` code points.
        TooManyMarksError: The text has more combining marks in a row than any language needs.
    """
    check(text, longest)
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return text
    # Compose each word by itself, and each part of a word between characters that NFC would replace.
    runs = groupby(text, lambda c: c.isspace() or unicodedata.normalize("NFC", c) != c)
    return "".join(_compose("".join(run)) for _, run in runs)


def _compose(word: str) -> str:
    composed = unicodedata.normalize("NFC", word)
    # Composing shortens a word. If the length stays the same, NFC has replaced or reordered characters.
    return composed if len(composed) < len(word) else word


def check(text: str, longest: int) -> None:
    """Check the limits of `normalized` without normalizing the text.

    Raises:
        TextTooLongError: The text has more than `longest` code points.
        TooManyMarksError: The text has more combining marks in a row than any language needs.
    """
    if len(text) > longest:
        raise TextTooLongError(f"more than {longest} characters")
    if has_too_many_marks(text):
        raise TooManyMarksError(f"more than {MOST_MARKS} combining marks in a row")


_TWO_MARKS = "\u0344\u0f73\u0f75\u0f81"
"""Marks that normalization turns into two marks (UAX 15, decompositions of non-starters)."""


def has_too_many_marks(text: str) -> bool:
    """Return whether the text has more than MOST_MARKS combining marks in a row."""
    # Fast path: most names are short or ASCII.
    if 2 * len(text) <= MOST_MARKS or text.isascii():
        return False
    run = 0
    for character in text:
        # Normalization reorders characters with a combining class. Enclosing marks have none, but pile up as well.
        is_mark = unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me")
        run = run + 1 + (character in _TWO_MARKS) if is_mark else 0
        if run > MOST_MARKS:
            return True
    return False


MOST_QUOTED = 60
"""The most characters of a value that an error message quotes: enough to find the value in a file."""
_short = reprlib.Repr()
_short.maxstring = _short.maxlong = _short.maxother = MOST_QUOTED


def quoted(value: object) -> str:
    """Return a value's short, one-line representation for an error message.

    Text is put in quotes. Long values are cut in the middle, and only a part of them is ever read.
    """
    return _short.repr(value)


def shortened(text: str, most: int = 300) -> str:
    """Return the text as one line of at most `most` characters, for an error message."""
    line = " ".join(text[: most + 1].split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
