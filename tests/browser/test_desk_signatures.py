"""Looking through signatures and hiding some in a real browser, with JavaScript and without."""

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from campaign.desk_models import Role
from campaign.models import Campaign
from tests.browser.conftest import OpenPage, violations
from tests.conftest import Server, only_sqlite
from tests.desk.conftest import at_desk, invited  # noqa: F401 (fixtures)
from tests.desk.people import AtDesk
from tests.test_signature_table import put

pytestmark = only_sqlite


@pytest.fixture
def moderator(at_desk: object, campaign: Campaign) -> AtDesk:  # noqa: F811
    people = [{"name": f"Somebody Else {n}", "email": f"{n}@example.org"} for n in range(60)]
    put(campaign, *people, {"name": "Ada Lovelace", "email": "ada@example.org", "city": "London", "country": "GB"})
    client: AtDesk = at_desk(Role.ADMIN)  # type: ignore[operator]
    return client


def open_table(open_page: OpenPage, server: Server, client: AtDesk, **how: object) -> Page:
    page = open_page(f"{server.url}/desk/sign-in", desk=True, **how)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookie
    page.context.add_cookies([{"name": "desk", "value": cookie.value, "url": f"{server.url}/desk/"}])
    page.goto(server.page.replace("/campaigns", "/desk/campaigns") + "/signatures")
    return page


@pytest.mark.parametrize("width", [360, 1280])
def test_typing_finds_ticking_hides_and_undo_puts_back(
    app: Flask, server: Server, open_page: OpenPage, moderator: AtDesk, width: int
) -> None:
    page = open_table(open_page, server, moderator, width=width)
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []
    page.get_by_role("button", name="Older ones").click()
    expect(rows).to_have_count(11)
    page.get_by_label("Name or place").press_sequentially("lovel")
    expect(rows).to_have_count(1)
    expect(page.get_by_label("Name or place")).to_be_focused()
    assert "lovel" not in page.url
    page.get_by_label("Tick all on this page").check()
    expect(page.get_by_label("Ada Lovelace")).to_be_checked()
    page.get_by_role("button", name="Hide from the list").click()
    expect(page.get_by_role("alert")).to_contain_text("Give a reason")
    expect(page.get_by_label("Ada Lovelace")).to_be_checked()
    page.get_by_label("Reason").fill("spam")
    page.get_by_role("button", name="Hide from the list").click()
    expect(page.locator("tbody")).to_contain_text("hidden")
    expect(page.locator("#table .notice.done")).to_be_focused()
    assert violations(page) == []
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("tbody")).to_contain_text("listed")
    page.get_by_label("Name or place").fill("")
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Country").select_option("GB")
    expect(rows).to_have_count(1)
    page.wait_for_url("**/signatures?country=GB")
    page.get_by_role("button", name="Show email addresses").click()
    expect(page.locator("tbody")).to_contain_text("ada@example.org")


def test_a_filter_that_is_half_typed_is_left_to_who_types_it(
    app: Flask, server: Server, open_page: OpenPage, moderator: AtDesk
) -> None:
    page = open_table(open_page, server, moderator)
    page.get_by_text("Filter", exact=True).click()
    source = page.get_by_label("Source")
    source.press_sequentially("fl")
    expect(page.locator("#table .notice.wrong")).to_contain_text("Fewer than five came by that word")
    expect(source).to_be_focused()
    page.keyboard.type("yer")
    expect(source).to_have_value("flyer")
    assert violations(page) == []


def test_without_javascript_all_of_it_works_by_buttons(
    app: Flask, server: Server, open_page: OpenPage, moderator: AtDesk
) -> None:
    page = open_table(open_page, server, moderator, script=False)
    page.get_by_role("button", name="Older ones").click()
    expect(page.locator("tbody tr")).to_have_count(11)
    page.get_by_label("Name or place").fill("lovel")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Ada Lovelace").check()
    page.get_by_label("Reason").fill("spam")
    page.get_by_role("button", name="Hide from the list").click()
    expect(page.locator("tbody")).to_contain_text("hidden")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("tbody")).to_contain_text("listed")
