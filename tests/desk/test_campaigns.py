"""Organizers and admins create, list, share, and download campaigns at the desk; other roles can only list them."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from campaign.campaigns.files import reading
from campaign.models.account import CampaignOrganizer, Role
from campaign.models.campaign import Campaign, CampaignState
from campaign.storage.database import db
from tests.conftest import PATH, SLUG, Publish
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT, TYPED, save, stored, typed
from tests.desk.people import AtDesk


def test_new_campaign_is_a_draft_assigned_to_its_author(app: Flask, client: FlaskClient, at_desk: AtDeskAs) -> None:
    organizer = at_desk(Role.ORGANIZER)
    assert organizer.get("/desk/campaigns/new").status_code == 200
    answer = save(organizer, TYPED, "/desk/campaigns/new")
    assert (answer.status_code, answer.location) == (303, "/desk/campaigns/keep-the-cafe-open/edit")
    campaign = stored("keep-the-cafe-open")
    assert (campaign.state, campaign.goal, campaign.addressees) == (CampaignState.DRAFT, 1000, "The Mayor\nThe Council")
    assert campaign.letter == "Dear Mayor,\n\nplease *keep* it."
    assert db.session.scalars(select(CampaignOrganizer.campaign_id)).all() == [campaign.id]
    assert client.get("/campaigns/keep-the-cafe-open").status_code == 404
    assert "Keep the Café open!" in organizer.get("/desk/").text
    # Sending the form's own values changes nothing.
    version = campaign.version
    page = organizer.get(answer.location).text
    assert save(organizer, typed(page), answer.location).status_code == 303
    assert stored("keep-the-cafe-open").version == version


def test_preview_link_shows_a_draft_without_sign_in(at_desk: AtDeskAs, client: FlaskClient, draft: Campaign) -> None:
    admin = at_desk(Role.ADMIN)
    page = admin.post(EDIT, data=typed(admin.get(EDIT).text) | {"do": "preview_link"}).text
    link = re.search(r'<input id="preview-link"[^>]*value="http://127.0.0.1:8000([^"]+)"', page)
    assert link, page
    assert "<h1>Save the Park</h1>" in client.get(unescape(link[1])).text


def test_downloaded_markdown_file_can_be_read_back(organizer: AtDesk, tmp_path: Path) -> None:
    answer = organizer.get(f"/desk{PATH}/campaign.md")
    assert (answer.mimetype, answer.headers["Content-Disposition"]) == (
        "text/markdown",
        f'attachment; filename="{SLUG}.md"',
    )
    path = tmp_path / "park.md"
    path.write_bytes(answer.data)
    assert reading.read(path).title == "Save the Park"


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.OBSERVER])
@pytest.mark.slow
def test_moderator_and_observer_see_the_list_but_cannot_write(
    at_desk: AtDeskAs, campaign: Campaign, role: Role
) -> None:
    client = at_desk(role)
    page = client.get("/desk/").text
    assert "Save the Park" in page
    assert "/campaigns/new" not in page
    assert EDIT not in page
    for path in ("edit", "publish", "campaign.md"):
        assert client.get(f"/desk{PATH}/{path}").status_code == 403
    for path in ("edit", "publish", "preview", "autosave"):
        assert client.post(f"/desk{PATH}/{path}").status_code == 403
    assert client.get("/desk/campaigns/new").status_code == 403


def test_organizer_cannot_see_or_edit_other_campaigns(at_desk: AtDeskAs, campaign: Campaign) -> None:
    stranger = at_desk(Role.ORGANIZER)
    assert "Save the Park" not in stranger.get("/desk/").text
    assert stranger.get(EDIT).status_code == 404
    assert stranger.post(EDIT, data=TYPED).status_code == 404


@pytest.mark.slow
def test_unknown_form_fields_change_nothing(organizer: AtDesk, campaign: Campaign) -> None:
    fields = typed(organizer.get(EDIT).text)
    assert (
        save(organizer, fields | {"state": "won", "id": "7", "created_at": "2020-01-01", "title": "X"}).status_code
        == 303
    )
    assert (stored().state, stored().id, stored().created_at) == (CampaignState.OPEN, campaign.id, campaign.created_at)


def test_upcoming_campaign_is_shown_as_opening_later(at_desk: AtDeskAs, publish: Publish) -> None:
    publish(opens_at=datetime.now(UTC) + timedelta(days=1))
    admin = at_desk(Role.ADMIN)
    assert "Opens later</td>" in admin.get("/desk/").text
    assert '<p class="category">Opens later</p>' in admin.get(EDIT).text
