"""Every button of the editor saves the form first, also without JavaScript; and what its pages show beside fields."""

import io
import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from campaign.models.account import Role
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign, CampaignState
from campaign.storage.database import db
from tests.campaigns.test_pictures import uploaded
from tests.conftest import PATH, Publish, Sign
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT, TYPED, save, shown, stored, typed
from tests.desk.people import AtDesk

NEW = "/desk/campaigns/new"


@pytest.fixture
def author(at_desk: AtDeskAs, draft: Campaign) -> AtDesk:
    return at_desk(Role.ORGANIZER, own=[draft])


def test_all_buttons_of_the_editor_belong_to_its_form(author: AtDesk) -> None:
    page = author.get(EDIT).text
    form = page[page.index('<form id="editor"') : page.index("</form>", page.index('<form id="editor"'))]
    for button in ("preview", "publish", "preview_link", "duplicate", "download"):
        assert f'name="do" value="{button}"' in form
    # Enter in a text field presses the first button, which must be Save.
    assert re.findall(r"<button[^>]*>", form)[0] == "<button>"


def test_preview_link_saves_and_shows_typed_text(author: AtDesk, client: FlaskClient) -> None:
    fields = typed(author.get(EDIT).text) | {"title": "Just typed", "do": "preview_link"}
    page = author.post(EDIT, data=fields).text
    link = re.search(r'<input id="preview-link"[^>]*value="http://127.0.0.1:8000([^"]+)"', page)
    assert link, page
    assert "<h1>Just typed</h1>" in client.get(link[1].replace("&amp;", "&")).text
    assert "data-unsaved" not in page


def test_download_saves_and_has_typed_text(author: AtDesk) -> None:
    fields = typed(author.get(EDIT).text) | {"title": "Just typed", "do": "download"}
    answer = author.post(EDIT, data=fields)
    downloaded = author.get(answer.headers["Refresh"].removeprefix("0; url="))
    assert "\ntitle: Just typed\n" in downloaded.text
    assert "data-unsaved" not in answer.text
    assert typed(answer.text)["version"] == str(stored().version), "so that the next save is no conflict"


def test_publish_shows_and_publishes_typed_text(author: AtDesk, client: FlaskClient) -> None:
    fields = typed(author.get(EDIT).text) | {"title": "Just typed", "do": "publish"}
    answer = author.post(EDIT, data=fields)
    assert (answer.status_code, answer.location) == (303, f"/desk{PATH}/publish")
    page = author.get(answer.location).text
    assert "<h1>Just typed</h1>" in shown(page)
    assert client.get(PATH).status_code == 404
    assert author.post(answer.location, data=typed_version(page)).status_code == 303
    assert "<h1>Just typed</h1>" in client.get(PATH).text


def typed_version(page: str) -> dict[str, str]:
    """Return the version in the form of a page that asks to confirm a step."""
    return dict(re.findall(r'name="(version)" value="(\d+)"', page))


@pytest.mark.parametrize(("do", "leads_to"), [("publish", "/publish"), ("", "/edit"), ("preview_link", "")])
def test_buttons_of_a_new_campaign_save_it(at_desk: AtDeskAs, do: str, leads_to: str) -> None:
    answer = save(at_desk(Role.ORGANIZER), TYPED | {"do": do}, NEW)
    if leads_to:
        assert answer.location == f"/desk/campaigns/keep-the-cafe-open{leads_to}"
    else:
        assert 'id="preview-link"' in answer.text
    assert stored("keep-the-cafe-open").letter == "Dear Mayor,\n\nplease *keep* it."


@pytest.mark.parametrize("step", ["close", "win"])
@pytest.mark.slow
def test_step_of_a_public_campaign_shows_unsaved_changes_before_they_become_public(
    organizer: AtDesk, client: FlaskClient, step: str
) -> None:
    fields = typed(organizer.get(EDIT).text) | {"title": "Just typed"}
    review = organizer.post(EDIT, data=fields | {"do": step})
    assert (review.status_code, stored().title) == (200, "Save the Park")
    assert "<h1>Just typed</h1>" in shown(review.text)
    seen = re.search(r'name="seen" value="(\w+)"', review.text)
    assert seen
    answer = organizer.post(EDIT, data=typed(review.text) | {"seen": seen[1]})
    assert (answer.status_code, answer.location) == (303, f"/desk{PATH}/{step}")
    assert stored().title == "Just typed"
    assert stored().state is CampaignState.OPEN, "the step itself is not taken yet"


