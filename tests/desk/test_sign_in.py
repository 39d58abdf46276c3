"""Getting in at the desk: by invitation, password and second factor, and in no other way."""

from flask import Flask

from campaign.desk_models import Role
from tests.desk.conftest import AtDeskAs


def test_who_is_invited_sets_a_password_and_an_app_and_is_in(app: Flask, at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ADMIN)
    page = client.get("/desk/account")
    assert page.status_code == 200
    assert "Grace Hopper" in page.text
