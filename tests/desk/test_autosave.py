"""Drafts are saved while their editor types: what is saved, what isn't, and what the audit log says."""

import io
import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from campaign.campaigns.versions import sittings
from campaign.models.account import Role
from campaign.models.campaign import Campaign, CampaignState, DraftSitting, FormerSlug
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.worker import drafts
from tests.campaigns.test_pictures import uploaded
from tests.conftest import HTMX, PATH, Publish, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT, TYPED, edits, save, stored, typed
from tests.desk.people import AtDesk

pytestmark = pytest.mark.slow

AUTOSAVE, AUTOSAVE_NEW = f"/desk{PATH}/autosave", "/desk/campaigns/autosave"


@pytest.fixture
def author(at_desk: AtDeskAs, draft: Campaign) -> AtDesk:
    return at_desk(Role.ORGANIZER, own=[draft])


class Typing:
    """An open editor that is saved automatically, as editor.js does it."""

    def __init__(self, client: AtDesk, path: str = EDIT) -> None:
        self.client, self.fields = client, typed(client.get(path).text)

    def save(self, expected: int = 200, /, **changes: str) -> Any:
        """Change fields, and save automatically; take the new version from the response."""
        self.fields |= changes
        answer = self.client.post(AUTOSAVE, data=self.fields, headers=HTMX)
        assert answer.status_code == expected, answer.text
        self.fields |= dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', answer.text))
        return answer


def columns() -> dict[str, Any]:
    """Return the stored values of the campaign."""
    row = stored()
    return {column.key: getattr(row, column.key) for column in Campaign.__table__.columns}


def test_draft_is_saved_while_typing(author: AtDesk) -> None:
    typing = Typing(author)
    answer = typing.save(letter="Dear Mayor,\r\n\r\nhalf a thou", goal="70")
    assert "Saved at" in answer.text
    assert "except for" not in answer.text
    assert (stored().letter, stored().goal) == ("Dear Mayor,\n\nhalf a thou", 70)
    typing.save(letter="Dear Mayor,\r\n\r\nhalf a thought")
    assert stored().letter == "Dear Mayor,\n\nhalf a thought"


def test_one_sitting_is_one_entry_of_the_audit_log(author: AtDesk) -> None:
    typing, was = Typing(author), columns()
    for words in ("One", "One, two", "One, two, three"):
        typing.save(letter=words)
    typing.save(goal="70")
    assert edits() == [], "the entry is written at the end of the sitting"
    assert author.get(f"/desk{PATH}/record").text.count("edited the campaign") == 1, "but the page shows it already"
    assert save(author, typing.fields | {"title": "Saved with the button"}).status_code == 303
    [entry] = edits()
    assert entry.before == {
        "letter": was["letter"],
        "goal": was["goal"],
        "title": was["title"],
        "version": was["version"],
    }
    assert (entry.after["letter"], entry.after["goal"], entry.after["version"]) == (
        "One, two, three",
        70,
        stored().version,
    )
    assert db.session.scalars(select(DraftSitting)).all() == []


@pytest.mark.parametrize("after", ["saving unchanged", "a preview link", "publishing", "another person", "a long time"])
def test_sitting_ends_with_an_entry(author: AtDesk, at_desk: AtDeskAs, after: str) -> None:
    typing = Typing(author)
    typing.save(letter="Words")
    if after == "saving unchanged":
        assert save(author, typing.fields).status_code == 303
    elif after == "a preview link":
        author.post(EDIT, data=typing.fields | {"do": "preview_link"})
    elif after == "publishing":
        author.post(f"/desk{PATH}/publish", data={"version": typing.fields["version"]})
    elif after == "another person":
        Typing(at_desk(Role.ADMIN)).save(letter="Other words")
    else:
        with write_transaction() as session:
            session.execute(update(DraftSitting).values(saved_at=datetime.now(UTC) - sittings.IDLE))
        typing.save(letter="More words")
    [entry] = edits()
    assert entry.actor.startswith("organizer-")
    assert (entry.before["letter"], entry.after["letter"]) == ("Dear Mayor,\n\nplease *keep* the park.", "Words")


def test_people_who_type_in_different_fields_have_a_sitting_each(author: AtDesk, at_desk: AtDeskAs) -> None:
    Typing(author).save(letter="Words")
    Typing(at_desk(Role.ADMIN)).save(summary="Other words")
    assert edits() == []
    author.post(f"/desk{PATH}/publish", data={"version": str(stored().version)})
    assert [entry.after.keys() - {"version"} for entry in edits()] == [{"letter"}, {"summary"}]


