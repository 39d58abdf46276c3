"""Two editors of one campaign: what is merged, what the second editor is asked, and what the page shows them."""

import base64
import io
import json
import re
import zlib
from html import unescape

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from campaign.campaigns import fields
from campaign.models.account import Role
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.storage.database import db
from tests.campaigns.test_pictures import uploaded
from tests.conftest import HTMX, PATH, Publish, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT, save, shown, stored, typed
from tests.desk.people import AtDesk

pytestmark = pytest.mark.slow

LETTER = "Dear Mayor,\n\nPlease keep the park.\n\nIt has old trees.\n\nIt has a pond.\n\nChildren play there.\n\nYours"


def legends(page: str) -> list[str]:
    """Return the questions about conflicts."""
    return [unescape(found) for found in re.findall(r"<legend>(.*?)</legend>", page)]


def versions(page: str) -> list[str]:
    """Return the versions in conflict, in HTML without the words for screen readers: theirs, mine, theirs, mine …"""
    found = re.findall(r'<p class="both" dir="auto">(.*?)</p></div>', page, re.S)
    return [without_words(each) for each in found]


def merged(page: str) -> dict[str, str]:
    """Return the changes by others that the form has, in the same HTML, by field and editor."""
    found = re.findall(r'<p class="whose">([^<]*changed by .*?)</p>\n<p class="both" dir="auto">(.*?)</p>', page, re.S)
    return {re.sub(r"<bdi>(\w+)-\w+@example.org</bdi>", r"\1", whose): without_words(text) for whose, text in found}


def without_words(html: str) -> str:
    """Return HTML without the words for screen readers."""
    return unescape(re.sub(r"<span[^>]*>[^<]*</span>", "", html))


def test_edit_conflict_keeps_the_changes_of_both_editors(
    at_desk: AtDeskAs, organizer: AtDesk, campaign: Campaign
) -> None:
    admin = at_desk(Role.ADMIN)
    mine, theirs = typed(organizer.get(EDIT).text), typed(admin.get(EDIT).text)
    assert save(admin, theirs | {"title": "Their title", "goal": "500", "thanks": "Theirs"}).status_code == 303
    answer = save(organizer, mine | {"title": "My title", "summary": "Mine", "thanks": "Theirs"})
    assert answer.status_code == 409
    assert re.search(r"admin-\w+@example\.org</bdi> edited the campaign, <time", answer.text)
    kept = typed(answer.text)
    assert (kept["title"], kept["summary"], kept["goal"]) == ("My title", "Mine", "500")
    assert legends(answer.text) == ["Title: you both changed this"]
    theirs_shown, mine_shown = versions(answer.text)
    assert theirs_shown == "<del>Save the Park</del><ins>Their title</ins>"
    assert mine_shown == "<del>Save the Park</del><ins>My title</ins>"
    assert stored().title == "Their title"
    assert save(organizer, kept).status_code == 303
    saved = stored()
    assert (saved.title, saved.summary, saved.goal, saved.thanks) == ("My title", "Mine", 500, "Theirs")


def test_edit_conflict_after_a_slug_change_keeps_input(at_desk: AtDeskAs, organizer: AtDesk) -> None:
    admin, mine = at_desk(Role.ADMIN), typed(organizer.get(EDIT).text) | {"title": "My title"}
    assert save(admin, typed(admin.get(EDIT).text) | {"slug": "keep-the-park"}).status_code == 303
    answer = save(organizer, mine)
    assert answer.status_code == 409
    kept = typed(answer.text)
    assert (kept["title"], kept["slug"]) == ("My title", "keep-the-park")
    assert save(organizer, kept).location == "/desk/campaigns/keep-the-park/edit"
    assert stored("keep-the-park").title == "My title"