def test_step_of_an_unchanged_public_campaign_needs_no_review(organizer: AtDesk) -> None:
    fields = typed(organizer.get(EDIT).text)
    answer = organizer.post(EDIT, data=fields | {"do": "close"})
    assert (answer.status_code, answer.location) == (303, f"/desk{PATH}/close")
    assert organizer.post(EDIT, data=fields).status_code == 303
    assert "Nothing has changed." in organizer.get(EDIT).text


def test_step_is_not_taken_while_the_form_has_errors(author: AtDesk, client: FlaskClient) -> None:
    fields = typed(author.get(EDIT).text) | {"goal": "many", "donate_url": "javascript:alert(1)", "do": "publish"}
    answer = author.post(EDIT, data=fields)
    assert answer.status_code == 422
    for key in ("goal", "donate_url"):
        assert f'id="{key}-message"' in answer.text
    assert "data-unsaved" in answer.text
    assert client.get(PATH).status_code == 404


def test_unknown_buttons_only_save(author: AtDesk) -> None:
    for do in ("delete", "x", "edit"):
        answer = author.post(EDIT, data=typed(author.get(EDIT).text) | {"do": do})
        assert (answer.status_code, answer.location) == (303, EDIT)
    db.session.rollback()
    assert db.session.scalars(select(Record).where(Record.action == "campaign.delete")).all() == []


@pytest.mark.slow
def test_required_fields_are_not_called_optional(at_desk: AtDeskAs, campaign: Campaign, sign: Sign) -> None:
    sign()
    page = at_desk(Role.ADMIN).get(EDIT).text
    optional = re.findall(r'<label for="(\w+)">[^<]* <span class="optional">\(optional\)</span>', page)
    assert optional == [
        "category",
        "addressees",
        "goal_step",
        "share_text",
        "donate_url",
        "donate_text",
        "opens_at",
        "closes_at",
        "picture",
        "slug",
    ]


@pytest.mark.slow
def test_editor_shows_which_picture_is_attached(organizer: AtDesk, at_desk: AtDeskAs) -> None:
    fields = typed(organizer.get(EDIT).text)
    sent = {"picture": (io.BytesIO(uploaded(size=(2000, 1000))), "tree.jpg")}
    answer = organizer.post(EDIT, data={**fields, **sent}, content_type="multipart/form-data")
    kept = typed(answer.text)
    image = f'<img src="/pictures/{kept["kept_picture"]}.jpg" alt="The attached picture'
    assert image in answer.text
    assert save(organizer, kept | {"picture_text": "A tree"}).status_code == 303
    assert f'{image}: A tree">' in organizer.get(EDIT).text


@pytest.mark.parametrize(
    ("changes", "fixed", "wrong"),
    [
        ({"goal": "many", "title": ""}, {"goal"}, {"title"}),
        ({"letter": "", "donate_url": "donate"}, {"letter", "donate_url"}, set()),
    ],
)
def test_preview_says_which_fields_are_still_wrong(
    author: AtDesk, changes: dict[str, str], fixed: set[str], wrong: set[str]
) -> None:
    fields = typed(author.get(EDIT).text)
    before = author.post(f"/desk{PATH}/preview", data=fields | changes).headers["Campaign-Errors"]
    assert set(before.split()) == fixed | wrong
    mended = {key: value for key, value in changes.items() if key not in fixed}
    after = author.post(f"/desk{PATH}/preview", data=fields | mended).headers["Campaign-Errors"]
    assert set(after.split()) == wrong


def test_preview_of_a_taken_slug_and_a_missing_reason_names_them(
    organizer: AtDesk, publish: Publish, sign: Sign
) -> None:
    publish(slug="taken")
    sign()
    fields = typed(organizer.get(EDIT).text) | {"slug": "taken", "letter": "Other words"}
    answer = organizer.post(f"/desk{PATH}/preview", data=fields)
    assert set(answer.headers["Campaign-Errors"].split()) == {"slug", "reason"}
