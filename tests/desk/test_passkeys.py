"""Passkeys at the desk: the first one takes the place of an app, and the password alone is good for nothing else."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import webauthn
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from flask_security.webauthn import WebAuthnDeleteForm
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from campaign.desk.security import CodeForm
from campaign.desk_models import Account, DeskSession, Passkey, Record, Role
from campaign.extensions import db
from campaign.models import Campaign
from tests.desk.conftest import AtDeskAs
from tests.desk.passkeys import Key, add_passkey, ask_for_new, hand_over, use_passkey
from tests.desk.people import (
    PASSWORD,
    AtDesk,
    Person,
    accept,
    browser,
    enter_code,
    enter_password,
    invitation,
    is_in,
    set_up_app,
    token_of,
)
from tests.desk.test_door import routes

Invited = Callable[[Role], Person]
EMAIL = "grace@example.org"


@pytest.fixture
def newcomer(app: Flask) -> str:
    """Somebody who has accepted, and no second factor yet."""
    accept(browser(app), invitation(app, EMAIL, "admin"))
    return EMAIL


def about_to_add(app: Flask, email: str = EMAIL) -> AtDesk:
    """A browser in which a newcomer has chosen a passkey in place of an app."""
    client = browser(app)
    assert enter_password(client, email).location == "/desk/account/app"
    choose_passkey(client)
    return client


def choose_passkey(client: FlaskClient) -> str:
    token = token_of(client.get("/desk/account/app").text)
    return str(FlaskClient.post(client, "/desk/account/first-passkey", data={"csrf_token": token}).location)


def with_only_a_passkey(app: Flask, key: Key) -> AtDesk:
    client = about_to_add(app)
    assert add_passkey(client, key).location == "/desk/account/passkey-added"
    assert is_in(client)
    return client


def copy(app: Flask, client: AtDesk) -> AtDesk:
    """Another browser with a copy of the cookie."""
    other, cookie = browser(app), client.get_cookie("desk", path="/desk")
    assert cookie
    other.set_cookie("desk", cookie.value, path="/desk", secure=True)
    return other


def passkeys() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Passkey)) or 0


def lose(monkeypatch: pytest.MonkeyPatch, *, stored: bool) -> None:
    """The next time that something is stored at the desk, the database goes away: just before, or before it says so."""
    commit = db.session.commit

    def fail() -> None:
        monkeypatch.setattr(db.session, "commit", commit)
        if stored:
            commit()
        raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))

    monkeypatch.setattr(db.session, "commit", fail)


def change_password(client: AtDesk) -> str:
    new = "another long password"
    form = {"password": PASSWORD, "new_password": new, "new_password_confirm": new}
    return str(client.post("/desk/account/password", data=form).location)


def test_the_first_passkey_is_recorded_and_signs_in(app: Flask, newcomer: str) -> None:
    key = Key()
    with_only_a_passkey(app, key)
    entry = db.session.scalars(select(Record).order_by(Record.id.desc())).first()
    assert entry
    assert (entry.action, entry.actor) == ("account.passkey_add", newcomer)
    client = browser(app)
    assert enter_password(client, newcomer).location.startswith("/desk/sign-in/passkey")
    assert not is_in(client)
    assert use_passkey(client, key).location == "/desk/arrive"
    assert is_in(client)


def test_who_could_not_store_their_first_passkey_is_not_in(
    app: Flask, newcomer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = about_to_add(app)
    question = ask_for_new(client)
    lose(monkeypatch, stored=False)
    assert hand_over(client, question, Key().make(question.options)).status_code >= 500
    assert passkeys() == 0
    assert not is_in(client)
    assert add_passkey(client, Key()).location == "/desk/account/passkey-added"
    assert is_in(client)


def test_nobody_is_in_by_the_password_alone_where_the_database_did_not_say_that_it_has_stored_their_session(
    app: Flask, newcomer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browser(app)
    enter_password(client, newcomer)
    token = token_of(client.get("/desk/account/app").text)
    lose(monkeypatch, stored=True)
    answer = FlaskClient.post(client, "/desk/account/first-passkey", data={"csrf_token": token})
    assert answer.status_code == 503
    assert not is_in(client)


def test_of_two_passkeys_that_are_removed_at_once_one_stays(
    app: Flask, newcomer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = with_only_a_passkey(app, Key())
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
        list(threads.map(remove, [copy(app, client), copy(app, client)], ["mine", "other"]))
    assert passkeys() == 1


@pytest.mark.parametrize("other", ["passkey", "app"])
def test_of_two_who_set_up_the_first_second_factor_at_once_one_is_let_in(
    app: Flask, newcomer: str, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    both = [about_to_add(app), browser(app)]
    enter_password(both[1], newcomer)
    if other == "passkey":
        choose_passkey(both[1])
    questions = {client: ask_for_new(client) for client in both[: 1 + (other == "passkey")]}
    together = Barrier(2)
    verify, validate = webauthn.verify_registration_response, CodeForm.validate

    def wait_for_key(**options: Any) -> Any:
        together.wait(10)
        return verify(**options)

    def wait_for_code(form: CodeForm, **options: Any) -> bool:
        found = validate(form, **options)
        together.wait(10)
        return found

    monkeypatch.setattr(webauthn, "verify_registration_response", wait_for_key)
    monkeypatch.setattr(CodeForm, "validate", wait_for_code)

    def set_up(client: AtDesk) -> None:
        if asked := questions.get(client):
            hand_over(client, asked, Key().make(asked.options))
        else:
            set_up_app(client, Person(newcomer))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(set_up, both))
    apps = db.session.scalars(select(Account.tf_primary_method)).one() is not None
    assert apps + passkeys() == 1
    assert sorted(map(is_in, both)) == [False, True]


def test_who_began_to_sign_in_again_before_the_passkey_was_there_can_change_their_password(
    app: Flask, newcomer: str
) -> None:
    client = about_to_add(app)
    question = ask_for_new(client)
    enter_password(client, newcomer)
    hand_over(client, question, Key().make(question.options))
    assert is_in(client)
    assert change_password(client) == "/desk/account"
    assert is_in(client)


def test_who_has_begun_to_set_up_another_app_can_change_their_password(app: Flask, newcomer: str) -> None:
    client = browser(app)
    enter_password(client, newcomer)
    set_up_app(client, Person(newcomer))
    add_passkey(client, Key())
    client.post("/desk/account/app", data={"setup": "authenticator"})
    assert change_password(client) == "/desk/account"
    assert is_in(client)


def test_copies_of_cookies_from_before_the_first_passkey_are_good_for_nothing(app: Flask, newcomer: str) -> None:
    begun = browser(app)
    enter_password(begun, newcomer)
    token = token_of(begun.get("/desk/account/app").text)
    client, other = about_to_add(app), about_to_add(app)
    late, question = ask_for_new(other, "late"), ask_for_new(client)
    same = copy(app, client)
    hand_over(client, question, Key().make(question.options))
    for form in ({"setup": "authenticator"}, {}):
        address = "app" if form else "first-passkey"
        answer = FlaskClient.post(copy(app, begun), f"/desk/account/{address}", data={"csrf_token": token} | form)
        assert answer.location == "/desk/sign-in", address
    for thief in (copy(app, same), copy(app, other)):
        assert thief.get("/desk/account/passkeys").location.startswith("/desk/sign-in")
        assert not is_in(thief)
    for thief in (same, other):
        hand_over(thief, late, Key().make(late.options))
        assert not is_in(thief)
    assert passkeys() == 1


def test_only_the_passkey_of_whose_password_was_right_lets_in(app: Flask, newcomer: str) -> None:
    owner, mallory = Key(), Key()
    with_only_a_passkey(app, owner)
    accept(browser(app), invitation(app, "mallory@example.org", "observer"))
    add_passkey(about_to_add(app, "mallory@example.org"), mallory)
    for email, key in ((newcomer, mallory), ("mallory@example.org", owner)):
        client = browser(app)
        enter_password(client, email)
        assert use_passkey(client, key).status_code == 403
        assert not is_in(client)


def test_who_has_only_a_passkey_is_let_in_by_no_code(app: Flask, newcomer: str) -> None:
    with_only_a_passkey(app, Key())
    client = browser(app)
    enter_password(client, newcomer)
    for code in ("", "000000"):
        enter_code(client, code)
        assert not is_in(client)


@pytest.mark.parametrize("method", ["disable", "email", "sms", "none", ""])
def test_nobody_can_be_without_a_second_factor(app: Flask, newcomer: str, method: str) -> None:
    client = with_only_a_passkey(app, Key())
    assert client.post("/desk/account/app", data={"setup": method}).status_code == 422
    client.post("/desk/account/passkeys/remove", data={"name": "mine"})
    client.post("/desk/account/passkeys/remove", data={"name": " mine "})
    assert passkeys() == 1
    begun = browser(app)
    enter_password(begun, newcomer)
    assert begun.get("/desk/account/app").location == "/desk/sign-in"


def stale(app: Flask, client: AtDesk) -> None:
    """As if they had entered their password an hour ago."""
    desk: Flask = app.extensions["desk"].app
    cookies = SecureCookieSessionInterface().get_signing_serializer(desk)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookies
    assert cookie
    session = cookies.loads(cookie.value)
    session["fs_paa"] -= 3600
    session.pop("fs_gexp", None)
    client.set_cookie("desk", cookies.dumps(session), path="/desk", secure=True)


def test_a_passkey_is_added_by_nobody_who_has_not_entered_their_password_lately(
    app: Flask, newcomer: str, at_desk: AtDeskAs
) -> None:
    mallory = at_desk(Role.OBSERVER)
    client = with_only_a_passkey(app, Key())
    token = client.token()
    stale(app, client)
    question = ask_for_new(mallory, "late")
    form = {"csrf_token": token, "credential": Key().make(question.options)}
    answer = FlaskClient.post(client, question.address, data=form)
    assert passkeys() == 1
    assert answer.location == "/desk/account/passkeys"
    assert "/desk/password-again" in client.get(answer.location).location


def test_an_app_is_set_up_by_nobody_who_has_not_entered_their_password_lately(
    app: Flask, newcomer: str, at_desk: AtDeskAs
) -> None:
    mallory, theirs = at_desk(Role.OBSERVER), Person("mallory@example.org")
    client = with_only_a_passkey(app, Key())
    token = client.token()
    stale(app, client)
    page = mallory.post("/desk/account/app", data={"setup": "authenticator"}).text
    address, key = re.search(r'<form action="([^"]+/app/[^"]+)"', page), re.search(r'<code id="key">([^<]+)', page)
    assert address
    assert key
    theirs.key = key[1].replace("-", "")
    answer = FlaskClient.post(client, address[1], data={"csrf_token": token, "code": theirs.code()})
    assert db.session.scalars(select(Account.tf_primary_method).where(Account.email == newcomer)).one() is None
    assert answer.location == "/desk/account/app"
    assert "/desk/password-again" in client.get(answer.location).location


@pytest.mark.parametrize("factor", ["app", "passkey"])
def test_whoever_has_begun_by_the_password_alone_is_signed_in_nowhere_once_there_is_a_second_factor(
    app: Flask, newcomer: str, factor: str
) -> None:
    about_to_add(app)
    if factor == "app":
        client = about_to_add(app)
        enter_password(client, newcomer)
        set_up_app(client, Person(newcomer))
    else:
        client = with_only_a_passkey(app, Key())
    assert is_in(client)
    assert db.session.scalar(select(func.count()).select_from(DeskSession)) == 1


def test_the_leave_to_add_a_passkey_opens_nothing_else(app: Flask, newcomer: str, campaign: Campaign) -> None:
    client = about_to_add(app)
    token = token_of(client.get("/desk/account/passkeys").text)
    of_theirs = [f"/desk/account/{page}" for page in ("password", "recovery-codes", "app", "app/forged")]
    more = [(method, each) for method in ("GET", "POST") for each in ("/desk/password-again", *of_theirs)]
    for method, address in [(method, address) for method, address, _ in routes(app)] + more:
        if address.endswith("app/forged") and method == "GET":
            continue
        form = {"csrf_token": token, "password": PASSWORD, "setup": "authenticator", "generate_new_codes": "y"}
        answer = FlaskClient.open(client, address, method=method, data=form if method == "POST" else None)
        assert answer.status_code in (302, 401), f"{method} {address}"
        assert answer.status_code == 401 or answer.location.startswith("/desk/sign-in"), f"{method} {address}"
    FlaskClient.post(client, "/desk/account/passkeys/remove", data={"csrf_token": token, "name": "mine"})
    assert not is_in(client)
    assert client.get("/desk/account/passkeys").status_code == 200


@pytest.mark.parametrize("change", [{"role": "observer", "active": "y"}, {"role": "admin"}, None], ids=str)
def test_what_ends_sessions_ends_the_leave_to_add_a_passkey(
    app: Flask, newcomer: str, at_desk: AtDeskAs, change: dict[str, str] | None
) -> None:
    begun = browser(app)
    enter_password(begun, newcomer)
    token = token_of(begun.get("/desk/account/app").text)
    client = about_to_add(app)
    question = ask_for_new(client)
    if change:
        at_desk(Role.ADMIN).post("/desk/accounts/1", data=change)
    else:
        invitation(app, newcomer, "admin")
    hand_over(client, question, Key().make(question.options))
    assert passkeys() == 0
    assert not is_in(client)
    if change != {"role": "observer", "active": "y"}:
        # A changed role leaves them who they are.
        answer = FlaskClient.post(begun, "/desk/account/first-passkey", data={"csrf_token": token})
        assert answer.location == "/desk/sign-in"


@pytest.mark.parametrize(
    ("headers", "token", "status"),
    [({"Sec-Fetch-Site": "cross-site"}, True, 403), ({"Origin": "https://evil.example"}, True, 403), ({}, False, 400)],
    ids=str,
)
def test_another_sites_page_can_choose_a_passkey_for_nobody(
    app: Flask, newcomer: str, headers: dict[str, str], token: bool, status: int
) -> None:
    client = browser(app)
    enter_password(client, newcomer)
    form = {"csrf_token": token_of(client.get("/desk/account/app").text)} if token else {}
    answer = FlaskClient.post(client, "/desk/account/first-passkey", data=form, headers=headers)
    assert answer.status_code == status
    assert client.get("/desk/account/app").status_code == 200


def test_a_copied_cookie_begins_no_sessions_without_end(app: Flask, newcomer: str) -> None:
    begun = browser(app)
    enter_password(begun, newcomer)
    form = {"csrf_token": token_of(begun.get("/desk/account/app").text)}
    answers = [FlaskClient.post(copy(app, begun), "/desk/account/first-passkey", data=form) for _ in range(16)]
    assert [answer.status_code for answer in answers[:14]] == [303] * 14
    assert answers[-1].status_code == 429
