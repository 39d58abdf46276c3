"""A failed sign-in does the same work with and without an account, and a password that is too long causes no work."""

from collections.abc import Callable

import pytest
from argon2 import PasswordHasher, extract_parameters
from flask import Flask
from flask_security import hash_password
from flask_security.utils import get_hmac
from sqlalchemy import select, update

from campaign.models.account import Account, Role
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.attacks.conftest import Work
from tests.conftest import only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.people import (
    PASSWORD,
    AtDesk,
    Person,
    accept,
    browser,
    enter_password,
    invitation,
    is_in,
    set_up_app,
    token_of,
)

pytestmark = only_sqlite

Invited = Callable[[Role], Person]

GRAVE, BELOW = "\u0300", "\u0320"
MARKS = "a" + GRAVE * 2000 + BELOW * 2000
LONG = [MARKS, "ﷺ" * 3000, "x" * 257, "ä" * 257]
"""Passwords that are too long. Normalizing takes quadratic time for the first, and the second grows eighteenfold.

Each is short enough to be sent twice in one form.
"""
GERMAN = "vier wörter pass phräse"
"""A password that NFKD changes."""
DECOMPOSED = "vier wo\u0308rter pass phra\u0308se"
"""The same password from a keyboard that sends letters and accents separately."""


@pytest.fixture
def accounts(app: Flask, invited: Invited) -> dict[str, str]:
    """Return an email address for each kind of account, and one without an account."""
    active, closed = invited(Role.ADMIN), invited(Role.ORGANIZER)
    with write_transaction() as session:
        session.execute(update(Account).where(Account.email == closed.email).values(active=False))
    invitation(app, "invited@example.org", "admin")
    return {
        "active": active.email,
        "closed": closed.email,
        "invited": "invited@example.org",
        "unknown": "nobody@example.org",
    }


def _work_of(work: Work, client: AtDesk, email: str, password: str) -> tuple[int, int]:
    client.get("/desk/sign-in")
    before = work.normalized, work.hashed
    enter_password(client, email, password)
    return work.normalized - before[0], work.hashed - before[1]


@pytest.mark.parametrize(
    ("password", "hashed"),
    [(PASSWORD, 1), ("wrong password", 1), ("x", 1), (GERMAN, 2), ("ﷺ" * 200, 2), ("a" + GRAVE * 100, 1), ("", 0)],
)
@pytest.mark.slow
def test_sign_in_does_the_same_work_for_every_email_address(
    app: Flask, accounts: dict[str, str], work: Work, password: str, hashed: int
) -> None:
    done = {kind: _work_of(work, browser(app), email, password) for kind, email in accounts.items()}
    assert len(set(done.values())) == 1, done
    assert done["active"][0] <= len(password)
    assert done["active"][1] == hashed


@pytest.mark.parametrize("password", LONG, ids=["marks", "ligatures", "ascii", "accents"])
@pytest.mark.slow
def test_sign_in_refuses_a_long_password_before_any_work(
    app: Flask, accounts: dict[str, str], work: Work, password: str
) -> None:
    for email in accounts.values():
        client = browser(app)
        token = token_of(client.get("/desk/sign-in").text)
        before = work.normalized, work.hashed
        form = {"csrf_token": token, "email": email, "password": password}
        answer = client.post("/desk/sign-in", data=form)
        assert answer.status_code == 422
        assert "256 characters or fewer" in answer.text
        assert (work.normalized, work.hashed) == before, email


@pytest.mark.parametrize("password", LONG, ids=["marks", "ligatures", "ascii", "accents"])
def test_accepting_an_invitation_refuses_a_long_password_before_any_work(app: Flask, work: Work, password: str) -> None:
    answer = accept(browser(app), invitation(app, "grace@example.org", "admin"), password)
    assert answer.status_code == 422
    assert "256 characters or fewer" in answer.text
    assert (work.normalized, work.hashed) == (0, 0)


@pytest.mark.parametrize("password", LONG, ids=["marks", "ligatures", "ascii", "accents"])
@pytest.mark.parametrize("field", ["current", "new", "again"])
def test_pages_for_signed_in_users_refuse_a_long_password_before_any_work(
    at_desk: AtDeskAs, work: Work, password: str, field: str
) -> None:
    client = at_desk(Role.ADMIN)
    token, before = client.token(), (work.normalized, work.hashed)
    if field == "again":
        answer = client.post("/desk/password-again", data={"csrf_token": token, "password": password})
    else:
        new = password if field == "new" else "another long password"
        form = {"csrf_token": token, "password": PASSWORD if field == "new" else password}
        answer = client.post("/desk/account/password", data=form | {"new_password": new, "new_password_confirm": new})
    assert answer.status_code == 422
    assert "256 characters or fewer" in answer.text
    assert (work.normalized, work.hashed) == before


@pytest.mark.slow
def test_password_of_256_characters_is_accepted(app: Flask) -> None:
    client, password = browser(app), "ö" * 256
    assert accept(client, invitation(app, "grace@example.org", "admin"), password).status_code == 303
    assert enter_password(client, "grace@example.org", password).status_code == 302


