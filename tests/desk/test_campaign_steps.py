"""Publishing, closing, winning, and reopening a campaign at the desk."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from campaign.models.account import Role
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign, CampaignState
from campaign.storage.database import db
from tests.campaigns.test_letter_changes import change
from tests.conftest import PATH, Publish
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT, shown


@pytest.mark.slow
def test_each_step_is_previewed_confirmed_and_recorded(at_desk: AtDeskAs, client: FlaskClient, draft: Campaign) -> None:
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
        assert admin.get(f"/desk{PATH}/{step}").status_code == 303, "a step can't be taken twice"
    db.session.rollback()
    of_campaign = Record.action.startswith("campaign.")
    actions = db.session.scalars(select(Record.action).where(of_campaign).order_by(Record.id)).all()
    assert actions[-4:] == ["campaign.publish", "campaign.close", "campaign.win", "campaign.reopen"]


@pytest.mark.slow
def test_unseen_version_is_not_published(at_desk: AtDeskAs, client: FlaskClient, draft: Campaign) -> None:
    admin = at_desk(Role.ADMIN)
    for version in (str(draft.version), "", "x"):
        change(draft, title=f"Not seen {version}")
        answer = admin.post(f"/desk{PATH}/publish", data={"version": version})
        assert answer.status_code == 409
        assert f"<h1>Not seen {version}" in shown(answer.text)
        assert client.get(PATH).status_code == 404


@pytest.mark.parametrize(("step", "state"), [("publish", CampaignState.DRAFT), ("reopen", CampaignState.CLOSED)])
def test_page_says_when_the_closing_time_has_passed(
    at_desk: AtDeskAs, publish: Publish, step: str, state: CampaignState
) -> None:
    campaign = publish(state=state, closes_at=datetime.now(UTC) - timedelta(days=1))
    admin = at_desk(Role.ADMIN)
    page = admin.get(f"/desk{PATH}/{step}").text
    assert "The closing time has passed" in page
    assert "accept signatures again" not in page
    assert "sign it" not in page.partition("<iframe")[0]
    admin.post(f"/desk{PATH}/{step}", data={"version": str(campaign.version)})
    page = admin.get(EDIT).text
    assert '<p class="category">Closed</p>' in page
    assert "is open again" not in page
    assert page.count("The closing time has passed") == 2, "in the notice and next to the field"
