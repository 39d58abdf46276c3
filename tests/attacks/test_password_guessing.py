"""Attacks on passwords: strangers who guess them, lock owners out, or try to find out which accounts exist."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from limits import parse_many
from sqlalchemy import Engine, event, func, select

from campaign.accounts import known_networks, sign_in_log
from campaign.desk.sign_in import throttle
from campaign.models.account import KnownNetwork
from campaign.models.audit_log import Record
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.web.limits import rate_limits
from tests.attacks.guessing import HOME, PassTime, account_of, browser_at, entries, hammer, stranger, unlock
from tests.conftest import only_sqlite
from tests.desk.people import (
    AtDesk,
    Person,
    enter_code,
    enter_password,
    is_in,
    sign_in,
    token_of,
)

pytestmark = pytest.mark.slow


def test_strangers_cannot_lock_owner_out_of_a_known_network(app: Flask, owner: Person) -> None:
    assert hammer(app, owner.email, 13) == {422: 10, 429: 3}
    assert enter_password(stranger(app), owner.email).status_code == 429, "a right password from elsewhere must wait"
    at_home = browser_at(app, HOME)
    sign_in(at_home, owner)
    assert is_in(at_home)


def test_owner_in_a_new_network_signs_in_a_minute_after_an_attack(
    app: Flask, owner: Person, pass_time: PassTime
) -> None:
    hammer(app, owner.email, 11)
    traveling = stranger(app)
    answer = enter_password(traveling, owner.email)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    pass_time(timedelta(seconds=61))
    sign_in(traveling, owner)


@only_sqlite
def test_strangers_in_all_networks_share_an_hourly_limit(
    monkeypatch: pytest.MonkeyPatch, app: Flask, owner: Person, pass_time: PassTime
) -> None:
    guesses = {limit.get_expiry(): limit.amount for limit in parse_many(throttle.STRANGER_ATTEMPTS)}
    assert guesses == {60: 10, 3600: 100}
    # Test with lower limits, because each attempt takes a tenth of a second.
    settings, desk = app.config["SETTINGS"], app.extensions["desk"].app
    limit = rate_limits.RateLimit(settings, app.extensions["shared"], "4 per minute, 6 per hour")
    monkeypatch.setitem(desk.extensions, "throttle", desk.extensions["throttle"]._replace(by_strangers=limit))
    tried = 0
    for _ in range(3):
        tried += hammer(app, owner.email, 5)[422]
        pass_time(timedelta(seconds=61))
    assert tried == 6
    sign_in(browser_at(app, HOME), owner)


def test_known_network_has_its_own_limit(app: Flask, owner: Person, pass_time: PassTime) -> None:
    answers = [enter_password(browser_at(app, HOME), owner.email, "a wrong password").status_code for _ in range(16)]
    assert answers == [422] * 15 + [429]
    pass_time(timedelta(minutes=14))
    assert enter_password(browser_at(app, HOME), owner.email, "a wrong password").status_code == 429
    pass_time(timedelta(seconds=61))
    assert enter_password(browser_at(app, HOME), owner.email, "a wrong password").status_code == 422


def send_nothing(client: AtDesk, path: str) -> int:
    """Send a form without email, password, or code, so that nothing is hashed, and return the status."""
    token = token_of(client.get("/desk/sign-in").text)
    return FlaskClient.post(client, path, data={"csrf_token": token}).status_code


@only_sqlite
def test_network_has_20_attempts_in_5_minutes_and_100_per_hour(app: Flask, pass_time: PassTime) -> None:
    client = browser_at(app, "192.0.2.77")
    for _ in range(5):
        assert [send_nothing(client, "/desk/sign-in") for _ in range(21)] == [422] * 20 + [429]
        pass_time(timedelta(seconds=301))
    assert send_nothing(client, "/desk/sign-in") == 429, "the hour is not over"
    pass_time(timedelta(minutes=36))
    assert send_nothing(client, "/desk/sign-in") == 422


@only_sqlite
def test_every_page_with_a_password_or_code_counts_attempts(app: Flask, pass_time: PassTime) -> None:
    client = browser_at(app, "192.0.2.77")
    pages = ["sign-in", "sign-in/code", "sign-in/recovery-code", "sign-in/passkey/x", "password-again"]
    pages += ["account/password", "account/app/x", "account/first-passkey", "invitation"]
    statuses = [send_nothing(client, f"/desk/{page}") for page in (*pages, *pages, *pages)]
    assert statuses.index(429) == 20
    assert set(statuses[20:]) == {429}
    for page in ("sign-out", "account/sessions", "sign-in/second-factor"):
        assert send_nothing(client, f"/desk/{page}") != 429, page


@only_sqlite
def test_third_password_at_once_is_refused(app: Flask) -> None:
    client = stranger(app)
    hashes = app.extensions["desk"].app.extensions["throttle"].hashes
    with hashes:
        assert enter_password(client, "nobody@example.org").status_code == 422
        with hashes:
            token = token_of(client.get("/desk/sign-in").text)
            answer = FlaskClient.post(client, "/desk/sign-in", data={"csrf_token": token})
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert enter_password(client, "nobody@example.org").status_code == 422


def test_email_without_account_is_locked_out_in_the_same_way(app: Flask, owner: Person) -> None:
    known, unknown = owner.email, "nobody@example.org"
    assert hammer(app, known, 12) == hammer(app, unknown, 12)
    for address in (HOME, "192.0.2.8"):
        statuses = [enter_password(browser_at(app, address), email, "wrong").status_code for email in (known, unknown)]
        assert statuses[0] == statuses[1], address


def statements_of_failure(app: Flask, email: str) -> list[str]:
    """Return the statements that run while a stranger enters a wrong password."""
    run: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        # Rolling an entry back costs the same as keeping it.
        run.append(statement.replace("ROLLBACK TO SAVEPOINT", "RELEASE SAVEPOINT"))

    client = stranger(app)
    client.get("/desk/sign-in")
    event.listen(Engine, "before_cursor_execute", note)
    enter_password(client, email, "a wrong password")
    event.remove(Engine, "before_cursor_execute", note)
    return run


def test_failure_runs_the_same_statements_without_an_account(app: Flask, owner: Person, pass_time: PassTime) -> None:
    for email in (owner.email, "nobody@example.org"):
        hammer(app, email, 1)
    known, unknown = (statements_of_failure(app, email) for email in (owner.email, "nobody@example.org"))
    assert any(statement.startswith("UPDATE sign_in_failures") for statement in known)
    assert known == unknown
    # The same holds once one of them has reached its limit of entries in this hour, and the other has not.
    for _ in range(2):
        pass_time(timedelta(seconds=61))
        hammer(app, "nobody@example.org", 8)
    pass_time(timedelta(seconds=61))
    known, unknown = (statements_of_failure(app, email) for email in (owner.email, "nobody@example.org"))
    assert any(statement.startswith("UPDATE sign_in_failures") for statement in known)
    assert sorted(known) == sorted(unknown)


def test_lockout_runs_the_same_statements_without_an_account(app: Flask, owner: Person) -> None:
    # All email addresses without an account share one row, in which a lockout is already recorded for this hour.
    hammer(app, "nobody@example.org", 11)
    run: dict[str, list[str]] = {}
    for email in (owner.email, "nobody.else@example.org"):
        hammer(app, email, 10)
        run[email] = statements_of_failure(app, email)
        assert any(statement.startswith("UPDATE sign_in_failures") for statement in run[email]), email
    assert len(entries(sign_in_log.LOCKOUT)) == len(entries(sign_in_log.LOCKOUT, owner.email)) == 1
    known, unknown = run.values()
    assert sorted(known) == sorted(unknown)


def test_failures_add_a_limited_number_of_entries_per_hour(app: Flask, owner: Person, pass_time: PassTime) -> None:
    for _ in range(3):
        hammer(app, owner.email, 9)
        pass_time(timedelta(seconds=61))
    for number in range(25):
        enter_password(stranger(app), f"nobody{number}@example.org", "a wrong password")
    assert len(entries(sign_in_log.FAILED, owner.email)) == len(entries(sign_in_log.FAILED)) == 11
    assert "more" in entries(sign_in_log.FAILED, owner.email)[-1].after
    pass_time(timedelta(hours=1))
    hammer(app, owner.email, 1)
    assert len(entries(sign_in_log.FAILED, owner.email)) == 12


def test_password_lockout_is_recorded_once_an_hour(app: Flask, owner: Person) -> None:
    hammer(app, owner.email, 12)
    for _ in range(18):
        enter_password(browser_at(app, "198.51.100.4"), owner.email, "a wrong password")
    lockouts = entries(sign_in_log.LOCKOUT, owner.email)
    assert [lockout.after for lockout in lockouts] == [{"factor": "password"}]


def test_email_without_account_is_not_recorded(app: Flask, owner: Person) -> None:
    enter_password(stranger(app), "someone.else@example.net", "their password")
    [entry] = entries(sign_in_log.FAILED)
    assert entry.account_id is None
    everything = str(
        [(each.actor, each.reason, each.before, each.after) for each in db.session.scalars(select(Record))]
    )
    for secret in ("someone.else", "their password", "2001:db8", HOME):
        assert secret not in everything


def test_owner_is_told_of_failed_sign_ins_at_the_next_sign_in(app: Flask, owner: Person) -> None:
    hammer(app, owner.email, 3)
    at_home = browser_at(app, HOME)
    # The owner isn't told of their own mistake.
    enter_password(at_home, owner.email, "a typing mistake")
    sign_in(at_home, owner)
    assert "There were 3 failed sign-ins to your account since your last visit." in at_home.get("/desk/account").text
    assert "failed sign-ins" not in at_home.get("/desk/account").text, "told once"


def test_unlock_resets_the_password_limit(app: Flask, owner: Person) -> None:
    hammer(app, owner.email, 12)
    assert hammer(app, owner.email, 1) == {429: 1}
    unlock(app, owner.email)
    assert hammer(app, owner.email, 1) == {422: 1}
    assert [entry.after for entry in entries(sign_in_log.UNLOCK, "command")] == [{"email": owner.email}]
    result = app.test_cli_runner().invoke(args=["organizers", "unlock", "nobody@example.org"])
    assert result.exit_code == 1
    assert "there is no account with the email address 'nobody@example.org'" in result.output


def test_known_networks_are_few_keyed_hashes_and_expire_after_90_days(app: Flask, owner: Person) -> None:
    networks = db.session.scalars(select(KnownNetwork)).all()
    assert all(re.fullmatch("[0-9a-f]{32}", each.network) for each in networks)
    account_id, now = account_of(owner).id, datetime.now(UTC)
    with write_transaction() as session:
        for number in range(10):
            known_networks.remember(session, account_id, f"{number:032}", now + timedelta(seconds=number))
    kept = set(db.session.scalars(select(KnownNetwork.network)))
    assert kept == {f"{number:032}" for number in range(5, 10)}
    assert known_networks.is_known(db.session(), f"{9:032}", now + timedelta(days=90))
    assert not known_networks.is_known(db.session(), f"{9:032}", now + timedelta(days=91))
    with write_transaction() as session:
        known_networks.remember(session, account_id, "f" * 32, now + timedelta(days=91))
        known_networks.delete_expired(session, now + timedelta(days=91))
    assert db.session.scalar(select(func.count()).select_from(KnownNetwork)) == 1


def test_only_a_complete_sign_in_makes_a_network_known(app: Flask, owner: Person) -> None:
    before = db.session.scalar(select(func.count()).select_from(KnownNetwork))
    client = stranger(app)
    enter_password(client, owner.email)
    enter_code(client, "000000")
    db.session.rollback()
    assert db.session.scalar(select(func.count()).select_from(KnownNetwork)) == before
