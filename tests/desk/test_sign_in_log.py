"""Sign-ins in the audit log and on the account page."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from campaign.accounts import sign_in_log
from campaign.models.account import Account, DeskSession, Role
from campaign.models.audit_log import Record
from campaign.storage.database import db
from tests.conftest import only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.people import browser, enter_code, enter_password, is_in, sign_in, token_of
from tests.desk.test_sign_in import Invited
from tests.desk.test_storage import Broken, broken
from tests.storage.test_storage import trouble

__all__ = ["broken", "trouble"]


def log_of(email: str) -> list[tuple[str, str]]:
    """Return an account's actions in the audit log with their factors, oldest first."""
    db.session.rollback()
    entries = db.session.scalars(select(Record).where(Record.actor == email).order_by(Record.id))
    return [(entry.action.removeprefix("account."), entry.after.get("factor", "")) for entry in entries]


@pytest.mark.slow
def test_sign_ins_failures_and_sign_outs_are_in_the_audit_log(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.MODERATOR), browser(app)
    before = len(log_of(person.email))
    enter_password(client, person.email, "a wrong password")
    enter_password(client, person.email)
    enter_code(client, "000000")
    assert enter_code(client, person.code()).status_code == 302
    token = token_of(client.get("/desk/account").text)
    FlaskClient.post(client, "/desk/sign-out", data={"csrf_token": token})
    assert not is_in(client)
    assert log_of(person.email)[before:] == [
        ("sign_in_failed", "password"),
        ("sign_in_failed", "authenticator app"),
        ("sign_in", "authenticator app"),
        ("sign_out", ""),
    ]


@pytest.mark.slow
def test_first_sign_in_is_in_the_audit_log(app: Flask, invited: Invited) -> None:
    assert ("sign_in", "authenticator app") in log_of(invited(Role.ADMIN).email)


@pytest.mark.slow
def test_account_page_lists_only_the_users_own_sign_ins(app: Flask, invited: Invited) -> None:
    person, other = invited(Role.OBSERVER), invited(Role.ADMIN)
    client = browser(app)
    client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"
    enter_password(client, person.email, "a wrong password")
    enter_password(browser(app), other.email, "a wrong password")
    sign_in(client, person)
    page = client.get("/desk/account").text.partition("Recent sign-ins")[2]
    assert re.search(r"Signed in: authenticator app<br><span[^>]*>[^<]*UTC, Firefox on Linux", page)
    assert page.count("Sign-in failed") == 1


@pytest.mark.slow
def test_ending_another_session_is_in_the_audit_log(app: Flask, invited: Invited) -> None:
    person, first, second = invited(Role.OBSERVER), browser(app), browser(app)
    sign_in(first, person)
    person.used.clear()
    with app.app_context():
        account = db.session.scalars(select(Account).where(Account.email == person.email)).one()
        account.totp_counter = None
        db.session.commit()
    sign_in(second, person)
    second.post("/desk/account/sessions")
    assert not is_in(first)
    assert log_of(person.email)[-1] == ("sign_out", "")


def test_wrong_password_of_signed_in_user_is_in_the_audit_log(app: Flask, at_desk: AtDeskAs) -> None:
    client = at_desk(Role.OBSERVER)
    for page in ("/desk/password-again", "/desk/account/password"):
        form = {"password": "a wrong password", "new_password": "x", "new_password_confirm": "y"}
        assert client.post(page, data=form).status_code == 422
    email = db.session.scalars(select(Account.email)).one()
    failed = [entry for entry in log_of(email) if entry[0] == "sign_in_failed"]
    assert failed[-1:] == [("sign_in_failed", "password")]


def test_account_page_limits_the_number_of_entries(app: Flask, at_desk: AtDeskAs) -> None:
    client = at_desk(Role.OBSERVER)
    for _ in range(25):
        account = db.session.scalars(select(Account)).one()
        sign_in_log.note_sign_in(db.session(), account, "passkey", "Firefox", account.created_at, reserved=False)
        db.session.commit()
    assert client.get("/desk/account").text.count("Signed in: passkey") == 20


@only_sqlite
@pytest.mark.parametrize("trouble", ["locked", "read-only"], indirect=True)
@pytest.mark.slow
def test_sign_in_fails_while_the_audit_log_cannot_be_written(app: Flask, invited: Invited, broken: Broken) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    enter_password(client, person.email)
    token = token_of(client.get("/desk/sign-in/code").text)
    wrong = browser(app)
    sign_in_page = token_of(wrong.get("/desk/sign-in").text)
    with broken():
        assert enter_code(client, person.code(), token).status_code == 503
        form = {"csrf_token": sign_in_page, "email": person.email, "password": "a wrong password"}
        assert FlaskClient.post(wrong, "/desk/sign-in", data=form).status_code == 503
    assert not is_in(client)
    sessions = db.session.scalars(select(DeskSession)).all()
    assert len(sessions) == 1, "only the session of the setup"
