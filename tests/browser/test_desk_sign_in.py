"""Getting in at the desk in a real browser: by keyboard, without JavaScript, and with a passkey."""

import pytest
from flask import Flask
from playwright.sync_api import Page, Route, expect
from sqlalchemy import select
from webauthn.helpers import bytes_to_base64url

from campaign.desk_models import Passkey
from campaign.extensions import db
from tests.browser.conftest import OpenPage, violations
from tests.conftest import Server, only_sqlite
from tests.desk.people import PASSWORD, Person, invitation

pytestmark = only_sqlite


def accept(page: Page) -> None:
    page.get_by_label("Your name").fill("Grace Hopper")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same password again").fill(PASSWORD)
    page.get_by_role("button", name="Accept").click()


def enter_password(page: Page, person: Person) -> None:
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def set_up_app(page: Page, person: Person) -> None:
    page.get_by_role("button", name="Set up an app").click()
    person.key = page.locator("#key").inner_text().replace("-", "")
    page.get_by_label("Code").fill(person.code())
    page.get_by_role("button", name="Finish").click()


def arrive(page: Page, app: Flask, server: Server, email: str = "grace@example.org", role: str = "admin") -> Person:
    """Accept an invitation and sign in, to the page of recovery codes."""
    person = Person(email)
    page.goto(server.url + invitation(app, person.email, role))
    accept(page)
    enter_password(page, person)
    set_up_app(page, person)
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    return person


@pytest.mark.parametrize("script", [True, False])
def test_one_is_invited_signs_in_and_out_and_in_again_and_no_page_shuts_anybody_out(
    app: Flask, server: Server, open_page: OpenPage, script: bool
) -> None:
    page = open_page(f"{server.url}/desk/sign-in", script=script, desk=True, width=360)
    person = Person("grace@example.org")

    def looks_right() -> None:
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
        if script:
            assert violations(page) == [], page.url

    page.goto(server.url + invitation(app, person.email, "admin"))
    looks_right()
    accept(page)
    looks_right()
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill("not my password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_focused()
    looks_right()
    enter_password(page, person)
    looks_right()
    page.get_by_role("button", name="Set up an app").click()
    looks_right()
    person.key = page.locator("#key").inner_text().replace("-", "")
    page.get_by_label("Code").fill(person.code())
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Make recovery codes").click()
    expect(page.locator(".codes li")).to_have_count(10)
    looks_right()
    for path in ("nothing", "accounts", "accounts/1", "account", "account/password", "account/app", "account/passkeys"):
        page.goto(f"{server.url}/desk/{path}")
        looks_right()
    page.get_by_role("button", name="Sign out").click()
    enter_password(page, person)
    looks_right()
    page.get_by_label("Code").fill(person.code())
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{server.url}/desk/account")
    expect(page.get_by_text("Chrome on Linux (here)")).to_be_visible()


def with_passkeys(server: Server, open_page: OpenPage) -> Page:
    """A browser that has passkeys, and says yes to every question about them."""
    # A passkey belongs to a name, and an address of numbers is none.
    server.name = "localhost"
    page = open_page(f"{server.url}/desk/sign-in", desk=True)
    cdp = page.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    key = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options = key | {"isUserVerified": True, "automaticPresenceSimulation": True}
    cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return page


def add_passkey(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/desk/account/passkeys")
    name_passkey(page)
    expect(page.get_by_text("Your passkey is added.")).to_be_visible()


def name_passkey(page: Page) -> None:
    page.get_by_label("Name of the new passkey").fill("my phone")
    page.get_by_role("button", name="Add a passkey").click()


def sign_out_and_enter_password(page: Page, person: Person) -> None:
    page.get_by_role("button", name="Sign out").click()
    enter_password(page, person)


def ask_for_passkey(page: Page, person: Person) -> None:
    sign_out_and_enter_password(page, person)
    page.get_by_label("My passkey").check()
    page.get_by_role("button", name="Go on").click()


def test_one_signs_in_with_a_passkey_in_place_of_the_code(app: Flask, server: Server, open_page: OpenPage) -> None:
    page = with_passkeys(server, open_page)
    person = arrive(page, app, server)
    add_passkey(page, server)
    assert violations(page) == []
    ask_for_passkey(page, person)
    assert violations(page) == []
    page.get_by_role("button", name="Use my passkey").click()
    page.wait_for_url("**/desk/account/recovery-codes")
    page.goto(f"{server.url}/desk/account/passkeys")
    page.get_by_role("button", name="Remove my phone").click()
    expect(page.get_by_text("Your passkey is removed.")).to_be_visible()


def test_a_passkey_can_be_the_only_second_factor(app: Flask, server: Server, open_page: OpenPage) -> None:
    page, person = with_passkeys(server, open_page), Person("grace@example.org")
    page.goto(server.url + invitation(app, person.email, "organiser"))
    accept(page)
    enter_password(page, person)
    page.get_by_role("button", name="Use a passkey instead").click()
    assert violations(page) == []
    # Nothing else is open yet, by that password alone.
    for path in ("", "account", "account/recovery-codes", "account/password", "account/app"):
        assert page.request.get(f"{server.url}/desk/{path}").url.startswith(f"{server.url}/desk/sign-in"), path
    name_passkey(page)
    page.get_by_role("button", name="Make recovery codes").click()
    code = page.locator(".codes li").first.inner_text()
    sign_out_and_enter_password(page, person)
    page.get_by_role("button", name="Use my passkey").click()
    page.wait_for_url("**/desk/")
    page.goto(f"{server.url}/desk/account/passkeys")
    page.get_by_role("button", name="Remove my phone").click()
    expect(page.get_by_text("That is your only second factor.")).to_be_visible()
    expect(page.get_by_role("button", name="Remove my phone")).to_be_visible()
    sign_out_and_enter_password(page, person)
    page.get_by_role("link", name="Use a recovery code").click()
    page.get_by_label("Recovery code").fill(code)
    page.keyboard.press("Enter")
    page.wait_for_url("**/desk/")


def test_a_passkey_lets_in_only_whose_password_was_right(app: Flask, server: Server, open_page: OpenPage) -> None:
    page = with_passkeys(server, open_page)
    owner = arrive(page, app, server)
    add_passkey(page, server)
    page.get_by_role("button", name="Sign out").click()
    other = arrive(page, app, server, email="other@example.org")
    add_passkey(page, server)
    keys = {key.user_id: bytes_to_base64url(key.credential_id) for key in db.session.scalars(select(Passkey))}

    def swap(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace(keys[2], keys[1]))

    page.route("**/desk/sign-in/passkey*", swap)
    ask_for_passkey(page, other)
    page.get_by_role("button", name="Use my passkey").click()
    expect(page.get_by_role("heading", name="You may not do that")).to_be_visible()
    page.goto(f"{server.url}/desk/account")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert owner.email not in page.content()
