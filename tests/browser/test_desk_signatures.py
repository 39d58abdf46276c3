"""Searching and moderating signatures at the desk in a real browser, with and without JavaScript."""

import re

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from campaign.models.account import Role
from campaign.models.campaign import Campaign
from tests.browser.conftest import OpenPage, violations
from tests.browser.desk import button, check_accessible, field, open_signed_in, submit
from tests.conftest import Server, only_sqlite
from tests.desk.people import AtDesk
from tests.moderation.signatures import put

pytestmark = only_sqlite

SET_DIRECTION_AND_TEXT_SIZE = """([direction, size]) => {
  document.documentElement.dir = direction;
  document.documentElement.style.fontSize = size;
}"""
FOCUS_IS_UNCOVERED = """() => {
  const { x, y, width, height } = document.activeElement.getBoundingClientRect();
  return document.elementFromPoint(x + width / 2, y + height / 2) === document.activeElement;
}"""


@pytest.fixture
def moderator(at_desk: object, campaign: Campaign) -> AtDesk:
    people = [{"name": f"Somebody Else {n}", "email": f"{n}@example.org"} for n in range(60)]
    put(campaign, *people, {"name": "Ada Lovelace", "email": "ada@example.org", "city": "London", "country": "GB"})
    client: AtDesk = at_desk(Role.ADMIN)  # type: ignore[operator]
    return client


def open_table(open_page: OpenPage, server: Server, client: AtDesk, **options: object) -> Page:
    """Open the table of signatures in a browser that is signed in."""
    page = open_signed_in(open_page, server, client, **options)
    page.goto(server.page.replace("/campaigns", "/desk/campaigns") + "/signatures")
    return page


@pytest.mark.parametrize("width", [360, 1280])
def test_signature_is_found_hidden_and_restored_by_undo(
    app: Flask, server: Server, open_page: OpenPage, moderator: AtDesk, width: int
) -> None:
    page = open_table(open_page, server, moderator, width=width)
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    # The actions stay in view while scrolling through the rows.
    for row in (rows.first, rows.nth(25)):
        row.scroll_into_view_if_needed()
        expect(button(page, "/hide")).to_be_in_viewport()
    place = rows.first.locator("td[data-label=Place]")
    label = place.evaluate("cell => getComputedStyle(cell, '::before').content")
    assert label == ('"Place"' if width == 360 else "none"), "on a phone, each row is a card with labels"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []
    page.locator("button[name=next]").click()
    expect(rows).to_have_count(11)
    field(page, "words").press_sequentially("lovel")
    expect(rows).to_have_count(1)
    expect(field(page, "words")).to_be_focused()
    assert "lovel" not in page.url
    page.locator(".every").check()
    expect(page.get_by_label("Ada Lovelace")).to_be_checked()
    button(page, "/hide").click()
    expect(page.get_by_role("alert").get_by_role("link")).to_have_attribute("href", "#reason")
    expect(page.get_by_label("Ada Lovelace")).to_be_checked()
    field(page, "reason").fill("spam")
    button(page, "/hide").click()
    expect(page.locator("tbody")).to_contain_text("hidden")
    expect(page.locator("#table .notice.done")).to_be_focused()
    assert violations(page) == []
    button(page, "/undo").click()
    expect(page.locator("tbody")).to_contain_text("listed")
    field(page, "words").fill("")
    page.get_by_role("search").locator("summary").click()
    field(page, "country").select_option("GB")
    expect(rows).to_have_count(1)
    page.wait_for_url("**/signatures?country=GB")
    button(page, "/addresses").click()
    expect(page.locator("tbody")).to_contain_text("ada@example.org")


