"""Translations at the desk: a tab for each language, with autosave, conflicts, reasons, and a preview."""

import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient, FlaskCliRunner

from campaign.campaigns import editing, fields, lookup, translations
from campaign.campaigns.files import reading, writing
from campaign.models.account import Role
from campaign.models.campaign import Campaign, CampaignState, Translation
from campaign.statistics import roll_ups
from campaign.storage.database import db
from tests.conftest import ADA, FILE, HTMX, PATH, SLUG, Publish, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT, edits, save, shown, typed
from tests.desk.people import AtDesk

pytestmark = [only_sqlite, pytest.mark.slow]

EDIT_SPANISH = f"{EDIT}/es"
SPANISH = {"title": "Salvemos el parque", "letter": "Estimado alcalde:\n\nconserve el parque."}


@pytest.fixture
def author(at_desk: AtDeskAs, draft: Campaign) -> AtDesk:
    return at_desk(Role.ORGANIZER, own=[draft])


@pytest.fixture
def public(at_desk: AtDeskAs, publish: Publish) -> AtDesk:
    """Return an organizer of a public campaign in English and Spanish."""
    return at_desk(Role.ORGANIZER, own=[publish(translations={"es": SPANISH})])


def campaign() -> Campaign:
    """Return the campaign from the database."""
    db.session.rollback()
    db.session.expunge_all()
    found = lookup.find(db.session(), SLUG)
    assert found
    return found


def translation(tag: str = "es") -> Translation | None:
    return translations.find(campaign(), tag)


def fields_of(client: AtDesk, path: str = EDIT_SPANISH) -> dict[str, str]:
    return typed(client.get(path).text)


def autosave(client: AtDesk, fields: dict[str, str], tag: str = "es") -> Any:
    """Save automatically, as editor.js does it; take the new version from the response."""
    answer = client.post(f"/desk{PATH}/autosave/{tag}", data=fields, headers=HTMX)
    fields |= dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', answer.text))
    return answer


def tabs(page: str) -> dict[str, str]:
    """Return the language tabs of the editor: the target of each by its text."""
    nav = page[page.index('aria-label="Language of the text"') :]
    found = re.findall(r'<a href="([^"]+)"[^>]*>(.*?)</a>', nav[: nav.index("</nav>")])
    return {re.sub("<[^>]+>", "", text): href for href, text in found}


def add(author: AtDesk, tag: str, **changes: str) -> Any:
    """Press “Add a translation”."""
    return save(author, fields_of(author, EDIT) | changes | {"do": "translate", "new_language": tag})


def test_adding_a_translation_saves_the_form_first(author: AtDesk) -> None:
    answer = add(author, "es", title="Save the Old Park")
    assert (answer.status_code, answer.location) == (303, EDIT_SPANISH)
    assert campaign().title == "Save the Old Park"


def test_adding_a_translation_to_a_public_campaign_shows_changes_first(public: AtDesk) -> None:
    typed_before = fields_of(public, EDIT) | {"title": "Save the Old Park", "do": "translate", "new_language": "fr"}
    review = public.post(EDIT, data=typed_before)
    assert "Review before saving" in review.text
    assert '<option value="fr" selected>' in review.text
    assert campaign().title == "Save the Park"
    again = typed(review.text) | {"new_language": "fr"} | dict(re.findall('name="(seen)" value="(.*?)"', review.text))
    assert public.post(EDIT, data=again).location == f"{EDIT}/fr"
    assert campaign().title == "Save the Old Park"


def test_language_is_added_as_a_tab(author: AtDesk) -> None:
    page = author.get(EDIT).text
    assert tabs(page) == {"English": EDIT}
    assert '<option value="es">Spanish</option>' in page
    assert '<option value="en">' not in page
    assert add(author, "es").location == EDIT_SPANISH
    page = author.get(EDIT_SPANISH).text
    assert tabs(page) == {"English": EDIT, "Spanish": EDIT_SPANISH}
    assert translation() is None, "nothing is stored before there is a text"
    assert "Save the Park" in page, "the original stands beside the field"


def test_translation_is_saved_and_shown_in_the_preview(author: AtDesk, client: FlaskClient) -> None:
    answer = save(author, fields_of(author) | SPANISH, EDIT_SPANISH)
    assert answer.location == EDIT_SPANISH
    page = author.get(EDIT_SPANISH).text
    assert "Salvemos el parque" in shown(page)
    assert '<html lang="es" dir="ltr">' in shown(page)
    found = translation()
    assert found
    assert (found.title, found.letter, found.summary) == (*SPANISH.values(), "")
    assert client.get(f"{PATH}/es").status_code == 404, "a draft"


