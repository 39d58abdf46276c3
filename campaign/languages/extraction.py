"""Extract the site's messages, update the catalogs, and check translations. `script/translate` runs this."""

import argparse
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog, Message, TranslationError
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

from campaign.languages import catalogs
from campaign.languages.catalogs import FOLDER
from campaign.settings import ROOT

TEMPLATE = FOLDER / "messages.pot"
"""All messages, without translations."""
METHODS = [
    # The desk is in English for now.
    ("campaign/desk/**", "ignore"),
    ("campaign/**.py", "python"),
    ("templates/desk/**", "ignore"),
    ("templates/macros/figures.html", "ignore"),
    ("templates/**.html", "jinja2"),
    ("templates/**.xml", "jinja2"),
    ("templates/mail/**.txt", "jinja2"),
]
"""Where messages are, and how Babel finds them."""
KEYWORDS = {**DEFAULT_KEYWORDS, "lazy_gettext": None}
PROJECT = {
    "project": "Campaign",
    "version": "1",
    "msgid_bugs_address": "the project's issues",
    "last_translator": "the project",
    "language_team": "the project",
}
COMMENT = "translators:"
"""Begins a comment in code or templates that explains the next message to translators."""
HEADER = """\
# Translations of the petition site into {language}. docs/translate.md explains how to translate.
# Formal or informal: say here which one this catalog uses."""


def extracted() -> Catalog:
    """Return all messages of code and templates, sorted by where they are."""
    messages = Catalog(header_comment="# Messages of the petition site.", fuzzy=False, **PROJECT)
    messages.creation_date = datetime(2026, 11, 29, tzinfo=UTC)
    options = {"templates/**.html": {"newstyle_gettext": "true", "silent": "false"}}
    options["templates/**.xml"] = options["templates/mail/**.txt"] = options["templates/**.html"]
    found = extract_from_dir(ROOT, METHODS, options, KEYWORDS, (COMMENT,), strip_comment_tags=True)
    for file, line, message, comments, context in sorted(found, key=lambda each: each[:2]):
        messages.add(message, None, [(file, line)], auto_comments=comments, context=context)
    return messages


def stored() -> Catalog:
    """Return the messages in TEMPLATE."""
    with TEMPLATE.open("rb") as file:
        return read_po(file)


def problems(messages: Catalog) -> Iterator[str]:
    """Yield what is wrong with the translations of a catalog: one line each, with the message."""
    for message in messages:
        if not message.id or not any(_forms(message.string)):
            continue
        if not all(_forms(message.string)):
            yield f"{_forms(message.id)[0]!r}: a plural form is missing"
        for problem in [*_errors(messages, message), *_lost(message), *_markup(message)]:
            yield f"{_forms(message.id)[0]!r}: {problem}"


def _errors(messages: Catalog, message: Message) -> Iterator[str]:
    error: TranslationError
    for error in message.check(messages):
        yield str(error)


def _lost(message: Message) -> Iterator[str]:
    """Yield placeholders that the translation adds, or leaves out. A form for one thing may leave out its number."""
    wanted = set.union(*(placeholders(form) for form in _forms(message.id)))
    for number, form in enumerate(_forms(message.string)):
        has = placeholders(form)
        optional = {"num", "number"} if message.pluralizable and number < len(_forms(message.string)) - 1 else set()
        if has - wanted:
            yield f"unknown placeholder {', '.join(sorted(has - wanted))}"
        if wanted - has - optional - {"num"}:
            yield f"without the placeholder {', '.join(sorted(wanted - has))}"


def _markup(message: Message) -> Iterator[str]:
    """Yield markup and stray percent signs. Messages have none: pages show translations as they are."""
    for form in _forms(message.string):
        if re.search(r"[<>&]", form):
            yield "contains <, >, or &"
        if re.search(r"%(?!\(\w+\)s|%)", form):
            yield "contains a % that begins no placeholder"


def placeholders(form: str) -> set[str]:
    """Return the names of the placeholders in one form of a message."""
    return set(re.findall(r"%\((\w+)\)s", form))


def _forms(string: str | list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    return (string or "",) if isinstance(string, str | None) else tuple(string)


def update(tag: str, template: Catalog) -> Catalog:
    """Begin or update the catalog of a language, and return it.

    Raises:
        SystemExit: CLDR doesn't know the language.
    """
    file = FOLDER / f"{tag}.po"
    if file.exists():
        messages = catalogs.read(tag)
    else:
        try:
            locale = Locale.parse(tag, sep="-")
        except (ValueError, UnknownLocaleError):
            raise SystemExit(f"{tag} is no language tag, such as de or pt-BR") from None
        header = HEADER.format(language=locale.english_name)
        messages = Catalog(locale, header_comment=header, fuzzy=False, **PROJECT)
        messages.creation_date = messages.revision_date = template.creation_date
    messages.update(template, update_creation_date=False)
    _write(file, messages)
    return messages


def _write(file: Path, messages: Catalog) -> None:
    with file.open("wb") as out:
        # Without line numbers, and with the same date, a change of code changes only the lines of its messages.
        write_po(out, messages, width=120, sort_by_file=True, include_lineno=False, ignore_obsolete=True)


def main() -> None:
    """Update the catalogs, and say what is missing or wrong.

    Raises:
        SystemExit: A translation is wrong.
    """
    parser = argparse.ArgumentParser(prog="script/translate", description=__doc__)
    parser.add_argument("tag", nargs="*", help="a language tag, such as de or pt-BR; by default, all languages")
    tags = parser.parse_args().tag or [tag for tag in catalogs.tags() if tag != catalogs.SOURCE]
    template, wrong = extracted(), 0
    _write(TEMPLATE, template)
    for tag in tags:
        messages = update(tag, template)
        found = list(problems(messages))
        wrong += len(found)
        missing = [message for message in messages if message.id and (message.fuzzy or not all(_forms(message.string)))]
        print(f"{tag}: {catalogs.completeness(messages):.0%} translated, {len(missing)} missing")
        for message in missing:
            print(f"    {_forms(message.id)[0]}")
        for problem in found:
            print(f"    wrong: {problem}")
    if wrong:
        sys.exit(f"{wrong} translations are wrong")


if __name__ == "__main__":
    main()