def test_edit_of_a_draft_published_in_the_meantime_is_a_conflict(
    at_desk: AtDeskAs, client: FlaskClient, draft: Campaign
) -> None:
    admin = at_desk(Role.ADMIN)
    mine = typed(admin.get(EDIT).text) | {"title": "Half a thou"}
    page = admin.get(f"/desk{PATH}/publish").text
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version
    assert admin.post(f"/desk{PATH}/publish", data={"version": version[1]}).status_code == 303
    answer = admin.post(EDIT, data=mine)
    assert answer.status_code == 409
    assert "published the campaign" in answer.text
    assert "Half a thou" not in client.get(PATH).text


def both_edit(
    organizer: AtDesk, admin: AtDesk, theirs: dict[str, str], mine: dict[str, str], path: str = EDIT
) -> TestResponse:
    """Let both load the editor, then the admin save, then the organizer; return the answer to the organizer."""
    my, their = typed(organizer.get(path).text), typed(admin.get(path).text)
    assert save(admin, their | theirs, path).status_code == 303
    return organizer.post(path, data=my | mine)


@pytest.fixture
def draft_of_both(draft: Campaign, at_desk: AtDeskAs) -> tuple[AtDesk, AtDesk]:
    """Return an organizer's and an admin's browser, for a draft with a letter of several paragraphs."""
    organizer, admin = at_desk(Role.ORGANIZER, own=[draft]), at_desk(Role.ADMIN)
    assert save(admin, typed(admin.get(EDIT).text) | {"letter": LETTER}).status_code == 303
    return organizer, admin


def test_changes_to_different_paragraphs_of_a_draft_are_merged_without_asking(
    draft_of_both: tuple[AtDesk, AtDesk],
) -> None:
    organizer, admin = draft_of_both
    theirs = {"letter": LETTER.replace("old trees", "ancient trees"), "goal": "500"}
    answer = both_edit(organizer, admin, theirs, {"letter": LETTER.replace("pond", "lake"), "summary": "Mine"})
    assert (answer.status_code, answer.location) == (303, EDIT)
    saved = stored()
    assert saved.letter == LETTER.replace("old trees", "ancient trees").replace("pond", "lake")
    assert (saved.goal, saved.summary) == (500, "Mine")
    page = organizer.get(EDIT).text
    assert re.search(r"Saved, together with changes by admin-\w+@example.org: Goal, Letter\.", page), page


def test_merged_change_of_a_public_campaign_is_saved_only_after_review(
    at_desk: AtDeskAs, publish: Publish, client: FlaskClient
) -> None:
    campaign = publish(letter=LETTER)
    organizer, admin = at_desk(Role.ORGANIZER, own=[campaign]), at_desk(Role.ADMIN)
    theirs, mine = LETTER.replace("old", "ancient"), LETTER.replace("pond", "lake")
    answer = both_edit(organizer, admin, {"letter": theirs}, {"letter": mine})
    assert answer.status_code == 409
    assert legends(answer.text) == []
    assert "lake" in shown(answer.text)
    assert "ancient" in shown(answer.text)
    assert "lake" not in stored().letter
    assert save(organizer, typed(answer.text)).status_code == 303
    assert stored().letter == theirs.replace("pond", "lake")


def test_conflict_shows_only_the_changed_lines_and_marks_each_editors_own_changes(
    draft_of_both: tuple[AtDesk, AtDesk],
) -> None:
    organizer, admin = draft_of_both
    theirs = {"letter": LETTER.replace("a pond", "a deep pond").replace("Yours", "Sincerely")}
    mine = {"letter": LETTER.replace("a pond", "a lake").replace("Mayor", "Madam Mayor")}
    answer = both_edit(organizer, admin, theirs, mine)
    assert answer.status_code == 409
    assert legends(answer.text) == ["Letter: you both changed these lines"]
    assert versions(answer.text) == ["It has a <ins>deep </ins>pond.", "It has a <del>pond.</del><ins>lake.</ins>"]
    legend = answer.text.index("Removed text is crossed out, and added text is underlined.")
    assert legend < answer.text.index("<del>")
    context = re.findall(r'<p class="context" dir="auto"><span.*?</span> (.*?)</p>', answer.text)
    assert context == ["It has old trees.", "Children play there."]
    # The form has both editors' changes elsewhere. The page shows those of the admin, and names the admin.
    assert "Sincerely" in typed(answer.text)["letter"]
    assert "Madam Mayor" in typed(answer.text)["letter"]
    assert merged(answer.text) == {
        "Letter, changed by admin": "…\n\nChildren play there.\n\n<del>Yours</del><ins>Sincerely</ins>"
    }


