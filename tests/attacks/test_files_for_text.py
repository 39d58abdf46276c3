"""Attacks with files in fields where the desk expects text."""

from io import BytesIO

import pytest
from flask import Flask
from flask.testing import FlaskClient

from campaign.models.account import Role
from tests.desk.conftest import AtDeskAs
from tests.desk.people import browser, token_of

FORMS = {
    "/desk/accounts": ("email", "role"),
    "/desk/account/password": ("password",),
    "/desk/account/sessions": ("session",),
    "/desk/campaigns/new": ("title", "opens_at", "version"),
    "/desk/campaigns/preview": ("title",),
}
"""Forms for signed-in users, and some of their fields."""


def _file() -> tuple[BytesIO, str]:
    return BytesIO(b"not a text"), "file.txt"


@pytest.mark.parametrize(("path", "field"), [(path, field) for path, fields in FORMS.items() for field in fields])
@pytest.mark.slow
def test_file_in_a_text_field_is_refused(at_desk: AtDeskAs, path: str, field: str) -> None:
    client = at_desk(Role.ADMIN)
    answer = client.post(path, data={field: _file()}, content_type="multipart/form-data")
    assert answer.status_code == 400


@pytest.mark.parametrize("field", ["email", "password", "next", "csrf_token"])
def test_file_at_sign_in_is_refused(app: Flask, field: str) -> None:
    client = browser(app)
    form = {"csrf_token": token_of(client.get("/desk/sign-in").text), "email": "a@example.org", "password": "wrong"}
    answer = FlaskClient.post(client, "/desk/sign-in", data=form | {field: _file()}, content_type="multipart/form-data")
    assert answer.status_code == 400


def test_empty_picture_field_is_accepted(at_desk: AtDeskAs) -> None:
    # If no picture was chosen, browsers send the field with an empty file name.
    form = {"title": "", "picture": (BytesIO(b""), "")}
    answer = at_desk(Role.ADMIN).post("/desk/campaigns/new", data=form, content_type="multipart/form-data")
    assert answer.status_code == 422
