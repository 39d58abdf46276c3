"""An address that was printed, mailed or posted goes on working, whatever the campaign is called now."""

from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, select

from campaign import editing
from campaign.campaign_keys import WrongError
from campaign.extensions import db, write_transaction
from campaign.models import Campaign, CampaignState, FormerSlug
from campaign.record import COMMAND
from tests.conftest import ADA, FILE, HTMX, PATH, SLUG, Publish, stored
from tests.test_letter_changes import change

NEW = "/campaigns/keep-the-park"


@pytest.fixture
def renamed(campaign: Campaign) -> Campaign:
    change(campaign, slug="keep-the-park")
    return campaign


@pytest.mark.parametrize(
    "path",
    ["", "/feed", "/thanks", "/signatures?before=1-2", ".json", ".atom", "/changes", "/share/mastodon?instance=a.b"],
)
def test_a_former_address_leads_to_the_new_one(client: FlaskClient, renamed: Campaign, path: str) -> None:
    answer = client.get(PATH + path)
    assert (answer.status_code, answer.location) == (308, NEW + path)
    assert answer.headers["Cache-Control"] == "no-cache"


def test_a_visitors_query_makes_no_other_address(client: FlaskClient, renamed: Campaign) -> None:
    for query in ("_external=1&_scheme=javascript", "slug=other", "endpoint=site.home", "_anchor=x", "ref=%0d%0ax"):
        assert client.get(f"{PATH}?{query}").location == f"{NEW}?{query}"


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_a_form_that_was_open_while_the_slug_changed_loses_no_signature(
    client: FlaskClient, renamed: Campaign, headers: dict[str, str]
) -> None:
    answer = client.post(f"{PATH}/signatures", data=ADA, headers=headers)
    assert (answer.status_code, answer.location) == ((200, None) if headers else (303, f"{NEW}/thanks"))
    assert [signature.campaign_id for signature in stored()] == [renamed.id]
    wrong = client.post(f"{PATH}/signatures", data=ADA | {"name": ""}, headers=headers)
    assert wrong.status_code == 422
    assert f'action="{NEW}/signatures"' in wrong.text


def test_nobody_gets_a_slug_that_another_campaign_has_or_had(publish: Publish, renamed: Campaign) -> None:
    other = publish(slug="other")
    for slug in (SLUG, "keep-the-park"):
        with pytest.raises(WrongError, match="slug: is, or was, that of another campaign"):
            change(other, slug=slug)
    with write_transaction() as session, pytest.raises(WrongError, match="slug"):
        editing.create(session, COMMAND, FILE, datetime.now(UTC))


def test_a_campaign_may_go_back_to_its_former_slug(client: FlaskClient, renamed: Campaign) -> None:
    change(renamed, slug=SLUG)
    assert client.get(PATH).status_code == 200
    assert client.get(NEW).location == PATH
    db.session.rollback()
    assert [(row.slug, row.campaign_id) for row in db.session.scalars(select(FormerSlug))] == [
        ("keep-the-park", renamed.id)
    ]


def test_a_draft_is_nowhere_under_its_former_slug_either(client: FlaskClient, publish: Publish) -> None:
    change(publish(state=CampaignState.DRAFT), slug="keep-the-park")
    assert client.get(PATH).status_code == 404
    assert client.post(f"{PATH}/signatures", data=ADA).status_code == 404


def test_who_comes_by_the_current_address_waits_for_no_more_than_before(client: FlaskClient, renamed: Campaign) -> None:
    client.get(NEW)
    asked: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    client.get(NEW)
    assert not any("former_slug" in statement for statement in asked)


@pytest.mark.parametrize("path", ["", ".json", "/feed", "/signatures", "/preview?key=x", "/thanks"])
def test_an_address_that_no_database_takes_is_nowhere(client: FlaskClient, campaign: Campaign, path: str) -> None:
    assert client.get(f"/campaigns/save%00the-park{path}").status_code == 404


def test_nobody_signs_at_an_address_that_no_database_takes(client: FlaskClient, campaign: Campaign) -> None:
    assert client.post("/campaigns/save%00the-park/signatures", data=ADA).status_code == 404
