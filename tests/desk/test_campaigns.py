"""Organisers write, preview, open and end campaigns at the desk, and lose nothing."""

import io
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from campaign import campaign_file
from campaign.desk_models import CampaignOrganiser, Record, Role
from campaign.extensions import db
from campaign.models import Campaign, CampaignState, LetterChange
from tests.conftest import PATH, SLUG, Publish, Sign
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk
from tests.test_letter_changes import change
from tests.test_pictures import uploaded

EDIT = f"/desk{PATH}/edit"
TYPED = {
    "title": "Keep the Café open!",
    "category": "City",
    "summary": "It is to close.",
    "addressees": "The Mayor\r\n\r\nThe Council\r\n",
    "letter": "Dear Mayor,\r\n\r\nplease *keep* it.",
    "goal": "1,000",
    "goal_step": "",
    "thanks": "Thank you.",
    "share_text": "I signed.",
    "donate_url": "",
    "donate_text": "",
    "opens_at": "",
    "closes_at": "",
    "time_zone": "Europe/Berlin",
    "picture_text": "",
    "language": "en",
    "slug": "",
}


@pytest.fixture
def draft(publish: Publish) -> Campaign:
    return publish(state=CampaignState.DRAFT)


@pytest.fixture
def organiser(at_desk: AtDeskAs, campaign: Campaign) -> AtDesk:
    return at_desk(Role.ORGANISER, own=[campaign])


def typed(page: str) -> dict[str, str]:
    """What the form on the page holds, as a browser would send it."""
    form = page[page.index('<form id="editor"') :]
    form = form[: form.index("</form>")]
    found = {}
    for tag in re.findall(r"<input [^>]+>", form):
        name, kind = re.search(r'name="([^"]+)"', tag), re.search(r'type="([^"]+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name and kind and (kind[1] not in ("checkbox", "file") or " checked" in tag):
            found[name[1]] = unescape(value[1]) if value else ""
    for name, value in re.findall(r'<textarea [^>]*name="([^"]+)"[^>]*>\n(.*?)</textarea>', form, re.S):
        found[name] = unescape(value)
    for name, options in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options)
        found[name] = chosen[1] if chosen else ""
    return found


def shown(page: str) -> str:
    """The preview's page."""
    found = re.search(r'srcdoc="([^"]*)"', page)
    assert found, page
    return unescape(found[1])


def save(client: AtDesk, fields: dict[str, Any], path: str = EDIT) -> Any:
    """Press Save, and once more where the page asks to look at the preview first."""
    answer = client.post(path, data=fields, content_type="multipart/form-data")
    seen = re.search(r'name="seen" value="(\w+)"', answer.text)
    if seen:
        answer = client.post(path, data=fields | {"seen": seen[1]}, content_type="multipart/form-data")
    return answer


def stored(slug: str = SLUG) -> Campaign:
    db.session.rollback()
    return db.session.scalars(select(Campaign).where(Campaign.slug == slug)).one()