def test_actions_stay_in_view_in_a_low_window_and_never_hide_the_focus(
    app: Flask, server: Server, open_page: OpenPage, moderator: AtDesk
) -> None:
    page = open_table(open_page, server, moderator)
    boxes, bar = page.locator("tbody input[name=id]"), page.locator(".act")
    # A laptop's window with all its toolbars, and a phone in landscape.
    for width, height in ((1366, 625), (740, 360)):
        page.set_viewport_size({"width": width, "height": height})
        for direction, text in (("ltr", "100%"), ("rtl", "100%"), ("ltr", "200%")):
            page.evaluate(SET_DIRECTION_AND_TEXT_SIZE, [direction, text])
            case = f"{width} × {height}, {direction}, text at {text}"
            boxes.nth(20).focus()
            for _ in range(3):
                page.keyboard.press("Tab")
                assert page.evaluate(FOCUS_IS_UNCOVERED), case
            box = bar.bounding_box()
            assert box, case
            assert box["y"] + box["height"] <= height + 1, case
            assert box["height"] < height * (0.25 if text == "100%" else 0.5), case
            if text == "100%":
                expect(button(page, "/hide")).to_be_in_viewport(ratio=1)
            # From the last row through the actions.
            boxes.last.focus()
            while page.evaluate("!document.activeElement.matches('.act button:last-of-type')"):
                assert page.evaluate(FOCUS_IS_UNCOVERED), case
                page.keyboard.press("Tab")
            assert page.evaluate(FOCUS_IS_UNCOVERED), case


def test_error_in_a_filter_does_not_interrupt_typing(
    app: Flask, server: Server, open_page: OpenPage, moderator: AtDesk
) -> None:
    page = open_table(open_page, server, moderator)
    page.get_by_role("search").locator("summary").click()
    source = field(page, "source")
    source.press_sequentially("fl")
    expect(page.locator("#table .notice.wrong").get_by_role("link")).to_have_attribute("href", "#source")
    expect(source).to_be_focused()
    page.keyboard.type("yer")
    expect(source).to_have_value("flyer")
    assert violations(page) == []


def test_table_works_without_javascript(app: Flask, server: Server, open_page: OpenPage, moderator: AtDesk) -> None:
    page = open_table(open_page, server, moderator, script=False)
    page.locator("button[name=next]").click()
    expect(page.locator("tbody tr")).to_have_count(11)
    field(page, "words").fill("lovel")
    page.get_by_role("search").get_by_role("button").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Ada Lovelace").check()
    field(page, "reason").fill("spam")
    button(page, "/hide").click()
    expect(page.locator("tbody")).to_contain_text("hidden")
    button(page, "/undo").click()
    expect(page.locator("tbody")).to_contain_text("listed")


@pytest.mark.parametrize("script", [True, False])
def test_question_before_a_large_change_keeps_the_selection(
    app: Flask, server: Server, open_page: OpenPage, moderator: AtDesk, script: bool
) -> None:
    page = open_table(open_page, server, moderator, script=script, width=360)
    boxes = page.locator("tbody input[name=id]")
    for number in (0, 1):
        boxes.nth(number).check()
    field(page, "everyone").check()
    field(page, "reason").fill("spam")
    button(page, "/hide").click()
    question = page.get_by_role("alert")
    expect(question).to_be_focused()
    expect(question).to_contain_text("Hide all 61 signatures of this campaign?")
    if script:  # axe-core is a script.
        check_accessible(page)
    question.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(boxes.nth(1)).to_be_checked()
    button(page, "/hide").click()
    question.get_by_role("button", name="Hide only the 2 selected").click()
    notice = page.locator("#table .notice.done")
    expect(notice).to_contain_text("2 signatures hidden.")
    notice.get_by_role("button", name="Undo: restore 2 signatures").click()
    expect(notice).to_contain_text("2 signatures restored.")
    # An undo that hides many signatures asks first, too.
    for action in ("hide", "restore"):
        field(page, "everyone").check()
        field(page, "reason").fill("spam")
        button(page, f"/{action}").click()
        question.get_by_role("button", name=f"{action.title()} all 61").click()
        expect(notice).to_contain_text("61 signatures")
    notice.get_by_role("button").click()
    expect(question).to_contain_text("Hide 61 signatures again?")
    if script:
        check_accessible(page)


def test_incomplete_date_is_an_error_of_the_filter(
    app: Flask, server: Server, open_page: OpenPage, moderator: AtDesk
) -> None:
    page = open_table(open_page, server, moderator)
    page.get_by_text("Filter", exact=True).click()
    since = field(page, "since")
    since.fill("2027-03-01")
    expect(page).to_have_url(re.compile("since=2027-03-01"))
    since.focus()
    page.keyboard.press("Backspace")
    expect(page.locator("#table")).to_contain_text("Enter a day, a month, and a year")
    submit(page, "since")
    expect(page.locator("#table")).to_contain_text("Enter a day, a month, and a year")
    since.fill("2027-03-01")
    expect(page.locator("#table")).not_to_contain_text("Enter a day")
