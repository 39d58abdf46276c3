"""The language of the current page or task: `use` sets it, and `gettext` and `ngettext` translate into it.

It belongs to the current context (contextvars): another thread, or the next request in this thread, never sees it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from gettext import NullTranslations

from campaign.languages import catalogs, locales
from campaign.languages.catalogs import SOURCE


@dataclass(frozen=True)
class Language:
    """The language of a page."""

    tag: str
    """The tag for `<html lang>`, and for numbers, dates, and countries (BCP 47)."""
    direction: str
    """The writing direction: "ltr" or "rtl"."""
    translations: NullTranslations
    space: str
    """What stands between two sentences: nothing in Chinese and Japanese, whose full stops have room of their own."""


@lru_cache(maxsize=256)
def page_language(tag: str) -> Language:
    """Return the language of a page whose text is in the language of a tag: English, if there is no catalog for it.

    With the catalog "de", a page for a text in "de-AT" is in "de-AT", with Austrian dates.
    """
    found = catalogs.offered(tag)
    shown = tag if found else SOURCE
    space = "" if (found or SOURCE).partition("-")[0] in ("ja", "zh") else " "
    return Language(shown, direction(shown), catalogs.catalog(found or SOURCE).translations, space)


def direction(tag: str) -> str:
    """Return the writing direction of a language (BCP 47 tag): "ltr" or "rtl"."""
    return locales.locale(tag).text_direction


_UNCHOSEN = Language(SOURCE, "ltr", NullTranslations(), " ")
_current: ContextVar[Language] = ContextVar("language", default=_UNCHOSEN)


def current() -> Language:
    """Return the language of the current page or task."""
    return _current.get()


@contextmanager
def use(tag: str) -> Iterator[Language]:
    """Use the page language for a text in the language of a tag, until the end of the `with` block."""
    language = page_language(tag)
    token = _current.set(language)
    try:
        yield language
    finally:
        _current.reset(token)


def choose(tag: str) -> None:
    """Use the page language for a text in the language of a tag, until `forget`."""
    _current.set(page_language(tag))


def is_chosen() -> bool:
    """Return whether `use` or `choose` has set the language."""
    return current() is not _UNCHOSEN


def forget() -> None:
    """Go back to the source language, before and after each request: the next one may run in the same thread."""
    _current.set(_UNCHOSEN)


def translated(message: str) -> str:
    """Return a message in the current language, with its placeholders."""
    return current().translations.gettext(message)


def translated_plural(one: str, many: str, num: int) -> str:
    """Return the form of a message that fits the number `num`, in the current language, with its placeholders."""
    return current().translations.ngettext(one, many, num)


def gettext(message: str, **values: object) -> str:
    """Return a message in the current language, with values for its placeholders, such as `%(name)s`."""
    text = translated(message)
    return text % values if values else text


def ngettext(one: str, many: str, num: int, **values: object) -> str:
    """Return the form of a message that fits the number `num`, with values for its placeholders."""
    return translated_plural(one, many, num) % {"num": num, **values}


class LazyText:
    """A message that is translated each time it is shown, for text defined before there is a page."""

    def __init__(self, message: str) -> None:
        """Keep a message that `lazy_gettext` marks for translation."""
        self._message = message

    def __str__(self) -> str:
        """Return the message in the current language."""
        return gettext(self._message)


lazy_gettext = LazyText
