"""Every desk route requires sign-in; changes need a POST from our own pages with a CSRF token."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.routing import Rule

from campaign.models.account import Role
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.storage.database import db
from tests.conftest import PATH, SLUG, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.people import browser

pytestmark = only_sqlite

OPEN = {"accounts.accept", "accounts.first_passkey"}
"""Our views that work without an account: they require an invitation or a password instead."""
VALUES: dict[str, Any] = {"tag": "es", "slug": SLUG, "token": "forged", "account_id": 1, "step": "publish"}


def routes(app: Flask) -> list[tuple[str, str]]:
    """Return the method and URL of every view of the desk. `attacks/test_rights.py` tests who may use each of them."""
    desk: Flask = app.extensions["desk"].app
    found = []
    for rule in desk.url_map.iter_rules():
        if rule.endpoint.startswith("security.") or rule.endpoint in OPEN:
            continue
        found += [(method, _address(desk, rule)) for method in rule.methods or () if method != "OPTIONS"]
    assert len(found) > 10
    return found


def _address(desk: Flask, rule: Rule) -> str:
    values = {name: VALUES.get(name, 1) for name in rule.arguments}
    return "/desk" + desk.url_map.bind("").build(rule.endpoint, values, append_unknown=False)


def request_status(client: FlaskClient, method: str, address: str, token: str = "") -> int:
    """Send a request, and return the status of the response."""
    data = {"csrf_token": token} if method == "POST" else None
    return FlaskClient.open(client, address, method=method, data=data).status_code


def test_every_route_requires_sign_in(app: Flask, campaign: Campaign) -> None:
    stranger = browser(app)
    for method, address in routes(app):
        answer = FlaskClient.open(stranger, address, method=method)
        # The CSRF check comes before the sign-in check.
        assert answer.status_code == (400 if method == "POST" else 302), f"{method} {address}"
        if method == "GET":
            assert answer.location.startswith("/desk/sign-in?next="), address


def test_pages_for_refused_requests_keep_the_navigation(at_desk: AtDeskAs, campaign: Campaign, app: Flask) -> None:
    organizer, stranger = at_desk(Role.ORGANIZER, own=[campaign]), browser(app)
    for status, answer in (
        (404, organizer.get("/desk/nothing")),
        (403, organizer.get("/desk/accounts")),
        (405, organizer.get(f"/desk{PATH}/signatures/hide")),
        (400, organizer.post(f"/desk{PATH}/signatures/hide", data={"csrf_token": "x"})),
    ):
        assert (answer.status_code, answer.text.count('<nav aria-label="Desk">')) == (status, 1), status
        assert '/sign-out"' in answer.text
    assert "<nav" not in stranger.get("/desk/nothing").text


@pytest.mark.slow
def test_get_requests_add_no_audit_log_entries(app: Flask, at_desk: AtDeskAs, campaign: Campaign) -> None:
    client = at_desk(Role.ADMIN)
    before = _entries()
    for method, address in routes(app):
        if method in ("GET", "HEAD"):
            request_status(client, method, address)
    assert _entries() == before


def _entries() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Record)) or 0


@pytest.mark.parametrize("token", ["", "forged", "IjEyMyI.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb"])
def test_forms_without_a_valid_csrf_token_are_refused(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, token: str
) -> None:
    client, before = at_desk(Role.ADMIN), _entries()
    for method, address in routes(app):
        if method == "POST":
            assert request_status(client, method, address, token) == 400, address
    assert _entries() == before


@pytest.mark.slow
def test_csrf_token_of_another_session_is_refused(app: Flask, at_desk: AtDeskAs, campaign: Campaign) -> None:
    other, client = at_desk(Role.ADMIN), at_desk(Role.ADMIN)
    assert request_status(client, "POST", "/desk/account/sessions", other.token()) == 400


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}], ids=str)
def test_cross_site_posts_are_refused_even_with_a_csrf_token(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, headers: dict[str, str]
) -> None:
    client = at_desk(Role.ADMIN)
    token = client.token()
    for method, address in routes(app):
        if method == "POST":
            data = {"csrf_token": token}
            assert FlaskClient.post(client, address, data=data, headers=headers).status_code == 403, address


@pytest.mark.slow
def test_pages_forbid_framing_caching_and_inline_scripts(app: Flask, at_desk: AtDeskAs, campaign: Campaign) -> None:
    client = at_desk(Role.ADMIN)
    addresses = [address for method, address in routes(app) if method == "GET"]
    for address in [*addresses, "/desk/sign-in", "/desk/nothing", "/desk/invitation?key=forged"]:
        answer = client.get(address)
        assert answer.headers["Cache-Control"] == "no-store", address
        assert answer.headers["X-Frame-Options"] == "DENY", address
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"], address
        assert "'unsafe" not in answer.headers["Content-Security-Policy"], address


def test_json_sign_in_and_header_tokens_are_refused(app: Flask, at_desk: AtDeskAs) -> None:
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
def test_out_of_range_ids_are_not_server_errors(at_desk: AtDeskAs, campaign: Campaign, path: str, number: int) -> None:
    assert at_desk(Role.ADMIN).get(f"/desk/{path.format(number)}").status_code in (200, 404)


def test_slug_with_a_nul_character_is_not_found(at_desk: AtDeskAs, campaign: Campaign) -> None:
    assert at_desk(Role.ADMIN).get("/desk/campaigns/save%00the-park/edit").status_code == 404
