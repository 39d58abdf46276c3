"""Characters that come along when people paste text from office programs, PDF files, and web pages.

Stored text has one kind of line break. A letter is also cleaned whenever it is read; see campaigns/letter/cleaning.py.
"""

import re
import unicodedata

# In this order of alternatives, so that CR LF is one line break. Word copies a manual line break as U+000B.
_LINE_BREAK = re.compile("\r\n|[\r\x0b\x0c\x85]")
_UNUSABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_CONTROLS = (
    "NUL,SOH,STX,ETX,EOT,ENQ,ACK,BEL,BS,TAB,LF,VT,FF,CR,SO,SI,"
    "DLE,DC1,DC2,DC3,DC4,NAK,SYN,ETB,CAN,EM,SUB,ESC,FS,GS,RS,US"
)
"""The names of the first 32 code points (ISO/IEC 6429)."""


def with_line_breaks(text: str) -> str:
    """Return the text with a newline for every control character that breaks lines: CR, VT, FF, and NEL."""
    return _LINE_BREAK.sub("\n", text)


def unusable_character(text: str) -> str:
    """Return what and where the first character is that XML or UTF-8 can't encode, or an empty string.

    YAML can contain such characters, as \\x01 or \\ud800. The description is, for example, "control character U+001B
    (ESC) at character 5 of line 2".
    """
    found = _UNUSABLE.search(text)
    if not found:
        return ""
    code, before = ord(found[0]), text[: found.start()]
    kind = {"Cc": "control character", "Cs": "half character"}.get(unicodedata.category(found[0]), "noncharacter")
    name = f" ({_CONTROLS.split(',')[code]})" if code < 32 else ""
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return f"{kind} U+{code:04X}{name} at character {column} of line {line}"
