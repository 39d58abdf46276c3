"""Confirming and withdrawing in a real browser, with real messages, with and without JavaScript."""

import re

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from campaign.mail.sending import LOOK_AGAIN, Sender
from campaign.models.campaign import Campaign
from campaign.models.signature import SignatureState
from campaign.settings import Settings
from campaign.storage.database import db
from tests.browser import test_sign
from tests.browser.conftest import OpenPage, check_windows, violations
from tests.conftest import PATH, Publish, Serve, Server, only_sqlite, stored
from tests.mail.conftest import SENDER, mail_settings, mailbox, sender, smtp
from tests.mail.mailbox import Mailbox
from tests.mail.mailbox import Server as MailServer

__all__ = ["mail_settings", "mailbox", "sender", "smtp"]
pytestmark = only_sqlite

CONFIRM = "Confirm my signature"


@pytest.fixture
def campaign(publish: Publish) -> Campaign:
    """Publish a campaign whose signers must confirm."""
    return publish(confirm=True)


@pytest.fixture
def server(serve: Serve, smtp: MailServer) -> Server:
    return serve(WEB_CONCURRENCY="1", MAIL_URL=smtp.url, MAIL_FROM=SENDER)


class Inbox:
    """The messages that the signer has received."""

    def __init__(self, sender: Sender, mailbox: Mailbox, server: Server) -> None:
        self._sender, self._mailbox, self._server = sender, mailbox, server

    def text(self) -> str:
        """Send what waits, and return the text of the last message."""
        while self._sender.send_some() != LOOK_AGAIN:
            pass
        db.session.rollback()
        part = self._mailbox.messages[-1].get_body(("plain",))
        assert part
        return str(part.get_content())

    def link(self, what: str) -> str:
        """Return the URL of a link in the last message."""
        path = re.findall(rf"/campaigns/\S+/{what}\?token=\S+", self.text())[0]
        return f"{self._server.url}{path}"

    def code(self) -> str:
        return str(re.findall(r"\b\d{6}\b", self.text())[0])


@pytest.fixture
def inbox(app: Flask, sender: Sender, mailbox: Mailbox, server: Server, settings: Settings) -> Inbox:
    return Inbox(sender, mailbox, server)


def names(page: Page) -> list[str]:
    return page.locator("#recent .name").all_inner_texts()


def sign(page: Page) -> None:
    """Send the sign form as Ada, and wait for the answer."""
    test_sign.sign(page, postal_code="90012")
    expect(page.get_by_role("heading", name="One more step: check your inbox")).to_be_visible()


def enter(page: Page, code: str) -> None:
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name=CONFIRM).click()


def test_code_in_the_open_page_confirms_without_a_reload(open_page: OpenPage, inbox: Inbox) -> None:
    page = open_page()
    page.evaluate("window.marker = 'still here'")
    sign(page)
    heading = page.get_by_role("heading", name="One more step: check your inbox")
    expect(heading).to_be_focused()
    assert names(page) == []
    assert violations(page) == []
    code = inbox.code()
    enter(page, "000000" if code != "000000" else "000001")
    expect(page.locator("#code-message")).to_contain_text("This is not the code")
    expect(page.locator("#code")).to_have_attribute("aria-invalid", "true")
    assert violations(page) == []
    enter(page, code)
    expect(page.get_by_role("heading", name="Thank You!")).to_be_focused()
    assert names(page)[0] == "Ada Lovelace"
    assert page.locator("#so-far").inner_text() == "1 person has signed. Goal: 100"
    expect(page.locator("#recent li[id]")).to_have_count(1, timeout=25_000)
    assert names(page) == ["Ada Lovelace"]
    assert page.evaluate("window.marker") == "still here"


@pytest.mark.parametrize("script", [True, False])
def test_link_opens_a_page_whose_button_confirms(open_page: OpenPage, inbox: Inbox, script: bool) -> None:
    sign(open_page(script=script))
    page = open_page(inbox.link("confirm"), script=script, width=360)
    assert [each.state for each in stored()] == [SignatureState.PENDING], "opening the link confirms nothing"
    page.get_by_role("button", name=CONFIRM).click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert names(page) == ["Ada Lovelace"]
    again = open_page(inbox.link("confirm"), script=script)
    expect(again.get_by_role("heading", name="Your signature is confirmed")).to_be_visible()


