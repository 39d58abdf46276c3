"""A passkey as the first second factor: until it is added, the password alone gives access to nothing else."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import webauthn
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from campaign.desk.sign_in.second_factors import CodeForm
from campaign.models.account import Account, DeskSession, Role
from campaign.models.campaign import Campaign
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
)
from tests.desk.people import (
    PASSWORD,
    AtDesk,
    Person,
    browser,
    copy_browser,
    enter_password,
    invitation,
    is_in,
    set_up_app,
    token_of,
)
from tests.desk.test_permissions import routes


def fail_next_commit(monkeypatch: pytest.MonkeyPatch, *, stored: bool) -> None:
    """Make the desk's next commit fail: before anything is stored, or after, when only the confirmation is lost."""
    commit = db.session.commit

    def fail() -> None:
        monkeypatch.setattr(db.session, "commit", commit)
        if stored:
            commit()
        raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))

    monkeypatch.setattr(db.session, "commit", fail)


@pytest.mark.slow
def test_user_is_not_signed_in_if_first_passkey_cannot_be_stored(
    app: Flask, newcomer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = begin_first_passkey(app)
    question = ask_for_new(client)
    fail_next_commit(monkeypatch, stored=False)
    assert hand_over(client, question, Key().make(question.options)).status_code >= 500
    assert count_passkeys() == 0
    assert not is_in(client)
    assert add_passkey(client, Key()).location == "/desk/account/passkey-added"
    assert is_in(client)


def test_password_alone_never_signs_in_after_an_unconfirmed_commit(
    app: Flask, newcomer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browser(app)
    enter_password(client, newcomer)
    token = token_of(client.get("/desk/account/app").text)
    fail_next_commit(monkeypatch, stored=True)
    answer = FlaskClient.post(client, "/desk/account/first-passkey", data={"csrf_token": token})
    assert answer.status_code == 503
    assert not is_in(client)


@pytest.mark.parametrize("other", ["passkey", "app"])
@pytest.mark.slow
def test_concurrent_first_second_factors_sign_in_one_browser(
    app: Flask, newcomer: str, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    both = [begin_first_passkey(app), browser(app)]
    enter_password(both[1], newcomer)
    if other == "passkey":
        choose_first_passkey(both[1])
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
    assert apps + count_passkeys() == 1
    assert sorted(map(is_in, both)) == [False, True]


@pytest.mark.slow
def test_cookies_copied_before_the_first_passkey_are_useless(app: Flask, newcomer: str) -> None:
    unfinished = browser(app)
    enter_password(unfinished, newcomer)
    token = token_of(unfinished.get("/desk/account/app").text)
    client, other = begin_first_passkey(app), begin_first_passkey(app)
    late, question = ask_for_new(other, "late"), ask_for_new(client)
    same = copy_browser(app, client)
    hand_over(client, question, Key().make(question.options))
    for form in ({"setup": "authenticator"}, {}):
        path = "app" if form else "first-passkey"
        thief, data = copy_browser(app, unfinished), {"csrf_token": token} | form
        answer = FlaskClient.post(thief, f"/desk/account/{path}", data=data)
        assert answer.location == "/desk/sign-in", path
    for thief in (copy_browser(app, same), copy_browser(app, other)):
        assert thief.get("/desk/account/passkeys").location.startswith("/desk/sign-in")
        assert not is_in(thief)
    for thief in (same, other):
        hand_over(thief, late, Key().make(late.options))
        assert not is_in(thief)
    assert count_passkeys() == 1


@pytest.mark.parametrize("factor", ["app", "passkey"])
@pytest.mark.slow
def test_first_second_factor_ends_all_password_only_sessions(app: Flask, newcomer: str, factor: str) -> None:
    begin_first_passkey(app)
    if factor == "app":
        client = begin_first_passkey(app)
        enter_password(client, newcomer)
        set_up_app(client, Person(newcomer))
    else:
        client = sign_in_with_first_passkey(app, Key())
    assert is_in(client)
    assert db.session.scalar(select(func.count()).select_from(DeskSession)) == 1


@pytest.mark.slow
def test_session_for_first_passkey_opens_no_other_page(app: Flask, newcomer: str, campaign: Campaign) -> None:
    client = begin_first_passkey(app)
    token = token_of(client.get("/desk/account/passkeys").text)
    of_theirs = [f"/desk/account/{page}" for page in ("password", "recovery-codes", "app", "app/forged")]
    more = [(method, each) for method in ("GET", "POST") for each in ("/desk/password-again", *of_theirs)]
    for method, path in [(method, path) for method, path in routes(app)] + more:
        if path.endswith("app/forged") and method == "GET":
            continue
        form = {"csrf_token": token, "password": PASSWORD, "setup": "authenticator", "generate_new_codes": "y"}
        answer = FlaskClient.open(client, path, method=method, data=form if method == "POST" else None)
        assert answer.status_code in (302, 401), f"{method} {path}"
        assert answer.status_code == 401 or answer.location.startswith("/desk/sign-in"), f"{method} {path}"
    FlaskClient.post(client, "/desk/account/passkeys/remove", data={"csrf_token": token, "name": "mine"})
    assert not is_in(client)
    assert client.get("/desk/account/passkeys").status_code == 200


@pytest.mark.parametrize("change", [{"role": "observer", "active": "y"}, {"role": "admin"}, None], ids=str)
@pytest.mark.slow
def test_ending_sessions_ends_the_session_for_first_passkey(
    app: Flask, newcomer: str, at_desk: AtDeskAs, change: dict[str, str] | None
) -> None:
    unfinished = browser(app)
    enter_password(unfinished, newcomer)
    token = token_of(unfinished.get("/desk/account/app").text)
    client = begin_first_passkey(app)
    question = ask_for_new(client)
    if change:
        at_desk(Role.ADMIN).post("/desk/accounts/1", data=change)
    else:
        invitation(app, newcomer, "admin")
    hand_over(client, question, Key().make(question.options))
    assert count_passkeys() == 0
    assert not is_in(client)
    if change != {"role": "observer", "active": "y"}:
        # A role change is excluded: it keeps fs_uniquifier, so an unfinished sign-in stays valid.
        answer = FlaskClient.post(unfinished, "/desk/account/first-passkey", data={"csrf_token": token})
        assert answer.location == "/desk/sign-in"


@pytest.mark.parametrize(
    ("headers", "token", "status"),
    [({"Sec-Fetch-Site": "cross-site"}, True, 403), ({"Origin": "https://evil.example"}, True, 403), ({}, False, 400)],
    ids=str,
)
def test_cross_site_post_cannot_start_passkey_setup(
    app: Flask, newcomer: str, headers: dict[str, str], token: bool, status: int
) -> None:
    client = browser(app)
    enter_password(client, newcomer)
    form = {"csrf_token": token_of(client.get("/desk/account/app").text)} if token else {}
    answer = FlaskClient.post(client, "/desk/account/first-passkey", data=form, headers=headers)
    assert answer.status_code == status
    assert client.get("/desk/account/app").status_code == 200


@pytest.mark.slow
def test_copied_cookie_cannot_start_unlimited_sessions(app: Flask, newcomer: str) -> None:
    unfinished = browser(app)
    enter_password(unfinished, newcomer)
    form = {"csrf_token": token_of(unfinished.get("/desk/account/app").text)}
    answers = [
        FlaskClient.post(copy_browser(app, unfinished), "/desk/account/first-passkey", data=form) for _ in range(16)
    ]
    assert [answer.status_code for answer in answers[:14]] == [303] * 14
    assert answers[-1].status_code == 429
