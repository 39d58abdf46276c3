"""The campaign editor: errors, preview, review before saving, edit conflicts, pictures, and times."""

import io
import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from campaign.models.account import Role
from campaign.models.campaign import Campaign, LetterChange
from campaign.storage.database import db
from tests.campaigns.test_letter_changes import PASTED, change
from tests.campaigns.test_pictures import uploaded
from tests.conftest import PATH, SLUG, Publish, Sign
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT, TYPED, save, shown, stored, typed
from tests.desk.people import AtDesk


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"title": " "}, "title", "Enter a title"),
        ({"goal": "many"}, "goal", "&#39;many&#39;"),
        ({"slug": "no/slug"}, "slug", "&#39;no/slug&#39;"),
        ({"slug": SLUG}, "slug", "Choose another name"),
        ({"donate_url": "donate"}, "donate_url", "Enter a full web address"),
        ({"donate_url": "javascript:alert(1)"}, "donate_url", "https://"),
        ({"letter": "a\n\nb\x01"}, "letter", "U+0001 (SOH) at character 2 of line 3"),
        ({"letter": "a\n\n[b](/foo)"}, "letter", "“b” on line 3 (&#39;/foo&#39;)"),
        ({"letter": "a\n\n|b|c|\n|-|-|"}, "letter", "table on line 3"),
        ({"time_zone": "Mars"}, "time_zone", "&#39;Mars&#39;"),
        ({"opens_at": "tomorrow"}, "opens_at", "date"),
        ({"opens_at": "2027-03-28T02:30"}, "opens_at", "forward"),
        ({"opens_at": "2027-10-31T02:30"}, "opens_at", "back"),
        ({"opens_at": "2027-01-02T00:00", "closes_at": "2027-01-01T00:00"}, "closes_at", "later than the opening time"),
        ({"picture": b"GIF89a"}, "picture", "JPEG"),
        ({"picture": uploaded()}, "picture_text", "Describe the picture"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.slow
def test_error_is_shown_at_its_field_and_input_is_kept(
    at_desk: AtDeskAs, campaign: Campaign, wrong: dict[str, Any], field: str, words: str
) -> None:
    sent = {key: (io.BytesIO(value), "a.jpg") if isinstance(value, bytes) else value for key, value in wrong.items()}
    answer = save(at_desk(Role.ORGANIZER), TYPED | sent, "/desk/campaigns/new")
    assert answer.status_code == 422
    message = re.search(rf'<p class="message" id="{field}-message">.*?</span> (.*?)</p>', answer.text)
    assert message, answer.text
    assert words in message[1]
    assert f'<a href="#{field}">' in answer.text
    for key, value in ({**TYPED, **wrong}).items():
        if isinstance(value, str) and key not in ("slug", "time_zone"):
            assert typed(answer.text)[key].split() == value.split(), key
    assert "</html>" in shown(answer.text), "errors don't prevent a preview"


def errors(page: str) -> dict[str, str]:
    """Return the errors in the summary of the page by field."""
    return {field: unescape(message) for field, message in re.findall(r'<li><a href="#(\w+)">(.*?)</a></li>', page)}


WRONG: dict[str, Any] = {
    "title": "",
    "letter": " ",
    "goal": "1e3",
    "donate_url": "/donate",
    "opens_at": "2027-01-02T00:00",
    "closes_at": "2027-01-01T00:00",
    "language": "klingon",
}


def test_all_errors_are_shown_at_once(at_desk: AtDeskAs, campaign: Campaign) -> None:
    answer = save(
        at_desk(Role.ORGANIZER),
        TYPED | WRONG | {"slug": SLUG, "picture": (io.BytesIO(b"GIF89a"), "a.gif")},
        "/desk/campaigns/new",
    )
    assert answer.status_code == 422
    shown = errors(answer.text)
    assert shown.keys() == {*WRONG, "picture", "picture_text", "slug"} - {"opens_at"}
    for message in shown.values():
        assert re.match(r"(Enter|Write|Choose|Describe|The picture) ", message), message


def test_all_errors_of_a_public_campaign_are_shown_at_once(organizer: AtDesk, sign: Sign, publish: Publish) -> None:
    publish(slug="taken")
    sign()
    wrong = {"letter": "Other words", "deliver_anonymous": "y", "slug": "taken", "thanks": ""}
    answer = save(organizer, typed(organizer.get(EDIT).text) | wrong)
    assert answer.status_code == 422
    assert errors(answer.text).keys() == {"reason", "deliver_anonymous", "slug", "thanks"}


def test_optional_texts_may_be_blank(at_desk: AtDeskAs) -> None:
    blank = dict.fromkeys(("category", "addressees", "share_text", "donate_text"), "")
    typed_url = {"donate_url": "www.example.org", "summary": "One.\r\n\r\nTwo."}
    organizer = at_desk(Role.ORGANIZER)
    assert save(organizer, TYPED | blank | typed_url, "/desk/campaigns/new").status_code == 303
    saved = stored("keep-the-cafe-open")
    assert (saved.category, saved.addressees, saved.share_text, saved.donate_text) == ("", "", "", "")
    assert (saved.donate_url, saved.summary) == ("https://www.example.org", "One.\n\nTwo.")
    page = organizer.get("/desk/campaigns/keep-the-cafe-open/edit").text
    for key in blank:
        label = re.search(rf'<label for="{key}">(.*?)</label>', page)
        assert label
        assert "(optional)" in label[1]


def test_new_campaigns_with_one_title_get_different_slugs(at_desk: AtDeskAs) -> None:
    organizer = at_desk(Role.ORGANIZER)
    titled = TYPED | {"title": "Łódź"}
    answers = [save(organizer, titled | {"goal": goal}, "/desk/campaigns/new") for goal in ("10", "20", "30")]
    assert [answer.location.split("/")[3] for answer in answers] == ["lodz", "lodz-2", "lodz-3"]
    # Pressing Save twice doesn't create a second draft.
    assert save(organizer, titled | {"goal": "10"}, "/desk/campaigns/new").location.split("/")[3] == "lodz"
    # A slug that somebody typed is never changed.
    answer = save(organizer, TYPED | {"slug": "lodz"}, "/desk/campaigns/new")
    assert (answer.status_code, "Choose another name" in answer.text) == (422, True)


def test_missing_title_shows_no_error_for_the_blank_slug(at_desk: AtDeskAs) -> None:
    answer = save(at_desk(Role.ORGANIZER), dict.fromkeys(TYPED, ""), "/desk/campaigns/new")
    assert 'id="title-message"' in answer.text
    assert 'id="slug-message"' not in answer.text


def test_saving_a_signed_letter_with_pasted_characters_needs_no_reason(
    organizer: AtDesk, campaign: Campaign, sign: Sign
) -> None:
    change(campaign, letter=PASTED)
    sign()
    assert save(organizer, typed(organizer.get(EDIT).text) | {"goal": "500"}).status_code == 303
    assert (stored().letter, stored().goal) == (PASTED, 500)


def test_unchanged_texts_are_not_checked_again(organizer: AtDesk, campaign: Campaign, sign: Sign) -> None:
    earlier = {"letter": "|a|b|\n|-|-|\n\n[c](/d)", "thanks": "[a](b.org)"}
    change(campaign, **earlier)
    sign()
    fields = typed(organizer.get(EDIT).text) | {"goal": "500"}
    assert save(organizer, fields).status_code == 303
    assert (stored().letter, stored().thanks, stored().goal) == (*earlier.values(), 500)
    answer = save(organizer, fields | {"letter": f"{earlier['letter']}!", "reason": "It was wrong"})
    assert answer.status_code == 422
    assert "table on line 1" in answer.text


def test_preview_shows_unsaved_input_and_saves_nothing(organizer: AtDesk, client: FlaskClient) -> None:
    fields = typed(organizer.get(EDIT).text) | {"title": "<b>Typed</b>", "letter": "# New\n\n*words*", "goal": "x"}
    for path, do in ((f"/desk{PATH}/preview", {}), (EDIT, {"do": "preview"}), ("/desk/campaigns/preview", {})):
        answer = organizer.post(path, data=fields | do)
        page = shown(answer.text)
        assert "<h1>&lt;b&gt;Typed&lt;/b&gt;</h1>" in page
        assert "<h2>New</h2>\n<p><em>words</em></p>" in page
        assert '<link rel="stylesheet" href="/static/site.' in page
        assert "<button disabled>Take Action</button>" in page
        assert 'sandbox="allow-same-origin"' in answer.text
    assert "Typed" not in client.get(PATH).text


@pytest.mark.slow
def test_edit_of_a_public_campaign_is_saved_only_after_review(organizer: AtDesk, client: FlaskClient) -> None:
    fields = typed(organizer.get(EDIT).text) | {"title": "Better words"}
    first = organizer.post(EDIT, data=fields)
    assert (first.status_code, stored().title) == (200, "Save the Park")
    assert "<h1>Better words</h1>" in shown(first.text)
    seen = re.search(r'name="seen" value="(\w+)"', first.text)
    assert seen
    # A change after the review is not saved with the old fingerprint.
    other = organizer.post(EDIT, data=typed(first.text) | {"title": "Other words", "seen": seen[1]})
    assert (other.status_code, stored().title) == (200, "Save the Park")
    saved = organizer.post(EDIT, data=typed(first.text) | {"seen": seen[1]})
    assert (saved.status_code, saved.location) == (303, EDIT)
    assert "<h1>Better words</h1>" in client.get(PATH).text


@pytest.mark.slow
def test_editing_a_signed_letter_requires_a_reason(organizer: AtDesk, client: FlaskClient, sign: Sign) -> None:
    assert 'name="reason"' not in organizer.get(EDIT).text
    sign()
    fields = typed(organizer.get(EDIT).text) | {"letter": "Dear Council,\n\nplease *keep* the park."}
    answer = save(organizer, fields)
    assert answer.status_code == 422
    assert 'id="reason-message"' in answer.text
    assert save(organizer, fields | {"reason": "The mayor has gone"}).status_code == 303
    assert db.session.scalars(select(LetterChange.reason)).all() == ["The mayor has gone"]
    assert "The mayor has gone" in client.get(PATH).text


@pytest.mark.slow
def test_former_slug_redirects_to_the_new_one(organizer: AtDesk, client: FlaskClient) -> None:
    answer = save(organizer, typed(organizer.get(EDIT).text) | {"slug": "keep-the-park"})
    assert answer.location == "/desk/campaigns/keep-the-park/edit"
    assert client.get(PATH).location == "/campaigns/keep-the-park"


@pytest.mark.slow
def test_uploaded_picture_survives_a_form_error_and_can_be_removed(organizer: AtDesk, client: FlaskClient) -> None:
    fields = typed(organizer.get(EDIT).text)
    sent = {"picture": (io.BytesIO(uploaded(size=(2000, 1000))), "tree.jpg")}
    answer = organizer.post(EDIT, data={**fields, **sent}, content_type="multipart/form-data")
    assert answer.status_code == 422
    assert 'id="picture_text-message"' in answer.text
    kept = typed(answer.text)
    assert f'src="/pictures/{kept["kept_picture"]}.jpg"' in shown(answer.text)
    assert save(organizer, kept | {"picture_text": "A tree"}).status_code == 303
    assert 'alt="A tree" width="1200" height="600"' in client.get(PATH).text
    again = typed(organizer.get(EDIT).text)
    assert save(organizer, again | {"without_picture": "y"}).status_code == 303
    assert "<img" not in client.get(PATH).text


@pytest.mark.parametrize("digest", ["\0", "../../x", "0" * 64])
def test_expired_upload_must_be_chosen_again(organizer: AtDesk, digest: str) -> None:
    fields = typed(organizer.get(EDIT).text)
    assert "<img" not in shown(organizer.post(EDIT, data=fields | {"kept_picture": digest, "do": "preview"}).text)
    answer = organizer.post(EDIT, data=fields | {"kept_picture": digest})
    assert answer.status_code == 422
    assert "Choose the picture again. It was uploaded over a day ago" in answer.text
    assert save(organizer, typed(answer.text)).status_code == 303


def test_unchanged_ambiguous_time_keeps_its_exact_instant(organizer: AtDesk, campaign: Campaign) -> None:
    # 2:30 occurs twice in that night. This is the second one, which the form's field can't express.
    ambiguous = datetime(2027, 10, 31, 1, 30, 7, tzinfo=UTC)
    change(campaign, closes_at=ambiguous, time_zone="Europe/Berlin")
    fields = typed(organizer.get(EDIT).text)
    assert fields["closes_at"] == "2027-10-31T02:30"
    assert save(organizer, fields | {"opens_at": "2027-07-01T09:00", "title": "Other"}).status_code == 303
    assert (stored().opens_at, stored().closes_at) == (datetime(2027, 7, 1, 7, tzinfo=UTC), ambiguous)
