"""Sessions at the desk: kept in one browser, seen and ended by their owner, over after a while."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from campaign.desk_models import DeskSession, Record, Role
from campaign.extensions import db
from campaign.models import Campaign
from tests.conftest import HTMX, PATH
from tests.desk.conftest import AtDeskAs
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
from tests.desk.test_campaigns import typed

Invited = Callable[[Role], Person]

_KEPT = r'<textarea name="([^"]+)" hidden>\n(.*?)</textarea>'


def test_a_copy_of_the_first_sign_ins_cookie_sets_up_no_other_app(app: Flask) -> None:
    person, client, thief = Person("grace@example.org"), browser(app), browser(app)
    accept(client, invitation(app, person.email, "admin"))
    enter_password(client, person.email)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookie
    set_up_app(client, person)
    thief.set_cookie("desk", cookie.value, path="/desk")
    assert thief.get("/desk/account/app").location == "/desk/sign-in"


def test_a_cookie_that_was_copied_is_worth_nothing_after_signing_out(app: Flask, at_desk: AtDeskAs) -> None:
    client, thief = at_desk(Role.ADMIN), browser(app)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookie
    thief.set_cookie("desk", cookie.value, path="/desk")
    assert is_in(thief)
    client.post("/desk/sign-out")
    assert not is_in(client)
    assert not is_in(thief)


def test_the_cookie_is_for_the_desk_alone_and_for_no_script(app: Flask, campaign: Campaign) -> None:
    cookie = browser(app).get("/desk/sign-in").headers["Set-Cookie"]
    for words in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/desk"):
        assert words in cookie
    for words in ("Domain", "Expires", "Max-Age"):
        assert words not in cookie


def test_the_public_site_sets_no_cookie_and_takes_none(app: Flask, at_desk: AtDeskAs, campaign: Campaign) -> None:
    client = at_desk(Role.ADMIN)
    answer = client.get(PATH)
    assert "Set-Cookie" not in answer.headers
    assert answer.data == browser(app).get(PATH).data


def test_nobody_can_ask_to_be_remembered(app: Flask, invited: Invited) -> None:
    client, person = browser(app), invited(Role.ADMIN)
    enter_password(client, person.email, remember="y")
    answer = enter_code(client, person.code())
    assert [cookie.split("=")[0] for cookie in answer.headers.getlist("Set-Cookie")] == ["desk"]


def test_an_admin_is_signed_out_after_half_an_hour_of_doing_nothing(at_desk: AtDeskAs) -> None:
    admin, organiser = at_desk(Role.ADMIN), at_desk(Role.ORGANISER)
    later(timedelta(minutes=29))
    assert is_in(admin)
    later(timedelta(minutes=29))
    assert is_in(admin)
    later(timedelta(minutes=31))
    assert not is_in(admin)
    assert is_in(organiser)


def test_everybody_is_signed_out_after_twelve_hours(at_desk: AtDeskAs) -> None:
    client = at_desk(Role.OBSERVER)
    later(timedelta(hours=11, minutes=59))
    assert is_in(client)
    later(timedelta(minutes=2))
    assert not is_in(client)


def test_one_sees_where_one_is_signed_in_and_can_end_it(app: Flask, invited: Invited) -> None:
    person, here, there = invited(Role.ORGANISER), browser(app), browser(app)
    there.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
    for client in (here, there):
        sign_in(client, person)
    page = here.get("/desk/account").text
    assert "Firefox on Linux" in page
    ended = re.findall(r'name="session" value="([0-9a-f]{64})"', page)
    assert len(ended) == 2  # Of the test's own set-up, and the one there.
    here.post("/desk/account/sessions")
    assert is_in(here)
    assert not is_in(there)


def test_nobody_can_end_somebody_elses_session(at_desk: AtDeskAs) -> None:
    victim = at_desk(Role.ORGANISER)
    digest = db.session.scalars(select(DeskSession.digest)).one()
    at_desk(Role.ADMIN).post("/desk/account/sessions", data={"session": digest})
    assert is_in(victim)


def test_a_changed_password_ends_the_other_sessions(app: Flask, invited: Invited) -> None:
    person, here, there = invited(Role.ORGANISER), browser(app), browser(app)
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


def test_a_changed_role_ends_the_sessions(at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ORGANISER)
    admin = at_desk(Role.ADMIN)
    admin.post("/desk/accounts/1", data={"role": "observer", "active": "y"})
    assert not is_in(client)
    assert is_in(admin)


def test_a_closed_account_is_out_and_stays_out(app: Flask, invited: Invited, at_desk: AtDeskAs) -> None:
    person, client = invited(Role.ORGANISER), browser(app)
    sign_in(client, person)
    at_desk(Role.ADMIN).post("/desk/accounts/1", data={"role": "organiser"})
    assert not is_in(client)
    answer = enter_password(browser(app), person.email)
    assert answer.status_code == 422
    assert "don’t belong together" in answer.text


def test_who_is_signed_out_while_they_write_loses_nothing(app: Flask, invited: Invited, campaign: Campaign) -> None:
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
def test_who_has_signed_in_again_while_they_write_loses_nothing(
    app: Flask, invited: Invited, campaign: Campaign, where: str
) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    sign_in(client, person)
    path = {"edit": "/desk/campaigns/save-the-park/edit", "new": "/desk/campaigns/new"}[where]
    form = typed(client.get(path).text) | {"letter": "\r\nAll of it,\r\n<b>written</b> anew"}
    client.post("/desk/sign-out")
    sign_in(client, person)
    answer = client.post(path, data=form)
    assert answer.status_code == 400
    kept = {name: unescape(value) for name, value in re.findall(_KEPT, answer.text, re.S)}
    assert kept == form | {"csrf_token": kept["csrf_token"]}
    assert kept["csrf_token"] != form["csrf_token"]
    assert "written" in client.post(path, data=kept).text


def test_a_preview_that_can_not_come_says_what_becomes_of_what_was_typed(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign
) -> None:
    form = {"csrf_token": "another session’s", "letter": "Typed"}
    answer = at_desk(Role.ADMIN).post("/desk/campaigns/save-the-park/preview", data=form, headers=HTMX)
    assert answer.status_code == 400
    assert "still here" in answer.text


def test_an_open_page_that_asks_by_itself_keeps_nobody_signed_in(app: Flask, at_desk: AtDeskAs) -> None:
    # What is live says so at the door; the pages of a campaign that do have tests of their own.
    desk: Flask = app.extensions["desk"].app
    client = at_desk(Role.ADMIN)
    view: Any = desk.view_functions["accounts.own"]
    later(timedelta(minutes=20))
    view.live = True
    assert is_in(client)
    later(timedelta(minutes=11))
    assert not is_in(client)


def test_an_open_page_is_told_that_its_person_is_signed_out_and_stays_as_it_is(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign
) -> None:
    client = at_desk(Role.ADMIN)
    later(timedelta(minutes=31))
    answer = client.get("/desk/campaigns/save-the-park/figures/live", headers=HTMX)
    assert answer.status_code == 401
    assert answer.headers["HX-Retarget"] == "#notice"
    assert "still here" in answer.text
