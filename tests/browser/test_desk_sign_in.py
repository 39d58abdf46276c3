"""Signing in at the desk in a real browser: by keyboard, without JavaScript, and with a passkey."""

import re

import pytest
from flask import Flask
from playwright.sync_api import Locator, Page, Route, expect
from sqlalchemy import select
from webauthn.helpers import bytes_to_base64url

from campaign.models.account import Passkey
from campaign.storage.database import db
from tests.browser.conftest import OpenPage
from tests.browser.desk import (
    accept,
    begin_app_setup,
    button,
    check_accessible,
    enter_password,
    field,
    join,
    link,
    make_recovery_codes,
    sign_out,
    submit,
)
from tests.conftest import Server, only_sqlite
from tests.desk.people import Person, invitation

pytestmark = only_sqlite


@pytest.mark.parametrize("script", [True, False])
def test_every_page_from_the_invitation_to_the_second_sign_in_is_accessible(
    app: Flask, server: Server, open_page: OpenPage, script: bool
) -> None:
    page = open_page(f"{server.url}/desk/sign-in", script=script, desk=True, width=360)
    person = Person("grace@example.org")

    def check(path: str) -> None:
        page.wait_for_load_state()
        assert page.url.partition("?")[0] == f"{server.url}/desk{path}"
        if script:  # axe-core is a script.
            check_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path

    page.goto(server.url + invitation(app, person.email, "admin"))
    check("/invitation")
    accept(page)
    check("/sign-in")
    field(page, "email").fill(person.email)
    field(page, "password").fill("not my password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_focused()
    check("/sign-in")
    enter_password(page, person)
    check("/account/app")
    begin_app_setup(page, person)
    check("/account/app")
    if script:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        copy = page.locator("button[data-copy=key]")
        copy.click()
        expect(copy).to_have_text(copy.get_attribute("data-copied") or "missing")
        assert page.evaluate("navigator.clipboard.readText()") == page.locator("#key").inner_text()
    field(page, "code").fill(person.code())
    page.keyboard.press("Enter")
    make_recovery_codes(page)
    check("/account/recovery-codes")
    page.goto(f"{server.url}/desk/accounts")
    field(page, "email").fill("ada@example.org")
    field(page, "role").select_option("organizer")
    submit(page, "email")
    expect(page.locator("#link")).to_be_visible()
    check("/accounts")
    sign_out(page)
    enter_password(page, person)
    check("/sign-in/code")
    page.locator("main a[href*='/sign-in/recovery-code']").click()
    check("/sign-in/recovery-code")
    page.go_back()
    field(page, "code").fill(person.code())
    submit(page, "code")
    page.goto(f"{server.url}/desk/account")
    this_session = page.locator("main ul.rows").first.get_by_role("listitem").filter(has_text="Chrome on Linux")
    expect(this_session.locator("strong")).to_be_visible()


def with_passkeys(server: Server, open_page: OpenPage) -> Page:
    """Open a browser with a virtual authenticator that confirms every passkey request."""
    # A passkey belongs to a domain name, and an IP address isn't one.
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
    expect(page.locator("#notice .done")).to_be_visible()


def name_passkey(page: Page) -> None:
    field(page, "name").fill("my phone")
    submit(page, "name")


def remove_passkey_button(page: Page) -> Locator:
    """Return the button that removes the passkey `my phone`; its accessible name has the passkey's name."""
    return page.locator("form[action$='/account/passkeys/remove']").get_by_role("button", name="my phone")


def sign_out_and_enter_password(page: Page, person: Person) -> None:
    sign_out(page)
    enter_password(page, person)


def choose_passkey(page: Page, person: Person) -> None:
    """Sign in as far as the second factor, and choose the passkey there."""
    sign_out_and_enter_password(page, person)
    page.locator("button[name=which][value=webauthn]").click()


def test_passkey_replaces_the_code_at_sign_in(app: Flask, server: Server, open_page: OpenPage) -> None:
    page = with_passkeys(server, open_page)
    person = join(page, app, server)
    add_passkey(page, server)
    expect(page.get_by_role("status")).to_be_visible()
    check_accessible(page)
    sign_out_and_enter_password(page, person)
    expect(page.locator("main a[href*='/sign-in/recovery-code']")).to_be_visible()
    check_accessible(page)
    # One press is enough.
    page.locator("button[name=which][value=webauthn]").click()
    page.wait_for_url("**/desk/account/recovery-codes")
    page.goto(f"{server.url}/desk/account/passkeys")
    remove_passkey_button(page).click()
    expect(page.locator("#notice .done")).to_be_visible()
    expect(remove_passkey_button(page)).to_have_count(0)


def test_passkey_can_be_the_only_second_factor(app: Flask, server: Server, open_page: OpenPage) -> None:
    page, person = with_passkeys(server, open_page), Person("grace@example.org")
    page.goto(server.url + invitation(app, person.email, "organizer"))
    accept(page)
    enter_password(page, person)
    button(page, "/account/first-passkey").click()
    expect(field(page, "name")).to_be_visible()
    check_accessible(page)
    # The password alone opens no other page.
    for path in ("", "account", "account/recovery-codes", "account/password", "account/app"):
        assert page.request.get(f"{server.url}/desk/{path}").url.startswith(f"{server.url}/desk/sign-in"), path
    name_passkey(page)
    make_recovery_codes(page)
    code = page.locator(".codes li").first.inner_text()
    sign_out_and_enter_password(page, person)
    page.wait_for_url("**/desk/")
    page.goto(f"{server.url}/desk/account/passkeys")
    remove_passkey_button(page).click()
    expect(page.locator("#notice .wrong")).to_be_visible()
    expect(remove_passkey_button(page)).to_be_visible()
    # If the user cancels the browser's request, the page stays, and has a link to recovery codes.
    page.add_init_script("CredentialsContainer.prototype.get = () => Promise.reject(new Error('canceled'))")
    sign_out_and_enter_password(page, person)
    expect(page.locator("#passkey-fault")).to_be_visible()
    check_accessible(page)
    page.locator("main a[href*='/sign-in/recovery-code']").click()
    field(page, "code").fill(code)
    page.keyboard.press("Enter")
    page.wait_for_url("**/desk/")


def test_passkey_of_another_account_does_not_sign_in(app: Flask, server: Server, open_page: OpenPage) -> None:
    page = with_passkeys(server, open_page)
    owner = join(page, app, server)
    add_passkey(page, server)
    sign_out(page)
    other = join(page, app, server, email="other@example.org")
    add_passkey(page, server)
    keys = {key.user_id: bytes_to_base64url(key.credential_id) for key in db.session.scalars(select(Passkey))}

    def swap(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace(keys[2], keys[1]))

    page.route("**/desk/sign-in/passkey*", swap)
    with page.expect_response(re.compile("/desk/sign-in/passkey/")) as response:
        choose_passkey(page, other)
    assert response.value.status == 403
    expect(link(page, "/desk/")).to_be_visible()
    page.goto(f"{server.url}/desk/account")
    expect(field(page, "password")).to_be_visible()
    assert "/desk/sign-in" in page.url
    assert owner.email not in page.content()
