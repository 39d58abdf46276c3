"""Layout, accessibility, sharing, and the list of signatories on the public pages, in a real browser."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import FloatRect, Locator, Page, Route, expect

from campaign.models.campaign import Campaign, CampaignState
from campaign.signatures import fake
from tests.browser.conftest import OpenPage, check_windows, fill
from tests.conftest import Publish, only_sqlite

# Pages look the same on both databases; tests without a browser compare their responses.
pytestmark = only_sqlite

TOMORROW = datetime.now(UTC) + timedelta(days=1)


def signed(page: Page) -> None:
    fill(page)
    page.get_by_role("button", name="Take Action").click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()


def refused(page: Page) -> None:
    fill(page, email="ada@")
    page.get_by_role("button", name="Take Action").click()
    expect(page.get_by_role("alert")).to_be_visible()


def refused_on_mastodon(page: Page) -> None:
    page.locator("#instance").fill("a b")
    page.locator("form", has=page.locator("#instance")).get_by_role("button").click()
    expect(page.get_by_role("alert")).to_be_visible()


VIEWS: dict[str, tuple[dict[str, object], str, Callable[[Page], None] | None]] = {
    "open": ({}, "", None),
    "refused": ({}, "", refused),
    "signed": ({}, "", signed),
    "goal reached": ({"goal": 10}, "", None),
    "not open yet": ({"opens_at": TOMORROW}, "", None),
    "closed": ({"state": CampaignState.CLOSED}, "", None),
    "won": ({"state": CampaignState.WON}, "", None),
    "right to left": ({"language": "ar"}, "", None),
    "thanks": ({}, "/thanks", None),
    "our data": ({}, "/privacy", None),
    "all signatories": ({}, "/signatures", None),
    "mastodon": ({}, "/share/mastodon", None),
    "mastodon chosen": ({}, "/share/mastodon?instance=mastodon.social", None),
    "mastodon refused": ({}, "/share/mastodon", refused_on_mastodon),
    "missing page": ({}, "/missing", None),
}


@pytest.mark.parametrize(("changes", "path", "act"), VIEWS.values(), ids=VIEWS)
def test_page_is_accessible_and_fits_the_screen(
    open_page: OpenPage,
    publish: Publish,
    campaign: Campaign,
    changes: dict[str, object],
    path: str,
    act: Callable[[Page], None] | None,
) -> None:
    list(fake.sign(campaign.id, 60, datetime.now(UTC)))
    publish(**changes)
    page = open_page(path, width=360, scheme="dark")
    if act:
        act(page)
    check_windows(page)


def test_list_of_campaigns_is_accessible(open_page: OpenPage, publish: Publish) -> None:
    publish(slug="two", title="Another one")
    page = open_page()
    page.get_by_role("link", name="Campaign", exact=True).click()
    expect(page.locator(".campaigns").get_by_role("heading")).to_have_count(2)
    check_windows(page)


@pytest.mark.parametrize("name", ["x" * 100, "W" * 50 + " " + "M" * 49, "A\u0301" * 50, "AAA" + "\u0489" * 30])
def test_long_names_do_not_break_the_layout(open_page: OpenPage, name: str) -> None:
    page = open_page(width=320)
    fill(page, name=name, city="Y" * 100)
    page.get_by_role("button", name="Take Action").click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    row, time = page.locator("#recent li").first.bounding_box(), page.locator("#recent time").first.bounding_box()
    assert row is not None
    assert time is not None
    assert time["x"] + time["width"] <= row["x"] + row["width"] + 1, "the time is pushed out of view"


def test_page_works_at_200_percent_zoom(open_page: OpenPage) -> None:
    page = open_page(width=640)
    session = page.context.new_cdp_session(page)
    session.send(
        "Emulation.setDeviceMetricsOverride", {"width": 320, "height": 400, "deviceScaleFactor": 2, "mobile": False}
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    signed(page)


def test_jump_link_leads_to_the_form_on_a_phone(open_page: OpenPage, publish: Publish) -> None:
    publish(letter="Please keep the park. " * 200)
    page = open_page(width=360)
    jump = page.locator("a.jump")
    expect(jump).to_be_in_viewport()
    jump.click()
    expect(page.locator("#name")).to_be_in_viewport()
    assert not is_on_top(jump), "the form covers the link"
    page.locator("#name").focus()
    page.keyboard.press("Shift+Tab")
    expect(jump).to_be_focused()
    assert is_on_top(jump), "unless it has the focus"


def test_form_stays_in_view_beside_the_letter_on_a_wide_screen(open_page: OpenPage, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 60, datetime.now(UTC)))
    page = open_page(width=1280)
    expect(page.locator("a.jump")).to_be_hidden()
    page.locator("#feed a[href$='/signatures']").scroll_into_view_if_needed()
    expect(page.locator("#name")).to_be_in_viewport()
    letter, form = page.locator(".letter").bounding_box(), page.locator("#sign").bounding_box()
    assert letter is not None
    assert form is not None
    assert form["x"] >= letter["x"] + letter["width"]


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_button_is_visible_in_a_low_window_with_three_errors(open_page: OpenPage, script: bool) -> None:
    page = open_page(script=script)
    page.set_viewport_size({"width": 1280, "height": 720})
    button = page.get_by_role("button", name="Take Action")
    expect(button).to_be_in_viewport(ratio=1)
    fill(page, name="", email="ada@", country="")
    button.click()
    expect(page.get_by_role("alert").get_by_role("link")).to_have_count(3)
    expect(page.get_by_role("alert")).to_be_in_viewport(ratio=1)
    for block in ("start", "end"):
        page.evaluate("block => document.querySelector('main').scrollIntoView({block})", block)
        expect(button).to_be_in_viewport(ratio=1)
        assert is_on_top(button), "nothing covers it"
    for name in ("name", "email", "country", "postal_code", "city", "region", "anonymous", "updates"):
        field = page.locator(f"#{name}")
        field.focus()
        expect(field).to_be_in_viewport(ratio=1)
        assert is_on_top(field), f"the button covers {name}"
    note = page.locator(".note a")
    note.focus()
    assert is_on_top(note)


def is_on_top(element: Locator) -> bool:
    """Return whether no other element covers the middle of this one."""
    return bool(
        element.evaluate("""element => {
            const box = element.getBoundingClientRect();
            return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === element;
        }""")
    )


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("path", ["", "/thanks"])
def test_panel_is_below_the_count_on_a_phone_and_beside_it_on_a_wide_screen(
    open_page: OpenPage, publish: Publish, campaign: Campaign, path: str, language: str
) -> None:
    list(fake.sign(campaign.id, 60, datetime.now(UTC)))
    publish(language=language)
    page = open_page(path, width=360)
    expect(page.locator("#so-far")).to_be_in_viewport()
    count, panel, recent = (box(page.locator(part)) for part in ("#count", "#sign", "#feed"))
    assert count["y"] < panel["y"] < recent["y"]
    page.set_viewport_size({"width": 1280, "height": 720})
    expect(page.locator("#so-far")).to_be_in_viewport(ratio=1)
    letter, panel, recent = (box(page.locator(part)) for part in (".letter", "#sign", "#feed"))
    # In a language that is written from right to left, the page is mirrored.
    left, right = (panel, letter) if language == "ar" else (letter, panel)
    assert right["x"] >= left["x"] + left["width"]
    assert recent["x"] == letter["x"]
    assert recent["y"] == pytest.approx(letter["y"] + letter["height"], abs=1), "one sheet"


def box(element: Locator) -> FloatRect:
    """Return the element's position and size."""
    found = element.bounding_box()
    assert found is not None
    return found