SPELLINGS = {
    "composed": (GERMAN, GERMAN),
    "decomposed": (GERMAN, DECOMPOSED),
    "chosen decomposed": (DECOMPOSED, GERMAN),
    "full width and ligatures": ("ｆive oﬃce ﬂoors", "five office floors"),
    "spaces at both ends": (" \u3000vier freie wände ", "\u00a0 vier freie wa\u0308nde\u2003"),
}
"""Passwords as they are chosen, and as another keyboard types them."""


@pytest.mark.parametrize(("chosen", "typed"), SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.slow
def test_password_with_accents_works_from_every_keyboard(app: Flask, chosen: str, typed: str) -> None:
    client, person = browser(app), Person("grace@example.org")
    assert accept(client, invitation(app, person.email, "admin"), chosen, again=typed).status_code == 303
    assert enter_password(client, person.email, typed).status_code == 302
    set_up_app(client, person)
    assert client.post("/desk/password-again", data={"password": typed}).status_code == 302
    form = {"password": typed, "new_password": chosen, "new_password_confirm": typed}
    same = client.post("/desk/account/password", data=form)
    assert same.status_code == 422
    assert "different from your current one" in same.text
    form |= {"new_password": f"neu {chosen}", "new_password_confirm": f"neu {typed}"}
    assert client.post("/desk/account/password", data=form).status_code == 302
    assert enter_password(browser(app), person.email, f"neu {typed}").status_code == 302
    assert is_in(client)


@pytest.mark.slow
def test_space_at_the_end_of_a_password_counts(app: Flask) -> None:
    client, password = browser(app), "vier freie wände "
    assert accept(client, invitation(app, "grace@example.org", "admin"), password).status_code == 303
    assert enter_password(client, "grace@example.org", password.strip()).status_code == 422
    assert enter_password(client, "grace@example.org", password).status_code == 302


@pytest.mark.slow
def test_sign_in_renews_hash_of_unnormalized_password(app: Flask, invited: Invited) -> None:
    person = invited(Role.ADMIN)
    with app.extensions["desk"].app.app_context():
        raw = hash_password(GERMAN)
    _store(person, raw)
    assert enter_password(browser(app), person.email, DECOMPOSED).status_code == 422
    assert enter_password(browser(app), person.email, GERMAN).status_code == 302
    assert _stored(person) != raw
    assert enter_password(browser(app), person.email, DECOMPOSED).status_code == 302
    again = _stored(person)
    assert enter_password(browser(app), person.email, GERMAN).status_code == 302
    assert _stored(person) == again


@pytest.fixture
def weak_hash(app: Flask) -> str:
    """Return a hash of PASSWORD with weaker parameters than today's."""
    with app.extensions["desk"].app.app_context():
        return PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(get_hmac(PASSWORD))


@pytest.mark.usefixtures("full_cost")
@pytest.mark.slow
def test_sign_in_renews_hash_with_weaker_parameters(app: Flask, invited: Invited, weak_hash: str) -> None:
    person = invited(Role.ADMIN)
    _store(person, weak_hash)
    assert enter_password(browser(app), person.email, "wrong password").status_code == 422
    assert _stored(person) == weak_hash
    assert enter_password(browser(app), person.email).status_code == 302
    renewed = _stored(person)
    assert renewed
    parameters = extract_parameters(renewed)
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 2, 1)
    assert enter_password(browser(app), person.email).status_code == 302
    assert _stored(person) == renewed


@pytest.mark.parametrize("password", [PASSWORD, "wrong password"])
@pytest.mark.slow
def test_failed_sign_in_never_renews_a_hash(
    app: Flask, accounts: dict[str, str], weak_hash: str, work: Work, password: str
) -> None:
    closed = Person(accounts["closed"])
    _store(closed, weak_hash)
    assert _work_of(work, browser(app), closed.email, password) == (0, 1)
    assert _stored(closed) == weak_hash


def _store(person: Person, password_hash: str) -> None:
    with write_transaction() as session:
        session.execute(update(Account).where(Account.email == person.email).values(password=password_hash))


def _stored(person: Person) -> str | None:
    db.session.rollback()
    return db.session.scalars(select(Account.password).where(Account.email == person.email)).one()


def test_new_password_with_too_many_accents_on_one_letter_is_refused(app: Flask) -> None:
    link = invitation(app, "grace@example.org", "admin")
    answer = accept(browser(app), link, "long enough a" + GRAVE * 31)
    assert answer.status_code == 422
    assert "too many accents on one letter" in answer.text


@pytest.mark.parametrize("typed", ["e\u0301" * 11, "é" * 11])
def test_letter_with_accent_counts_as_one_character(app: Flask, typed: str) -> None:
    answer = accept(browser(app), invitation(app, "grace@example.org", "admin"), typed)
    assert answer.status_code == 422
    assert "must be 12 characters or more" in answer.text
