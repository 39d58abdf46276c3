"""Recovery codes: shown once, stored as hashes, and only created after a recent password."""

import base64
import hashlib
import json
import re
from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import select, text

from campaign.models.account import Account, Role
from campaign.settings import Settings
from campaign.storage.database import db
from tests.attacks.conftest import Work
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk, Person, browser, enter_password, is_in, make_password_stale, sign_in, token_of

Invited = Callable[[Role], Person]

NEW = {"generate_new_codes": "y"}
PAGE = "/desk/account/recovery-codes"
BEFORE = "0004"
"""The database revision before recovery codes were hashed."""


def make_codes(client: AtDesk) -> list[str]:
    """Create new recovery codes, and return them."""
    return re.findall(r"<li><code>([^<]+)</code>", client.post(PAGE, data=NEW).text)


def signs_in_with(app: Flask, person: Person, code: str) -> bool:
    """Return whether this recovery code completes a sign-in after the password."""
    client = browser(app)
    enter_password(client, person.email)
    token = token_of(client.get("/desk/sign-in/recovery-code").text)
    client.post("/desk/sign-in/recovery-code", data={"csrf_token": token, "code": code})
    return is_in(client)


def stored(email: str) -> list[str]:
    """Return the account's stored hashes of recovery codes."""
    db.session.rollback()
    return list(db.session.scalars(select(Account.mf_recovery_codes).where(Account.email == email)).one() or [])


@pytest.mark.parametrize("query", ["", "?show_codes=1", "?show_codes=y&show_codes=1", "?show_codes="])
@pytest.mark.slow
def test_codes_are_never_shown_again(at_desk: AtDeskAs, query: str) -> None:
    client = at_desk(Role.ORGANIZER)
    codes = make_codes(client)
    assert len(set(codes)) == 10
    page = client.get(PAGE + query)
    if query:
        assert (page.status_code, page.location) == (302, PAGE)
        page = client.get(PAGE)
    assert "You have 10 left" in page.text
    assert not any(code in page.text for code in codes)


@pytest.mark.usefixtures("full_cost")
@pytest.mark.slow
def test_codes_are_stored_as_argon2_hashes_with_a_salt_for_each_set(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ORGANIZER), browser(app)
    sign_in(client, person)
    salts = set()
    for _ in range(2):
        codes = make_codes(client)
        hashes = stored(person.email)
        assert len(set(hashes)) == 10
        assert all(each.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for each in hashes)
        assert not any(code in str(hashes) or code.replace("-", "") in str(hashes) for code in codes)
        salts |= {each.split("$")[-2] for each in hashes}
    assert len(salts) == 2


@pytest.mark.slow
def test_new_codes_invalidate_the_old_ones(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ORGANIZER), browser(app)
    sign_in(client, person)
    old, new = make_codes(client), make_codes(client)
    assert not signs_in_with(app, person, old[0])
    assert signs_in_with(app, person, new[0])
    assert not signs_in_with(app, person, new[0])
    assert len(stored(person.email)) == 9


def wide(code: str) -> str:
    """Return the code in full-width characters."""
    return "".join(chr(ord(character) + 0xFEE0) for character in code)


@pytest.mark.slow
def test_code_works_with_any_case_and_separators(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ORGANIZER), browser(app)
    sign_in(client, person)
    spellings: list[Callable[[str], str]] = [
        lambda code: f" {code.upper()}.\n",
        lambda code: code.replace("-", ""),
        lambda code: code.replace("-", " – "),
        lambda code: wide(code.upper()),
        lambda code: code.replace("-", "\u00a0").replace("0", "O").replace("1", "l"),
        lambda code: "".join(chr(0x0660 + int(c)) if c.isdigit() else c for c in f"\u200e{code}"),
    ]
    for typed, code in zip(spellings, make_codes(client), strict=False):
        assert signs_in_with(app, person, typed(code)), typed(code)


@pytest.mark.slow
def test_new_codes_need_a_recent_password(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ORGANIZER), browser(app)
    sign_in(client, person)
    make_codes(client)
    before = stored(person.email)
    make_password_stale(app, client)
    answer = client.post(PAGE, data=NEW)
    assert "/desk/password-again" in answer.location
    assert stored(person.email) == before


@pytest.mark.parametrize("code", ["0000-0000-0000", "x", "f" * 64])
@pytest.mark.parametrize("left", [0, 10])
@pytest.mark.slow
def test_wrong_code_costs_one_hash_with_any_number_of_codes_left(
    app: Flask, invited: Invited, work: Work, left: int, code: str
) -> None:
    person, client = invited(Role.ORGANIZER), browser(app)
    sign_in(client, person)
    if left:
        make_codes(client)
    other = browser(app)
    enter_password(other, person.email)
    form = {"csrf_token": token_of(other.get("/desk/sign-in/recovery-code").text), "code": code}
    before = work.hashed
    assert other.post("/desk/sign-in/recovery-code", data=form).status_code == 422
    assert work.hashed - before == 1


@pytest.mark.slow
def test_long_code_is_refused_before_it_is_hashed(app: Flask, invited: Invited, work: Work) -> None:
    person, client = invited(Role.ORGANIZER), browser(app)
    sign_in(client, person)
    other = browser(app)
    enter_password(other, person.email)
    form = {"csrf_token": token_of(other.get("/desk/sign-in/recovery-code").text), "code": "a\u0300" * 5000}
    before = work.normalized, work.hashed
    assert other.post("/desk/sign-in/recovery-code", data=form).status_code == 422
    assert (work.normalized, work.hashed) == before


def _encrypted(codes: list[str], secret_key: str) -> str:
    """Return recovery codes as they were stored before the migration."""
    key = base64.urlsafe_b64encode(hashlib.sha256(f"recovery codes|{secret_key}".encode()).digest())
    return json.dumps([Fernet(key).encrypt(code.encode()).decode() for code in codes])


@pytest.mark.slow
def test_migration_keeps_codes_and_drops_unreadable_ones(app: Flask, invited: Invited, settings: Settings) -> None:
    known, unreadable, none = invited(Role.ORGANIZER), invited(Role.ORGANIZER), invited(Role.ORGANIZER)
    codes = ["0123-4567-89ab", "cdef-0123-4567"]
    downgrade(revision=BEFORE)
    update = text("UPDATE account SET mf_recovery_codes = :codes WHERE email = :email")
    with db.engine.execution_options(writes=True).begin() as connection:
        connection.execute(update, {"codes": _encrypted(codes, settings.secret_key), "email": known.email})
        connection.execute(update, {"codes": _encrypted(codes, "another"), "email": unreadable.email})
    upgrade()
    assert [len(stored(person.email)) for person in (known, unreadable, none)] == [2, 0, 0]
    assert not signs_in_with(app, unreadable, codes[0])
    assert signs_in_with(app, known, codes[1])
    client = browser(app)
    sign_in(client, unreadable)
    assert client.get("/desk/arrive").location == PAGE


@pytest.mark.slow
def test_downgrade_drops_the_hashes(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ORGANIZER), browser(app)
    sign_in(client, person)
    make_codes(client)
    downgrade(revision=BEFORE)
    with db.engine.connect() as connection:
        codes = connection.execute(text("SELECT mf_recovery_codes FROM account")).scalars().all()
    assert codes == [None]
    upgrade()
    sign_in(browser(app), person)