def test_text_changed_and_changed_back_is_not_recorded(author: AtDesk) -> None:
    typing, letter = Typing(author), stored().letter
    typing.save(letter="Other")
    typing.save(letter=letter)
    assert save(author, typing.fields).status_code == 303
    assert edits() == []
    assert "edited the campaign" not in author.get(f"/desk{PATH}/record").text


def test_unfinished_sitting_without_a_change_is_not_shown_as_an_edit(author: AtDesk) -> None:
    typing, letter = Typing(author), stored().letter
    typing.save(letter="Other")
    typing.save(letter=letter)
    assert "edited the campaign" not in author.get(f"/desk{PATH}/record").text


def test_text_changed_back_is_left_out_of_an_entry_with_other_changes(author: AtDesk, at_desk: AtDeskAs) -> None:
    typing, letter = Typing(author), stored().letter
    typing.save(letter="Other", goal="70")
    typing.save(letter=letter)
    mine = typed(author.get(EDIT).text)
    assert save(author, typing.fields | {"title": "Saved with the button"}).status_code == 303
    [entry] = edits()
    assert entry.before.keys() == entry.after.keys() == {"goal", "title", "version"}
    # So the page of a conflict blames the person who did change the letter.
    admin = at_desk(Role.ADMIN)
    assert save(admin, typed(admin.get(EDIT).text) | {"letter": "By the admin"}).status_code == 303
    page = author.post(EDIT, data=mine | {"letter": "Mine"}).text
    assert re.search(r"The version of admin-\w+@example.org", page)


def test_worker_makes_idle_sittings_entries(author: AtDesk) -> None:
    Typing(author).save(letter="Words")
    assert drafts.end_sittings() == drafts.LOOK_AGAIN
    assert edits() == []
    with write_transaction() as session:
        session.execute(update(DraftSitting).values(saved_at=datetime.now(UTC) - sittings.IDLE))
    assert drafts.end_sittings() == drafts.LOOK_AGAIN
    assert [entry.after["letter"] for entry in edits()] == ["Words"]


def test_automatic_save_never_overwrites_another_editor(author: AtDesk, at_desk: AtDeskAs) -> None:
    mine, theirs = Typing(author), Typing(at_desk(Role.ADMIN))
    theirs.save(letter="Their letter", summary="Their summary")
    answer = mine.save(409, letter="My letter")
    assert "Not saved: someone else changed this campaign" in answer.text
    assert stored().letter == "Their letter"
    # The Save button asks about the letter, and merges the rest.
    page = author.post(EDIT, data=mine.fields)
    assert page.status_code == 409
    assert typed(page.text)["letter"] == "My letter"
    assert typed(page.text)["summary"] == "Their summary"
    assert re.search(r"<bdi>admin-\w+@example.org</bdi> edited the campaign", page.text)


@pytest.mark.parametrize("state", [CampaignState.OPEN, CampaignState.CLOSED, CampaignState.WON])
def test_public_campaign_is_never_saved_automatically(
    at_desk: AtDeskAs, publish: Publish, state: CampaignState
) -> None:
    campaign = publish(state=state)
    organizer = at_desk(Role.ORGANIZER, own=[campaign])
    assert "data-autosave" not in organizer.get(EDIT).text
    Typing(organizer).save(409, letter="Not reviewed")
    assert stored().letter == campaign.letter


def test_draft_published_in_the_meantime_is_not_saved_automatically(author: AtDesk, client: FlaskClient) -> None:
    typing = Typing(author)
    author.post(f"/desk{PATH}/publish", data={"version": typing.fields["version"]})
    typing.save(409, title="Half a thou")
    assert "Half a thou" not in client.get(PATH).text


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"goal": "many"}, "Goal"),
        ({"letter": "[a](/b)"}, "Letter"),
        ({"donate_url": "javascript:alert(1)"}, "Donation page"),
        ({"opens_at": "2027-01-02T00:00", "closes_at": "2027-01-01T00:00"}, "Opening time, Closing time"),
        ({"slug": "another-name"}, "Page URL"),
        ({"kept_picture": "0" * 64}, "Picture"),
        ({"title": "", "goal": " ", "slug": ""}, "Title, Goal, Page URL"),
    ],
    ids=str,
)
def test_fields_with_errors_are_named_and_not_saved(author: AtDesk, wrong: dict[str, str], named: str) -> None:
    was = columns()
    answer = Typing(author).save(category="Saved", **wrong)
    told = re.search("except for: (.*?)\\. Press Save", unescape(answer.text))
    assert told
    assert told[1] == named
    assert " data-unsaved" in answer.text, "so that editor.js warns before the page is left"
    now = columns()
    changed = {key for key in now if now[key] != was[key]}
    assert changed == {"category", "version", "updated_at"}
    assert db.session.scalars(select(FormerSlug)).all() == []


