"""Sessions at the desk: cookies, timeouts, and how they end."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from campaign.desk.sign_in import session_cookie
from campaign.models.account import DeskSession, Role
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.storage.database import db
from tests.conftest import HTMX, PATH
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import typed
from tests.desk.people import (
    PASSWORD,
    Person,
    accept,
    browser,
    enter_code,
    enter_password,
    invitation,
    is_in,
    later,
    set_up_app,
    sign_in,
)

Invited = Callable[[Role], Person]
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"

_KEPT_FIELD = r'<textarea name="([^"]+)" hidden>\n(.*?)</textarea>'


@pytest.mark.slow
def test_copied_cookie_of_first_sign_in_cannot_set_up_another_app(app: Flask) -> None:
    person, client, thief = Person("grace@example.org"), browser(app), browser(app)
    accept(client, invitation(app, person.email, "admin"))
    enter_password(client, person.email)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookie
    set_up_app(client, person)
    thief.set_cookie("desk", cookie.value, path="/desk")
    assert thief.get("/desk/account/app").location == "/desk/sign-in"


def test_copied_cookie_is_useless_after_sign_out(app: Flask, at_desk: AtDeskAs) -> None:
    client, thief = at_desk(Role.ADMIN), browser(app)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookie
    thief.set_cookie("desk", cookie.value, path="/desk")
    assert is_in(thief)
    client.post("/desk/sign-out")
    assert not is_in(client)
    assert not is_in(thief)


def test_cookie_is_limited_to_the_desk_and_hidden_from_scripts(app: Flask, campaign: Campaign) -> None:
    cookie = browser(app).get("/desk/sign-in").headers["Set-Cookie"]
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/desk"):
        assert attribute in cookie
    for attribute in ("Domain", "Expires", "Max-Age"):
        assert attribute not in cookie


@pytest.mark.slow
def test_public_site_neither_sets_nor_reads_cookies(app: Flask, at_desk: AtDeskAs, campaign: Campaign) -> None:
    client = at_desk(Role.ADMIN)
    answer = client.get(PATH)
    assert "Set-Cookie" not in answer.headers
    assert answer.data == browser(app).get(PATH).data


@pytest.mark.slow
def test_remember_me_is_unavailable(app: Flask, invited: Invited) -> None:
    client, person = browser(app), invited(Role.ADMIN)
    enter_password(client, person.email, remember="y")
    answer = enter_code(client, person.code())
    assert [cookie.split("=")[0] for cookie in answer.headers.getlist("Set-Cookie")] == ["desk"]


def test_idle_admin_is_signed_out_after_30_minutes(at_desk: AtDeskAs) -> None:
    admin, organizer = at_desk(Role.ADMIN), at_desk(Role.ORGANIZER)
    later(timedelta(minutes=29))
    assert is_in(admin)
    later(timedelta(minutes=29))
    assert is_in(admin)
    later(timedelta(minutes=31))
    assert not is_in(admin)
    assert is_in(organizer)


def test_idle_timeout_starts_at_the_last_request_within_a_minute(at_desk: AtDeskAs) -> None:
    def seen_at() -> datetime:
        db.session.rollback()
        return db.session.scalars(select(DeskSession.seen_at)).one()

    admin = at_desk(Role.ADMIN)
    later(timedelta(seconds=30))
    before = seen_at()
    assert is_in(admin)
    assert seen_at() == before, "a request within a minute writes nothing"
    later(timedelta(seconds=31))
    assert is_in(admin)
    later(timedelta(minutes=29, seconds=30))
    assert is_in(admin)


def test_every_session_ends_after_12_hours(at_desk: AtDeskAs) -> None:
    client = at_desk(Role.OBSERVER)
    later(timedelta(hours=11, minutes=59))
    assert is_in(client)
    later(timedelta(minutes=2))
    assert not is_in(client)


@pytest.mark.slow
def test_user_sees_and_ends_their_own_sessions(app: Flask, invited: Invited) -> None:
    person, here, there = invited(Role.ORGANIZER), browser(app), browser(app)
    there.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
    for client in (here, there):
        sign_in(client, person)
    page = here.get("/desk/account").text
    assert "Firefox on Linux" in page
    assert page.count("<strong>(this one)</strong>") == 1
    assert len(re.findall(r"Signed in [^<]+ UTC\. Last used [^<]+\.</span>", page)) == 3
    ended = re.findall(r'name="session" value="([0-9a-f]{64})"', page)
    assert len(ended) == 2  # The session of the setup, and the other one of this test.
    here.post("/desk/account/sessions")
    assert is_in(here)
    assert not is_in(there)


@pytest.mark.parametrize(
    ("user_agent", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/142.0.0.0 Safari/537.36", "Chrome on Windows"),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/142.0.0.0 Safari/537.36 Edg/142.0", "Edge on Windows"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/142.0.0.0 Safari/537.36", "Chrome on ChromeOS"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Version/26.1 Safari/605.1.15", "Safari on a Mac"),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) {WEBKIT} CriOS/142 Safari", "Chrome on an iPhone"),
        (f"Mozilla/5.0 (iPad; CPU OS 26_1 like Mac OS X) {WEBKIT} FxiOS/145.0 Safari/605.1.15", "Firefox on an iPad"),
        (f"Mozilla/5.0 (Linux; Android 10) {WEBKIT} SamsungBrowser/28.0 Chrome/130", "Samsung Internet on Android"),
        ("curl/8.5.0", "A browser"),
    ],
)
def test_browser_and_system_are_named_and_nothing_else_is_stored(app: Flask, user_agent: str, shown: str) -> None:
    with app.test_request_context(headers={"User-Agent": user_agent}):
        assert session_cookie.browser() == shown


def test_another_users_session_cannot_be_ended(at_desk: AtDeskAs) -> None:
    victim = at_desk(Role.ORGANIZER)
    digest = db.session.scalars(select(DeskSession.digest)).one()
    at_desk(Role.ADMIN).post("/desk/account/sessions", data={"session": digest})
    assert is_in(victim)


@pytest.mark.slow
def test_password_change_ends_other_sessions(app: Flask, invited: Invited) -> None:
    person, here, there = invited(Role.ORGANIZER), browser(app), browser(app)
    for client in (here, there):
        sign_in(client, person)
    form = {
        "password": PASSWORD,
        "new_password": "another long password",
        "new_password_confirm": "another long password",
    }
    answer = here.post("/desk/account/password", data=form)
    assert answer.status_code == 302, answer.text
    assert is_in(here)
    assert not is_in(there)
    assert enter_password(browser(app), person.email).status_code == 422
    assert enter_password(browser(app), person.email, "another long password").status_code == 302
    assert "account.password" in db.session.scalars(select(Record.action)).all()


def test_role_change_ends_sessions(at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ORGANIZER)
    admin = at_desk(Role.ADMIN)
    admin.post("/desk/accounts/1", data={"role": "observer", "active": "y"})
    assert not is_in(client)
    assert is_in(admin)


@pytest.mark.slow
def test_closed_account_is_signed_out_and_cannot_sign_in(app: Flask, invited: Invited, at_desk: AtDeskAs) -> None:
    person, client = invited(Role.ORGANIZER), browser(app)
    sign_in(client, person)
    at_desk(Role.ADMIN).post("/desk/accounts/1", data={"role": "organizer"})
    assert not is_in(client)
    answer = enter_password(browser(app), person.email)
    assert answer.status_code == 422
    assert "is incorrect" in answer.text


@pytest.mark.slow
def test_form_sent_after_sign_out_is_kept(app: Flask, invited: Invited, campaign: Campaign) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    sign_in(client, person)
    token = client.token()
    later(timedelta(minutes=31))
    form = {"csrf_token": token, "email": "typed@example.org", "role": "observer"}
    answer = client.post("/desk/accounts", data=form)
    assert answer.status_code == 401
    sign_in(client, person)
    kept = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', answer.text))
    assert kept == form
    assert "typed@example.org" in client.post("/desk/accounts", data=kept).text


@pytest.mark.parametrize("where", ["edit", "new"])
@pytest.mark.slow
def test_form_from_an_earlier_session_is_kept(app: Flask, invited: Invited, campaign: Campaign, where: str) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    sign_in(client, person)
    path = {"edit": "/desk/campaigns/save-the-park/edit", "new": "/desk/campaigns/new"}[where]
    form = typed(client.get(path).text) | {"letter": "\r\nAll of it,\r\n<b>written</b> again"}
    client.post("/desk/sign-out")
    sign_in(client, person)
    answer = client.post(path, data=form)
    assert answer.status_code == 400
    kept = {name: unescape(value) for name, value in re.findall(_KEPT_FIELD, answer.text, re.S)}
    assert kept == form | {"csrf_token": kept["csrf_token"]}
    assert kept["csrf_token"] != form["csrf_token"]
    assert "written" in client.post(path, data=kept).text


def test_refused_preview_says_that_the_text_is_kept(app: Flask, at_desk: AtDeskAs, campaign: Campaign) -> None:
    form = {"csrf_token": "another session’s", "letter": "Typed"}
    answer = at_desk(Role.ADMIN).post("/desk/campaigns/save-the-park/preview", data=form, headers=HTMX)
    assert answer.status_code == 400
    assert "still here" in answer.text


def test_polling_does_not_extend_a_session(app: Flask, at_desk: AtDeskAs, monkeypatch: pytest.MonkeyPatch) -> None:
    # Views that pages poll are marked as live. Other tests cover the pages of a campaign that poll.
    desk: Flask = app.extensions["desk"].app
    client = at_desk(Role.ADMIN)
    view: Any = desk.view_functions["accounts.own"]
    later(timedelta(minutes=20))
    monkeypatch.setattr(view, "live", True)
    assert is_in(client)
    later(timedelta(minutes=11))
    assert not is_in(client)


def test_polling_page_shows_a_notice_after_sign_out(app: Flask, at_desk: AtDeskAs, campaign: Campaign) -> None:
    client = at_desk(Role.ADMIN)
    later(timedelta(minutes=31))
    answer = client.get("/desk/campaigns/save-the-park/figures/live", headers=HTMX)
    assert answer.status_code == 401
    assert answer.headers["HX-Retarget"] == "#notice"
    assert "still here" in answer.text
