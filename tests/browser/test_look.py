"""What people see: on a phone, zoomed, in the dark, with a screen reader, on paper, and where links lead."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Route, expect

from campaign import fake
from campaign.models import Campaign, CampaignState
from tests.browser.conftest import OpenPage, fill, violations
from tests.conftest import Publish, only_sqlite

# A browser sees no difference between databases; what they answer is tested without it, on both.
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
    page.get_by_label("Your Mastodon server").fill("a b")
    page.get_by_role("button", name="Continue").click()
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
    "all signatories": ({}, "/signatures", None),
    "mastodon": ({}, "/share/mastodon", None),
    "mastodon chosen": ({}, "/share/mastodon?instance=mastodon.social", None),
    "mastodon refused": ({}, "/share/mastodon", refused_on_mastodon),
    "missing page": ({}, "/missing", None),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("changes", "path", "act"), VIEWS.values(), ids=VIEWS)
def test_nobody_is_shut_out(
    open_page: OpenPage,
    publish: Publish,
    campaign: Campaign,
    changes: dict[str, object],
    path: str,
    act: Callable[[Page], None] | None,
    scheme: str,
) -> None:
    list(fake.sign(campaign.id, 60, datetime.now(UTC)))
    publish(**changes)
    for width in (360, 1280):
        page = open_page(path, width=width, scheme=scheme)
        if act:
            act(page)
        assert violations(page) == []
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow == 0, f"nothing to scroll sideways at {width} pixels"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out_of_the_list_of_campaigns(open_page: OpenPage, publish: Publish, scheme: str) -> None:
    publish(slug="two", title="Another one")
    page = open_page(scheme=scheme)
    page.get_by_role("link", name="Campaign", exact=True).click()
    expect(page.get_by_role("heading", name="Petitions")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("name", ["x" * 100, "W" * 50 + " " + "M" * 49, "A\u0301" * 50, "AAA" + "\u0489" * 97])
def test_no_name_breaks_the_page(open_page: OpenPage, name: str) -> None:
    page = open_page(width=320)
    fill(page, name=name, city="Y" * 100)
    page.get_by_role("button", name="Take Action").click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    row, time = page.locator("#recent li").first.bounding_box(), page.locator("#recent time").first.bounding_box()
    assert row is not None
    assert time is not None
    assert time["x"] + time["width"] <= row["x"] + row["width"] + 1, "nobody's time is pushed out of view"


def test_the_page_holds_at_200_percent_of_text(open_page: OpenPage) -> None:
    page = open_page(width=640)
    session = page.context.new_cdp_session(page)
    session.send(
        "Emulation.setDeviceMetricsOverride", {"width": 320, "height": 400, "deviceScaleFactor": 2, "mobile": False}
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    signed(page)


def test_on_a_phone_a_button_leads_to_the_form(open_page: OpenPage) -> None:
    page = open_page(width=360)
    jump = page.get_by_role("link", name="Sign the letter")
    expect(jump).to_be_in_viewport()
    jump.click()
    expect(page.get_by_role("textbox", name="Name")).to_be_in_viewport()
    expect(jump).not_to_be_in_viewport()


def test_on_a_wide_screen_the_form_stays_in_view_beside_the_letter(open_page: OpenPage, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 60, datetime.now(UTC)))
    page = open_page(width=1280)
    expect(page.get_by_role("link", name="Sign the letter")).to_be_hidden()
    page.get_by_role("link", name="See all signatories").scroll_into_view_if_needed()
    expect(page.get_by_role("textbox", name="Name")).to_be_in_viewport()
    letter, form = page.locator(".letter").bounding_box(), page.locator("#sign").bounding_box()
    assert letter is not None
    assert form is not None
    assert form["x"] >= letter["x"] + letter["width"]


def test_everybody_is_loaded_in_place_and_by_links_without_script(open_page: OpenPage, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 120, datetime.now(UTC)))
    for script in (True, False):
        page = open_page("/signatures", script=script)
        seen = page.locator(".name").count()
        for _ in range(2):
            page.get_by_role("link", name="Show more").click()
            if script:
                expect(page.locator(".name")).to_have_count(min(seen + 50, 120))
                seen = page.locator(".name").count()
            else:
                page.wait_for_url("**before=*")
                seen += page.locator(".name").count()
        assert seen == 120
        expect(page.get_by_text("That is everyone.")).to_be_visible()


def test_by_keyboard_one_goes_on_reading_where_the_loaded_signatories_begin(
    open_page: OpenPage, campaign: Campaign
) -> None:
    list(fake.sign(campaign.id, 120, datetime.now(UTC)))
    page = open_page("/signatures")
    page.get_by_role("link", name="Show more").press("Enter")
    expect(page.get_by_role("list", name="More signatories")).to_be_focused()
    expect(page.locator(".name").nth(50)).to_be_in_viewport()


def test_when_more_cannot_be_loaded_one_is_told(open_page: OpenPage, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 60, datetime.now(UTC)))
    page = open_page("/signatures")

    def away(route: Route) -> None:
        if "hx-request" in route.request.headers:
            route.fulfill(status=503, headers={"HX-Reswap": "none", "Campaign-Answer": "1"})
        else:
            route.fulfill(status=503, body="<h1>Away</h1>", content_type="text/html")

    page.route(re.compile("before="), away)
    page.get_by_role("link", name="Show more").click()
    expect(page.get_by_role("heading", name="Away")).to_be_visible()


def test_the_link_is_copied(open_page: OpenPage) -> None:
    page = open_page("/thanks")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.get_by_label("Link to this petition").input_value()
    assert copied.endswith("/campaigns/save-the-park")


def test_where_a_page_may_not_copy_the_link_is_ready_to_be_copied_by_hand(open_page: OpenPage) -> None:
    page = open_page("/thanks")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.get_by_role("button", name="Copy link").click()
    selected = page.evaluate("document.getSelection().toString()")
    assert selected == page.get_by_label("Link to this petition").input_value()


def test_a_device_that_can_share_offers_its_own_sheet(open_page: OpenPage) -> None:
    page = open_page("/thanks")
    button = page.get_by_role("button", name="Share…")
    if not page.evaluate("'share' in navigator"):
        expect(button).to_be_hidden()
    # Headless Chromium has no sheet; what the page hands to it is what counts.
    page.context.add_init_script("navigator.share = async data => { window.shared = data }")
    page.reload()
    button.click()
    shared = page.evaluate("window.shared")
    assert shared["title"] == "Save the Park"
    assert shared["text"] == "I signed for the park."
    assert shared["url"].endswith("/campaigns/save-the-park")


def test_on_paper_are_the_letter_and_the_count_and_no_form(open_page: OpenPage) -> None:
    page = open_page()
    page.emulate_media(media="print")
    expect(page.get_by_text("please keep the park")).to_be_visible()
    expect(page.locator("#count")).to_be_visible()
    expect(page.get_by_role("button", name="Take Action")).to_be_hidden()
