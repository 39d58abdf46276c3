"""The rate limit on signing, in a real browser: the page sends the form again by itself."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, check_windows
from tests.browser.test_sign import TAKE_ACTION, sign
from tests.conftest import only_sqlite, stored

pytestmark = only_sqlite

LIMITED = pytest.mark.settings(RATELIMIT_SIGN="1 per 4 second", RATELIMIT_TRUSTED="192.0.2.0/24", WEB_CONCURRENCY="1")


@LIMITED
def test_rate_limited_signature_is_sent_again_automatically(open_page: OpenPage) -> None:
    sign(open_page(), email="first@example.org")
    page = open_page("?ref=mail")
    sign(page, name="Grace Hopper")
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_role("alert").locator("#resend")).to_be_visible()
    expect(page.locator("#name")).to_have_value("Grace Hopper")
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible(timeout=20_000)
    assert {(signature.name, signature.source) for signature in stored()} == {
        ("Ada Lovelace", ""),
        ("Grace Hopper", "mail"),
    }


@LIMITED
def test_form_is_not_sent_again_while_it_is_being_edited(open_page: OpenPage) -> None:
    sign(open_page(), email="first@example.org")
    page = open_page()
    sign(page, name="Grace Hopper")
    expect(page.get_by_role("alert").locator("#resend")).to_be_visible()
    page.locator("#name").fill("Grace")
    expect(page.locator("#resend")).to_have_count(0)
    page.wait_for_timeout(10_000)
    assert {signature.name for signature in stored()} == {"Ada Lovelace"}


@LIMITED
def test_rate_limited_signer_without_javascript_can_send_the_form_again(open_page: OpenPage) -> None:
    sign(open_page(script=False), email="first@example.org")
    page = open_page("?ref=mail", script=False)
    sign(page)
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"\d seconds"))
    expect(page.locator("#resend")).to_have_count(0)
    expect(page.locator("#name")).to_have_value("Ada Lovelace")
    # axe-core is a script, so it gets a copy of the page.
    url, html = page.url, page.content()
    copy = open_page()
    copy.route(url, lambda route: route.fulfill(body=html, content_type="text/html"))
    copy.goto(url)
    expect(copy).to_have_title(re.compile("Not signed yet"))
    check_windows(copy)
    page.wait_for_timeout(5_000)
    page.get_by_role("button", name=TAKE_ACTION).click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert [signature.source for signature in stored()] == ["", "mail"]
