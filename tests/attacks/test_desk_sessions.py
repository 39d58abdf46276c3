"""The session cookie of the desk: bound to the host, and useless after the next step of sign-in or sign-out."""

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from sqlalchemy import select

from campaign import create_app
from campaign.models.account import DeskSession, Role
from campaign.models.campaign import Campaign
from campaign.settings import Settings
from campaign.storage.database import db
from tests.conftest import DOMAIN, PATH, SECRET_KEY, Visitor, dispose
from tests.desk.conftest import AtDeskAs
from tests.desk.passkeys import EMAIL, Key, add_passkey, begin_first_passkey
from tests.desk.people import (
    PASSWORD,
    AtDesk,
    Person,
    accept,
    browser,
    copy_browser,
    enter_code,
    invitation,
    is_in,
    sign_in,
    token_of,
)

Invited = Callable[[Role], Person]
NEW = "another long password"


def is_refused(client: AtDesk, token: str) -> bool:
    """Return whether this CSRF token is refused. The form names no existing session, so it ends none."""
    form = {"csrf_token": token, "session": "0" * 64}
    return FlaskClient.post(client, "/desk/account/sessions", data=form).status_code == 400


@pytest.fixture
def on_https(app: Flask, settings: Settings, database: str) -> Iterator[Flask]:
    """Yield the same site with an https SITE_URL."""
    environ = {"DATABASE_URL": database, "SECRET_KEY": SECRET_KEY, "SITE_URL": f"https://{DOMAIN}"}
    site = create_app(Settings.from_environ(environ, settings.instance))
    site.test_client_class = Visitor
    with site.app_context():
        yield site
        dispose()
    with site.extensions["desk"].app.app_context():
        dispose()


@pytest.mark.slow
def test_cookie_is_bound_to_the_host_on_https(on_https: Flask, app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ADMIN), browser(on_https)
    client.environ_base |= {"HTTP_HOST": DOMAIN, "wsgi.url_scheme": "https"}
    cookie = client.get("/desk/sign-in").headers["Set-Cookie"]
    assert cookie.startswith("__Host-desk=")
    attributes = cookie.split("; ")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(attributes)
    assert not any(each.startswith(("Domain", "Expires", "Max-Age")) for each in attributes)
    sign_in(client, person)
    assert is_in(client)


def test_public_site_ignores_the_desk_cookie_on_https(on_https: Flask, app: Flask, campaign: Campaign) -> None:
    plain, organizer = on_https.test_client(), on_https.test_client()
    organizer.set_cookie("__Host-desk", "anything", path="/", domain=DOMAIN, secure=True)
    answers = [each.get(PATH, base_url=f"https://{DOMAIN}") for each in (plain, organizer)]
    assert answers[0].data == answers[1].data
    assert not any("Set-Cookie" in each.headers or "Cookie" in each.headers.get("Vary", "") for each in answers)


@pytest.mark.slow
def test_cookie_without_host_prefix_is_ignored_on_https(on_https: Flask, app: Flask, at_desk: AtDeskAs) -> None:
    """Any other host of the domain could set a cookie with this name."""
    cookie = at_desk(Role.ADMIN).get_cookie("desk", path="/desk")
    assert cookie
    client = browser(on_https)
    client.environ_base |= {"HTTP_HOST": DOMAIN, "wsgi.url_scheme": "https"}
    client.set_cookie("desk", cookie.value, path="/desk", secure=True)
    assert not is_in(client)
    client.set_cookie("__Host-desk", cookie.value, path="/", secure=True)
    assert is_in(client)


@pytest.mark.slow
def test_each_sign_in_step_renews_token_and_cookie(app: Flask, invited: Invited) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    before = token_of(client.get("/desk/sign-in").text)
    planted = copy_browser(app, client)
    form = {"csrf_token": before, "email": person.email, "password": PASSWORD}
    assert FlaskClient.post(client, "/desk/sign-in", data=form).status_code == 302
    halfway = copy_browser(app, client)
    assert enter_code(client, "000000", before).status_code == 400
    between = token_of(client.get("/desk/sign-in/code").text)
    assert enter_code(client, person.code(), between).status_code == 302
    assert is_in(client)
    assert is_refused(client, before)
    assert is_refused(client, between)
    assert not is_refused(client, client.token())
    assert not is_in(planted)
    assert not is_in(halfway)
    # The copies are at the step before the second factor, or before the password.
    assert halfway.get("/desk/account").location.startswith("/desk/sign-in")


@pytest.mark.slow
def test_password_step_clears_the_cookie(app: Flask, invited: Invited) -> None:
    client, cookies = browser(app), SecureCookieSessionInterface().get_signing_serializer(app.extensions["desk"].app)
    assert cookies
    token = token_of(client.get("/desk/sign-in").text)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookie
    planted = cookies.dumps(cookies.loads(cookie.value) | {"planted": "by an attacker"})
    client.set_cookie("desk", planted, path="/desk", secure=True)
    form = {"csrf_token": token, "email": invited(Role.ADMIN).email, "password": PASSWORD}
    assert FlaskClient.post(client, "/desk/sign-in", data=form).status_code == 302
    cookie = client.get_cookie("desk", path="/desk")
    assert cookie
    assert "planted" not in cookies.loads(cookie.value)


@pytest.mark.parametrize("step", ["password again", "password change"])
@pytest.mark.slow
def test_confirming_the_password_renews_session_id_and_token(app: Flask, invited: Invited, step: str) -> None:
    person, client = invited(Role.ADMIN), browser(app)
    sign_in(client, person)
    thief, token = copy_browser(app, client), client.token()
    assert is_in(thief)
    began = _began()
    if step == "password again":
        answer = client.post("/desk/password-again", data={"password": PASSWORD})
    else:
        form = {"password": PASSWORD, "new_password": NEW, "new_password_confirm": NEW}
        answer = client.post("/desk/account/password", data=form)
    assert answer.status_code == 302
    assert is_in(client)
    assert not is_in(thief)
    assert is_refused(client, token)
    assert not is_refused(client, client.token())
    if step == "password again":
        # The session keeps its start, so it ends at the same time as before.
        assert _began() == began


def _began() -> list[datetime]:
    db.session.rollback()
    return sorted(db.session.scalars(select(DeskSession.began_at)))


@pytest.mark.slow
def test_wrong_password_keeps_session_and_token(at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ADMIN)
    token = client.token()
    assert client.post("/desk/password-again", data={"password": "wrong password"}).status_code == 422
    assert is_in(client)
    assert not is_refused(client, token)


@pytest.mark.slow
def test_first_passkey_renews_session_id_and_token(app: Flask) -> None:
    accept(browser(app), invitation(app, EMAIL, "admin"))
    client = begin_first_passkey(app)
    thief, token = copy_browser(app, client), token_of(client.get("/desk/account/passkeys").text)
    assert add_passkey(client, Key()).location == "/desk/account/passkey-added"
    assert is_in(client)
    assert not is_in(thief)
    assert is_refused(client, token)


@pytest.mark.slow
def test_sign_out_deletes_cookie_and_cached_pages(at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ADMIN)
    token = client.token()
    assert "Clear-Site-Data" not in client.get("/desk/sign-out").headers
    assert is_in(client)
    answer = client.post("/desk/sign-out")
    # Not "cookies", which would sign users out of all sites of the organization's domain.
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert client.get_cookie("desk", path="/desk") is None
    assert is_refused(client, token)
