"""The door: who may post here."""

import pytest
from flask.testing import FlaskClient

from campaign.models import Campaign
from tests.conftest import ADA, HTMX, PATH, stored


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "nonsense"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:81"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://["},
    ],
    ids=str,
)
def test_another_sites_page_can_sign_nobody(client: FlaskClient, campaign: Campaign, headers: dict[str, str]) -> None:
    answer = client.post(f"{PATH}/signatures", data=ADA, headers=headers)
    assert answer.status_code == 403
    assert "That came from another site" in answer.text
    assert client.post(f"{PATH}/signatures", data=ADA, headers=headers | HTMX).headers["HX-Retarget"] == "#notice"
    assert stored() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Origin": "http://localhost"},
        {"Origin": "https://localhost"},
        {},
    ],
    ids=str,
)
def test_our_own_page_can_sign_in_every_browser(
    client: FlaskClient, campaign: Campaign, headers: dict[str, str]
) -> None:
    assert client.post(f"{PATH}/signatures", data=ADA, headers=headers).status_code == 303


def test_anybody_may_link_here(client: FlaskClient, campaign: Campaign) -> None:
    assert client.get(PATH, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