@pytest.mark.parametrize(
    ("choice", "lines"),
    [
        ("mine", "It has a lake."),
        ("theirs", "It has a deep pond."),
        ("both", "It has a deep pond.\n\nIt has a lake."),
    ],
)
def test_second_editor_chooses_the_lines_to_keep(draft_of_both: tuple[AtDesk, AtDesk], choice: str, lines: str) -> None:
    organizer, admin = draft_of_both
    theirs = {"letter": LETTER.replace("a pond", "a deep pond"), "title": "Theirs"}
    answer = both_edit(organizer, admin, theirs, {"letter": LETTER.replace("a pond", "a lake"), "title": "Mine"})
    assert merged(answer.text) == {}
    kept = typed(answer.text)
    asked = [name for name in kept if name.startswith("keep-")]
    assert [name.split("-")[1] for name in asked] == ["title", "letter"]
    assert save(organizer, kept | dict.fromkeys(asked, choice)).status_code == 303
    assert stored().letter == LETTER.replace("It has a pond.", lines)
    assert stored().title == ("Theirs" if choice == "theirs" else "Mine")


@pytest.mark.parametrize(("choice", "title"), [("mine", "Mine"), ("theirs", "Theirs")])
def test_choice_in_a_conflict_counts_even_if_somebody_saves_in_between(
    draft_of_both: tuple[AtDesk, AtDesk], choice: str, title: str
) -> None:
    organizer, admin = draft_of_both
    theirs, mine = LETTER.replace("a pond", "a deep pond"), LETTER.replace("a pond", "a lake")
    answer = both_edit(organizer, admin, {"letter": theirs, "title": "Theirs"}, {"letter": mine, "title": "Mine"})
    kept = typed(answer.text)
    assert save(admin, typed(admin.get(EDIT).text) | {"summary": "Also theirs"}).status_code == 303
    assert save(organizer, kept | {name: choice for name in kept if name.startswith("keep-")}).status_code == 303
    saved = stored()
    assert (saved.title, saved.letter) == (title, theirs if choice == "theirs" else mine)
    assert saved.summary == "Also theirs"


def test_text_changed_again_since_the_choice_is_asked_about_again(draft_of_both: tuple[AtDesk, AtDesk]) -> None:
    organizer, admin = draft_of_both
    kept = typed(both_edit(organizer, admin, {"title": "Theirs"}, {"title": "Mine"}).text)
    assert save(admin, typed(admin.get(EDIT).text) | {"title": "Theirs, newer"}).status_code == 303
    answer = save(organizer, kept | {"keep-title": "mine"})
    assert (answer.status_code, legends(answer.text)) == (409, ["Title: you both changed this"])
    assert stored().title == "Theirs, newer"


