"""Getting in at the desk: by invitation, password and second factor, and in no other way."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from sqlalchemy import select, update

from campaign.desk_models import Account, DeskSession, Record, Role
from campaign.extensions import db, write_transaction
from tests.desk.conftest import AtDeskAs
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
    sign_in,
    token_of,
)

Invited = Callable[[Role], Person]


def test_the_first_thing_shown_is_how_to_get_in_without_the_app(app: Flask, at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ORGANISER)
    assert client.get("/desk/arrive").location == "/desk/account/recovery-codes"
    page = client.post("/desk/account/recovery-codes", data={"generate_new_codes": "y"}).text
    assert len(re.findall(r"<li><code>", page)) == 10
    assert client.get("/desk/arrive").location == "/desk/"


def test_without_the_second_factor_nobody_is_in(app: Flask, invited: Invited) -> None:
    client = browser(app)
    assert enter_password(client, invited(Role.ADMIN).email).location.startswith("/desk/sign-in/code")
    assert not is_in(client)
    assert enter_code(client, "000000").status_code == 422
    assert not is_in(client)


def test_before_the_app_is_set_up_nobody_is_in(app: Flask) -> None:
    client = browser(app)
    accept(client, invitation(app, "grace@example.org", "admin"))
    assert enter_password(client, "grace@example.org").location == "/desk/account/app"
    assert not is_in(client)


def ask_for_first_passkey(client: AtDesk, page: str) -> str:
    """Press the button of the page on which the second factor is set up; where that leads."""
    return str(client.post("/desk/account/first-passkey", data={"csrf_token": token_of(page)}).location)


def test_who_adds_a_passkey_in_place_of_the_app_is_not_in_before_it_is_added(app: Flask) -> None:
    client, other = browser(app), browser(app)
    tokens = {}
    accept(client, invitation(app, "grace@example.org", "admin"))
    for each in (client, other):
        enter_password(each, "grace@example.org")
        assert ask_for_first_passkey(each, each.get("/desk/account/app").text) == "/desk/account/passkeys"
        tokens[each] = token_of(each.get("/desk/account/passkeys").text)
        assert not is_in(each)
    again = browser(app)
    enter_password(again, "grace@example.org")
    set_up_app(again, Person("grace@example.org"))
    assert is_in(again)
    # The password was enough for that while there was no second factor; now it is not, for whoever else has begun.
    for late in (client, other):
        form = {"csrf_token": tokens[late], "name": "mine", "usage": "secondary"}
        assert late.post("/desk/account/passkeys", data=form).location.startswith("/desk/sign-in")
        assert not is_in(late)


def test_nobody_gets_to_add_a_passkey_who_has_not_entered_the_password_or_has_an_app(
    app: Flask, invited: Invited
) -> None:
    person = invited(Role.ADMIN)
    client = browser(app)
    assert ask_for_first_passkey(client, client.get("/desk/sign-in").text) == "/desk/sign-in"
    enter_password(client, person.email)
    assert ask_for_first_passkey(client, client.get("/desk/sign-in/code").text) == "/desk/sign-in"
    assert client.get("/desk/account/passkeys").status_code == 302
    assert not is_in(client)


def test_looking_at_no_page_of_signing_in_signs_out(at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ADMIN)
    for page in ("", "/code", "/second-factor", "/recovery-code", "/passkey"):
        client.get(f"/desk/sign-in{page}")
        assert is_in(client), page


def test_there_is_no_way_in_by_email(app: Flask, invited: Invited) -> None:
    client = browser(app)
    enter_password(client, invited(Role.ADMIN).email)
    form = {"csrf_token": token_of(client.get("/desk/sign-in/code").text), "help_setup": "help"}
    assert client.post("/desk/tf-rescue", data=form).status_code == 404


def test_an_unknown_address_and_a_wrong_password_get_the_same_answer(app: Flask, invited: Invited) -> None:
    person, answers = invited(Role.ADMIN), []
    for email, password in ((person.email, "wrong password 1"), ("nobody@example.org", PASSWORD)):
        answer = enter_password(browser(app), email, password)
        assert "don’t belong together" in answer.text
        hidden = re.sub(r'value="[^"]*"|"X-CSRFToken": "[^"]*"', "", answer.text)
        answers.append((answer.status_code, hidden, [name for name, _ in answer.headers]))
    assert answers[0] == answers[1]


def test_a_code_is_taken_once(app: Flask, invited: Invited) -> None:
    person = invited(Role.ADMIN)
    code = person.code()
    first, second = browser(app), browser(app)
    for client in (first, second):
        enter_password(client, person.email)
    assert enter_code(first, code).location.endswith("/desk/arrive")
    assert "was used before" in enter_code(second, code).text
    assert not is_in(second)


def test_a_recovery_code_lets_in_once_and_only_after_the_password(
    app: Flask, at_desk: AtDeskAs, invited: Invited
) -> None:
    client, person = browser(app), invited(Role.ORGANISER)
    sign_in(client, person)
    page = client.post("/desk/account/recovery-codes", data={"generate_new_codes": "y"}).text
    code = re.findall(r"<li><code>([^<]+)", page)[0]
    assert browser(app).get("/desk/sign-in/recovery-code").location.startswith("/desk/sign-in")
    for expected in (True, False):
        other = browser(app)
        enter_password(other, person.email)
        token = token_of(other.get("/desk/sign-in/recovery-code").text)
        other.post("/desk/sign-in/recovery-code", data={"csrf_token": token, "code": code})
        assert is_in(other) is expected
    stored = db.session.scalars(select(Account).where(Account.email == person.email)).one()
    assert code not in str(stored.mf_recovery_codes)
    assert len(stored.mf_recovery_codes or []) == 9
    actions = db.session.scalars(select(Record.action).where(Record.account_id == stored.id)).all()
    assert actions.count("account.recovery_codes") == actions.count("account.recovery_code") == 1


def test_of_two_who_send_the_same_recovery_code_at_once_one_is_let_in(app: Flask, invited: Invited) -> None:
    client, person = browser(app), invited(Role.ORGANISER)
    sign_in(client, person)
    page = client.post("/desk/account/recovery-codes", data={"generate_new_codes": "y"}).text
    form = {"code": re.findall(r"<li><code>([^<]+)", page)[0]}
    both = [browser(app), browser(app)]
    for other in both:
        enter_password(other, person.email)
    tokens = [token_of(other.get("/desk/sign-in/recovery-code").text) for other in both]
    together = Barrier(2)

    def send(other: AtDesk, token: str) -> None:
        together.wait()
        other.post("/desk/sign-in/recovery-code", data=form | {"csrf_token": token})

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(send, both, tokens))
    assert sorted(map(is_in, both)) == [False, True]


@pytest.mark.parametrize("key", ["email", "code"])
def test_who_tries_too_often_must_wait(app: Flask, invited: Invited, key: str) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    if key == "code":
        enter_password(client, person.email)
        answers = [enter_code(client, f"00000{n % 10}") for n in range(16)]
    else:
        answers = [enter_password(client, person.email, f"wrong password {n}") for n in range(16)]
    assert [answer.status_code for answer in answers[:14]] == [422] * 14
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 60
    # Somebody else's account is not touched by it.
    assert enter_password(browser(app), "somebody-else@example.org").status_code == 422


def test_an_address_in_other_letters_gives_no_more_tries(app: Flask, invited: Invited) -> None:
    name = invited(Role.ADMIN).email.partition("@")[0]
    wide = [f"{'example'[:n]}{chr(ord('example'[n]) + 0xFEE0)}{'example'[n + 1 :]}.org" for n in range(7)]
    domains = ["example.org", "EXAMPLE.org", "example\u3002org", *wide] * 2
    answers = [enter_password(browser(app), f"{name}@{domain}", "wrong password") for domain in domains]
    assert [answer.status_code for answer in answers[14:]] == [429] * 6


@pytest.mark.parametrize("key", ["known", "unknown"])
def test_how_often_one_may_try_tells_nothing_of_an_address(app: Flask, invited: Invited, key: str) -> None:
    email = invited(Role.ADMIN).email if key == "known" else "nobody@example.org"
    answers = [enter_password(browser(app), email, "wrong password") for _ in range(17)]
    refused = [answer.status_code for answer in answers].index(429)
    # The set-up of who is known has signed in once.
    assert refused == (14 if key == "known" else 15)


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "////evil.example",
        "javascript:alert(1)",
        "\\\\evil.example",
    ],
)
def test_nobody_is_sent_elsewhere_after_signing_in(app: Flask, invited: Invited, wanted: str) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    token = token_of(client.get("/desk/sign-in", query_string={"next": wanted}).text)
    form = {"csrf_token": token, "email": person.email, "password": PASSWORD, "next": wanted}
    answer = client.post("/desk/sign-in", query_string={"next": wanted}, data=form)
    if answer.status_code == 422:
        assert not is_in(client)
        return
    token = token_of(client.get("/desk/sign-in/code").text)
    form = {"csrf_token": token, "code": person.code(), "next": wanted}
    answer = client.post("/desk/sign-in/code", query_string={"next": wanted}, data=form)
    assert answer.status_code == 302
    assert urlsplit(urljoin("http://localhost/desk/sign-in/code", answer.location)).netloc == "localhost"
    assert not re.match(r"[/\\\\]{2}", answer.location)


def test_one_arrives_where_one_wanted_to_go(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    answer = client.get("/desk/accounts")
    assert answer.location == "/desk/sign-in?next=/desk/accounts"
    form = {"csrf_token": token_of(client.get(answer.location).text), "email": person.email, "password": PASSWORD}
    answer = client.post(answer.location, data=form)
    page = client.get(answer.location).text
    action = re.search(r'<form action="([^"]+)"[^>]*novalidate', page)
    assert action
    answer = client.post(action[1], data={"csrf_token": token_of(page), "code": person.code()})
    assert answer.location == "/desk/accounts"


def test_one_arrives_there_with_a_recovery_code_as_well(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    sign_in(client, person)
    page = client.post("/desk/account/recovery-codes", data={"generate_new_codes": "y"}).text
    code = re.search(r"<li><code>([^<]+)</code>", page)
    client = browser(app)
    page = client.get(enter_password(client, person.email, next="/desk/accounts").location).text
    link = re.search(r'<a href="([^"]+)">Use a recovery code', page)
    assert code
    assert link
    page = client.get(link[1]).text
    action = re.search(r'<form action="([^"]+)"[^>]*novalidate', page)
    assert action
    answer = client.post(action[1], data={"csrf_token": token_of(page), "code": code[1]})
    assert answer.location == "/desk/accounts"


def test_the_password_is_asked_for_again_before_one_changes_how_one_signs_in(app: Flask, at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ORGANISER)
    assert client.get("/desk/account/app").status_code == 200
    desk: Flask = app.extensions["desk"].app
    cookies = SecureCookieSessionInterface().get_signing_serializer(desk)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookies
    assert cookie
    session = cookies.loads(cookie.value)
    session["fs_paa"] -= 3600
    session.pop("fs_gexp", None)
    client.set_cookie("desk", cookies.dumps(session), path="/desk")
    assert "/desk/password-again" in client.get("/desk/account/app").location


def test_the_last_admin_stays(at_desk: AtDeskAs) -> None:
    admin = at_desk(Role.ADMIN)
    for form in ({"role": "observer", "active": "y"}, {"role": "admin"}):
        answer = admin.post("/desk/accounts/1", data=form)
        assert answer.status_code == 422
        assert "Somebody must stay" in answer.text
    assert is_in(admin)


def test_no_secret_is_in_the_database_or_the_record(app: Flask, at_desk: AtDeskAs, invited: Invited) -> None:
    person = invited(Role.ADMIN)
    account = db.session.scalars(select(Account)).one()
    assert account.password
    assert account.password.startswith("$argon2id$")
    assert person.key not in (account.tf_totp_secret or "")
    digest = db.session.scalars(select(DeskSession.digest)).one()
    assert len(digest) == 64
    for entry in db.session.scalars(select(Record)):
        assert account.password not in str(entry.after)
        assert account.fs_uniquifier not in str(entry.after)


def test_the_record_can_only_be_added_to(app: Flask, at_desk: AtDeskAs) -> None:
    at_desk(Role.ADMIN)
    for statement in (update(Record).values(actor="nobody"), Record.__table__.delete()):  # type: ignore[attr-defined]
        with pytest.raises(Exception, match="only added to"), write_transaction() as session:
            session.execute(statement)
