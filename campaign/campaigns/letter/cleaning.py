"""Cleaning of a letter before its Markdown is parsed: line breaks, blanks, and invisible characters of pasted text.

A letter is stored as typed, and cleaned each time it is read. So saving a letter again never changes the text that
people signed, and the audit log shows what was typed. Page, preview, and book read the same cleaned text.
"""

import re

from campaign.text.pasted_text import with_line_breaks

_OTHER_BLANKS = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
"""Unicode's blanks that Markdown doesn't know, such as the no-break space."""
_BLANKS = f"\t {_OTHER_BLANKS}"

# Word processors and web pages leave these in pasted text, where they break Markdown: the byte-order mark, the word
# joiner, and the soft hyphen. The joiners U+200C and U+200D stay, because Persian and Indic words are spelled with
# them. A zero-width space (U+200B) stays only between letters of scripts that separate words with it, such as Khmer.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf"
_INVISIBLE = re.compile(f"[\ufeff\u2060\u00ad]|(?<![{_SPACELESS}])\u200b|\u200b(?![{_SPACELESS}])")

# The beginning of a line up to its first word: blanks, and each mark of a quote, list item, or heading.
_BEGINNING = re.compile(
    rf"^(?:[{_BLANKS}]*(?:>|(?:[-+*]|#{{1,6}}|[0-9]{{1,9}}[.)])(?=[{_BLANKS}])))*[{_BLANKS}]+", re.MULTILINE
)


def cleaned(letter: str) -> str:
    """Return the letter with Markdown's own line breaks and blanks, and without invisible characters.

    Lines stay lines, except that a paragraph separator (U+2029) becomes an empty line.
    """
    text = with_line_breaks(letter)
    if text.isascii():
        return text
    text = text.replace("\u2029", "\n\n").replace("\u2028", "\n")
    return _BEGINNING.sub(lambda found: re.sub(f"[{_OTHER_BLANKS}]", " ", found[0]), _INVISIBLE.sub("", text))
