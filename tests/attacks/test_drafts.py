"""Organizers can't find out about other organizers' campaigns: the desk answers as if they didn't exist."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from campaign.models.account import Role
from campaign.models.campaign import CampaignState
from tests.conftest import HTMX, SLUG, Publish
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk
from tests.desk.test_permissions import routes


def answer(
    client: AtDesk, method: str, address: str, token: str, headers: dict[str, str]
) -> tuple[int, str, list[str]]:
    """Return the status, body, and header names of a response, without parts that differ for every request."""
    data = {"csrf_token": token} if method == "POST" else None
    response = FlaskClient.open(client, address, method=method, data=data, headers=headers)
    body = re.sub(r'value="[^"]*"|"X-CSRFToken": "[^"]*"', "", response.text)
    return response.status_code, body, sorted(name for name, _ in response.headers)


@pytest.mark.parametrize("state", [CampaignState.DRAFT, CampaignState.OPEN, CampaignState.CLOSED])
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "htmx"])
@pytest.mark.slow
def test_other_organizers_campaigns_look_like_missing_ones(
    app: Flask, at_desk: AtDeskAs, publish: Publish, state: CampaignState, headers: dict[str, str]
) -> None:
    publish(state=state)
    client = at_desk(Role.ORGANIZER, own=[publish(slug="their-own")])
    token, asked = client.token(), 0
    for method, address in routes(app):
        if f"/{SLUG}" in address:
            theirs = answer(client, method, address, token, headers)
            missing = answer(client, method, address.replace(SLUG, "no-such-campaign"), token, headers)
            assert theirs[0] in (403, 404), f"{method} {address}"
            assert theirs == missing, f"{method} {address}"
            asked += 1
    assert asked > 20
