"""Passkeys at the desk: signing in with them, adding them, and removing them."""

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_security.webauthn import WebAuthnDeleteForm
from sqlalchemy import select

from campaign.models.account import Account, Role
from campaign.models.audit_log import Record
from campaign.storage.database import db
from tests.desk.conftest import AtDeskAs
from tests.desk.passkeys import (
    Key,
    add_passkey,
    ask_for_new,
    begin_first_passkey,
    choose_first_passkey,
    count_passkeys,
    hand_over,
    sign_in_with_first_passkey,
    use_passkey,
)
from tests.desk.people import (
    PASSWORD,
    AtDesk,
    Person,
    accept,
    browser,
    copy_browser,
    enter_code,
    enter_password,
    invitation,
    is_in,
    make_password_stale,
    set_up_app,
    token_of,
)


@pytest.mark.slow
def test_first_passkey_is_recorded_and_signs_in(app: Flask, newcomer: str) -> None:
    key = Key()
    sign_in_with_first_passkey(app, key)
    entry = db.session.scalars(select(Record).order_by(Record.id.desc())).first()
    assert entry
    assert (entry.action, entry.actor) == ("account.passkey_add", newcomer)
    client = browser(app)
    assert enter_password(client, newcomer).location.startswith("/desk/sign-in/passkey")
    assert not is_in(client)
    assert use_passkey(client, key).location == "/desk/arrive"
    assert is_in(client)


@pytest.mark.slow
def test_second_factor_is_chosen_with_one_press_or_replaced_by_a_recovery_code(app: Flask, at_desk: AtDeskAs) -> None:
    key, client = Key(), at_desk(Role.ORGANIZER)
    add_passkey(client, key)
    email = db.session.scalars(select(Account.email)).one()
    page = client.post("/desk/account/recovery-codes", data={"generate_new_codes": "y"}).text
    codes = re.findall(r"<li><code>([^<]+)", page)
    again = browser(app)
    choice = enter_password(again, email).location
    page = again.get(choice).text
    assert set(re.findall(r'<button name="which" value="(\w+)"', page)) == {"webauthn", "authenticator"}
    assert 'href="/desk/sign-in/recovery-code' in page
    form = {"csrf_token": token_of(page), "which": "webauthn"}
    passkey = FlaskClient.post(again, choice, data=form).location
    assert "data-send-at-once" in again.get(passkey).text
    assert use_passkey(again, key).location == "/desk/arrive"
    other = browser(app)
    enter_password(other, email)
    other.get("/desk/sign-in/second-factor")
    page = other.get("/desk/sign-in/recovery-code").text
    form = {"csrf_token": token_of(page), "code": codes[0]}
    assert FlaskClient.post(other, "/desk/sign-in/recovery-code", data=form).location == "/desk/arrive"
    assert is_in(other)


def test_failed_passkey_is_not_requested_again_without_a_press(app: Flask, newcomer: str) -> None:
    sign_in_with_first_passkey(app, Key())
    client = browser(app)
    enter_password(client, newcomer)
    failed = use_passkey(client, Key())
    assert failed.location.startswith("/desk/sign-in/passkey")
    page = client.get(failed.location).text
    assert "data-send-at-once" not in page
    assert "Use passkey" in page


def change_password(client: AtDesk) -> str:
    new = "another long password"
    form = {"password": PASSWORD, "new_password": new, "new_password_confirm": new}
    return str(client.post("/desk/account/password", data=form).location)


def test_removing_two_passkeys_at_once_leaves_one(app: Flask, newcomer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = sign_in_with_first_passkey(app, Key())
    add_passkey(client, Key(), "other")
    token, together, validate = client.token(), Barrier(2), WebAuthnDeleteForm.validate

    def wait(form: WebAuthnDeleteForm, **options: Any) -> bool:
        found = bool(validate(form, **options))
        together.wait(10)
        return found

    monkeypatch.setattr(WebAuthnDeleteForm, "validate", wait)

    def remove(browser: AtDesk, name: str) -> None:
        form = {"csrf_token": token, "name": name}
        FlaskClient.post(browser, "/desk/account/passkeys/remove", data=form)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(remove, [copy_browser(app, client), copy_browser(app, client)], ["mine", "other"]))
    assert count_passkeys() == 1


