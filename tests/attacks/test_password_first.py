"""Changing accounts needs a recent password, so that an unattended browser of an admin isn't enough."""

import re
import time
from collections.abc import Callable
from html import unescape

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from sqlalchemy import func, select

from campaign.accounts import sign_in_log
from campaign.models.account import Account, Role
from campaign.models.audit_log import Record
from campaign.storage.database import db
from tests.desk.conftest import AtDeskAs
from tests.desk.people import PASSWORD, AtDesk, Person, browser, is_in, make_password_stale, sign_in, token_of

Invited = Callable[[Role], Person]

CHANGES = {
    "invite again": ("accounts", {"role": "observer", "again": "y"}),
    "invite an admin": ("accounts", {"email": "new@example.org", "role": "admin"}),
    "invite an observer": ("accounts", {"email": "new@example.org", "role": "observer"}),
    "make an admin": ("accounts/{id}", {"role": "admin", "active": "y"}),
    "close": ("accounts/{id}", {"role": "observer"}),
}
"""The changes of accounts: path and form."""


def _form_for(person: Person, change: str) -> tuple[str, dict[str, str]]:
    """Return the path and the form that change the person's account."""
    account = db.session.scalars(select(Account.id).where(Account.email == person.email)).one()
    path, fields = CHANGES[change]
    return f"/desk/{path.format(id=account)}", {"email": person.email} | fields


def _state() -> tuple[list[tuple[object, ...]], int]:
    db.session.rollback()
    accounts = db.session.execute(
        select(Account.email, Account.role, Account.active, Account.password, Account.fs_uniquifier).order_by(
            Account.id
        )
    )
    # Entries about wrong passwords don't count as changes.
    changes = select(func.count()).select_from(Record).where(Record.action != sign_in_log.FAILED)
    return [tuple(row) for row in accounts], db.session.scalar(changes) or 0


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.slow
def test_changing_accounts_needs_a_recent_password(
    app: Flask, at_desk: AtDeskAs, invited: Invited, change: str
) -> None:
    person, admin = invited(Role.OBSERVER), at_desk(Role.ADMIN)
    path, form = _form_for(person, change)
    make_password_stale(app, admin)
    before = _state()
    answer = admin.post(path, data=form)
    assert answer.status_code == 401
    assert _state() == before
    # The response contains the form, so that it can be sent again after the password.
    kept = {unescape(name): unescape(value) for name, value in _hidden(answer.text)}
    assert kept.items() >= form.items()
    assert admin.post("/desk/password-again", data={"password": PASSWORD}).status_code == 302
    again = admin.post(path, data=kept | {"csrf_token": admin.token()})
    assert again.status_code in (200, 303), again.text
    assert _state() != before


def _hidden(page: str) -> list[tuple[str, str]]:
    return re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)


@pytest.mark.parametrize("path", ["accounts", "accounts/1"])
def test_account_pages_ask_for_the_password_and_return(app: Flask, at_desk: AtDeskAs, path: str) -> None:
    admin = at_desk(Role.ADMIN)
    assert admin.get(f"/desk/{path}").status_code == 200
    make_password_stale(app, admin)
    answer = admin.get(f"/desk/{path}")
    assert answer.location == f"/desk/password-again?next=/desk/{path}"
    page = admin.get(answer.location)
    action = re.search(r'<form action="([^"]+)"[^>]*novalidate', page.text)
    assert action
    form = {"csrf_token": token_of(page.text), "password": PASSWORD}
    assert admin.post(unescape(action[1]), data=form).location == f"/desk/{path}"
    assert admin.get(f"/desk/{path}").status_code == 200


@pytest.mark.slow
def test_wrong_password_changes_nothing(app: Flask, at_desk: AtDeskAs, invited: Invited) -> None:
    person, admin = invited(Role.OBSERVER), at_desk(Role.ADMIN)
    make_password_stale(app, admin)
    path, form = _form_for(person, "close")
    before = _state()
    assert admin.post("/desk/password-again", data={"password": "wrong password"}).status_code == 422
    assert admin.post(path, data=form | {"password": PASSWORD}).status_code == 401
    assert _state() == before


@pytest.mark.slow
def test_other_roles_are_refused_without_asking_for_a_password(app: Flask, at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ORGANIZER)
    make_password_stale(app, client)
    assert client.get("/desk/accounts").status_code == 403


@pytest.mark.slow
def test_admin_stays_signed_in_when_the_password_is_no_longer_recent(app: Flask, invited: Invited) -> None:
    person, admin = invited(Role.ADMIN), browser(app)
    sign_in(admin, person)
    make_password_stale(app, admin)
    assert is_in(admin)
    assert admin.get("/desk/").status_code == 200


@pytest.mark.slow
def test_opening_pages_does_not_extend_the_recent_password(app: Flask, at_desk: AtDeskAs) -> None:
    admin = at_desk(Role.ADMIN)
    for minutes in (29, 37):
        age_password(app, admin, minutes)
        assert admin.get("/desk/accounts").status_code == 200
    age_password(app, admin, 41)
    assert admin.get("/desk/accounts").location == "/desk/password-again?next=/desk/accounts"


def age_password(app: Flask, client: AtDesk, minutes: int) -> None:
    """Change the cookie as if the password was entered some minutes ago, and a page opened just now."""
    cookies = SecureCookieSessionInterface().get_signing_serializer(app.extensions["desk"].app)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookies
    assert cookie
    entered = time.time() - 60 * minutes
    session = cookies.loads(cookie.value) | {"fs_paa": entered}
    client.set_cookie("desk", cookies.dumps(session), path="/desk", secure=True)