def test_a_new_campaign_is_a_draft_and_its_makers_own(app: Flask, client: FlaskClient, at_desk: AtDeskAs) -> None:
    organiser = at_desk(Role.ORGANISER)
    assert organiser.get("/desk/campaigns/new").status_code == 200
    answer = save(organiser, TYPED, "/desk/campaigns/new")
    assert (answer.status_code, answer.location) == (303, "/desk/campaigns/keep-the-cafe-open/edit")
    campaign = stored("keep-the-cafe-open")
    assert (campaign.state, campaign.goal, campaign.addressees) == (CampaignState.DRAFT, 1000, "The Mayor\nThe Council")
    assert campaign.letter == "Dear Mayor,\n\nplease *keep* it."
    assert db.session.scalars(select(CampaignOrganiser.campaign_id)).all() == [campaign.id]
    assert client.get("/campaigns/keep-the-cafe-open").status_code == 404
    assert "Keep the Café open!" in organiser.get("/desk/").text
    # What the form shows of it, sent again, changes nothing.
    version = campaign.version
    page = organiser.get(answer.location).text
    assert save(organiser, typed(page), answer.location).status_code == 303
    assert stored("keep-the-cafe-open").version == version


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"title": " "}, "title", "Title is missing"),
        ({"goal": "many"}, "goal", "Goal must be a whole number above 0, not &#39;many&#39;"),
        ({"slug": "No Slug"}, "slug", "Address must be made of small letters"),
        ({"slug": SLUG}, "slug", "Address is, or was, that of another campaign"),
        ({"donate_url": "https://x.example"}, "donate_text", "“Donation page” needs a sentence"),
        ({"donate_url": "javascript:alert(1)"}, "donate_url", "Donation page must be an address"),
        ({"letter": "a\x01b"}, "letter", "Letter holds a control character"),
        ({"time_zone": "Mars"}, "time_zone", "Time zone must be a time zone such as"),
        ({"opens_at": "tomorrow"}, "opens_at", "Opening time must be a date and a time"),
        ({"opens_at": "2027-03-28T02:30"}, "opens_at", "left out when clocks in Europe/Berlin are put forward"),
        ({"opens_at": "2027-10-31T02:30"}, "opens_at", "comes twice when clocks in Europe/Berlin are put back"),
        ({"opens_at": "2027-01-02T00:00", "closes_at": "2027-01-01T00:00"}, "closes_at", "later than “Opening time”"),
        ({"picture": b"GIF89a"}, "picture", "Picture must be a whole JPEG, PNG or WebP"),
        ({"picture": uploaded()}, "picture_text", "Picture in words is missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_is_kept(
    at_desk: AtDeskAs, campaign: Campaign, wrong: dict[str, Any], field: str, words: str
) -> None:
    sent = {key: (io.BytesIO(value), "a.jpg") if isinstance(value, bytes) else value for key, value in wrong.items()}
    answer = save(at_desk(Role.ORGANISER), TYPED | sent, "/desk/campaigns/new")
    assert answer.status_code == 422
    message = re.search(rf'<p class="message" id="{field}-message">.*?</span> (.*?)</p>', answer.text)
    assert message, answer.text
    assert words in message[1]
    assert f'<a href="#{field}">' in answer.text
    for key, value in ({**TYPED, **wrong}).items():
        if isinstance(value, str) and key not in ("slug", "time_zone"):
            assert typed(answer.text)[key].split() == value.split(), key
    assert "</html>" in shown(answer.text), "there is a preview all the same"


def test_all_that_is_wrong_is_said_at_once(at_desk: AtDeskAs) -> None:
    wrong = {"opens_at": "2027-01-02T00:00", "closes_at": "2027-01-01T00:00", "donate_url": "https://x.example"}
    answer = save(at_desk(Role.ORGANISER), TYPED | wrong, "/desk/campaigns/new")
    assert answer.status_code == 422
    for field in ("closes_at", "donate_text"):
        assert f'<a href="#{field}">' in answer.text
    assert "look at these again" in answer.text


def test_who_forgets_the_title_is_not_asked_for_an_address_made_of_it(at_desk: AtDeskAs) -> None:
    answer = save(at_desk(Role.ORGANISER), dict.fromkeys(TYPED, ""), "/desk/campaigns/new")
    assert "Title is missing" in answer.text
    assert "Address is missing" not in answer.text


def test_the_preview_is_the_true_page_of_what_is_typed_and_saves_nothing(
    organiser: AtDesk, client: FlaskClient
) -> None:
    fields = typed(organiser.get(EDIT).text) | {"title": "<b>Typed</b>", "letter": "# New\n\n*words*", "goal": "x"}
    for path, do in ((f"/desk{PATH}/preview", {}), (EDIT, {"do": "preview"}), ("/desk/campaigns/preview", {})):
        answer = organiser.post(path, data=fields | do)
        page = shown(answer.text)
        assert "<h1>&lt;b&gt;Typed&lt;/b&gt;</h1>" in page
        assert "<h2>New</h2>\n<p><em>words</em></p>" in page
        assert '<link rel="stylesheet" href="/static/site.' in page
        assert "<button disabled>Take Action</button>" in page
        assert 'sandbox="allow-same-origin"' in answer.text
    assert "Typed" not in client.get(PATH).text


