"""Who shares an address with many others signs all the same, without pressing the button twice."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.test_sign import TAKE_ACTION, sign
from tests.conftest import only_sqlite, stored

pytestmark = only_sqlite

LIMITED = pytest.mark.settings(RATELIMIT_SIGN="1 per 4 second", RATELIMIT_TRUSTED="192.0.2.0/24", WEB_CONCURRENCY="1")


@LIMITED
def test_who_shares_an_address_with_many_need_not_press_the_button_again(open_page: OpenPage) -> None:
    sign(open_page(), email="first@example.org")
    page = open_page("?ref=mail")
    sign(page, name="Grace Hopper")
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("sends it again by itself")
    expect(page.locator("#name")).to_have_value("Grace Hopper")
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible(timeout=20_000)
    assert {(signature.name, signature.source) for signature in stored()} == {
        ("Ada Lovelace", ""),
        ("Grace Hopper", "mail"),
    }


@LIMITED
def test_the_page_sends_nothing_by_itself_that_is_being_changed(open_page: OpenPage) -> None:
    sign(open_page(), email="first@example.org")
    page = open_page()
    sign(page, name="Grace Hopper")
    expect(page.get_by_role("alert")).to_contain_text("sends it again by itself")
    page.locator("#name").fill("Grace")
    expect(page.get_by_role("alert")).not_to_contain_text("sends it again by itself")
    page.wait_for_timeout(10_000)
    assert {signature.name for signature in stored()} == {"Ada Lovelace"}


@LIMITED
def test_without_script_who_must_wait_presses_the_button_again(open_page: OpenPage) -> None:
    sign(open_page(script=False), email="first@example.org")
    page = open_page("?ref=mail", script=False)
    sign(page)
    expect(page.get_by_role("alert")).to_contain_text("Please press the button again in")
    expect(page.locator("#name")).to_have_value("Ada Lovelace")
    page.wait_for_timeout(5_000)
    page.get_by_role("button", name=TAKE_ACTION).click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert [signature.source for signature in stored()] == ["", "mail"]