def test_code_confirms_without_javascript(open_page: OpenPage, inbox: Inbox) -> None:
    page = open_page(script=False)
    sign(page)
    expect(page.get_by_role("heading", name="One more step: check your inbox")).to_be_visible()
    page.get_by_label("Email").fill("ada@example.org")
    enter(page, inbox.code())
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert names(page) == ["Ada Lovelace"]


@pytest.mark.parametrize("script", [True, False])
def test_signer_corrects_and_then_withdraws_their_signature(open_page: OpenPage, inbox: Inbox, script: bool) -> None:
    sign(open_page(script=script))
    page = open_page(inbox.link("my-signature"), script=script)
    page.get_by_role("button", name=CONFIRM).click()
    page = open_page(inbox.link("my-signature"), script=script)
    page.get_by_label("Name", exact=True).fill("Ada King")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved.")
    watching = open_page(script=script)
    assert names(watching) == ["Ada King"]
    page.get_by_role("button", name="Withdraw my signature").click()
    expect(page.get_by_role("heading", name="Withdraw the signature?")).to_be_visible()
    page.get_by_role("button", name="Withdraw the signature").click()
    expect(page.get_by_role("heading", name="Your signature is withdrawn")).to_be_visible()
    assert [each.state for each in stored()] == [SignatureState.WITHDRAWN]
    # The page is cached for a second.
    page.wait_for_timeout(1100)
    expect(open_page("", script=script).locator("#recent .name")).to_have_count(0)


def test_link_is_requested_and_used(open_page: OpenPage, inbox: Inbox) -> None:
    sign(open_page())
    inbox.text()
    page = open_page()
    page.get_by_role("contentinfo").get_by_role("link", name="Change or withdraw my signature").click()
    page.get_by_label("Email").fill("ada@example")
    page.get_by_role("button", name="Send the link").click()
    expect(page.locator("#email-message")).to_be_visible()
    page.get_by_label("Email").fill("ada@example.org")
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("status")).to_contain_text("a message with a link is on its way")
    assert "/my-signature?token=" in inbox.link("my-signature")


def referrers(page: Page) -> list[str]:
    """Return a list to which the Referer header of each request of a page is added."""
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.headers.get("referer", "")))
    return seen


def test_no_page_passes_the_token_on_to_another(open_page: OpenPage, inbox: Inbox) -> None:
    sign(open_page())
    for what in ("confirm", "my-signature"):
        page = open_page(inbox.link(what))
        seen = referrers(page)
        page.get_by_role("link", name="Back to the letter").click()
        expect(page.get_by_role("heading", name="Save the Park")).to_be_visible()
        assert seen
        assert not any("token" in referrer for referrer in seen)


def test_scanner_that_opens_every_link_and_runs_scripts_changes_nothing(
    open_page: OpenPage, inbox: Inbox, mailbox: Mailbox
) -> None:
    sign(open_page())
    inbox.text()
    html = mailbox.messages[-1].get_body(("html",))
    assert html
    links = {*re.findall(r"http\S+?(?=[\"<\s])", html.get_content() + inbox.text())}
    assert len(links) >= 3
    for link in links:
        page = open_page(f"{inbox._server.url}{link[link.index('/campaigns') :].replace('&amp;', '&')}")
        page.wait_for_load_state("networkidle")
        page.mouse.move(50, 50)
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert [each.state for each in stored()] == [SignatureState.PENDING]
    assert names(open_page()) == []


def test_pages_for_signers_are_accessible_and_fit_the_window(open_page: OpenPage, inbox: Inbox, server: Server) -> None:
    page = open_page()
    sign(page)
    pages = [f"{server.url}{PATH}/{name}" for name in ("confirm", "confirm?signed=", "confirm?token=x", "my-signature")]
    for url in (inbox.link("confirm"), inbox.link("my-signature"), *pages):
        page.goto(url)
        check_windows(page)
    page.goto(inbox.link("my-signature"))
    page.get_by_role("button", name=CONFIRM).click()
    page.goto(inbox.link("my-signature"))
    check_windows(page)
    page.get_by_role("button", name="Withdraw my signature").click()
    expect(page.get_by_role("heading", name="Withdraw the signature?")).to_be_visible()
    check_windows(page)
    page.get_by_role("button", name="Withdraw the signature").click()
    expect(page.get_by_role("heading", name="Your signature is withdrawn")).to_be_visible()
    check_windows(page)