def test_live_preview_shows_typed_text(author: AtDesk) -> None:
    fields = fields_of(author) | SPANISH | {"title": "x" * 300}
    answer = author.post(f"/desk{PATH}/preview/es", data=fields)
    assert "x" * 300 in answer.text
    assert answer.headers["Campaign-Errors"] == "title"
    assert translation() is None


def test_errors_stand_next_to_their_fields_and_keep_the_text(author: AtDesk) -> None:
    fields = fields_of(author) | SPANISH | {"title": "x" * 201, "donate_url": "ftp://x"}
    answer = save(author, fields, EDIT_SPANISH)
    assert answer.status_code == 422
    assert 'id="title-message"' in answer.text
    assert "x" * 201 in answer.text
    assert translation() is None


def test_translation_of_a_draft_is_saved_while_typing(author: AtDesk) -> None:
    fields, version = fields_of(author), campaign().version
    assert autosave(author, fields | {"title": "Salve"}).status_code == 200
    fields = fields_of(author) | {"title": "Salvemos", "letter": "Estimado"}
    assert "Saved at" in autosave(author, fields).text
    found = translation()
    assert found
    assert (found.title, found.letter) == ("Salvemos", "Estimado")
    assert edits() == [], "one sitting is one entry"
    save(author, fields, EDIT_SPANISH)
    [entry] = edits()
    assert entry.before == {"es.title": "", "es.letter": "", "version": version}
    assert (entry.after["es.title"], entry.after["es.letter"]) == ("Salvemos", "Estimado")


def test_several_people_translate_at_the_same_time(author: AtDesk) -> None:
    spanish, german, english = fields_of(author), fields_of(author, f"{EDIT}/de"), fields_of(author, EDIT)
    assert autosave(author, spanish | {"title": "Salvemos"}).status_code == 200
    assert autosave(author, german | {"title": "Rettet"}, "de").status_code == 200
    assert save(author, german | {"title": "Rettet ihn"}, f"{EDIT}/de").status_code == 409, "it was saved meanwhile"
    assert save(author, english | {"goal": "70"}, EDIT).status_code == 303
    spanish = fields_of(author)
    assert save(author, fields_of(author, EDIT) | {"goal": "80"}, EDIT).status_code == 303
    assert save(author, spanish | {"letter": "Estimado"}, EDIT_SPANISH).status_code == 303
    stored = campaign()
    assert stored.goal == 80
    assert translations.texts_of(stored) == {
        "de": {"title": "Rettet"},
        "es": {"title": "Salvemos", "letter": "Estimado"},
    }


def test_two_editors_of_one_translation_are_asked_about_conflicts(author: AtDesk, at_desk: AtDeskAs) -> None:
    save(author, fields_of(author) | SPANISH, EDIT_SPANISH)
    mine = fields_of(author)
    admin = at_desk(Role.ADMIN)
    save(admin, fields_of(admin) | {"title": "Salven el parque", "thanks": "Gracias"}, EDIT_SPANISH)
    answer = save(author, mine | {"title": "Salve el parque"}, EDIT_SPANISH)
    assert answer.status_code == 409
    assert "Title: you both changed this" in answer.text
    merged = typed(answer.text)
    assert (merged["title"], merged["thanks"]) == ("Salve el parque", "Gracias")
    assert save(author, merged | {"keep-title": "theirs"}, EDIT_SPANISH).status_code == 303
    found = translation()
    assert found
    assert (found.title, found.thanks) == ("Salven el parque", "Gracias")


def test_changes_of_different_texts_of_one_translation_are_merged(author: AtDesk, at_desk: AtDeskAs) -> None:
    mine, admin = fields_of(author), at_desk(Role.ADMIN)
    save(admin, fields_of(admin) | {"thanks": "Gracias"}, EDIT_SPANISH)
    answer = save(author, mine | {"title": "Salve el parque"}, EDIT_SPANISH)
    assert answer.status_code == 303
    page = author.get(EDIT_SPANISH).text
    assert "Saved, together with changes by" in page
    assert "Thank-you text" in page
    assert translations.texts_of(campaign())["es"] == {"title": "Salve el parque", "thanks": "Gracias"}


def test_translation_is_marked_as_older_after_the_original_changes(author: AtDesk) -> None:
    save(author, fields_of(author) | SPANISH, EDIT_SPANISH)
    assert list(tabs(author.get(EDIT).text)) == ["English", "Spanish"]
    save(author, fields_of(author, EDIT) | {"goal": "70"}, EDIT)
    assert list(tabs(author.get(EDIT).text)) == ["English", "Spanish"], "no text has changed"
    save(author, fields_of(author, EDIT) | {"letter": "Dear Council"}, EDIT)
    assert list(tabs(author.get(EDIT).text)) == ["English", "Spanish older than the original"]
    assert "The original has changed since" in author.get(EDIT_SPANISH).text
    autosave(author, fields_of(author) | {"title": "Salve"})
    assert list(tabs(author.get(EDIT).text)) == ["English", "Spanish older than the original"], "it is half done"
    save(author, fields_of(author), EDIT_SPANISH)
    assert list(tabs(author.get(EDIT).text)) == ["English", "Spanish"], "Save says that it is up to date"


