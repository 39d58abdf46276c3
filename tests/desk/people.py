"""Somebody at the desk, as tests play them: invited by the command, signed in by the forms, with an app for codes."""

import re
import time
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from passlib.totp import TOTP
from sqlalchemy import select
from werkzeug.test import TestResponse

from campaign.desk_models import DeskSession
from campaign.extensions import write_transaction
from tests.conftest import Visitor

PASSWORD = "correct horse battery"  # noqa: S105 (nobody has it)


class AtDesk(Visitor):
    """A browser at the desk, whose forms carry the token of the page that they stand on."""

    def token(self) -> str:
        """The CSRF token of a page."""
        return token_of(self.get("/desk/account").text)

    def post(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send a form, with the token in it, unless the test says otherwise by `csrf_token`."""
        data = kwargs.get("data") or {}
        if isinstance(data, dict) and "csrf_token" not in data:
            kwargs["data"] = {"csrf_token": self.token(), **data}
        return super().post(*args, **kwargs)


def token_of(page: str) -> str:
    """The CSRF token in a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, page
    return found[1]


@dataclass
class Person:
    """Who has an account."""

    email: str
    key: str = ""
    """What their authenticator app knows, in base32."""
    used: set[str] = field(default_factory=set)

    def code(self) -> str:
        """What the app shows: first the one before, then this one, then the next, for each is taken once."""
        totp = TOTP(key=self.key, format="base32")
        if (left := 30 - time.time() % 30) < 3:
            # It must still be good when it arrives.
            time.sleep(left)
        for ahead in (-30, 0, 30):
            code = str(totp.generate(time=int(time.time()) + ahead).token)
            if code not in self.used:
                self.used.add(code)
                return code
        raise AssertionError("no code is left for this half minute")


def invitation(app: Flask, email: str, role: str) -> str:
    """The path of an invitation's link, as the command prints it."""
    said = app.test_cli_runner().invoke(args=["organisers", "invite", email, "--role", str(role)])
    assert said.exit_code == 0, said.output
    return "/" + said.output.strip().split("/", 3)[3]


def browser(app: Flask) -> AtDesk:
    """A browser that nobody has signed in with."""
    return AtDesk(app, app.response_class, use_cookies=True)


def accept(client: FlaskClient, link: str, password: str = PASSWORD) -> TestResponse:
    """Accept an invitation."""
    token = token_of(client.get(link).text)
    form = {"csrf_token": token, "name": "Grace Hopper", "password": password, "again": password}
    return FlaskClient.post(client, link, data=form)


def enter_password(client: FlaskClient, email: str, password: str = PASSWORD, **fields: str) -> TestResponse:
    """Fill in the sign-in form."""
    token = token_of(client.get("/desk/sign-in").text)
    form = {"csrf_token": token, "email": email, "password": password} | fields
    return FlaskClient.post(client, "/desk/sign-in", data=form)


def set_up_app(client: FlaskClient, person: Person) -> TestResponse:
    """After the first password: let the authenticator app read the key, and type its first code."""
    token = token_of(client.get("/desk/account/app").text)
    page = FlaskClient.post(client, "/desk/account/app", data={"csrf_token": token, "setup": "authenticator"}).text
    found = re.search(r'<code id="key">([^<]+)</code>', page)
    assert found, page
    person.key = unescape(found[1]).replace("-", "").replace(" ", "")
    return enter_code(client, person.code(), token_of(page))


def enter_code(client: FlaskClient, code: str, token: str = "") -> TestResponse:
    """Type the six digits."""
    token = token or token_of(client.get("/desk/sign-in/code").text)
    return FlaskClient.post(client, "/desk/sign-in/code", data={"csrf_token": token, "code": code})


def sign_in(client: FlaskClient, person: Person) -> None:
    """The whole way in."""
    answer = enter_password(client, person.email)
    assert answer.status_code == 302, answer.text
    answer = enter_code(client, person.code())
    assert answer.location.endswith("/desk/arrive"), answer.text


def is_in(client: AtDesk) -> bool:
    """Whether somebody is signed in there."""
    return client.get("/desk/account").status_code == 200


def later(by: timedelta) -> None:
    """As if that much time had gone by since everybody last did something."""
    with write_transaction() as session:
        for each in session.scalars(select(DeskSession)):
            each.seen_at -= by
            each.began_at -= by
