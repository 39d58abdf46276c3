"""Invitations to the desk: they work once, within a day, and reset an account when its owner is invited again."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from html import unescape
from threading import Barrier

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from sqlalchemy import select

from campaign.accounts import invitations, sign_in_log
from campaign.accounts.audit_log import COMMAND
from campaign.models.account import Account, Passkey, Role
from campaign.settings import Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
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


def test_invited_user_sets_up_password_and_app_and_is_signed_in(at_desk: AtDeskAs) -> None:
    page = at_desk(Role.ADMIN).get("/desk/account")
    assert page.status_code == 200
    assert "Grace Hopper" in page.text


@pytest.mark.slow
def test_wrong_first_code_shows_the_key_again(app: Flask) -> None:
    person, client = Person("grace@example.org"), browser(app)
    accept(client, invitation(app, person.email, "admin"))
    enter_password(client, person.email)
    wanted = {"csrf_token": token_of(client.get("/desk/account/app").text), "setup": "authenticator"}
    shown = _key(FlaskClient.post(client, "/desk/account/app", data=wanted).text)
    answer = enter_code(client, "000000")
    assert answer.status_code == 422
    assert "This code is wrong" in answer.text
    assert "recovery code" not in answer.text, "there are none yet"
    assert _key(answer.text) == shown
    person.key = shown
    assert enter_code(client, person.code(), token_of(answer.text)).location.endswith("/desk/arrive")


def _key(page: str) -> str:
    found = re.search(r'<code id="key">([^<]+)</code>', page)
    assert found, page
    return unescape(found[1]).replace("-", "")


def test_invitation_works_once(app: Flask) -> None:
    link = invitation(app, "grace@example.org", "organizer")
    assert accept(browser(app), link).status_code == 303
    assert browser(app).get(link).status_code == 410


def test_second_browser_with_a_used_invitation_is_refused(app: Flask) -> None:
    link = invitation(app, "grace@example.org", "organizer")
    first, second = browser(app), browser(app)
    form = {"name": "Mallory", "password": "another long password", "again": "another long password"}
    token = token_of(second.get(link).text)
    assert accept(first, link).status_code == 303
    assert second.post(link, data=form | {"csrf_token": token}).status_code == 410
    assert enter_password(browser(app), "grace@example.org").status_code == 302


@pytest.mark.slow
def test_invitation_accepted_by_two_browsers_at_once_works_once(app: Flask) -> None:
    for n in range(5):
        link = invitation(app, f"grace-{n}@example.org", "organizer")
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
    """A signer whose clock is a day and a second behind."""

    def get_timestamp(self) -> int:
        return super().get_timestamp() - 24 * 3600 - 1


def test_invitation_expires_after_a_day_or_with_a_newer_one(app: Flask, settings: Settings) -> None:
    old = invitation(app, "grace@example.org", "organizer")
    new = invitation(app, "Grace@Example.org ", "admin")
    assert browser(app).get(old).status_code == 410
    assert browser(app).get(new).status_code == 200
    with write_transaction() as session:
        account = session.scalars(select(Account)).one()
        assert account.role is Role.ADMIN
        payload = [account.id, account.fs_uniquifier]

    stale = URLSafeTimedSerializer(settings.secret_key, salt="invitation", signer=Yesterday).dumps(payload)
    assert browser(app).get(f"/desk/invitation?key={stale}").status_code == 410
    forged = URLSafeTimedSerializer("x" * 32, salt="invitation").dumps(payload)
    assert browser(app).get(f"/desk/invitation?key={forged}").status_code == 410


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "Enter your name"),
        ({"name": "Gr\0ce"}, "a character that can’t be shown"),
        ({"password": "short", "again": "short"}, "must be 12 characters or more"),
        ({"again": "something else"}, "The passwords don’t match"),
    ],
)
def test_invalid_acceptance_shows_errors_but_not_the_password(app: Flask, fields: dict[str, str], message: str) -> None:
    link, client = invitation(app, "grace@example.org", "organizer"), browser(app)
    form = {"csrf_token": token_of(client.get(link).text), "name": "Grace", "password": PASSWORD, "again": PASSWORD}
    answer = client.post(link, data=form | fields)
    assert answer.status_code == 422
    assert message in answer.text
    assert PASSWORD not in answer.text


def test_invitation_cannot_be_used_to_change_email_or_role(app: Flask) -> None:
    link, client = invitation(app, "grace@example.org", "observer"), browser(app)
    form = {"csrf_token": token_of(client.get(link).text), "name": "Grace", "password": PASSWORD, "again": PASSWORD}
    client.post(link, data=form | {"role": "admin", "email": "root@example.org", "active": "y", "id": "1"})
    account = db.session.scalars(select(Account)).one()
    assert (account.email, account.role) == ("grace@example.org", Role.OBSERVER)
    assert browser(app).get("/desk/register").status_code == 404


@pytest.mark.parametrize(("email", "message"), [("nobody", "an email address"), ("", "an email address")])
def test_invite_command_refuses_an_invalid_email(app: Flask, email: str, message: str) -> None:
    answer = app.test_cli_runner().invoke(args=["organizers", "invite", email])
    assert answer.exit_code == 1
    assert message in answer.output


@pytest.mark.slow
def test_inviting_again_resets_the_account(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ORGANIZER), browser(app)
    sign_in(client, person)
    link = invitation(app, person.email, "organizer")
    assert not is_in(client)
    assert enter_password(browser(app), person.email).status_code == 422
    assert accept(client, link).status_code == 303
    assert enter_password(client, person.email).location == "/desk/account/app"
    assert set_up_app(client, person).location.endswith("/desk/arrive")


def test_inviting_again_removes_every_way_to_sign_in_and_every_lockout(app: Flask) -> None:
    now = datetime.now(UTC)
    with write_transaction() as session:
        account = invitations.invite(session, "grace@example.org", Role.ADMIN, COMMAND, now, again=False)
        account.password, account.tf_primary_method, account.tf_totp_secret = "hash", "authenticator", "secret"
        account.totp_counter, account.mf_recovery_codes, account.active = 1, ["code"], False
        key = {"public_key": b"1", "sign_count": 0, "name": "Phone", "usage": "secondary", "backup_state": False}
        session.add(Passkey(user_id=account.id, credential_id=b"1", device_type="", lastuse_datetime=now, **key))
        for _ in range(10):
            sign_in_log.reserve_code(session, account.id, now)
        assert sign_in_log.block_of(session, account.id, now)
        # The last admin keeps the role, so inviting them again is allowed.
        invitations.invite(session, "grace@example.org", Role.ADMIN, COMMAND, now, again=True)
        session.flush()
        session.refresh(account)
        emptied = ("password", "tf_primary_method", "tf_totp_secret", "totp_counter", "mf_recovery_codes")
        assert [getattr(account, name) for name in emptied] == [None] * 5
        assert account.active
        assert session.scalars(select(Passkey)).all() == []
        assert sign_in_log.block_of(session, account.id, now) is None


@pytest.mark.slow
def test_sign_in_attempts_without_email_do_not_block_invitations(app: Flask) -> None:
    for _ in range(16):
        assert enter_password(browser(app), "").status_code == 422
    client = browser(app)
    client.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    assert accept(client, invitation(app, "grace@example.org", "organizer")).status_code == 303


@pytest.mark.slow
def test_new_link_from_the_desk_keeps_the_role(app: Flask, at_desk: AtDeskAs, invited: Invited) -> None:
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


@pytest.mark.slow
def test_inviting_an_existing_account_changes_nothing(app: Flask, at_desk: AtDeskAs, invited: Invited) -> None:
    person, admin = invited(Role.MODERATOR), at_desk(Role.ADMIN)
    answer = admin.post("/desk/accounts", data={"email": person.email.upper(), "role": "organizer"})
    assert answer.status_code == 422
    assert "already has an account" in answer.text
    client = browser(app)
    sign_in(client, person)
    assert is_in(client)
    assert db.session.scalars(select(Account.role).where(Account.email == person.email)).one() is Role.MODERATOR


@pytest.mark.slow
def test_invitation_link_from_the_desk_works(app: Flask, at_desk: AtDeskAs) -> None:
    admin = at_desk(Role.ADMIN)
    page = admin.post("/desk/accounts", data={"email": "new@example.org", "role": "moderator"}).text
    link = re.search(r'readonly value="([^"]+)"', page)
    assert link
    assert accept(browser(app), "/" + link[1].split("/", 3)[3]).status_code == 303
    answer = admin.post("/desk/accounts", data={"email": "nonsense", "role": "moderator"})
    assert answer.status_code == 422
    assert 'value="nonsense"' in answer.text
