"""Publishing a campaign with its translations from files, and the errors for invalid ones."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient, FlaskCliRunner

from campaign.campaigns import fields, lookup, translations
from campaign.campaigns.files import reading
from campaign.models.campaign import Campaign
from campaign.settings import ROOT
from campaign.storage.database import db
from tests.cli.test_publishing import text
from tests.conftest import PATH, SLUG, Sign, only_sqlite

pytestmark = only_sqlite

SPANISH = "---\ntitle: Salvemos el parque\naddressees:\n  - El alcalde\n---\nEstimado alcalde:\n\nconserve el parque.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with park.md and park.es.md."""
    (tmp_path / "park.md").write_text(text())
    (tmp_path / "park.es.md").write_text(SPANISH)
    return tmp_path


def campaign() -> Campaign:
    """Return the campaign from the database."""
    db.session.rollback()
    db.session.expunge_all()
    found = lookup.find(db.session(), SLUG)
    assert found
    return found


@pytest.mark.parametrize("named", [["park.md"], ["park.es.md"], ["park.md", "park.es.md"], ["park.es.md", "park.md"]])
def test_campaign_is_published_with_the_translations_next_to_it(
    runner: FlaskCliRunner, client: FlaskClient, folder: Path, named: list[str]
) -> None:
    done = runner.invoke(args=["campaigns", "publish", *(str(folder / name) for name in named)])
    assert (done.exit_code, done.output) == (0, f"published {SLUG}\n")
    page = client.get(f"{PATH}/es").text
    for words in ("Salvemos el parque", "<li>El alcalde</li>", "Estimado alcalde:"):
        assert words in page
    assert "Save the Park" in client.get(PATH).text


def test_sample_campaign_comes_in_spanish(runner: FlaskCliRunner, client: FlaskClient) -> None:
    assert runner.invoke(args=["prepare"]).exit_code == 0
    page = client.get("/campaigns/end-ring-police-partnerships/es").text
    assert "alianzas con la policía" in page
    sample = reading.read(ROOT / "campaigns" / "end-ring-police-partnerships.md")
    english = {key for key in fields.TEXTS if getattr(sample, key)}
    assert sample.translations["es"].keys() == english - {"donate_url"}, "everything is translated"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("park.english.md", SPANISH, "file: Use a language tag, such as es or pt-BR, not “english”"),
        ("park.e.md", SPANISH, "file: Use a language tag, such as es or pt-BR, not “e”"),
        ("park.es_MX.md", SPANISH, "file: Use a language tag, such as es or pt-BR, not “es_MX”"),
        ("park.xx.md", SPANISH, "file: Use a language tag, such as es or pt-BR, not “xx”"),
        ("park.en.md", SPANISH, "file: The campaign’s own language is English. Choose a different language"),
        ("park.sw.md", SPANISH, "file: The site isn’t translated into Swahili yet. Choose a language that it has"),
        ("park.de.md", "---\ngoal: 10\n---\nHallo", "goal: Remove this key. All languages share it, so it belongs in "),
        ("park.de.md", "---\nslug: x\ntitle: Y\n---\n", "slug: Remove this key. All languages share it, so it belongs"),
        ("park.de.md", "---\nlanguage: de\ntitle: Y\n---\n", "language: Remove this key. All languages share it"),
        ("park.de.md", "---\npicture: x.jpg\ntitle: Y\n---\n", "picture: Remove this key. All languages share it"),
        ("park.de.md", "---\ntitel: Y\n---\n", "titel: Correct or remove this key. Campaigns have no such key"),
        ("park.de.md", f"---\ntitle: {'x' * 201}\n---\n", "title: Shorten the title to 200 characters or fewer."),
        ("park.de.md", "---\ntitle: Y\n---\n[x](javascript:1)", "letter: "),
        ("park.de.md", "---\ndonate_url: ftp://x\n---\n", "donate_url: "),
        ("park.de.md", "---\ntitle: [a, b]\n---\n", "title: Write the title as text, not as a list"),
        ("park.de.md", "", "file: Translate at least one text, or remove this file"),
        ("park.de.md", "---\ntitle: ''\n---\n", "file: Translate at least one text, or remove this file"),
        ("park.de.md", "---\ntitle: Y\n", "front matter: End the front matter with a line of ---"),
    ],
)
def test_invalid_translation_is_one_clear_error_and_nothing_is_published(
    runner: FlaskCliRunner, folder: Path, name: str, content: str, message: str
) -> None:
    (folder / name).write_text(content)
    done = runner.invoke(args=["campaigns", "publish", str(folder / "park.md")])
    assert done.exit_code == 1
    [line] = [line for line in done.output.splitlines() if line.startswith("Error: ")]
    assert line.startswith(f"Error: {folder / name}: {message}")
    assert lookup.find(db.session(), SLUG) is None


