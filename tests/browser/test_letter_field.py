"""The letter's field in a real browser: pasting formatted text, the toolbar, and its shortcuts; and new campaigns."""

import re
from html import unescape

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from campaign.campaigns import time_zones
from campaign.campaigns.letter import tree
from campaign.campaigns.letter.html_writer import to_html
from campaign.models.account import Role
from campaign.models.campaign import Campaign
from tests.browser.conftest import OpenPage
from tests.browser.desk import check_accessible, field, open_signed_in
from tests.browser.pasted import BARE_URLS, CLIPBOARDS
from tests.conftest import Server, only_sqlite
from tests.desk.conftest import AtDeskAs

pytestmark = [only_sqlite, pytest.mark.slow]
_PASTE = """(html) => {
  const data = new DataTransfer();
  data.setData("text/html", html);
  data.setData("text/plain", "plain");
  const paste = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
  document.getElementById("letter").dispatchEvent(paste);
}"""


@pytest.fixture
def page(app: Flask, server: Server, open_page: OpenPage, at_desk: AtDeskAs, campaign: Campaign) -> Page:
    """The page of a new campaign."""
    page = open_signed_in(open_page, server, at_desk(Role.ADMIN))
    page.goto(f"{server.url}/desk/campaigns/new")
    return page


def write(page: Page, text: str, selected: str = "") -> None:
    """Fill in the letter, and select this part of it, or put the cursor at the end."""
    letter = field(page, "letter")
    letter.fill(text)
    start = text.index(selected) if selected else len(text)
    letter.evaluate("(area, [start, end]) => area.setSelectionRange(start, end)", [start, start + len(selected)])


def letter(page: Page) -> str:
    return field(page, "letter").input_value()


def press(page: Page, name: str) -> None:
    page.get_by_role("group", name="Format the letter").get_by_role("button", name=name).click()


def test_formatted_text_of_each_program_becomes_markdown(page: Page) -> None:
    for program, (html, markdown) in CLIPBOARDS.items():
        write(page, "")
        page.evaluate(_PASTE, html)
        assert letter(page) == markdown, program
        assert tree.parse(markdown)


def test_pasted_words_stay_as_they_are_and_their_url_becomes_a_link(page: Page) -> None:
    for html, url in BARE_URLS.items():
        write(page, "")
        page.evaluate(_PASTE, f"<p>{html}</p>")
        shown = to_html(letter(page))
        assert url in letter(page)
        assert [unescape(words) for words in re.findall("<a .*?>(.*?)</a>", shown)] == ([url] if url else [])
        assert unescape(re.sub("<.*?>", "", shown)) == unescape(re.sub("<.*?>", "", html))


def test_pasted_blocks_get_empty_lines_around_them_at_the_cursor(page: Page) -> None:
    write(page, "Dear Mayor,\nplease HERE act.", "HERE")
    page.evaluate(_PASTE, "<b>really</b>")
    assert letter(page) == "Dear Mayor,\nplease **really** act."
    write(page, "Before\nHERE\nafter", "HERE")
    page.evaluate(_PASTE, "<ul><li>one</li><li>two</li></ul>")
    assert letter(page) == "Before\n\n- one\n- two\n\nafter"
    page.keyboard.press("Control+Z")
    assert letter(page) == "Before\nHERE\nafter"


def test_plain_text_is_pasted_as_it_is(page: Page) -> None:
    write(page, "")
    prevented = page.evaluate("""() => {
      const data = new DataTransfer();
      data.setData("text/plain", "*as it is*");
      return !document.getElementById("letter").dispatchEvent(
        new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    }""")
    assert not prevented


FORMATS = [
    ("Bold", "Control+b", "we ask you", "ask", "we **ask** you"),
    ("Bold", "Control+b", "we **ask** you", "ask", "we ask you"),
    ("Italic", "Control+i", "we ask you", "ask ", "we *ask* you"),
    ("Italic", "Control+i", "we **ask** you", "ask", "we ***ask*** you"),
    ("Italic", "Control+i", "***ask***", "ask", "**ask**"),
    ("Bold", "Control+b", "", "", "**bold words**"),
    ("Bold", "Control+b", "we ask\n\n you \n", "ask\n\n you \n", "we **ask**\n\n **you** \n"),
    ("Bold", "Control+b", "we **ask**\n\n**you**", "ask**\n\n**you", "we ask\n\nyou"),
    ("Bold", "Control+b", "**ask**\n\n**you**", "**ask**\n\n**you**", "ask\n\nyou"),
    ("Bold", "Control+b", "**ask**\n\nyou", "**ask**\n\nyou", "**ask**\n\n**you**"),
    ("Bold", "Control+b", "**a** and **b**", "**a** and **b**", "****a** and **b****"),
    ("Bold", "Control+b", "Ada\\\nPark Row\\\nCity", "Ada\\\nPark Row\\", "**Ada\\\nPark Row**\\\nCity"),
    ("Bold", "Control+b", "**we\nask**", "we\nask", "we\nask"),
    ("Bold", "Control+b", "- a\n  - b\n    c\n\n---", "- a\n  - b\n    c\n\n---", "- **a**\n  - **b\n    c**\n\n---"),
    ("Italic", "Control+i", "1. a\n2. **b**", "1. a\n2. **b**", "1. *a*\n2. ***b***"),
    ("Italic", "Control+i", "1. *a*\n2. ***b***", "a*\n2. ***b", "1. a\n2. **b**"),
    ("Italic", "Control+i", "# Why\n> a\n> b\n>\n> c", "# Why\n> a\n> b\n>\n> c", "# *Why*\n> *a\n> b*\n>\n> *c*"),
    ("Link", "Control+k", "see our report", "our report", "see [our report](https://)"),
    ("Link", "Control+k", "https://example.org/x", "https://example.org/x", "[words](https://example.org/x)"),
    ("Link", "Control+k", "see our report now", " our report ", "see [our report](https://) now"),
    ("Link", "Control+k", "- a\n- b\n\nc", "- a\n- b\n\nc", "- [a](https://)\n- b\n\nc"),
    ("Bulleted list", "Control+Shift+Digit8", "trees\nbirds", "trees\nbirds", "- trees\n- birds"),
    ("Bulleted list", "Control+Shift+Digit8", "- trees\n- birds", "- trees\n- birds", "trees\nbirds"),
    ("Numbered list", "Control+Shift+Digit7", "- trees\n- birds", "- trees\n- birds", "1. trees\n2. birds"),
    ("Bulleted list", "Control+Shift+Digit8", "trees\n\nbirds", "trees\n\nbirds", "- trees\n\n- birds"),
    ("Bulleted list", "Control+Shift+Digit8", "> trees\n>\n> birds", "> trees\n>\n> birds", "- trees\n\n- birds"),
    ("Quote", "Control+Shift+Digit9", "Above\nours", "ours", "Above\n\n> ours"),
    ("Quote", "Control+Shift+Digit9", "ours\n\nyours\n\nend", "ours\n\nyours\n\n", "> ours\n>\n> yours\n\nend"),
    ("Quote", "Control+Shift+Digit9", "> ours\n>\n> yours", "> ours\n>\n> yours", "ours\n\nyours"),
    ("Heading", "Control+Shift+Digit6", "Why", "", "## Why"),
    ("Heading", "Control+Shift+Digit6", "## Why", "", "Why"),
]
"""A button, its shortcut, a letter, the selection, and the letter afterwards."""


