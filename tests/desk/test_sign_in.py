"""Getting in at the desk: by invitation, password and second factor, and in no other way."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from sqlalchemy import select, update

from campaign.desk_models import Account, DeskSession, Record, Role
from campaign.extensions import db, write_transaction
from campaign.models import Campaign
from campaign.settings import Settings
from tests.conftest import HTMX, PATH
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
    set_up_app,
    sign_in,
    token_of,
)

Invited = Callable[[Role], Person]


def is_in(client: AtDesk) -> bool:
    return client.get("/desk/account").status_code == 200


def later(by: timedelta) -> None:
    """As if that much time had gone by since everybody last did something."""
    with write_transaction() as session:
        for each in session.scalars(select(DeskSession)):
            each.seen_at -= by
            each.began_at -= by


def test_who_is_invited_sets_a_password_and_an_app_and_is_in(at_desk: AtDeskAs) -> None:
    page = at_desk(Role.ADMIN).get("/desk/account")
    assert page.status_code == 200
    assert "Grace Hopper" in page.text


def test_the_first_thing_shown_is_how_to_get_in_without_the_app(app: Flask, at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ORGANISER)
    assert client.get("/desk/arrive").location == "/desk/account/recovery-codes"
    page = client.post("/desk/account/recovery-codes", data={"generate_new_codes": "y"}).text
    assert len(re.findall(r"<li><code>", page)) == 10
    assert client.get("/desk/arrive").location == "/desk/"


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


def test_without_the_second_factor_nobody_is_in(app: Flask, invited: Invited) -> None:
    client = browser(app)
    assert enter_password(client, invited(Role.ADMIN).email).location.startswith("/desk/sign-in/code")
    assert not is_in(client)
    assert enter_code(client, "000000").status_code == 422
    assert not is_in(client)


def test_before_the_app_is_set_up_nobody_is_in(app: Flask) -> None:
    client = browser(app)
    accept(client, invitation(app, "grace@example.org", "admin"))
    assert enter_password(client, "grace@example.org").location == "/desk/account/app"
    assert not is_in(client)


def test_a_copy_of_the_first_sign_ins_cookie_sets_up_no_other_app(app: Flask) -> None:
    person, client, thief = Person("grace@example.org"), browser(app), browser(app)
    accept(client, invitation(app, person.email, "admin"))
    enter_password(client, person.email)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookie
    set_up_app(client, person)
    thief.set_cookie("desk", cookie.value, path="/desk")
    assert thief.get("/desk/account/app").location == "/desk/sign-in"


def test_looking_at_no_page_of_signing_in_signs_out(at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ADMIN)
    for page in ("", "/code", "/second-factor", "/recovery-code", "/passkey"):
        client.get(f"/desk/sign-in{page}")
        assert is_in(client), page


def test_there_is_no_way_in_by_email(app: Flask, invited: Invited) -> None:
    client = browser(app)
    enter_password(client, invited(Role.ADMIN).email)
    form = {"csrf_token": token_of(client.get("/desk/sign-in/code").text), "help_setup": "help"}
    assert client.post("/desk/tf-rescue", data=form).status_code == 404


def test_an_unknown_address_and_a_wrong_password_get_the_same_answer(app: Flask, invited: Invited) -> None:
    person, answers = invited(Role.ADMIN), []
    for email, password in ((person.email, "wrong password 1"), ("nobody@example.org", PASSWORD)):
        answer = enter_password(browser(app), email, password)
        assert "don’t belong together" in answer.text
        hidden = re.sub(r'value="[^"]*"|"X-CSRFToken": "[^"]*"', "", answer.text)
        answers.append((answer.status_code, hidden, [name for name, _ in answer.headers]))
    assert answers[0] == answers[1]


def test_a_code_is_taken_once(app: Flask, invited: Invited) -> None:
    person = invited(Role.ADMIN)
    code = person.code()
    first, second = browser(app), browser(app)
    for client in (first, second):
        enter_password(client, person.email)
    assert enter_code(first, code).location.endswith("/desk/arrive")
    assert "was used before" in enter_code(second, code).text
    assert not is_in(second)


def test_a_recovery_code_lets_in_once_and_only_after_the_password(
    app: Flask, at_desk: AtDeskAs, invited: Invited
) -> None:
    client, person = browser(app), invited(Role.ORGANISER)
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


def test_of_two_who_send_the_same_recovery_code_at_once_one_is_let_in(app: Flask, invited: Invited) -> None:
    client, person = browser(app), invited(Role.ORGANISER)
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


def test_who_has_lost_everything_is_invited_again_and_begins_anew(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ORGANISER), browser(app)
    sign_in(client, person)
    link = invitation(app, person.email, "organiser")
    assert not is_in(client)
    assert enter_password(browser(app), person.email).status_code == 422
    assert accept(client, link).status_code == 303
    assert enter_password(client, person.email).location == "/desk/account/app"
    assert set_up_app(client, person).location.endswith("/desk/arrive")


@pytest.mark.parametrize("key", ["email", "code"])
def test_who_tries_too_often_must_wait(app: Flask, invited: Invited, key: str) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    if key == "code":
        enter_password(client, person.email)
        answers = [enter_code(client, f"00000{n % 10}") for n in range(16)]
    else:
        answers = [enter_password(client, person.email, f"wrong password {n}") for n in range(16)]
    assert [answer.status_code for answer in answers[:14]] == [422] * 14
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 60
    # Somebody else's account is not touched by it.
    assert enter_password(browser(app), "somebody-else@example.org").status_code == 422


def test_an_address_in_other_letters_gives_no_more_tries(app: Flask, invited: Invited) -> None:
    name = invited(Role.ADMIN).email.partition("@")[0]
    wide = [f"{'example'[:n]}{chr(ord('example'[n]) + 0xFEE0)}{'example'[n + 1 :]}.org" for n in range(7)]
    domains = ["example.org", "EXAMPLE.org", "example\u3002org", *wide] * 2
    answers = [enter_password(browser(app), f"{name}@{domain}", "wrong password") for domain in domains]
    assert [answer.status_code for answer in answers[14:]] == [429] * 6


def test_who_tries_no_address_keeps_nobody_from_accepting(app: Flask) -> None:
    for _ in range(16):
        assert enter_password(browser(app), "").status_code == 422
    client = browser(app)
    client.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    assert accept(client, invitation(app, "grace@example.org", "organiser")).status_code == 303


@pytest.mark.parametrize("key", ["known", "unknown"])
def test_how_often_one_may_try_tells_nothing_of_an_address(app: Flask, invited: Invited, key: str) -> None:
    email = invited(Role.ADMIN).email if key == "known" else "nobody@example.org"
    answers = [enter_password(browser(app), email, "wrong password") for _ in range(17)]
    refused = [answer.status_code for answer in answers].index(429)
    # The set-up of who is known has signed in once.
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
def test_nobody_is_sent_elsewhere_after_signing_in(app: Flask, invited: Invited, wanted: str) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    token = token_of(client.get("/desk/sign-in", query_string={"next": wanted}).text)
    form = {"csrf_token": token, "email": person.email, "password": PASSWORD, "next": wanted}
    answer = client.post("/desk/sign-in", query_string={"next": wanted}, data=form)
    if answer.status_code == 422:
        assert not is_in(client)
        return
    token = token_of(client.get("/desk/sign-in/code").text)
    form = {"csrf_token": token, "code": person.code(), "next": wanted}
    answer = client.post("/desk/sign-in/code", query_string={"next": wanted}, data=form)
    assert answer.status_code == 302
    assert urlsplit(urljoin("http://localhost/desk/sign-in/code", answer.location)).netloc == "localhost"
    assert not re.match(r"[/\\\\]{2}", answer.location)


def test_one_arrives_where_one_wanted_to_go(app: Flask, invited: Invited) -> None:
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


def test_the_password_is_asked_for_again_before_one_changes_how_one_signs_in(app: Flask, at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ORGANISER)
    assert client.get("/desk/account/app").status_code == 200
    desk: Flask = app.extensions["desk"].app
    cookies = SecureCookieSessionInterface().get_signing_serializer(desk)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookies
    assert cookie
    session = cookies.loads(cookie.value)
    session["fs_paa"] -= 3600
    session.pop("fs_gexp", None)
    client.set_cookie("desk", cookies.dumps(session), path="/desk")
    assert "/desk/password-again" in client.get("/desk/account/app").location


def test_the_last_admin_stays(at_desk: AtDeskAs) -> None:
    admin = at_desk(Role.ADMIN)
    for form in ({"role": "observer", "active": "y"}, {"role": "admin"}):
        answer = admin.post("/desk/accounts/1", data=form)
        assert answer.status_code == 422
        assert "Somebody must stay" in answer.text
    assert is_in(admin)


def test_an_admin_invites_from_the_desk_and_the_link_works(app: Flask, at_desk: AtDeskAs) -> None:
    admin = at_desk(Role.ADMIN)
    page = admin.post("/desk/accounts", data={"email": "new@example.org", "role": "moderator"}).text
    link = re.search(r'readonly value="([^"]+)"', page)
    assert link
    assert accept(browser(app), "/" + link[1].split("/", 3)[3]).status_code == 303
    answer = admin.post("/desk/accounts", data={"email": "nonsense", "role": "moderator"})
    assert answer.status_code == 422
    assert 'value="nonsense"' in answer.text


def test_no_secret_is_in_the_database_or_the_record(app: Flask, at_desk: AtDeskAs, invited: Invited) -> None:
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


def test_the_record_can_only_be_added_to(app: Flask, at_desk: AtDeskAs) -> None:
    at_desk(Role.ADMIN)
    for statement in (update(Record).values(actor="nobody"), Record.__table__.delete()):  # type: ignore[attr-defined]
        with pytest.raises(Exception, match="only added to"), write_transaction() as session:
            session.execute(statement)


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
