"""Invitations to the desk: good once, for a day, for one; and again for who has lost everything."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from threading import Barrier

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from sqlalchemy import select

from campaign.desk_models import Account, Role
from campaign.extensions import db, write_transaction
from campaign.settings import Settings
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


def test_who_is_invited_sets_a_password_and_an_app_and_is_in(at_desk: AtDeskAs) -> None:
    page = at_desk(Role.ADMIN).get("/desk/account")
    assert page.status_code == 200
    assert "Grace Hopper" in page.text


def test_who_mistypes_the_first_code_still_has_the_key_before_them(app: Flask) -> None:
    person, client = Person("grace@example.org"), browser(app)
    accept(client, invitation(app, person.email, "admin"))
    enter_password(client, person.email)
    wanted = {"csrf_token": token_of(client.get("/desk/account/app").text), "setup": "authenticator"}
    shown = _key(FlaskClient.post(client, "/desk/account/app", data=wanted).text)
    answer = enter_code(client, "000000")
    assert answer.status_code == 422
    assert "That code is not right" in answer.text
    assert "recovery code" not in answer.text, "they have none yet"
    assert _key(answer.text) == shown
    person.key = shown
    assert enter_code(client, person.code(), token_of(answer.text)).location.endswith("/desk/arrive")


def _key(page: str) -> str:
    found = re.search(r'<code id="key">([^<]+)</code>', page)
    assert found, page
    return unescape(found[1]).replace("-", "")


def test_an_invitation_works_once(app: Flask) -> None:
    link = invitation(app, "grace@example.org", "organiser")
    assert accept(browser(app), link).status_code == 303
    assert browser(app).get(link).status_code == 410


def test_of_two_who_have_the_same_link_open_one_gets_the_account(app: Flask) -> None:
    link = invitation(app, "grace@example.org", "organiser")
    first, second = browser(app), browser(app)
    form = {"name": "Mallory", "password": "another long password", "again": "another long password"}
    token = token_of(second.get(link).text)
    assert accept(first, link).status_code == 303
    assert second.post(link, data=form | {"csrf_token": token}).status_code == 410
    assert enter_password(browser(app), "grace@example.org").status_code == 302


def test_of_two_who_accept_in_the_same_moment_one_gets_the_account(app: Flask) -> None:
    for n in range(5):
        link = invitation(app, f"grace-{n}@example.org", "organiser")
        both = [browser(app), browser(app)]
        tokens = [token_of(client.get(link).text) for client in both]
        together = Barrier(2)

        def send(client: AtDesk, token: str, link: str = link, together: Barrier = together) -> int:
            together.wait()
            form = {"csrf_token": token, "name": "Grace", "password": PASSWORD, "again": PASSWORD}
            return client.post(link, data=form).status_code

        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(send, both, tokens)) == [303, 410]


class Yesterday(TimestampSigner):
    """Signs as it did a day and a second ago."""

    def get_timestamp(self) -> int:
        return super().get_timestamp() - 24 * 3600 - 1


def test_an_invitation_is_stale_after_a_day_and_after_the_next_one(app: Flask, settings: Settings) -> None:
    old = invitation(app, "grace@example.org", "organiser")
    new = invitation(app, "Grace@Example.org ", "admin")
    assert browser(app).get(old).status_code == 410
    assert browser(app).get(new).status_code == 200
    with write_transaction() as session:
        account = session.scalars(select(Account)).one()
        assert account.role is Role.ADMIN
        told = [account.id, account.fs_uniquifier]

    stale = URLSafeTimedSerializer(settings.secret_key, salt="invitation", signer=Yesterday).dumps(told)
    assert browser(app).get(f"/desk/invitation?key={stale}").status_code == 410
    forged = URLSafeTimedSerializer("x" * 32, salt="invitation").dumps(told)
    assert browser(app).get(f"/desk/invitation?key={forged}").status_code == 410


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "Enter your name"),
        ({"name": "Gr\0ce"}, "a character that can’t be shown"),
        ({"password": "short", "again": "short"}, "12 characters or more"),
        ({"again": "something else"}, "The two passwords are not the same"),
    ],
)
def test_what_is_wrong_with_an_acceptance_is_said_and_the_password_not_shown(
    app: Flask, fields: dict[str, str], words: str
) -> None:
    link, client = invitation(app, "grace@example.org", "organiser"), browser(app)
    form = {"csrf_token": token_of(client.get(link).text), "name": "Grace", "password": PASSWORD, "again": PASSWORD}
    answer = client.post(link, data=form | fields)
    assert answer.status_code == 422
    assert words in answer.text
    assert PASSWORD not in answer.text


def test_nobody_can_make_themselves_an_account_or_an_admin(app: Flask) -> None:
    link, client = invitation(app, "grace@example.org", "observer"), browser(app)
    form = {"csrf_token": token_of(client.get(link).text), "name": "Grace", "password": PASSWORD, "again": PASSWORD}
    client.post(link, data=form | {"role": "admin", "email": "root@example.org", "active": "y", "id": "1"})
    account = db.session.scalars(select(Account)).one()
    assert (account.email, account.role) == ("grace@example.org", Role.OBSERVER)
    assert browser(app).get("/desk/register").status_code == 404


@pytest.mark.parametrize(("email", "said"), [("nobody", "an email address"), ("", "an email address")])
def test_the_command_says_what_is_wrong_with_an_address(app: Flask, email: str, said: str) -> None:
    answer = app.test_cli_runner().invoke(args=["organisers", "invite", email])
    assert answer.exit_code == 1
    assert said in answer.output


def test_who_has_lost_everything_is_invited_again_and_begins_anew(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ORGANISER), browser(app)
    sign_in(client, person)
    link = invitation(app, person.email, "organiser")
    assert not is_in(client)
    assert enter_password(browser(app), person.email).status_code == 422
    assert accept(client, link).status_code == 303
    assert enter_password(client, person.email).location == "/desk/account/app"
    assert set_up_app(client, person).location.endswith("/desk/arrive")


def test_who_tries_no_address_keeps_nobody_from_accepting(app: Flask) -> None:
    for _ in range(16):
        assert enter_password(browser(app), "").status_code == 422
    client = browser(app)
    client.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    assert accept(client, invitation(app, "grace@example.org", "organiser")).status_code == 303


def test_who_has_lost_everything_gets_a_new_link_at_the_desk_and_stays_what_they_are(
    app: Flask, at_desk: AtDeskAs, invited: Invited
) -> None:
    person, admin = invited(Role.MODERATOR), at_desk(Role.ADMIN)
    account = db.session.scalars(select(Account).where(Account.email == person.email)).one()
    page = admin.get(f"/desk/accounts/{account.id}").text
    form = page[page.index('action="/desk/accounts"') :]
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))
    link = re.search(r'readonly value="([^"]+)"', admin.post("/desk/accounts", data=fields).text)
    assert link
    client = browser(app)
    assert accept(client, "/" + link[1].split("/", 3)[3], "another good password").status_code == 303
    enter_password(client, person.email, "another good password")
    assert set_up_app(client, Person(person.email)).status_code == 302
    db.session.rollback()
    assert db.session.scalars(select(Account.role).where(Account.email == person.email)).one() is Role.MODERATOR


def test_to_invite_who_is_there_already_takes_nothing_from_them(
    app: Flask, at_desk: AtDeskAs, invited: Invited
) -> None:
    person, admin = invited(Role.MODERATOR), at_desk(Role.ADMIN)
    answer = admin.post("/desk/accounts", data={"email": person.email.upper(), "role": "organiser"})
    assert answer.status_code == 422
    assert "There is an account with that address" in answer.text
    client = browser(app)
    sign_in(client, person)
    assert is_in(client)
    assert db.session.scalars(select(Account.role).where(Account.email == person.email)).one() is Role.MODERATOR


def test_an_admin_invites_from_the_desk_and_the_link_works(app: Flask, at_desk: AtDeskAs) -> None:
    admin = at_desk(Role.ADMIN)
    page = admin.post("/desk/accounts", data={"email": "new@example.org", "role": "moderator"}).text
    link = re.search(r'readonly value="([^"]+)"', page)
    assert link
    assert accept(browser(app), "/" + link[1].split("/", 3)[3]).status_code == 303
    answer = admin.post("/desk/accounts", data={"email": "nonsense", "role": "moderator"})
    assert answer.status_code == 422
    assert 'value="nonsense"' in answer.text
