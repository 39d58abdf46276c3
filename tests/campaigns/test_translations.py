"""Translations of a campaign: in files next to its own, and as editions with texts that stand in for missing ones."""

from pathlib import Path

import pytest

from campaign.campaigns import translations
from campaign.campaigns.files import reading
from campaign.campaigns.files.reading import CampaignFileError
from tests.cli.test_publishing import text
from tests.conftest import FILE

SPANISH = "---\ntitle: Salvemos el parque\n---\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with park.md and park.es.md."""
    (tmp_path / "park.md").write_text(text())
    (tmp_path / "park.es.md").write_text(SPANISH)
    return tmp_path


def refusal(path: Path) -> str:
    """Return the error for a file, without its folder."""
    with pytest.raises(CampaignFileError) as error:
        reading.read(path)
    return str(error.value).replace(f"{path.parent}/", "")


def test_two_files_for_one_language_are_refused(folder: Path) -> None:
    (folder / "park.pt-BR.md").write_text(SPANISH)
    (folder / "park.pt-br.md").write_text(SPANISH)
    assert refusal(folder / "park.md") == (
        "park.pt-br.md: file: Remove this file or park.pt-BR.md. Both are translations into the same language"
    )


def test_translation_without_the_campaigns_file_is_refused(folder: Path) -> None:
    (folder / "park.md").unlink()
    assert refusal(folder / "park.es.md") == (
        "park.es.md: file: Add park.md to this folder. This translation belongs to it"
    )


@pytest.mark.parametrize("name", ["park.old.md", "park.2027.md", "park.letter.md"])
def test_campaign_beside_another_one_is_no_translation(folder: Path, name: str) -> None:
    (folder / name).write_text(text(slug="other", title="Another"))
    assert reading.read(folder / "park.md").translations.keys() == {"es"}
    first, second = reading.read_all([folder / "park.md", folder / name])
    assert (first.is_valid, second.is_valid) == (True, True)
    assert second.campaign.title == "Another"


@pytest.mark.parametrize("name", ["v1.2.md", "letter.new.md", "the.final.letter.md"])
def test_campaign_file_with_periods_in_its_name_is_no_translation(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(text())
    assert reading.read(tmp_path / name).title == "Save the Park"


@pytest.mark.parametrize(
    ("typed", "usual"), [("ES", "es"), ("pt-br", "pt-BR"), ("zh-hant", "zh-Hant"), ("es-mx", "es-MX")]
)
def test_language_tag_gets_its_usual_spelling(typed: str, usual: str) -> None:
    assert translations.checked_tag(typed, "en") == usual


@pytest.mark.parametrize("tag", ["", "e", "xx", "en", "EN", "english", "es_MX", "es-", "-es", "es\n", "sw", "x" * 9999])
def test_language_that_a_campaign_cannot_be_translated_into_is_refused(tag: str) -> None:
    why = r"^(Choose a language|Use a language tag|The campaign’s own|The site isn’t translated into Swahili)"
    with pytest.raises(ValueError, match=why):
        translations.checked_tag(tag, "en")


def test_signed_text_of_a_translation_has_main_texts_where_its_own_are_missing() -> None:
    file = translations.with_translation(FILE, "es", {"title": "Salvemos el parque", "thanks": "Gracias"})
    assert translations.signed_texts(file) == {
        "": f"{FILE.title}\n\n{FILE.addressees}\n\n{FILE.letter}",
        "es": f"Salvemos el parque\n\n{FILE.addressees}\n\n{FILE.letter}",
    }


def test_translation_without_texts_is_none() -> None:
    file = translations.with_translation(FILE, "es", {"title": "Salvemos el parque"})
    assert translations.with_translation(file, "es", {"title": "", "letter": ""}) == FILE
