"""Cross-site requests: only the site's own pages may send forms to it."""

import pytest
from flask.testing import FlaskClient

from campaign.models.campaign import Campaign
from campaign.web.errors import WORDS
from tests.conftest import ADA, HTMX, PATH, only_sqlite, stored

pytestmark = only_sqlite


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
def test_cross_site_signature_is_refused(client: FlaskClient, campaign: Campaign, headers: dict[str, str]) -> None:
    answer = client.post(f"{PATH}/signatures", data=ADA, headers=headers)
    assert answer.status_code == 403
    assert WORDS[403].title in answer.text
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
def test_signature_from_our_own_page_is_accepted_in_every_browser(
    client: FlaskClient, campaign: Campaign, headers: dict[str, str]
) -> None:
    assert client.post(f"{PATH}/signatures", data=ADA, headers=headers).status_code == 303


def test_links_from_other_sites_work(client: FlaskClient, campaign: Campaign) -> None:
    assert client.get(PATH, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