def test_what_everybody_sees_at_once_is_shown_before_it_is_saved(organiser: AtDesk, client: FlaskClient) -> None:
    fields = typed(organiser.get(EDIT).text) | {"title": "Better words"}
    first = organiser.post(EDIT, data=fields)
    assert (first.status_code, stored().title) == (200, "Save the Park")
    assert "<h1>Better words</h1>" in shown(first.text)
    seen = re.search(r'name="seen" value="(\w+)"', first.text)
    assert seen
    # What was not in the preview is not saved with it.
    other = organiser.post(EDIT, data=typed(first.text) | {"title": "Other words", "seen": seen[1]})
    assert (other.status_code, stored().title) == (200, "Save the Park")
    saved = organiser.post(EDIT, data=typed(first.text) | {"seen": seen[1]})
    assert (saved.status_code, saved.location) == (303, EDIT)
    assert "<h1>Better words</h1>" in client.get(PATH).text


def test_a_signed_letter_changes_with_a_reason(organiser: AtDesk, client: FlaskClient, sign: Sign) -> None:
    assert 'name="reason"' not in organiser.get(EDIT).text
    sign()
    fields = typed(organiser.get(EDIT).text) | {"letter": "Dear Council,\n\nplease *keep* the park."}
    answer = save(organiser, fields)
    assert answer.status_code == 422
    assert "Reason for the change is missing" in answer.text
    assert save(organiser, fields | {"reason": "The mayor has gone"}).status_code == 303
    assert db.session.scalars(select(LetterChange.reason)).all() == ["The mayor has gone"]
    assert "The mayor has gone" in client.get(PATH).text


def test_a_changed_address_goes_on_working(organiser: AtDesk, client: FlaskClient) -> None:
    answer = save(organiser, typed(organiser.get(EDIT).text) | {"slug": "keep-the-park"})
    assert answer.location == "/desk/campaigns/keep-the-park/edit"
    assert client.get(PATH).location == "/campaigns/keep-the-park"


def test_two_editors_lose_nothing(at_desk: AtDeskAs, organiser: AtDesk, campaign: Campaign) -> None:
    admin = at_desk(Role.ADMIN)
    mine, theirs = typed(organiser.get(EDIT).text), typed(admin.get(EDIT).text)
    assert save(admin, theirs | {"title": "Their title", "goal": "500", "thanks": "Theirs"}).status_code == 303
    answer = save(organiser, mine | {"title": "My title", "summary": "Mine", "thanks": "Theirs"})
    assert answer.status_code == 409
    assert re.search(r"admin-\w+@example\.org changed it, <time", answer.text)
    kept = typed(answer.text)
    assert (kept["title"], kept["summary"], kept["goal"]) == ("My title", "Mine", "500")
    both = re.findall(r'<h3>([^<]+)</h3>\n<p class="both">(.*?)</p>', answer.text)
    assert [name for name, _ in both] == ["Title"]
    told = re.sub(r"<span[^>]*>[^<]*</span>", "", both[0][1])
    assert told == "<del>Their</del><ins>My</ins> title"
    assert stored().title == "Their title"
    assert save(organiser, kept).status_code == 303
    saved = stored()
    assert (saved.title, saved.summary, saved.goal, saved.thanks) == ("My title", "Mine", 500, "Theirs")


def test_a_form_that_was_open_while_another_changed_the_address_loses_nothing(
    at_desk: AtDeskAs, organiser: AtDesk
) -> None:
    admin, mine = at_desk(Role.ADMIN), typed(organiser.get(EDIT).text) | {"title": "My title"}
    assert save(admin, typed(admin.get(EDIT).text) | {"slug": "keep-the-park"}).status_code == 303
    answer = save(organiser, mine)
    assert answer.status_code == 409
    kept = typed(answer.text)
    assert (kept["title"], kept["slug"]) == ("My title", "keep-the-park")
    assert save(organiser, kept).location == "/desk/campaigns/keep-the-park/edit"
    assert stored("keep-the-park").title == "My title"