def test_translation_that_was_written_beside_an_older_text_is_marked(author: AtDesk, at_desk: AtDeskAs) -> None:
    save(author, fields_of(author) | SPANISH, EDIT_SPANISH)
    mine, admin = fields_of(author), at_desk(Role.ADMIN)
    save(admin, fields_of(admin, EDIT) | {"letter": "Dear Council"}, EDIT)
    assert save(author, mine | {"title": "Salve"}, EDIT_SPANISH).status_code == 303
    assert list(tabs(author.get(EDIT).text)) == ["English", "Spanish older than the original"]


def test_people_who_translate_at_the_same_time_have_an_entry_each(author: AtDesk, at_desk: AtDeskAs) -> None:
    admin = at_desk(Role.ADMIN)
    spanish, german = fields_of(author), fields_of(admin, f"{EDIT}/de")
    for number in range(3):
        for client, typing, tag in ((author, spanish, "es"), (admin, german, "de")):
            typing["title"] = f"Title {number}"
            assert autosave(client, typing, tag).status_code == 200
    assert edits() == []
    assert author.get(f"/desk{PATH}/record").text.count("edited the campaign") == 2
    save(author, spanish, EDIT_SPANISH)
    save(admin, german, f"{EDIT}/de")
    assert [entry.before.keys() - {"version"} for entry in edits()] == [{"es.title"}, {"de.title"}]


def test_changes_of_a_public_translation_are_reviewed_first(public: AtDesk, client: FlaskClient) -> None:
    fields = fields_of(public) | {"title": "Salve el parque"}
    answer = public.post(EDIT_SPANISH, data=fields, content_type="multipart/form-data")
    assert "Review before saving" in answer.text
    assert "Salve el parque" in shown(answer.text)
    assert "Salve el parque" not in client.get(f"{PATH}/es").text
    save(public, fields, EDIT_SPANISH)
    assert "Salve el parque" in client.get(f"{PATH}/es").text


def test_change_of_a_signed_translation_has_a_reason_in_its_language(public: AtDesk, client: FlaskClient) -> None:
    client.post(f"{PATH}/es/signatures", data=ADA)
    fields = fields_of(public) | {"letter": "Estimado alcalde:\n\nsalve el parque."}
    answer = save(public, fields, EDIT_SPANISH)
    assert answer.status_code == 422
    assert "Enter a reason" in answer.text
    assert save(public, fields | {"reason": "Un error"}, EDIT_SPANISH).status_code == 303
    page = client.get(f"{PATH}/es").text
    assert "<bdi>Un error</bdi>" in page
    changes = client.get(f"{PATH}/es/changes").text
    assert re.search(r"<del>.*conserve.*</del>", changes)
    assert re.search(r"<ins>.*salve.*</ins>", changes)
    assert "Un error" not in client.get(PATH).text
    assert edits()[-1].reason == "Un error"


def test_translation_that_people_have_signed_stays(public: AtDesk, client: FlaskClient) -> None:
    client.post(f"{PATH}/es/signatures", data=ADA)
    for _ in ("the worker hasn’t counted the signature", "it has"):
        public.post(f"{EDIT_SPANISH}/remove", data={"version": str(campaign().version)})
        assert "People have signed the text in Spanish, so it must stay" in public.get(EDIT_SPANISH).text
        assert translation()
        roll_ups.add_piece(datetime.now(UTC))
    blank = dict.fromkeys(fields.TEXTS, "") | {"reason": "So"}
    answer = save(public, fields_of(public) | blank, EDIT_SPANISH)
    assert answer.status_code == 422
    assert "People have signed the text in Spanish" in answer.text


def test_translation_is_removed_after_one_question(public: AtDesk, client: FlaskClient) -> None:
    client.post(f"{PATH}/signatures", data=ADA)
    roll_ups.add_piece(datetime.now(UTC))
    assert f'href="{EDIT_SPANISH}/remove"' in public.get(EDIT_SPANISH).text
    page = public.get(f"{EDIT_SPANISH}/remove").text
    assert "Remove the translation into Spanish?" in page
    stale = public.post(f"{EDIT_SPANISH}/remove", data={"version": "99"})
    assert stale.status_code == 409
    assert translation()
    answer = public.post(f"{EDIT_SPANISH}/remove", data={"version": str(campaign().version)})
    assert answer.location == EDIT
    assert translation() is None
    assert client.get(f"{PATH}/es").status_code == 404
    assert "Ada" in client.get(PATH).text
    assert edits()[-1].before["es.title"] == "Salvemos el parque"
    assert public.get(f"{EDIT_SPANISH}/remove").location == EDIT, "it is removed already"