@pytest.mark.parametrize(
    ("zone", "opens", "moment"),
    [
        ("mine", "theirs", "2027-01-02T06:00"),
        ("theirs", "mine", "2027-01-01T11:00"),
        ("theirs", "theirs", "2027-01-02T06:00"),
        ("mine", "mine", "2027-01-01T11:00"),
    ],
)
def test_chosen_time_stays_the_same_moment_in_the_chosen_time_zone(
    draft_of_both: tuple[AtDesk, AtDesk], zone: str, opens: str, moment: str
) -> None:
    organizer, admin = draft_of_both
    theirs = {"time_zone": "Asia/Tokyo", "opens_at": "2027-01-02T15:00"}
    answer = both_edit(organizer, admin, theirs, {"time_zone": "Europe/Berlin", "opens_at": "2027-01-01T12:00"})
    kept = typed(answer.text)
    assert {"keep-time_zone", "keep-opens_at"} <= kept.keys()
    assert save(organizer, kept | {"keep-time_zone": zone, "keep-opens_at": opens}).status_code == 303
    saved = stored()
    assert saved.opens_at
    assert saved.opens_at.isoformat() == f"{moment}:00+00:00"
    assert saved.time_zone == ("Asia/Tokyo" if zone == "theirs" else "Europe/Berlin")


def test_same_change_by_both_is_not_a_conflict(draft_of_both: tuple[AtDesk, AtDesk]) -> None:
    organizer, admin = draft_of_both
    same = {"letter": LETTER.replace("pond", "lake")}
    assert both_edit(organizer, admin, same, same).status_code == 303
    assert stored().letter == same["letter"]


def test_own_change_in_another_window_is_named_as_such(draft_of_both: tuple[AtDesk, AtDesk]) -> None:
    organizer, _ = draft_of_both
    answer = both_edit(organizer, organizer, {"title": "One"}, {"title": "Two"})
    assert answer.status_code == 409
    assert "You in another window" in answer.text
    assert "Your version in the other window" in answer.text


def save_automatically(client: AtDesk, **changes: str) -> None:
    """Open the editor, type, and save automatically."""
    fields = typed(client.get(EDIT).text) | changes
    assert "Saved at" in client.post(f"/desk{PATH}/autosave", data=fields, headers=HTMX).text


@pytest.mark.parametrize("saved_before", ["by me", "by them"])
def test_only_what_changed_since_the_form_was_loaded_is_named(
    draft_of_both: tuple[AtDesk, AtDesk], at_desk: AtDeskAs, saved_before: str
) -> None:
    organizer, admin = draft_of_both
    save_automatically(organizer if saved_before == "by me" else admin, summary="Typed")
    answer = both_edit(organizer, at_desk(Role.ADMIN), {"goal": "500"}, {"goal": "700"})
    assert answer.status_code == 409
    assert "You in another window" not in answer.text
    assert len(re.findall("edited the campaign, <time", answer.text)) == 1
    assert legends(answer.text) == ["Goal: you both changed this"]


@only_sqlite
def test_text_saved_before_the_form_was_loaded_is_not_named_if_its_sitting_ends_later(
    draft_of_both: tuple[AtDesk, AtDesk],
) -> None:
    organizer, admin = draft_of_both
    save_automatically(organizer, summary="Mine")
    mine = typed(organizer.get(EDIT).text)
    save_automatically(admin, goal="500")
    save_automatically(admin, summary="Theirs")
    page = organizer.post(EDIT, data=mine | {"summary": "Mine, too"}).text
    assert re.search(r"The version of admin-\w+@example.org<", page)
    assert "You in another window" not in page


@only_sqlite
def test_conflict_with_a_text_that_was_changed_back_names_nobody_else(
    draft_of_both: tuple[AtDesk, AtDesk], at_desk: AtDeskAs
) -> None:
    organizer, admin = draft_of_both
    save_automatically(admin, letter="Half a thou")
    mine = typed(organizer.get(EDIT).text)
    save_automatically(admin, letter=LETTER)
    save_automatically(at_desk(Role.ADMIN), goal="500")
    page = organizer.post(EDIT, data=mine | {"letter": "Mine"}).text
    assert "The version of another editor<" in page
    assert list(merged(page)) == ["Goal, changed by admin"]


