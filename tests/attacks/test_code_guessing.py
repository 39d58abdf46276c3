"""Attacks on second factors: guessing codes after the right password."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from campaign.accounts import sign_in_log
from campaign.models.account import Account
from campaign.storage.transactions import write_transaction
from tests.attacks.guessing import HOME, PassTime, account_of, browser_at, entries, stranger, unlock
from tests.desk.people import (
    Person,
    accept,
    enter_code,
    enter_password,
    invitation,
    is_in,
    sign_in,
    token_of,
)

pytestmark = pytest.mark.slow


def test_ten_wrong_codes_in_a_row_end_the_session_and_block_the_second_factor(
    app: Flask, owner: Person, pass_time: PassTime
) -> None:
    client = stranger(app)
    enter_password(client, owner.email)
    answers = [enter_code(client, f"{number:06}") for number in range(10)]
    assert [answer.status_code for answer in answers] == [422] * 9 + [303]
    assert "someone knows your password" in client.get("/desk/sign-in").text
    assert client.get("/desk/sign-in/code").location.startswith("/desk/sign-in")
    at_home = browser_at(app, HOME)
    assert enter_password(at_home, owner.email).location == "/desk/sign-in", "the block holds in every network"
    assert not is_in(at_home)
    assert [entry.after["factor"] for entry in entries(sign_in_log.LOCKOUT, owner.email)] == ["authenticator app"]
    pass_time(timedelta(minutes=14))
    assert enter_password(at_home, owner.email).location == "/desk/sign-in"
    pass_time(timedelta(minutes=2))
    sign_in(at_home, owner)
    page = at_home.get("/desk/account").text
    assert "Someone entered your password and then a wrong second factor 10 times" in page


def test_blocks_grow_longer_and_only_unlock_ends_the_last(app: Flask, owner: Person, pass_time: PassTime) -> None:
    account_id, blocks, now = account_of(owner).id, [], datetime.now(UTC)
    for number in range(1, 101):
        with write_transaction() as session:
            assert sign_in_log.reserve_code(session, account_id, now) is None
            block = sign_in_log.note_wrong_code(session, account_id, "passkey", "Firefox", now)
        if number % 10:
            assert block is None
        elif number < 100:
            assert block
            assert block.until
            blocks.append((block.until - now) / timedelta(minutes=1))
            now = block.until
    assert blocks == [15, 30, 60, 120, 240, 480, 960, 1440, 1440]
    assert block == sign_in_log.Block(None)
    with write_transaction() as session:
        assert sign_in_log.reserve_code(session, account_id, now + timedelta(days=365)) == sign_in_log.Block(None)
    assert "until an admin unlocks it" in browser_after_password(app, owner)
    unlock(app, owner.email)
    sign_in(browser_at(app, HOME), owner)


def browser_after_password(app: Flask, owner: Person) -> str:
    client = browser_at(app, HOME)
    enter_password(client, owner.email)
    return client.get("/desk/sign-in").text


def test_concurrent_codes_do_not_exceed_the_limit(app: Flask, owner: Person) -> None:
    account_id, now = account_of(owner).id, datetime.now(UTC)

    def attempt(_: int) -> bool:
        with app.app_context(), write_transaction() as session:
            return sign_in_log.reserve_code(session, account_id, now) is None

    with ThreadPoolExecutor(4) as crowd:
        assert sum(crowd.map(attempt, range(20))) == 10


def test_recovery_codes_count_as_second_factors(app: Flask, owner: Person) -> None:
    client = stranger(app)
    enter_password(client, owner.email)
    token = token_of(client.get("/desk/sign-in/recovery-code").text)
    for _ in range(5):
        form = {"csrf_token": token, "code": "abcd-efgh-ijkl"}
        assert client.post("/desk/sign-in/recovery-code", data=form).status_code == 422
    answers = [enter_code(client, f"{number:06}") for number in range(5)]
    assert answers[-1].status_code == 303
    assert not is_in(client)
    recorded = [entry.after["factor"] for entry in entries(sign_in_log.FAILED, owner.email)]
    assert recorded == ["recovery code"] * 5 + ["authenticator app"] * 5


def test_right_code_resets_the_count_of_wrong_codes(app: Flask, owner: Person) -> None:
    for _ in range(2):
        client = browser_at(app, HOME)
        enter_password(client, owner.email)
        for number in range(5):
            assert enter_code(client, f"{number:06}").status_code == 422
        owner.used.clear()
        with write_transaction() as session:
            session.get_one(Account, account_of(owner).id).totp_counter = None
        assert enter_code(client, owner.code()).status_code == 302
        assert is_in(client)


def test_inviting_again_unlocks_the_account(app: Flask, owner: Person) -> None:
    client = stranger(app)
    enter_password(client, owner.email)
    for number in range(10):
        enter_code(client, f"{number:06}")
    accept(browser_at(app, HOME), invitation(app, owner.email, "admin"))
    assert enter_password(browser_at(app, HOME), owner.email).location == "/desk/account/app"
