"""A database that can't be used while somebody is at the desk: they are told so, and go on when it is back."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import make_url

from campaign.desk_models import Role
from campaign.models import Campaign
from campaign.settings import Settings
from tests.conftest import HTMX, dispose
from tests.desk.conftest import AtDeskAs
from tests.desk.test_door import knock, routes
from tests.test_storage import Break, trouble

__all__ = ["trouble"]


@pytest.mark.parametrize("trouble", ["away"], indirect=True)
def test_every_page_says_in_words_that_the_database_is_away_and_nobody_is_signed_out(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, settings: Settings, trouble: tuple[Break, Break]
) -> None:
    client, (leave, come_back) = at_desk(Role.ADMIN), trouble
    token = client.token()
    if make_url(settings.database_url).get_backend_name() == "sqlite":
        with app.extensions["desk"].app.app_context():
            dispose()
    leave()
    try:
        for method, address, _ in routes(app):
            data = {"csrf_token": token} if method == "POST" else None
            page = FlaskClient.open(client, address, method=method, data=data)
            assert page.status_code == 503, f"{method} {address}"
            assert method == "HEAD" or "We can’t reach our records" in page.text, f"{method} {address}"
            partial = FlaskClient.open(client, address, method=method, data=data, headers=HTMX)
            assert partial.status_code == 503, f"{method} {address}"
            assert partial.headers["HX-Retarget"] == "#notice", f"{method} {address}"
    finally:
        come_back()
    assert knock(client, "GET", "/desk/account") == 200
