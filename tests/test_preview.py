"""A draft is shown to colleagues by a link, to nobody else, and nobody can sign it there."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from campaign import preview_key
from campaign.extensions import write_transaction
from campaign.models import Campaign, CampaignState
from campaign.settings import Settings
from tests.conftest import PATH, Publish
from tests.test_letter_changes import change


@pytest.fixture
def draft(publish: Publish) -> Campaign:
    return publish(state=CampaignState.DRAFT)


def key(settings: Settings, campaign: Campaign) -> str:
    return preview_key.make(settings.secret_key, campaign.id)


def test_who_has_the_link_sees_the_page_as_it_will_be_and_cannot_sign(
    client: FlaskClient, settings: Settings, draft: Campaign
) -> None:
    answer = client.get(f"{PATH}/preview?key={key(settings, draft)}")
    assert answer.status_code == 200
    for words in ("Preview: nothing can be signed here.", "Save the Park", "please <em>keep</em>", "Let’s get to 100."):
        assert words in answer.text
    assert "<button disabled>Take Action</button>" in answer.text
    for way_out in ("hx-post", "hx-get", 'method="post"', "<form action"):
        assert way_out not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert "Set-Cookie" not in answer.headers
    assert client.get(PATH).status_code == 404


def test_a_link_is_for_one_campaign(client: FlaskClient, settings: Settings, draft: Campaign, publish: Publish) -> None:
    other = publish(slug="other", state=CampaignState.DRAFT)
    for wrong in (key(settings, other), key(settings, draft)[:-1] + "~", "", "x", "é", "\0"):
        answer = client.get(f"{PATH}/preview", query_string={"key": wrong})
        assert answer.status_code == 404
        assert "There is nothing here" in answer.text
    forged = preview_key.make("another secret, of 32 characters or more", draft.id)
    assert client.get(f"{PATH}/preview?key={forged}").status_code == 404
    assert client.get("/campaigns/none/preview?key=x").status_code == 404


def test_a_link_expires_and_says_so(
    client: FlaskClient, settings: Settings, draft: Campaign, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, others = key(settings, draft), key(settings, publish(slug="other"))
    monkeypatch.setattr(preview_key, "GOOD_FOR", preview_key.GOOD_FOR * 0 - preview_key.GOOD_FOR)
    answer = client.get(f"{PATH}/preview?key={made}")
    assert answer.status_code == 410
    assert "This link has expired" in answer.text
    assert client.get(f"{PATH}/preview?key={others}").status_code == 404


def test_a_link_works_under_the_former_slug_and_shows_what_is_saved_now(
    client: FlaskClient, settings: Settings, draft: Campaign
) -> None:
    change(draft, slug="new-name", title="Keep the Park")
    assert "Keep the Park" in client.get(f"{PATH}/preview?key={key(settings, draft)}").text


def test_once_it_is_public_a_link_leads_to_the_page(client: FlaskClient, settings: Settings, draft: Campaign) -> None:
    with write_transaction() as session:
        session.execute(update(Campaign).values(state=CampaignState.OPEN))
    answer = client.get(f"{PATH}/preview?key={key(settings, draft)}")
    assert (answer.status_code, answer.location) == (302, PATH)
