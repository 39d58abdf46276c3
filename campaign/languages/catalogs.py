"""Catalogs: the translations of the site's messages, one file in GNU gettext's format for each language.

A process reads a catalog when it first shows a page in its language, which takes some hundredths of a second, and keeps
the translations, about 60 KB. So nothing needs to be compiled, and a site pays only for the languages that it uses.
"""

import io
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from gettext import NullTranslations
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.messages import mofile, pofile
from babel.messages.catalog import Catalog as Messages
from babel.support import Translations

SOURCE = "en"
"""The language of the messages in code and templates: American English. It needs no catalog."""
FOLDER = Path(__file__).parent / "catalogs"
"""The folder of the catalogs. The name of each is a language tag (BCP 47) and `.po`."""
COMPLETE = 0.95
"""The part of its messages that a catalog must translate. Below it, the page is better in one language: English."""

TAG = r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,2}"
"""Regular expression of a language tag: a language, and perhaps a script and a territory."""


@dataclass(frozen=True)
class Catalog:
    """The translations into one language."""

    tag: str
    """Its language tag, such as "pt-BR"."""
    translations: NullTranslations
    """What translates a message. A message without a translation stays as it is."""
    completeness: float
    """The part of the messages that are translated, from 0 to 1."""

    @property
    def is_offered(self) -> bool:
        """Whether pages may be in this language."""
        return self.completeness >= COMPLETE


@cache
def tags() -> tuple[str, ...]:
    """Return the tags of the source language and of all catalogs, complete or not, sorted."""
    return tuple(sorted({SOURCE, *(file.stem for file in FOLDER.glob("*.po"))}))


@cache
def catalog(tag: str) -> Catalog:
    """Return the catalog of a tag from `tags`."""
    if tag == SOURCE:
        return Catalog(SOURCE, NullTranslations(), 1.0)
    messages, compiled = read(tag), io.BytesIO()
    mofile.write_mo(compiled, messages)
    compiled.seek(0)
    return Catalog(tag, Translations(compiled), completeness(messages))


def read(tag: str) -> Messages:
    """Return the messages in the file of a tag from `tags`, with their translations and comments."""
    with (FOLDER / f"{tag}.po").open("rb") as file:
        return pofile.read_po(file, locale=tag.replace("-", "_"), domain="messages", abort_invalid=True)


def completeness(messages: Messages) -> float:
    """Return the part of the messages that are translated, from 0 to 1. A fuzzy translation doesn't count."""
    known = [message for message in messages if message.id]
    done = [message for message in known if not message.fuzzy and is_translated(message.string)]
    return len(done) / len(known) if known else 0.0


def is_translated(string: str | list[str] | tuple[str, ...] | None) -> bool:
    """Return whether a message has a translation, in all of its plural forms."""
    return all(string) if isinstance(string, list | tuple) else bool(string)


@lru_cache(maxsize=1024)
def offered(tag: str) -> str | None:
    """Return the tag of the complete catalog for a language tag (BCP 47), or None if there is none.

    A text in "de-AT" gets the catalog "de", one in "zh-TW" gets "zh-Hant", and one in "pt" gets "pt-BR": CLDR's likely
    subtags say which script a language has, and catalogs in the same language and script are the next best.
    """
    wanted = _language_and_script(tag)
    if wanted is None:
        return None
    same = [each for each in tags() if _language_and_script(each) == wanted]
    # An exact match comes first.
    for each in sorted(same, key=lambda each: (each.casefold() != tag.casefold(), each)):
        if catalog(each).is_offered:
            return each
    return None


def usual_tag(tag: str) -> str | None:
    """Return a language tag (BCP 47) in its usual spelling, such as "pt-BR" for "PT-br"; None if it is none."""
    if not re.fullmatch(TAG, tag):
        return None
    try:
        return str(Locale.parse(tag, sep="-")).replace("_", "-")
    except (ValueError, UnknownLocaleError):
        return None


def _language_and_script(tag: str) -> tuple[str, str] | None:
    try:
        locale = Locale.parse(tag, sep="-")
    except (ValueError, UnknownLocaleError):
        return None
    script, likely = locale.script, get_global("likely_subtags")
    if not script:
        full = likely.get(f"{locale.language}_{locale.territory}") or likely.get(locale.language, "")
        script = next((part for part in full.split("_") if len(part) == 4), "")
    return locale.language, script
