"""Sign-in at the desk: password and second factor, recovery codes, rate limits, and redirects."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from threading import Barrier

import pytest
from flask import Flask
from flask.testing import FlaskClient
from passlib.totp import TOTP
from sqlalchemy import select, update

from campaign.models.account import Account, DeskSession, Role
from campaign.models.audit_log import Record
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import only_sqlite
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
    make_password_stale,
    set_up_app,
    sign_in,
    token_of,
)

Invited = Callable[[Role], Person]


@pytest.mark.slow
def test_first_sign_in_leads_to_recovery_codes(app: Flask, at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ORGANIZER)
    assert client.get("/desk/arrive").location == "/desk/account/recovery-codes"
    page = client.post("/desk/account/recovery-codes", data={"generate_new_codes": "y"}).text
    assert len(re.findall(r"<li><code>", page)) == 10
    assert client.get("/desk/arrive").location == "/desk/"


@pytest.mark.slow
def test_password_is_followed_by_second_factor_page(app: Flask, invited: Invited) -> None:
    client = browser(app)
    answer = enter_password(client, invited(Role.ADMIN).email)
    page = client.get(answer.location)
    assert page.status_code == 200, answer.location
    assert "Code" in page.text


@pytest.mark.slow
def test_app_setup_has_a_link_for_the_app_on_the_same_device(app: Flask) -> None:
    client, person = browser(app), Person("grace+desk@example.org")
    accept(client, invitation(app, person.email, Role.ADMIN))
    enter_password(client, person.email)
    form = {"csrf_token": token_of(client.get("/desk/account/app").text), "setup": "authenticator"}
    page = FlaskClient.post(client, "/desk/account/app", data=form).text
    for _ in range(2):
        [link] = re.findall(r'href="(otpauth:[^"]+)"', page)
        totp = TOTP.from_uri(unescape(link))
        assert (totp.label, totp.issuer) == (person.email, "Campaign")
        [key] = re.findall(r'<code id="key">([^<]+)</code>', page)
        assert totp.base32_key == key.replace("-", "")
        # After a wrong code, the same page appears again.
        page = enter_code(client, "000000", token_of(page)).text
    person.key = totp.base32_key
    enter_code(client, person.code(), token_of(page))
    assert is_in(client)


@pytest.mark.slow
def test_password_without_second_factor_does_not_sign_in(app: Flask, invited: Invited) -> None:
    client = browser(app)
    assert enter_password(client, invited(Role.ADMIN).email).location.startswith("/desk/sign-in/code")
    assert not is_in(client)
    assert enter_code(client, "000000").status_code == 422
    assert not is_in(client)


def test_password_does_not_sign_in_before_second_factor_is_set_up(app: Flask) -> None:
    client = browser(app)
    accept(client, invitation(app, "grace@example.org", "admin"))
    assert enter_password(client, "grace@example.org").location == "/desk/account/app"
    assert not is_in(client)


def ask_for_first_passkey(client: AtDesk, page: str) -> str:
    """Choose a passkey as the first second factor, and return the location of the redirect."""
    return str(client.post("/desk/account/first-passkey", data={"csrf_token": token_of(page)}).location)


@pytest.mark.slow
def test_choosing_a_first_passkey_does_not_sign_in_until_it_is_added(app: Flask) -> None:
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
    # The password alone was enough while there was no second factor. Now it isn't, even for sign-ins begun earlier.
    for late in (client, other):
        form = {"csrf_token": tokens[late], "name": "mine", "usage": "secondary"}
        assert late.post("/desk/account/passkeys", data=form).location.startswith("/desk/sign-in")
        assert not is_in(late)


@pytest.mark.slow
def test_first_passkey_needs_the_password_and_no_other_second_factor(app: Flask, invited: Invited) -> None:
    person = invited(Role.ADMIN)
    client = browser(app)
    assert ask_for_first_passkey(client, client.get("/desk/sign-in").text) == "/desk/sign-in"
    enter_password(client, person.email)
    assert ask_for_first_passkey(client, client.get("/desk/sign-in/code").text) == "/desk/sign-in"
    assert client.get("/desk/account/passkeys").status_code == 302
    assert not is_in(client)


def test_opening_sign_in_pages_does_not_sign_out(at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ADMIN)
    for page in ("", "/code", "/second-factor", "/recovery-code", "/passkey"):
        client.get(f"/desk/sign-in{page}")
        assert is_in(client), page


@pytest.mark.slow
def test_sign_in_by_email_is_unavailable(app: Flask, invited: Invited) -> None:
    client = browser(app)
    enter_password(client, invited(Role.ADMIN).email)
    form = {"csrf_token": token_of(client.get("/desk/sign-in/code").text), "help_setup": "help"}
    assert client.post("/desk/tf-rescue", data=form).status_code == 404


@pytest.mark.slow
def test_unknown_email_and_wrong_password_get_the_same_response(app: Flask, invited: Invited) -> None:
    person, answers = invited(Role.ADMIN), []
    for email, password in ((person.email, "wrong password 1"), ("nobody@example.org", PASSWORD)):
        answer = enter_password(browser(app), email, password)
        assert "is incorrect" in answer.text
        hidden = re.sub(r'value="[^"]*"|"X-CSRFToken": "[^"]*"', "", answer.text)
        answers.append((answer.status_code, hidden, [name for name, _ in answer.headers]))
    assert answers[0] == answers[1]


@pytest.mark.slow
def test_authenticator_code_works_once(app: Flask, invited: Invited) -> None:
    person = invited(Role.ADMIN)
    code = person.code()
    first, second = browser(app), browser(app)
    for client in (first, second):
        enter_password(client, person.email)
    assert enter_code(first, code).location.endswith("/desk/arrive")
    assert "already used" in enter_code(second, code).text
    assert not is_in(second)


@only_sqlite
@pytest.mark.parametrize("digits", ["0123456789", "０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩"], ids=ascii)
@pytest.mark.slow
def test_authenticator_code_works_with_spaces_and_digits_of_every_script(
    app: Flask, invited: Invited, digits: str
) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    enter_password(client, person.email)
    typed = person.code().translate(str.maketrans("0123456789", digits))
    assert enter_code(client, f"\u200f {typed[:3]}\u00a0–{typed[3:]}\n").location.endswith("/desk/arrive")


@pytest.mark.slow
def test_recovery_code_works_once_and_only_after_the_password(app: Flask, at_desk: AtDeskAs, invited: Invited) -> None:
    client, person = browser(app), invited(Role.ORGANIZER)
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


@pytest.mark.slow
def test_recovery_code_sent_by_two_browsers_at_once_works_once(app: Flask, invited: Invited) -> None:
    client, person = browser(app), invited(Role.ORGANIZER)
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


@pytest.mark.slow
def test_too_many_passwords_are_rate_limited(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    answers = [enter_password(client, person.email, f"wrong password {n}") for n in range(16)]
    assert [answer.status_code for answer in answers[:14]] == [422] * 14
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 60
    # Other accounts aren't affected.
    assert enter_password(browser(app), "other@example.org").status_code == 422


@pytest.mark.slow
def test_spellings_of_an_email_share_one_rate_limit(app: Flask, invited: Invited) -> None:
    name = invited(Role.ADMIN).email.partition("@")[0]
    wide = [f"{'example'[:n]}{chr(ord('example'[n]) + 0xFEE0)}{'example'[n + 1 :]}.org" for n in range(7)]
    domains = ["example.org", "EXAMPLE.org", "example\u3002org", *wide] * 2
    answers = [enter_password(browser(app), f"{name}@{domain}", "wrong password") for domain in domains]
    assert [answer.status_code for answer in answers[14:]] == [429] * 6


@pytest.mark.parametrize("key", ["known", "unknown"])
@pytest.mark.slow
def test_rate_limit_does_not_reveal_whether_an_account_exists(app: Flask, invited: Invited, key: str) -> None:
    # Creating this user makes the network known, for every email address.
    person = invited(Role.ADMIN)
    email = person.email if key == "known" else "nobody@example.org"
    answers = [enter_password(browser(app), email, "wrong password") for _ in range(17)]
    refused = [answer.status_code for answer in answers].index(429)
    # Creating the user took one of the known account's attempts from this network.
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
@pytest.mark.slow
def test_sign_in_never_redirects_to_another_site(app: Flask, invited: Invited, wanted: str) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    assert client.get("/desk/sign-in", query_string={"next": wanted}).status_code == 400
    token = token_of(client.get("/desk/sign-in").text)
    form = {"csrf_token": token, "email": person.email, "password": PASSWORD, "next": wanted}
    assert client.post("/desk/sign-in", data=form).status_code == 400
    enter_password(client, person.email)
    form = {"csrf_token": token_of(client.get("/desk/sign-in/code").text), "code": person.code()}
    assert client.post("/desk/sign-in/code", query_string={"next": wanted}, data=form).status_code == 400
    assert not is_in(client)


@pytest.mark.slow
def test_sign_in_returns_to_the_requested_page(app: Flask, invited: Invited) -> None:
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


@pytest.mark.slow
def test_sign_in_with_recovery_code_returns_to_the_requested_page(app: Flask, invited: Invited) -> None:
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


def test_changing_sign_in_methods_needs_a_recent_password(app: Flask, at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ORGANIZER)
    assert client.get("/desk/account/app").status_code == 200
    make_password_stale(app, client)
    assert "/desk/password-again" in client.get("/desk/account/app").location


def test_last_admin_cannot_be_demoted_or_closed(at_desk: AtDeskAs) -> None:
    admin = at_desk(Role.ADMIN)
    for form in ({"role": "observer", "active": "y"}, {"role": "admin"}):
        answer = admin.post("/desk/accounts/1", data=form)
        assert answer.status_code == 422
        assert "at least one admin" in answer.text
    assert is_in(admin)


@pytest.mark.slow
def test_database_and_audit_log_contain_no_secrets(app: Flask, at_desk: AtDeskAs, invited: Invited) -> None:
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


def test_audit_log_is_append_only(app: Flask, at_desk: AtDeskAs) -> None:
    at_desk(Role.ADMIN)
    for statement in (update(Record).values(actor="nobody"), Record.__table__.delete()):  # type: ignore[attr-defined]
        with pytest.raises(Exception, match="only added to"), write_transaction() as session:
            session.execute(statement)