def test_who_edits_a_draft_that_somebody_publishes_meanwhile_is_told(
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
    assert "published it" in answer.text
    assert "Half a thou" not in client.get(PATH).text


def test_each_step_is_shown_taken_by_a_second_press_and_written_down(
    at_desk: AtDeskAs, client: FlaskClient, draft: Campaign
) -> None:
    admin = at_desk(Role.ADMIN)
    for step, words in (
        ("publish", "Sign this letter"),
        ("close", "This petition is closed"),
        ("win", "We won!"),
        ("reopen", "Sign this letter"),
    ):
        page = admin.get(f"/desk{PATH}/{step}").text
        assert words in shown(page)
        version = re.search(r'name="version" value="(\d+)"', page)
        assert version
        answer = admin.post(f"/desk{PATH}/{step}", data={"version": version[1]})
        assert (answer.status_code, answer.location) == (303, EDIT)
        assert words in client.get(PATH).text
        assert admin.get(f"/desk{PATH}/{step}").status_code == 303, "it can't be done twice"
    db.session.rollback()
    actions = db.session.scalars(select(Record.action).where(Record.action.startswith("campaign."))).all()
    assert actions[-4:] == ["campaign.publish", "campaign.close", "campaign.win", "campaign.reopen"]


def test_what_was_not_looked_at_is_not_published(at_desk: AtDeskAs, client: FlaskClient, draft: Campaign) -> None:
    admin = at_desk(Role.ADMIN)
    for version in (str(draft.version), "", "x"):
        change(draft, title=f"Not seen {version}")
        answer = admin.post(f"/desk{PATH}/publish", data={"version": version})
        assert answer.status_code == 409
        assert f"<h1>Not seen {version}" in shown(answer.text)
        assert client.get(PATH).status_code == 404


def test_colleagues_see_a_draft_by_a_link(at_desk: AtDeskAs, client: FlaskClient, draft: Campaign) -> None:
    page = at_desk(Role.ADMIN).post(f"/desk{PATH}/preview-link").text
    link = re.search(r'<input id="preview-link"[^>]*value="http://127.0.0.1:8000([^"]+)"', page)
    assert link, page
    assert "<h1>Save the Park</h1>" in client.get(unescape(link[1])).text


def test_a_campaign_is_downloaded_as_the_file_that_gives_it(organiser: AtDesk, tmp_path: Path) -> None:
    answer = organiser.get(f"/desk{PATH}/campaign.md")
    assert (answer.mimetype, answer.headers["Content-Disposition"]) == (
        "text/markdown",
        f'attachment; filename="{SLUG}.md"',
    )
    path = tmp_path / "park.md"
    path.write_bytes(answer.data)
    assert campaign_file.read(path).title == "Save the Park"


def test_a_picture_is_kept_through_a_mistake_shown_in_the_preview_and_taken_away(
    organiser: AtDesk, client: FlaskClient
) -> None:
    fields = typed(organiser.get(EDIT).text)
    sent = {"picture": (io.BytesIO(uploaded(size=(2000, 1000))), "tree.jpg")}
    answer = organiser.post(EDIT, data={**fields, **sent}, content_type="multipart/form-data")
    assert answer.status_code == 422
    assert "Picture in words is missing" in answer.text
    kept = typed(answer.text)
    assert f'src="/pictures/{kept["kept_picture"]}.jpg"' in shown(answer.text)
    assert save(organiser, kept | {"picture_text": "A tree"}).status_code == 303
    assert 'alt="A tree" width="1200" height="600"' in client.get(PATH).text
    again = typed(organiser.get(EDIT).text)
    assert save(organiser, again | {"without_picture": "y"}).status_code == 303
    assert "<img" not in client.get(PATH).text


@pytest.mark.parametrize("digest", ["\0", "../../x", "0" * 64])
def test_a_picture_that_there_is_not_is_none(organiser: AtDesk, digest: str) -> None:
    fields = typed(organiser.get(EDIT).text)
    assert "<img" not in shown(organiser.post(EDIT, data=fields | {"kept_picture": digest, "do": "preview"}).text)
    assert save(organiser, fields | {"kept_picture": digest}).status_code == 303


def test_times_are_those_of_the_campaigns_zone_and_stay_where_nothing_is_typed(
    organiser: AtDesk, campaign: Campaign
) -> None:
    # The second half past two of that night; a field can't say which.
    twice = datetime(2027, 10, 31, 1, 30, 7, tzinfo=UTC)
    change(campaign, closes_at=twice, time_zone="Europe/Berlin")
    fields = typed(organiser.get(EDIT).text)
    assert fields["closes_at"] == "2027-10-31T02:30"
    assert save(organiser, fields | {"opens_at": "2027-07-01T09:00", "title": "Other"}).status_code == 303
    assert (stored().opens_at, stored().closes_at) == (datetime(2027, 7, 1, 7, tzinfo=UTC), twice)


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.OBSERVER])
def test_who_only_looks_sees_the_list_and_no_way_to_write(at_desk: AtDeskAs, campaign: Campaign, role: Role) -> None:
    client = at_desk(role)
    page = client.get("/desk/").text
    assert "Save the Park" in page
    assert "/campaigns/new" not in page
    assert EDIT not in page
    for path in ("edit", "publish", "campaign.md"):
        assert client.get(f"/desk{PATH}/{path}").status_code == 403
    for path in ("edit", "publish", "preview", "preview-link"):
        assert client.post(f"/desk{PATH}/{path}").status_code == 403
    assert client.get("/desk/campaigns/new").status_code == 403