@pytest.mark.parametrize("with_keyboard", [False, True])
def test_toolbar_and_shortcuts_write_markdown(page: Page, with_keyboard: bool) -> None:
    for name, shortcut, before, selected, after in FORMATS:
        write(page, before, selected)
        if with_keyboard:
            field(page, "letter").press(shortcut)
        else:
            press(page, name)
        assert letter(page) == after, name
        expect(field(page, "letter")).to_be_focused()
        page.keyboard.press("Control+Z")
        assert letter(page) == before, "the browser undoes it"


KEYS = [
    ("b", "KeyN", False, "we **ask** you"),
    ("i", "KeyG", False, "we *ask* you"),
    ("c", "KeyI", False, "we ask you"),
    ("x", "KeyB", False, "we ask you"),
    ("*", "Digit8", True, "- we ask you"),
    ("и", "KeyB", False, "we **ask** you"),
    ("κ", "KeyK", False, "we [ask](https://) you"),
    ("ç", "KeyB", False, "we ask you"),
    ("Ū", "Digit8", True, "- we ask you"),
]
"""What a key writes, its code, whether Shift is pressed, and the letter afterward.

The keyboards are Dvorak, Russian, Greek, Turkish F, and Lithuanian.
"""
_PRESS = """([key, code, shiftKey]) => {
  const event = new KeyboardEvent("keydown", { key, code, shiftKey, ctrlKey: true, bubbles: true, cancelable: true });
  return !document.getElementById("letter").dispatchEvent(event);
}"""


def test_shortcuts_follow_the_layout_of_the_keyboard(page: Page) -> None:
    for key, code, with_shift, after in KEYS:
        write(page, "we ask you", "ask")
        is_ours = page.evaluate(_PRESS, [key, code, with_shift])
        assert (letter(page), is_ours) == (after, after != "we ask you"), f"{key} at {code}"


def test_toolbar_is_accessible_and_fits_a_phone(page: Page) -> None:
    check_accessible(page)


def test_letter_is_a_plain_field_without_javascript(
    app: Flask,
    server: Server,
    open_page: OpenPage,
    at_desk: AtDeskAs,
) -> None:
    page = open_signed_in(open_page, server, at_desk(Role.ADMIN), script=False)
    page.goto(f"{server.url}/desk/campaigns/new")
    expect(field(page, "letter")).to_be_visible()
    expect(page.locator(".toolbar")).to_have_count(0)
    expect(field(page, "time_zone")).to_have_value("UTC")


def test_new_campaign_starts_in_the_browsers_time_zone(
    app: Flask,
    server: Server,
    open_page: OpenPage,
    at_desk: AtDeskAs,
) -> None:
    page = open_signed_in(open_page, server, at_desk(Role.ADMIN), time_zone="Asia/Kolkata")
    page.goto(f"{server.url}/desk/campaigns/new")
    # Some versions of Chromium report the former name of the zone.
    expect(field(page, "time_zone")).to_have_value(re.compile("Asia/(Kolkata|Calcutta)"))
    assert {"Asia/Kolkata", "Asia/Calcutta"} <= {*time_zones.names()}


def test_public_campaign_shows_its_link_with_copy_and_share_buttons(page: Page, server: Server) -> None:
    page.add_init_script("navigator.share = (data) => { window.shared = data; return Promise.resolve(); }")
    page.goto(f"{server.url}/desk/campaigns/save-the-park/edit")
    expect(page.locator("#public-link")).to_have_value(f"{server.url}/campaigns/save-the-park")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{server.url}/campaigns/save-the-park"
    page.get_by_role("button", name="Share…").click()
    assert page.evaluate("window.shared.url") == f"{server.url}/campaigns/save-the-park"
    page.get_by_text("Share on other sites").click()
    expect(page.get_by_role("link", name="Bluesky")).to_be_visible()
    check_accessible(page)