def test_all_signatories_load_in_place_and_without_javascript(open_page: OpenPage, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 120, datetime.now(UTC)))
    for script in (True, False):
        page = open_page("/signatures", script=script)
        seen = page.locator(".name").count()
        for _ in range(2):
            page.locator("#more").get_by_role("link").click()
            if script:
                expect(page.locator(".name")).to_have_count(min(seen + 50, 120))
                seen = page.locator(".name").count()
            else:
                page.wait_for_url("**before=*")
                seen += page.locator(".name").count()
        assert seen == 120
        expect(page.locator("#more")).to_have_count(0)


def test_focus_moves_to_the_newly_loaded_signatories(open_page: OpenPage, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 120, datetime.now(UTC)))
    page = open_page("/signatures")
    page.locator("#more").get_by_role("link").press("Enter")
    loaded = page.get_by_role("list").filter(has=page.locator(".name")).nth(1)
    expect(loaded).to_be_focused()
    expect(loaded).to_have_accessible_name(re.compile(r"\w"))
    expect(page.locator(".name").nth(50)).to_be_in_viewport()


def test_failure_to_load_more_signatories_shows_the_error_page(open_page: OpenPage, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 60, datetime.now(UTC)))
    page = open_page("/signatures")

    def unavailable(route: Route) -> None:
        if "hx-request" in route.request.headers:
            route.fulfill(status=503, headers={"HX-Reswap": "none", "Campaign-Answer": "1"})
        else:
            route.fulfill(status=503, body="<h1>Away</h1>", content_type="text/html")

    page.route(re.compile("before="), unavailable)
    page.locator("#more").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Away")).to_be_visible()


def test_share_link_is_copied_to_the_clipboard(open_page: OpenPage) -> None:
    page = open_page("/thanks")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator("button[data-copy=share-url]")
    button.click()
    expect(button).to_have_text(button.get_attribute("data-copied") or "missing")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#share-url").input_value()
    assert copied.endswith("/campaigns/save-the-park")


def test_share_link_is_selected_when_the_clipboard_is_unavailable(open_page: OpenPage) -> None:
    page = open_page("/thanks")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.locator("button[data-copy=share-url]").click()
    selected = page.evaluate("document.getSelection().toString()")
    assert selected == page.locator("#share-url").input_value()


def test_share_button_opens_the_device_share_sheet(open_page: OpenPage) -> None:
    page = open_page("/thanks")
    button = page.locator("button.device-share")
    if not page.evaluate("'share' in navigator"):
        expect(button).to_be_hidden()
    # Headless Chromium has no share sheet, so record what the page passes to it.
    page.context.add_init_script("navigator.share = async data => { window.shared = data }")
    page.reload()
    button.click()
    shared = page.evaluate("window.shared")
    assert shared["title"] == "Save the Park"
    assert shared["text"] == "I signed for the park."
    assert shared["url"].endswith("/campaigns/save-the-park")


def test_print_shows_the_letter_and_count_but_no_form(open_page: OpenPage) -> None:
    page = open_page()
    page.emulate_media(media="print")
    expect(page.get_by_text("please keep the park")).to_be_visible()
    expect(page.locator("#count")).to_be_visible()
    expect(page.get_by_role("button", name="Take Action")).to_be_hidden()