def test_activity_log_names_texts_and_languages(public: AtDesk) -> None:
    save(public, fields_of(public) | {"title": "Salve el parque"}, EDIT_SPANISH)
    assert "Title in Spanish" in public.get(f"/desk{PATH}/record").text


@pytest.mark.parametrize("path", [EDIT, f"/desk{PATH}/preview", f"/desk{PATH}/autosave"])
@pytest.mark.parametrize("tag", ["en", "xx", "sw", "ES", "english"])
def test_tab_of_an_impossible_language_is_not_found(author: AtDesk, path: str, tag: str) -> None:
    fields = fields_of(author) | SPANISH
    assert author.post(f"{path}/{tag}", data=fields, content_type="multipart/form-data").status_code == 404
    assert translations.texts_of(campaign()) == {}


@pytest.mark.parametrize("tag", ["en", "xx", "sw", "", "english"])
def test_adding_an_impossible_language_says_why(author: AtDesk, tag: str) -> None:
    assert add(author, tag).location == EDIT
    why = "Choose a language<|Use a language tag|own language is English|isn’t translated into Swahili"
    assert re.search(f'role="status">[^<]*({why})', author.get(EDIT).text)


def test_main_language_may_not_become_that_of_a_translation(public: AtDesk) -> None:
    answer = save(public, fields_of(public, EDIT) | {"language": "es"}, EDIT)
    assert answer.status_code == 422
    assert "The campaign has a translation into Spanish" in answer.text


def test_moderator_cannot_open_a_translation(at_desk: AtDeskAs, draft: Campaign) -> None:
    moderator = at_desk(Role.MODERATOR, own=[draft])
    for path in (EDIT_SPANISH, f"{EDIT}/add?tag=es", f"{EDIT_SPANISH}/remove"):
        assert moderator.get(path).status_code in (403, 404)


def test_duplicate_has_the_translations(author: AtDesk) -> None:
    save(author, fields_of(author) | SPANISH, EDIT_SPANISH)
    answer = save(author, fields_of(author, EDIT) | {"do": "duplicate"}, EDIT)
    copy = lookup.find(db.session(), answer.location.split("/")[-2])
    assert copy
    assert translations.texts_of(copy) == {"es": SPANISH}


def test_deleted_draft_has_no_translations(author: AtDesk) -> None:
    save(author, fields_of(author) | SPANISH, EDIT_SPANISH)
    author.post(f"/desk{PATH}/delete", data={"version": str(campaign().version)})
    db.session.rollback()
    assert db.session.query(Translation).count() == 0


def test_publish_button_of_a_tab_saves_first(author: AtDesk, client: FlaskClient) -> None:
    answer = save(author, fields_of(author) | SPANISH | {"do": "publish"}, EDIT_SPANISH)
    assert answer.location == f"/desk{PATH}/publish"
    author.post(answer.location, data={"version": str(campaign().version)})
    assert campaign().state is CampaignState.OPEN
    assert "Salvemos el parque" in client.get(f"{PATH}/es").text


def test_download_with_translations_publishes_the_same_campaign_again(
    at_desk: AtDeskAs, publish: Publish, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    texts = {
        "title": "Salvemos: “el parque” #1",
        "addressees": "El alcalde\nEl concejo",
        "letter": "---\n\nEstimado\n\n- uno",
        "share_text": "no",
        "donate_url": "https://donate.example/es",
    }
    publish(translations={"es": texts, "ar": {"letter": "أنقذوا الحديقة"}, "pt-BR": {"title": "010"}})
    file = editing.file_of(db.session(), campaign())
    answer = at_desk(Role.ADMIN).get(f"/desk{PATH}/campaign.md")
    assert answer.mimetype == "application/zip"
    (tmp_path / "campaign.zip").write_bytes(answer.data)
    with zipfile.ZipFile(tmp_path / "campaign.zip") as packed:
        assert packed.namelist() == [f"{SLUG}{end}.md" for end in ("", ".ar", ".es", ".pt-BR")]
        packed.extractall(tmp_path)
    assert reading.read(tmp_path / f"{SLUG}.md") == file
    version = campaign().version
    done = runner.invoke(args=["campaigns", "publish", str(tmp_path / f"{SLUG}.md")])
    assert (done.exit_code, done.output) == (0, f"updated {SLUG}\n")
    assert campaign().version == version


def test_campaign_in_one_language_is_downloaded_as_one_file(at_desk: AtDeskAs, publish: Publish) -> None:
    publish()
    answer = at_desk(Role.ADMIN).get(f"/desk{PATH}/campaign.md")
    assert answer.mimetype == "text/markdown"
    assert answer.text == writing.write(FILE.with_values({"confirm": False}))