@pytest.mark.slow
def test_passkey_request_from_before_a_new_sign_in_is_refused(app: Flask, newcomer: str) -> None:
    client = begin_first_passkey(app)
    question = ask_for_new(client)
    enter_password(client, newcomer)
    hand_over(client, question, Key().make(question.options))
    assert not is_in(client)
    choose_first_passkey(client)
    add_passkey(client, Key())
    assert is_in(client)
    assert change_password(client) == "/desk/account"
    assert is_in(client)


@pytest.mark.slow
def test_password_can_be_changed_during_setup_of_another_app(app: Flask, newcomer: str) -> None:
    client = browser(app)
    enter_password(client, newcomer)
    set_up_app(client, Person(newcomer))
    add_passkey(client, Key())
    client.post("/desk/account/app", data={"setup": "authenticator"})
    assert change_password(client) == "/desk/account"
    assert is_in(client)


@pytest.mark.slow
def test_passkey_of_another_account_is_refused(app: Flask, newcomer: str) -> None:
    owner, mallory = Key(), Key()
    sign_in_with_first_passkey(app, owner)
    accept(browser(app), invitation(app, "mallory@example.org", "observer"))
    add_passkey(begin_first_passkey(app, "mallory@example.org"), mallory)
    for email, key in ((newcomer, mallory), ("mallory@example.org", owner)):
        client = browser(app)
        enter_password(client, email)
        assert use_passkey(client, key).status_code == 403
        assert not is_in(client)


@pytest.mark.slow
def test_account_with_only_a_passkey_accepts_no_code(app: Flask, newcomer: str) -> None:
    sign_in_with_first_passkey(app, Key())
    client = browser(app)
    enter_password(client, newcomer)
    for code in ("", "000000"):
        enter_code(client, code)
        assert not is_in(client)


@pytest.mark.parametrize("method", ["disable", "email", "sms", "none", ""])
@pytest.mark.slow
def test_last_second_factor_cannot_be_removed(app: Flask, newcomer: str, method: str) -> None:
    client = sign_in_with_first_passkey(app, Key())
    assert client.post("/desk/account/app", data={"setup": method}).status_code == 422
    client.post("/desk/account/passkeys/remove", data={"name": "mine"})
    client.post("/desk/account/passkeys/remove", data={"name": " mine "})
    assert count_passkeys() == 1
    unfinished = browser(app)
    enter_password(unfinished, newcomer)
    assert unfinished.get("/desk/account/app").location == "/desk/sign-in"


@pytest.mark.slow
def test_adding_a_passkey_needs_a_recent_password(app: Flask, newcomer: str, at_desk: AtDeskAs) -> None:
    mallory = at_desk(Role.OBSERVER)
    client = sign_in_with_first_passkey(app, Key())
    token = client.token()
    make_password_stale(app, client)
    question = ask_for_new(mallory, "late")
    form = {"csrf_token": token, "credential": Key().make(question.options)}
    answer = FlaskClient.post(client, question.path, data=form)
    assert count_passkeys() == 1
    assert answer.location == "/desk/account/passkeys"
    assert "/desk/password-again" in client.get(answer.location).location


@pytest.mark.slow
def test_setting_up_an_app_needs_a_recent_password(app: Flask, newcomer: str, at_desk: AtDeskAs) -> None:
    mallory, theirs = at_desk(Role.OBSERVER), Person("mallory@example.org")
    client = sign_in_with_first_passkey(app, Key())
    token = client.token()
    make_password_stale(app, client)
    page = mallory.post("/desk/account/app", data={"setup": "authenticator"}).text
    path, key = re.search(r'<form action="([^"]+/app/[^"]+)"', page), re.search(r'<code id="key">([^<]+)', page)
    assert path
    assert key
    theirs.key = key[1].replace("-", "")
    answer = FlaskClient.post(client, path[1], data={"csrf_token": token, "code": theirs.code()})
    assert db.session.scalars(select(Account.tf_primary_method).where(Account.email == newcomer)).one() is None
    assert answer.location == "/desk/account/app"
    assert "/desk/password-again" in client.get(answer.location).location
