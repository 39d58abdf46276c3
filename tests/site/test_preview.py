"""Preview links show a draft to people who have the link. The preview can't be signed."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from campaign.campaigns import preview_links
from campaign.models.campaign import Campaign, CampaignState
from campaign.settings import Settings
from campaign.storage.transactions import write_transaction
from campaign.web.errors import WORDS
from tests.campaigns.test_letter_changes import change
from tests.conftest import PATH, Publish


@pytest.fixture
def draft(publish: Publish) -> Campaign:
    return publish(state=CampaignState.DRAFT)


def key(settings: Settings, campaign: Campaign) -> str:
    return preview_links.make(settings.secret_key, campaign.id)


def test_preview_link_shows_the_draft_and_prevents_signing(
    client: FlaskClient, settings: Settings, draft: Campaign
) -> None:
    answer = client.get(f"{PATH}/preview?key={key(settings, draft)}")
    assert answer.status_code == 200
    for words in ("Preview: ", "Save the Park", "please <em>keep</em>", "Let’s get to 100."):
        assert words in answer.text
    assert "<button disabled>Take Action</button>" in answer.text
    for attribute in ("hx-post", "hx-get", 'method="post"', "<form action"):
        assert attribute not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert "Set-Cookie" not in answer.headers
    assert client.get(PATH).status_code == 404


def test_preview_link_works_for_a_single_campaign(
    client: FlaskClient, settings: Settings, draft: Campaign, publish: Publish
) -> None:
    other = publish(slug="other", state=CampaignState.DRAFT)
    for wrong in (key(settings, other), key(settings, draft)[:-1] + "~", "", "x", "é", "\0"):
        answer = client.get(f"{PATH}/preview", query_string={"key": wrong})
        assert answer.status_code == 404
        assert WORDS[404].title in answer.text
    forged = preview_links.make("another secret, of 32 characters or more", draft.id)
    assert client.get(f"{PATH}/preview?key={forged}").status_code == 404
    assert client.get("/campaigns/none/preview?key=x").status_code == 404


@pytest.mark.parametrize(("language", "said"), [("en", False), ("de", False), ("eo", True)])
def test_preview_says_if_the_site_is_not_translated(
    client: FlaskClient, settings: Settings, publish: Publish, language: str, said: bool
) -> None:
    campaign = publish(CampaignState.DRAFT, language=language)
    page = client.get(f"{PATH}/preview?key={key(settings, campaign)}").text
    assert ("isn’t translated into the letter’s language" in page) is said


def test_expired_preview_link_gets_410(
    client: FlaskClient, settings: Settings, draft: Campaign, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, others = key(settings, draft), key(settings, publish(slug="other"))
    monkeypatch.setattr(preview_links, "LIFETIME", preview_links.LIFETIME * 0 - preview_links.LIFETIME)
    answer = client.get(f"{PATH}/preview?key={made}")
    assert answer.status_code == 410
    assert WORDS[410].title in answer.text
    assert client.get(f"{PATH}/preview?key={others}").status_code == 404


def test_preview_link_with_former_slug_shows_the_saved_draft(
    client: FlaskClient, settings: Settings, draft: Campaign
) -> None:
    change(draft, slug="new-name", title="Keep the Park")
    assert "Keep the Park" in client.get(f"{PATH}/preview?key={key(settings, draft)}").text


def test_preview_link_redirects_to_a_public_campaign(client: FlaskClient, settings: Settings, draft: Campaign) -> None:
    with write_transaction() as session:
        session.execute(update(Campaign).values(state=CampaignState.OPEN))
    answer = client.get(f"{PATH}/preview?key={key(settings, draft)}")
    assert (answer.status_code, answer.location) == (302, PATH)
