"""The door: each role at each route, and nobody at any; no change by GET, none without a token, none from elsewhere."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.routing import Rule

from campaign.access import MAY, Right
from campaign.desk_models import Record, Role
from campaign.extensions import db
from campaign.models import Campaign, CampaignState
from tests.conftest import SLUG, Publish
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk, browser

OPEN = {"accounts.accept", "accounts.first_passkey"}
"""The views of ours that let in people without an account: an invitation is their ticket, or a password."""
VALUES: dict[str, Any] = {"slug": SLUG, "token": "forged", "account_id": 1, "step": "publish"}


def routes(app: Flask) -> list[tuple[str, str, Right | None]]:
    """Every method and address of the desk's own views, and the right that it asks for."""
    desk: Flask = app.extensions["desk"].app
    found = []
    for rule in desk.url_map.iter_rules():
        if rule.endpoint.startswith("security.") or rule.endpoint in OPEN:
            continue
        view = desk.view_functions[rule.endpoint]
        assert hasattr(view, "allowed"), f"{rule.endpoint} lets everybody in"
        found += [(method, _address(desk, rule), view.allowed) for method in rule.methods or () if method != "OPTIONS"]
    assert len(found) > 10
    return found


def _address(desk: Flask, rule: Rule) -> str:
    values = {name: VALUES.get(name, 1) for name in rule.arguments}
    return "/desk" + desk.url_map.bind("").build(rule.endpoint, values, append_unknown=False)


def knock(client: FlaskClient, method: str, address: str, token: str = "") -> int:
    data = {"csrf_token": token} if method == "POST" else None
    return FlaskClient.open(client, address, method=method, data=data).status_code


@pytest.mark.parametrize("role", Role)
def test_every_role_gets_in_where_the_table_says_so_and_nowhere_else(
    app: Flask, at_desk: AtDeskAs, publish: Publish, role: Role
) -> None:
    own = publish(state=CampaignState.DRAFT)
    client: AtDesk = at_desk(role, own=[own])
    token = client.token()
    for method, address, right in routes(app):
        status = knock(client, method, address, token)
        if right is None or right in MAY[role]:
            assert status not in (401, 403, 405), f"{role} is kept out of {method} {address}"
        else:
            assert status == 403, f"{role} gets {status} at {method} {address}"
        if "session" in address:
            client, token = client, client.token()


def test_an_organiser_gets_in_at_their_own_campaigns_only(
    app: Flask, at_desk: AtDeskAs, publish: Publish, campaign: Campaign
) -> None:
    own = publish(slug="their-own")
    client = at_desk(Role.ORGANISER, own=[own])
    token = client.token()
    for method, address, right in routes(app):
        if f"/{SLUG}" not in address:
            continue
        assert knock(client, method, address, token) == 403, f"{method} {address}"
        if right and method == "GET":
            assert knock(client, method, address.replace(SLUG, "their-own")) != 403, address


def test_nobody_gets_in_without_signing_in(app: Flask, campaign: Campaign) -> None:
    stranger = browser(app)
    for method, address, _ in routes(app):
        answer = FlaskClient.open(stranger, address, method=method)
        # A form without a token gets no further than that.
        assert answer.status_code == (400 if method == "POST" else 302), f"{method} {address}"
        if method == "GET":
            assert answer.location.startswith("/desk/sign-in?next="), address


def test_looking_changes_nothing(app: Flask, at_desk: AtDeskAs, campaign: Campaign) -> None:
    client = at_desk(Role.ADMIN)
    before = _entries()
    for method, address, _ in routes(app):
        if method in ("GET", "HEAD"):
            knock(client, method, address)
    assert _entries() == before


def _entries() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Record)) or 0


@pytest.mark.parametrize("token", ["", "forged", "IjEyMyI.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb"])
def test_no_form_is_taken_without_a_token_of_ours(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, token: str
) -> None:
    client, before = at_desk(Role.ADMIN), _entries()
    for method, address, _ in routes(app):
        if method == "POST":
            assert knock(client, method, address, token) == 400, address
    assert _entries() == before


def test_a_token_of_somebody_elses_session_is_refused(app: Flask, at_desk: AtDeskAs, campaign: Campaign) -> None:
    other, client = at_desk(Role.ADMIN), at_desk(Role.ADMIN)
    assert knock(client, "POST", "/desk/account/sessions", other.token()) == 400


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}], ids=str)
def test_another_sites_page_can_change_nothing_even_with_a_token(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, headers: dict[str, str]
) -> None:
    client = at_desk(Role.ADMIN)
    token = client.token()
    for method, address, _ in routes(app):
        if method == "POST":
            data = {"csrf_token": token}
            assert FlaskClient.post(client, address, data=data, headers=headers).status_code == 403, address


def test_no_page_may_be_framed_or_kept_and_no_script_is_in_it(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign
) -> None:
    client = at_desk(Role.ADMIN)
    addresses = [address for method, address, _ in routes(app) if method == "GET"]
    for address in [*addresses, "/desk/sign-in", "/desk/nothing", "/desk/invitation?key=forged"]:
        answer = client.get(address)
        assert answer.headers["Cache-Control"] == "no-store", address
        assert answer.headers["X-Frame-Options"] == "DENY", address
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"], address
        assert "'unsafe" not in answer.headers["Content-Security-Policy"], address


def test_what_speaks_json_or_brings_a_token_in_a_header_is_not_let_in(app: Flask, at_desk: AtDeskAs) -> None:
    client = browser(app)
    answer = FlaskClient.post(client, "/desk/sign-in", json={"email": "a@example.org", "password": "x" * 12})
    assert answer.status_code in (400, 415)
    answer = at_desk(Role.ADMIN).get("/desk/sign-in?include_auth_token", headers={"Accept": "application/json"})
    assert "authentication_token" not in answer.text
    assert not answer.is_json


@pytest.mark.parametrize(
    "path", ["accounts/{}", f"campaigns/{SLUG}/deliveries/{{}}", f"campaigns/{SLUG}/record?before={{}}"]
)
@pytest.mark.parametrize("number", [2**31, 10**25], ids=str)
def test_a_number_that_nothing_has_leads_nowhere(at_desk: AtDeskAs, campaign: Campaign, path: str, number: int) -> None:
    assert at_desk(Role.ADMIN).get(f"/desk/{path.format(number)}").status_code in (200, 404)


def test_an_address_that_no_database_takes_leads_nowhere(at_desk: AtDeskAs, campaign: Campaign) -> None:
    assert at_desk(Role.ADMIN).get("/desk/campaigns/save%00the-park/edit").status_code == 404