@only_sqlite
def test_description_that_a_stored_picture_needs_is_named_if_it_is_cleared(author: AtDesk) -> None:
    typing = Typing(author)
    sent = typing.fields | {"picture": (io.BytesIO(uploaded()), "tree.jpg"), "picture_text": "A tree"}
    assert save(author, sent).status_code == 303
    assert "except for: Picture description. Press" in Typing(author).save(picture_text="").text
    assert stored().picture_text == "A tree"


def test_required_texts_of_a_draft_may_be_blank_until_it_is_published(author: AtDesk, client: FlaskClient) -> None:
    typing = Typing(author)
    assert "except for" not in typing.save(letter="", thanks=" ").text
    assert (stored().letter, stored().thanks) == ("", "")
    assert save(author, typing.fields).status_code == 303
    assert "Before you can publish it, fill in: Letter, Thank-you text." in author.get(EDIT).text
    for answer in (
        author.post(EDIT, data=typed(author.get(EDIT).text) | {"do": "publish"}),
        author.get(f"/desk{PATH}/publish"),
        author.post(f"/desk{PATH}/publish", data={"version": typing.fields["version"]}),
    ):
        assert answer.status_code == 422
        assert 'id="letter-message"' in answer.text
        assert 'id="thanks-message"' in answer.text
    assert client.get(PATH).status_code == 404


def test_new_campaign_becomes_a_draft_once_it_has_a_title(at_desk: AtDeskAs) -> None:
    organizer = at_desk(Role.ORGANIZER)
    fields = typed(organizer.get("/desk/campaigns/new").text)
    assert organizer.post(AUTOSAVE_NEW, data=fields, headers=HTMX).status_code == 204
    answer = organizer.post(AUTOSAVE_NEW, data=fields | {"title": "Łódź", "letter": "Dear"}, headers=HTMX)
    assert answer.status_code == 200
    assert "except for" not in answer.text, "what was never filled in can’t be lost"
    assert 'data-edit="/desk/campaigns/lodz/edit"' in answer.text
    assert 'data-autosave="/desk/campaigns/lodz/autosave"' in answer.text
    saved = stored("lodz")
    assert (saved.title, saved.letter, saved.state) == ("Łódź", "Dear", CampaignState.DRAFT)
    # A second campaign with this title gets another address.
    assert 'data-slug="lodz-2"' in organizer.post(AUTOSAVE_NEW, data=TYPED | {"title": "Łódź"}, headers=HTMX).text


@pytest.mark.parametrize("slug", ["a/b", "naïve", "-", "\u200b", "x" * 100])
def test_new_campaign_with_an_invalid_url_becomes_a_draft_that_can_be_opened(at_desk: AtDeskAs, slug: str) -> None:
    organizer = at_desk(Role.ORGANIZER)
    answer = organizer.post(AUTOSAVE_NEW, data=TYPED | {"slug": slug}, headers=HTMX)
    assert 'data-slug="keep-the-cafe-open"' in answer.text
    assert "except for: Page URL" in answer.text
    assert organizer.get("/desk/campaigns/keep-the-cafe-open/edit").status_code == 200


def test_new_campaign_with_a_taken_url_says_that_the_url_is_not_saved(at_desk: AtDeskAs, draft: Campaign) -> None:
    answer = at_desk(Role.ORGANIZER).post(AUTOSAVE_NEW, data=TYPED | {"slug": draft.slug}, headers=HTMX)
    assert f'data-slug="{draft.slug}-2"' in answer.text
    assert "except for: Page URL" in answer.text


def test_automatic_save_after_the_session_has_ended_asks_to_sign_in(author: AtDesk) -> None:
    typing = Typing(author)
    token = author.token()
    author.delete_cookie("desk", path="/desk")
    answer = FlaskClient.post(author, AUTOSAVE, data=typing.fields | {"csrf_token": token}, headers=HTMX)
    assert answer.status_code in (400, 401)
    assert "What you typed is still here" in answer.text
