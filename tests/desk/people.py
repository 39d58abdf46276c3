"""Helpers for users of the desk: invited by the command, signed in by the forms, with an authenticator app."""

import re
import time
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from typing import Any

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from passlib.totp import TOTP
from sqlalchemy import select
from werkzeug.test import TestResponse

from campaign.models.account import DeskSession
from campaign.storage.transactions import write_transaction
from tests.conftest import Visitor

PASSWORD = "correct horse battery"  # noqa: S105 (used only in tests)


class AtDesk(Visitor):
    """A browser at the desk that sends the page's CSRF token with each form."""

    def token(self) -> str:
        """Return a CSRF token from the account page."""
        return token_of(self.get("/desk/account").text)

    def post(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send a form with a CSRF token, unless `csrf_token` is among its data."""
        data = kwargs.get("data") or {}
        if isinstance(data, dict) and "csrf_token" not in data:
            kwargs["data"] = {"csrf_token": self.token(), **data}
        return super().post(*args, **kwargs)


def token_of(page: str) -> str:
    """Return the CSRF token in a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, page
    return found[1]


@dataclass
class Person:
    """A user with an account and an authenticator app."""

    email: str
    key: str = ""
    """The secret in their authenticator app, in base32."""
    used: set[str] = field(default_factory=set)

    def code(self) -> str:
        """Return an unused code: the previous one, the current one, or the next one. Each code works once."""
        totp = TOTP(key=self.key, format="base32")
        if (left := 30 - time.time() % 30) < 3:
            # Wait for the next half minute, because this one's codes could expire before they arrive.
            time.sleep(left)
        for ahead in (-30, 0, 30):
            code = str(totp.generate(time=int(time.time()) + ahead).token)
            if code not in self.used:
                self.used.add(code)
                return code
        raise AssertionError("no code is left for this half minute")


def invitation(app: Flask, email: str, role: str) -> str:
    """Return the path of the invitation link that the command prints."""
    result = app.test_cli_runner().invoke(args=["organizers", "invite", email, "--role", str(role)])
    assert result.exit_code == 0, result.output
    return "/" + result.output.strip().split("/", 3)[3]


def browser(app: Flask) -> AtDesk:
    """Return a new browser without cookies."""
    return AtDesk(app, app.response_class, use_cookies=True)


def accept(client: FlaskClient, link: str, password: str = PASSWORD, again: str | None = None) -> TestResponse:
    """Accept an invitation. `again` confirms the password, by default in the same spelling."""
    token = token_of(client.get(link).text)
    form = {"csrf_token": token, "name": "Grace Hopper", "password": password, "again": again or password}
    return FlaskClient.post(client, link, data=form)


def enter_password(client: FlaskClient, email: str, password: str = PASSWORD, **fields: str) -> TestResponse:
    """Fill in the sign-in form."""
    token = token_of(client.get("/desk/sign-in").text)
    form = {"csrf_token": token, "email": email, "password": password} | fields
    return FlaskClient.post(client, "/desk/sign-in", data=form)


def set_up_app(client: FlaskClient, person: Person) -> TestResponse:
    """Set up an authenticator app with its first code, after the first password."""
    token = token_of(client.get("/desk/account/app").text)
    page = FlaskClient.post(client, "/desk/account/app", data={"csrf_token": token, "setup": "authenticator"}).text
    found = re.search(r'<code id="key">([^<]+)</code>', page)
    assert found, page
    person.key = unescape(found[1]).replace("-", "").replace(" ", "")
    return enter_code(client, person.code(), token_of(page))


def enter_code(client: FlaskClient, code: str, token: str = "") -> TestResponse:
    """Enter a code from the authenticator app."""
    token = token or token_of(client.get("/desk/sign-in/code").text)
    return FlaskClient.post(client, "/desk/sign-in/code", data={"csrf_token": token, "code": code})


def sign_in(client: FlaskClient, person: Person) -> None:
    """Sign in with password and code."""
    answer = enter_password(client, person.email)
    assert answer.status_code == 302, answer.text
    answer = enter_code(client, person.code())
    assert answer.location.endswith("/desk/arrive"), answer.text


def is_in(client: AtDesk) -> bool:
    """Return whether this browser is signed in."""
    return client.get("/desk/account").status_code == 200


def later(by: timedelta) -> None:
    """Move the start and last use of all sessions into the past, as if time had passed."""
    with write_transaction() as session:
        for each in session.scalars(select(DeskSession)):
            each.seen_at -= by
            each.began_at -= by


def copy_browser(app: Flask, client: AtDesk) -> AtDesk:
    """Return another browser with a copy of this one's cookie."""
    other, cookie = browser(app), client.get_cookie("desk", path="/desk")
    assert cookie
    other.set_cookie("desk", cookie.value, path="/desk", secure=True)
    return other


def make_password_stale(app: Flask, client: AtDesk) -> None:
    """Change the cookie as if the password was entered an hour ago."""
    desk: Flask = app.extensions["desk"].app
    cookies = SecureCookieSessionInterface().get_signing_serializer(desk)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookies
    assert cookie
    session = cookies.loads(cookie.value)
    session["fs_paa"] -= 3600
    session.pop("fs_gexp", None)
    client.set_cookie("desk", cookies.dumps(session), path="/desk", secure=True)
