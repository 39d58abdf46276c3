"""Sorting of names and titles in mixed languages, where no language's own collation applies.

Countries are sorted by the collation of one language (signatures/countries.py).
"""

import unicodedata

from campaign.text.bounded_text import RefusedTextError, normalized

LONGEST = 200
"""How many characters of a text count."""


def sort_key(text: str) -> tuple[str, str]:
    """Return a key that sorts text without regard to case and accents: Émile comes after Elena, and before Frank.

    Texts that differ in nothing else are sorted by these. The names of time zones have underscores for spaces.
    """
    start = text[:LONGEST]
    try:
        start = normalized(start, LONGEST, "NFKD")
    except RefusedTextError:
        return start, text
    letters = "".join(c for c in start if not unicodedata.combining(c))
    return letters.casefold().replace("_", " "), text