def test_an_organiser_has_to_do_with_their_own_campaigns_only(at_desk: AtDeskAs, campaign: Campaign) -> None:
    stranger = at_desk(Role.ORGANISER)
    assert "Save the Park" not in stranger.get("/desk/").text
    assert stranger.get(EDIT).status_code == 403
    assert stranger.post(EDIT, data=TYPED).status_code == 403


def test_what_is_no_field_of_the_form_changes_nothing(organiser: AtDesk, campaign: Campaign) -> None:
    fields = typed(organiser.get(EDIT).text)
    assert (
        save(organiser, fields | {"state": "won", "id": "7", "created_at": "2020-01-01", "title": "X"}).status_code
        == 303
    )
    assert (stored().state, stored().id, stored().created_at) == (CampaignState.OPEN, campaign.id, campaign.created_at)


def test_a_campaigns_pages_say_that_it_opens_later(at_desk: AtDeskAs, publish: Publish) -> None:
    publish(opens_at=datetime.now(UTC) + timedelta(days=1))
    admin = at_desk(Role.ADMIN)
    assert "<td>Opens later</td>" in admin.get("/desk/").text
    assert '<p class="category">Opens later</p>' in admin.get(EDIT).text


@pytest.mark.parametrize(("step", "state"), [("publish", CampaignState.DRAFT), ("reopen", CampaignState.CLOSED)])
def test_nobody_is_told_that_it_takes_signatures_when_its_time_is_over(
    at_desk: AtDeskAs, publish: Publish, step: str, state: CampaignState
) -> None:
    campaign = publish(state=state, closes_at=datetime.now(UTC) - timedelta(days=1))
    admin = at_desk(Role.ADMIN)
    page = admin.get(f"/desk{PATH}/{step}").text
    assert "Its closing time is over" in page
    assert "takes signatures again" not in page
    assert "sign it" not in page.partition("<iframe")[0]
    admin.post(f"/desk{PATH}/{step}", data={"version": str(campaign.version)})
    page = admin.get(EDIT).text
    assert '<p class="category">Closed</p>' in page
    assert "It is open again" not in page
    assert page.count("Its closing time is over") == 2, "in the notice, and beside the field"
