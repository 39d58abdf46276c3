"""The catalogs: nothing is missing from them, every translation can be shown, and incomplete ones are not offered."""

from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.plurals import get_plural
from babel.messages.pofile import read_po, write_po

from campaign.languages import catalogs, extraction

TAGS = [tag for tag in catalogs.tags() if tag != catalogs.SOURCE]
WANTED = "ar cs da de el en es fa fi fr he hi hu id it ja ko nl pl pt-BR ro ru sv tr uk zh-Hans zh-Hant"
NUMBERS = (0, 1, 2, 3, 5, 11, 21, 100, 1_000_000)
"""Numbers with which all languages together use all of their plural forms."""


def ids(found: Catalog) -> set[str]:
    return {str(message.id) for message in found if message.id}


def test_all_languages_are_there() -> None:
    assert set(WANTED.split()) <= set(catalogs.tags())


def test_template_contains_every_message_of_code_and_templates() -> None:
    assert ids(extraction.stored()) == ids(extraction.extracted()), "run script/translate"


@pytest.mark.parametrize("tag", TAGS)
def test_catalog_is_complete_and_up_to_date(tag: str) -> None:
    found = catalogs.read(tag)
    assert ids(found) == ids(extraction.stored()), f"run script/translate {tag}"
    assert catalogs.completeness(found) == 1
    assert str(found.locale) == tag.replace("-", "_")
    assert "formal" in found.header_comment.casefold(), "the header says how the catalog addresses people"


@pytest.mark.parametrize("tag", TAGS)
def test_placeholders_plural_forms_and_markup_are_right(tag: str) -> None:
    assert list(extraction.problems(catalogs.read(tag))) == []


@pytest.mark.parametrize("tag", catalogs.tags())
def test_every_message_can_be_shown_with_its_values(tag: str) -> None:
    known = catalogs.catalog(tag).translations
    for message in extraction.stored():
        forms = (message.id,) if isinstance(message.id, str) else message.id
        values = {name: f"[{name}]" for form in forms for name in extraction.placeholders(form)}
        if message.pluralizable:
            shown = {known.ngettext(forms[0], forms[1], n) % {**values, "num": n} for n in NUMBERS}
            assert all(words.strip() for words in shown), forms
        elif message.id:
            words = known.gettext(forms[0])
            assert all(value in (words % values) for value in values.values()) if values else words, forms


@pytest.mark.parametrize("tag", TAGS)
def test_plural_forms_are_those_of_the_language(tag: str) -> None:
    found, known = catalogs.read(tag), get_plural(tag.replace("-", "_"))
    assert (found.num_plurals, found.plural_expr) == (known.num_plurals, known.plural_expr)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("%(nummer)s haben unterschrieben", "unknown placeholder"),
        ("Alle haben unterschrieben", "without the placeholder"),
        ("<b>%(number)s</b> haben unterschrieben", "<, >, or &"),
        ("100 % von %(number)s", "begins no placeholder"),
    ],
)
def test_wrong_translations_are_found(wrong: str, problem: str) -> None:
    found = Catalog("de")
    found.add("%(number)s have signed", wrong)
    assert [line for line in extraction.problems(found) if problem in line]


def test_translation_without_a_plural_form_is_found() -> None:
    file = b'msgid "%(num)s day"\nmsgid_plural "%(num)s days"\nmsgstr[0] "%(num)s Tag"\n'
    assert list(extraction.problems(read_po(BytesIO(file), locale="de")))


def test_incomplete_catalog_is_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = catalogs.read("de")
    monkeypatch.setattr(catalogs, "FOLDER", tmp_path)
    for cached in (catalogs.tags, catalogs.catalog, catalogs.offered):
        cached.cache_clear()
    for number, message in enumerate(messages):
        if message.id and number % 10 == 0:
            message.string = ""
    with (tmp_path / "de.po").open("wb") as file:
        write_po(file, messages)
    try:
        assert catalogs.tags() == ("de", "en")
        assert 0.8 < catalogs.catalog("de").completeness < 0.95
        assert catalogs.offered("de") is None
    finally:
        monkeypatch.undo()
        for cached in (catalogs.tags, catalogs.catalog, catalogs.offered):
            cached.cache_clear()


@pytest.mark.parametrize(
    ("tag", "offered"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("DE-at", "de"),
        ("pt", "pt-BR"),
        ("pt-PT", "pt-BR"),
        ("zh", "zh-Hans"),
        ("zh-TW", "zh-Hant"),
        ("zh-Hant-HK", "zh-Hant"),
        ("en-GB", "en"),
        ("sr", None),
        ("eo", None),
        ("xx", None),
        ("not a tag", None),
        ("", None),
    ],
)
def test_tag_gets_the_catalog_of_its_language_and_script(tag: str, offered: str | None) -> None:
    assert catalogs.offered(tag) == offered
