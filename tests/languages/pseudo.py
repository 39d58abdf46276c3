"""Pseudo-languages: translations that show in a page which text isn't translated, and how longer text fits.

Both are made from the messages. The accented one (often called en-XA) replaces each letter and adds 40% of length. The
mirrored one (ar-XB) shows each word from right to left. They take the places of the catalogs of "en" and "ar", so that
numbers, dates, and countries come from CLDR as usual.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gettext import NullTranslations

import pytest

from campaign.languages import catalogs, speaking
from campaign.languages.catalogs import Catalog

_PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ACCENTED = str.maketrans(_PLAIN, "ÅƁÇÐÉƑĜĤÎĴĶĻṀÑÖÞǪŔŠŢÛṼŴẊÝŽåƀçðéƒĝĥîĵķļɱñöþǫŕšţûṽŵẋýž")
_RIGHT_TO_LEFT, _END = "\u202e", "\u202c"
"""Right-to-left override and its end (Unicode Standard Annex 9)."""
_PLACEHOLDER = re.compile(r"(%\(\w+\)s)")


def accented(message: str) -> str:
    """Return a message with accents on all letters, and 40% longer."""
    shown = _outside_placeholders(message, lambda part: part.translate(_ACCENTED))
    return shown + " ~" + " éééé" * round(len(message) * 0.4 / 5)


def mirrored(message: str) -> str:
    """Return a message whose words are shown from right to left."""
    return _outside_placeholders(
        message, lambda part: re.sub(r"\S+", lambda word: f"{_RIGHT_TO_LEFT}{word[0]}{_END}", part)
    )


def _outside_placeholders(message: str, change: Callable[[str], str]) -> str:
    parts = _PLACEHOLDER.split(message)
    return "".join(part if number % 2 else change(part) for number, part in enumerate(parts))


class Pseudo(NullTranslations):
    """Translations into a pseudo-language."""

    def __init__(self, change: Callable[[str], str]) -> None:
        super().__init__()
        self._change = change

    def gettext(self, message: str) -> str:
        return self._change(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self._change(msgid1 if n == 1 else msgid2)


@contextmanager
def spoken(tag: str, change: Callable[[str], str]) -> Iterator[None]:
    """Let the catalog of a tag, "en" or "ar", be a pseudo-language."""
    with pytest.MonkeyPatch.context() as patch:
        real = catalogs.catalog
        pseudo = Catalog(tag, Pseudo(change), 1.0)
        patch.setattr(catalogs, "catalog", lambda wanted: pseudo if wanted == tag else real(wanted))
        speaking.page_language.cache_clear()
        try:
            yield
        finally:
            speaking.page_language.cache_clear()
            speaking.forget()