def test_errors_of_all_files_are_listed_together(runner: FlaskCliRunner, folder: Path) -> None:
    (folder / "park.md").write_text(text(goal="0"))
    (folder / "park.de.md").write_text("---\ngoal: 5\n---\n")
    done = runner.invoke(args=["campaigns", "publish", str(folder / "park.md")])
    assert done.output.count("Error: ") == 2
    assert "park.md: goal: Enter a goal from 1" in done.output
    assert "park.de.md: goal: Remove this key." in done.output


def test_translation_without_a_file_stays(runner: FlaskCliRunner, folder: Path) -> None:
    runner.invoke(args=["campaigns", "publish", str(folder / "park.md")])
    (folder / "park.es.md").unlink()
    done = runner.invoke(args=["campaigns", "publish", str(folder / "park.md")])
    assert "Note: " in done.output
    assert "There is no file for the translation into Spanish, so it stays as it is" in done.output
    assert translations.texts_of(campaign())["es"]["title"] == "Salvemos el parque"


def test_campaigns_language_may_not_become_that_of_a_translation(runner: FlaskCliRunner, folder: Path) -> None:
    runner.invoke(args=["campaigns", "publish", str(folder / "park.md")])
    (folder / "park.es.md").unlink()
    (folder / "park.md").write_text(text(language="es"))
    done = runner.invoke(args=["campaigns", "publish", str(folder / "park.md")])
    assert done.exit_code == 1
    assert "language: The campaign has a translation into Spanish. Remove it, or enter a different" in done.output


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], None),
        (["--reason", "A mistake"], '<bdi lang="en" dir="ltr">A mistake</bdi>'),
        (["--reason-in", "es", "Un error"], "<bdi>Un error</bdi>"),
        (["--reason", "A mistake", "--reason-in", "es", "Un error"], "<bdi>Un error</bdi>"),
        (["--reason-in", "de", "Ein Fehler"], None),
    ],
)
def test_change_of_a_signed_translation_needs_a_reason_in_any_language(
    runner: FlaskCliRunner, client: FlaskClient, folder: Path, sign: Sign, options: list[str], reason: str | None
) -> None:
    runner.invoke(args=["campaigns", "publish", "--reason", "So", str(folder / "park.md")])
    sign()
    (folder / "park.es.md").write_text(SPANISH.replace("conserve", "salve"))
    done = runner.invoke(args=["campaigns", "publish", *options, str(folder / "park.md")])
    assert done.exit_code == (0 if reason else 1), done.output
    if reason is None:
        assert "--reason: Enter a reason. People who signed the earlier text will see it" in done.output
        return
    assert reason in client.get(f"{PATH}/es").text
    changes = client.get(f"{PATH}/es/changes").text
    assert "<del>" in changes
    assert "salve" in changes
    assert "See what changed" not in client.get(PATH).text, "the English text is the same"


@pytest.mark.parametrize("typed", ["xx", "de", "english", ""])
def test_reason_in_an_unknown_language_is_an_error(runner: FlaskCliRunner, folder: Path, typed: str) -> None:
    done = runner.invoke(args=["campaigns", "publish", "--reason-in", typed, "So", str(folder / "park.md")])
    assert done.exit_code == 1
    assert f"--reason-in: None of the campaigns has a translation into {typed}" in done.output


def test_reason_may_be_in_any_spelling_of_the_language(
    runner: FlaskCliRunner, client: FlaskClient, folder: Path, sign: Sign
) -> None:
    runner.invoke(args=["campaigns", "publish", "--reason", "So", str(folder / "park.md")])
    sign()
    (folder / "park.es.md").write_text(SPANISH.replace("conserve", "salve"))
    done = runner.invoke(args=["campaigns", "publish", "--reason-in", "ES", "Un error", str(folder / "park.md")])
    assert done.exit_code == 0, done.output
    assert "<bdi>Un error</bdi>" in client.get(f"{PATH}/es").text


def test_new_translation_of_a_signed_campaign_needs_no_reason(
    runner: FlaskCliRunner, client: FlaskClient, folder: Path, sign: Sign
) -> None:
    sign()
    done = runner.invoke(args=["campaigns", "publish", "--reason", "So", str(folder / "park.md")])
    assert done.exit_code == 0
    assert client.get(f"{PATH}/es/changes").status_code == 404


def test_change_of_a_main_text_is_shown_where_it_stands_in_for_a_translation(
    runner: FlaskCliRunner, client: FlaskClient, folder: Path, sign: Sign
) -> None:
    (folder / "park.de.md").write_text("---\ntitle: Rettet den Park\n---\n")
    runner.invoke(args=["campaigns", "publish", "--reason", "So", str(folder / "park.md")])
    sign()
    (folder / "park.md").write_text(text(letter="Dear Council,\n\nkeep it.\n"))
    done = runner.invoke(args=["campaigns", "publish", "--reason", "It moved", str(folder / "park.md")])
    assert done.exit_code == 0, done.output
    assert '<bdi lang="en" dir="ltr">It moved</bdi>' in client.get(f"{PATH}/de").text
    assert client.get(f"{PATH}/es/changes").status_code == 404, "the Spanish letter is the same"