@only_sqlite
def test_version_of_several_editors_is_named_as_the_saved_one(
    draft_of_both: tuple[AtDesk, AtDesk], at_desk: AtDeskAs
) -> None:
    organizer, admin = draft_of_both
    mine, pond = typed(organizer.get(EDIT).text), LETTER.replace("a pond", "a deep pond")
    save_automatically(admin, letter=pond)
    save_automatically(at_desk(Role.ADMIN), letter=pond.replace("old trees", "oaks"))
    page = organizer.post(EDIT, data=mine | {"letter": LETTER.replace("a pond", "a lake")}).text
    assert re.search(r"The saved version, after changes by admin-\w+@example.org and admin-\w+@example.org<", page)
    assert ">Keep the saved version<" in page


@only_sqlite
def test_pictures_in_conflict_are_shown(draft_of_both: tuple[AtDesk, AtDesk]) -> None:
    organizer, admin = draft_of_both
    mine, theirs = typed(organizer.get(EDIT).text), typed(admin.get(EDIT).text)

    def attach(client: AtDesk, fields: dict[str, str], size: tuple[int, int]) -> TestResponse:
        picture = {"picture": (io.BytesIO(uploaded(size=size)), "tree.jpg"), "picture_text": "A tree"}
        answer: TestResponse = save(client, fields | picture)
        return answer

    assert attach(admin, theirs, (1000, 500)).status_code == 303
    page = attach(organizer, mine, (900, 600)).text
    assert legends(page) == ["Picture: you both changed this"]
    pictures = re.findall(r'<p class="both" dir="auto"><img src="(/pictures/\w+\.jpg)" alt="The picture of', page)
    assert len(set(pictures)) == 2
    assert pictures[0] == f"/pictures/{stored().picture}.jpg"


def packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(zlib.compress(content)).decode()


UNREADABLE = {
    "nothing": "",
    "no base64": "é",
    "no zlib": "A" * 100_000,
    "no JSON": packed(b"{"),
    "not all fields": packed(b'{"letter": "Dear Mayor"}'),
    "a list": packed(b"[1]"),
    "a bomb of ten million brackets": packed(b"[" * 10_000_000),
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
def test_conflict_without_a_readable_starting_version_loses_nothing(
    draft_of_both: tuple[AtDesk, AtDesk], value: str
) -> None:
    organizer, admin = draft_of_both
    mine = {"letter": LETTER.replace("pond", "lake"), "started_from": value}
    answer = both_edit(organizer, admin, {"letter": LETTER.replace("trees", "oaks"), "goal": "7"}, mine)
    assert answer.status_code == 303
    assert stored().letter == LETTER.replace("trees", "oaks").replace("pond", "lake")
    assert stored().goal == 7


def test_conflict_with_a_forged_starting_version_is_shown(draft_of_both: tuple[AtDesk, AtDesk]) -> None:
    organizer, admin = draft_of_both
    forged = {key: ["<b>"] for key in fields.CHECKS} | {"opens_at": "never"}
    mine = {"opens_at": "2027-01-01T00:00", "title": "Mine", "started_from": packed(json.dumps(forged).encode())}
    answer = both_edit(organizer, admin, {"opens_at": "2027-01-02T00:00", "title": "Theirs"}, mine)
    assert answer.status_code == 409
    assert "<b>" not in answer.text
    assert stored().title == "Theirs"


def test_merge_is_recorded_for_the_editor_who_made_it(draft_of_both: tuple[AtDesk, AtDesk]) -> None:
    organizer, admin = draft_of_both
    assert both_edit(organizer, admin, {"goal": "500"}, {"summary": "Mine"}).status_code == 303
    db.session.rollback()
    *_, theirs, mine = db.session.scalars(select(Record).where(Record.action == "campaign.edit").order_by(Record.id))
    assert set(theirs.before) == {"goal", "version"}
    assert set(mine.before) == {"summary", "version"}
    assert theirs.actor.startswith("admin-")
    assert mine.actor.startswith("organizer-")
