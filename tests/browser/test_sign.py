"""Signing in a real browser: in place, by keyboard, without JavaScript, on a phone, and on a bad network."""

import contextlib
import re

import pytest
from playwright.sync_api import Error, Locator, Page, Route, expect

from campaign.signatures import feed
from tests.browser.conftest import OpenPage, fill
from tests.conftest import Publish, Server, only_sqlite, stored

# Pages look the same on both databases; tests without a browser compare their responses.
pytestmark = only_sqlite

TAKE_ACTION = "Take Action"


def names(page: Page) -> list[str]:
    return page.locator("#recent .name").all_inner_texts()


def offline_message(page: Page) -> str:
    """Return the page's message for a request that got no response from the site."""
    message = page.locator("#notice").get_attribute("data-offline")
    assert message
    return message


def sign(page: Page, **fields: str) -> None:
    """Fill in and send the sign form."""
    fill(page, **fields)
    page.get_by_role("button", name=TAKE_ACTION).click()


def test_thank_you_panel_replaces_the_form_without_a_reload(open_page: OpenPage) -> None:
    page = open_page()
    page.evaluate("window.marker = 'still here'")
    sign(page, postal_code="90012")
    heading = page.get_by_role("heading", name="Thank You!")
    expect(heading).to_be_focused()
    expect(page.get_by_role("button", name=TAKE_ACTION)).to_have_count(0)
    assert names(page)[0] == "Ada Lovelace"
    expect(page.locator("#recent .place").first).to_have_text("Los Angeles, California, US")
    # The response has count and progress. The next poll gives the entry its permanent place in the list.
    assert page.locator("#count").inner_text() == "1 person has signed. Let’s get to 100."
    assert page.locator("#so-far").inner_text() == "1 person has signed. Goal: 100"
    expect(page.locator("#recent li[id]")).to_have_count(1, timeout=25_000)
    expect(page.locator("progress")).to_have_js_property("value", 1)
    assert names(page) == ["Ada Lovelace"]
    assert page.evaluate("window.marker") == "still here"
    assert page.url.endswith("/campaigns/save-the-park")


def test_new_signature_appears_in_an_open_tab(open_page: OpenPage) -> None:
    watching = open_page()
    watching.evaluate("window.marker = 'still here'")
    heading = watching.get_by_role("heading", name="Recent Signatories").element_handle()
    sign(open_page(), name="Grace Hopper", email="grace@example.org")
    expect(watching.locator("#recent .name")).to_have_text("Grace Hopper", timeout=(feed.QUIET_SECONDS + 10) * 1000)
    expect(watching.locator("#count strong")).to_have_text("1", timeout=25_000)
    expect(watching.locator("#announcer")).to_have_text(re.compile("^1 .*signed"))
    assert watching.evaluate("window.marker") == "still here"
    assert heading is not None
    assert heading.evaluate("element => element.isConnected"), "morphed in place, not replaced"


@pytest.mark.parametrize("count_in_view", [True, False])
def test_field_being_edited_stays_in_place_while_the_count_grows(
    open_page: OpenPage, publish: Publish, count_in_view: bool
) -> None:
    publish(goal=1)
    watching = open_page(width=360)
    field = watching.locator("#name" if count_in_view else "#region")
    field.fill("Half a na")
    field.evaluate("(field, block) => field.scrollIntoView({block})", "end" if count_in_view else "start")
    before = top(field)
    let_the_count_grow(watching, open_page())
    assert top(field) == pytest.approx(before, abs=1)
    expect(field).to_be_focused()
    expect(field).to_have_value("Half a na")


def test_text_being_read_stays_in_place_while_the_count_grows(open_page: OpenPage, publish: Publish) -> None:
    publish(goal=1)
    watching = open_page(width=360)
    note = watching.locator(".note")
    note.scroll_into_view_if_needed()
    before = top(note)
    let_the_count_grow(watching, open_page())
    assert top(note) == pytest.approx(before, abs=1)


def top(element: Locator) -> float:
    """Return the distance from the top of the window, in pixels."""
    return float(element.evaluate("element => element.getBoundingClientRect().top"))


def let_the_count_grow(watching: Page, other: Page) -> None:
    """Sign on the other page, and refresh count and list on the watching one, which then celebrates its goal."""
    sign(other, name="Grace Hopper", email="grace@example.org")
    expect(other.get_by_role("heading", name="Thank You!")).to_be_visible()
    watching.evaluate("document.getElementById('feed').dispatchEvent(new Event('refresh'))")
    expect(watching.locator("#recent .name")).to_have_text("Grace Hopper", timeout=20_000)
    expect(watching.locator(".reached")).to_be_attached()
    # The browser adjusts the scroll position when it paints.
    watching.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_hidden_tab_does_not_poll(open_page: OpenPage) -> None:
    page = open_page()
    requests: list[str] = []
    # The browser fetches the icon late.
    page.wait_for_load_state("networkidle")
    page.on("request", lambda request: requests.append(request.url))
    set_hidden = """hidden => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(set_hidden, True)
    page.wait_for_timeout((feed.QUIET_SECONDS + 2) * 1000)
    assert requests == []
    with page.expect_response(re.compile("/feed$")):
        page.evaluate(set_hidden, False)


def test_unchanged_feed_is_answered_with_304(open_page: OpenPage, server: Server) -> None:
    page = open_page()
    # Intercepting requests, which the tests do to serve htmx, turns off the browser's cache.
    page.unroute_all()
    first, second = (page.evaluate(f"fetch('{server.page}/feed').then(answer => answer.text())") for _ in range(2))
    assert first == second
    timing = page.evaluate("performance.getEntriesByType('resource').filter(e => e.name.endsWith('/feed'))")
    sizes = [entry["encodedBodySize"] for entry in timing], [entry["transferSize"] for entry in timing]
    assert sizes[1][-1] < sizes[0][-1], "headers only"


def test_error_summary_is_focused_links_to_fields_and_keeps_the_input(open_page: OpenPage) -> None:
    page = open_page()
    sign(page, name="http://spam.example", email="ada@", city="Köln", country="")
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    links = summary.get_by_role("link")
    assert [link.get_attribute("href") for link in links.all()] == ["#name", "#email", "#country"]
    message = links.nth(1).inner_text()
    assert "email" in message
    links.nth(1).click()
    email = page.get_by_role("textbox", name="Email")
    expect(email).to_be_focused()
    expect(email).to_have_accessible_description(re.compile(re.escape(message)))
    expect(email).to_have_value("ada@")
    expect(page.locator("#city")).to_have_value("Köln")
    sign(page)
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()


def test_zip_code_fills_in_city_and_state(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#country").select_option("US")
    page.locator("#postal_code").press_sequentially("90012")
    expect(page.locator("#city")).to_have_value("Los Angeles")
    expect(page.locator("#region")).to_have_value("California")
    page.locator("#postal_code").fill("10001")
    expect(page.locator("#city")).to_have_value("New York")
    page.locator("#city").fill("Brooklyn")
    with page.expect_response(re.compile("/places")) as answer:
        page.locator("#postal_code").fill("90012")
    assert answer.value.status == 204
    expect(page.locator("#city")).to_have_value("Brooklyn")
    # Name and email address are not sent before the button is pressed.
    page.locator("#name").fill("Ada Lovelace")
    with page.expect_request(re.compile("/places")) as request:
        page.locator("#postal_code").fill("60601")
    assert request.value.url.endswith("/places"), "the ZIP code would be in access logs"
    assert (request.value.post_data or "").split("&")[0] == "country=US"
    assert "Ada" not in (request.value.post_data or "")


def test_late_zip_code_response_does_not_overwrite_typed_text(open_page: OpenPage) -> None:
    page = open_page()
    late: list[Route] = []
    page.route(re.compile("/places"), lambda route: late.append(route))
    page.locator("#country").select_option("US")
    with page.expect_request(lambda request: "11201" in (request.post_data or "")):
        page.locator("#postal_code").fill("11201")
    page.locator("#city").fill("Queens")
    page.locator("#region").fill("N")
    for route in late:
        # The page may have canceled the request.
        with contextlib.suppress(Error):
            route.continue_()
    page.wait_for_load_state("networkidle")
    expect(page.locator("#city")).to_have_value("Queens")


def test_last_zip_code_wins_on_a_slow_network(open_page: OpenPage) -> None:
    page = open_page()
    late: list[Route] = []
    page.route(re.compile("/places"), lambda route: late.append(route))
    with page.expect_request(re.compile("/places")):
        page.locator("#country").select_option("US")
    for code in ("90012", "10001"):
        page.locator("#postal_code").fill(code)
        page.wait_for_timeout(400)
    page.unroute_all()
    for route in late:
        with contextlib.suppress(Error):
            route.fallback()
    expect(page.locator("#city")).to_have_value("New York")


def test_corrected_zip_code_updates_the_city_after_an_error(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#country").select_option("US")
    page.locator("#postal_code").fill("90012")
    expect(page.locator("#city")).to_have_value("Los Angeles")
    sign(page, email="ada@")
    expect(page.get_by_role("alert")).to_be_focused()
    # Press Enter before the page has requested the city of the new ZIP code.
    page.locator("#postal_code").fill("10001")
    page.locator("#email").fill("ada@example.org")
    page.locator("#email").press("Enter")
    expect(page.locator("#recent .place").first).to_have_text("New York, New York, US")


@pytest.mark.parametrize("width", [360, 1280])
def test_second_click_in_the_same_place_does_nothing(open_page: OpenPage, width: int) -> None:
    page = open_page(width=width)
    fill(page)
    button = page.get_by_role("button", name=TAKE_ACTION)
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box is not None
    spot = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(*spot)
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    for y in range(100, 700, 20):
        page.mouse.click(spot[0], y)
    assert page.url.endswith("/campaigns/save-the-park")
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()


def test_sending_is_announced_to_screen_readers(open_page: OpenPage) -> None:
    page = open_page()
    waiting: list[Route] = []
    page.route(re.compile("/signatures$"), lambda route: waiting.append(route))
    sending = page.locator("form[data-sending]").get_attribute("data-sending") or "missing"
    sign(page)
    expect(page.get_by_role("status")).to_have_text(sending)
    waiting[0].continue_()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_focused()


@pytest.mark.parametrize("width", [360, 1280])
def test_petition_can_be_signed_with_the_keyboard_alone(open_page: OpenPage, width: int) -> None:
    page = open_page(width=width)
    page.keyboard.press("Tab")
    expect(page.locator("a.skip")).to_be_focused()

    def tab_to(field: str) -> None:
        for _ in range(30):
            if page.evaluate("document.activeElement.id") == field:
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{field} can't be reached")

    tab_to("name")
    page.keyboard.type("Ada Lovelace")
    tab_to("email")
    page.keyboard.type("ada@example.org")
    tab_to("country")
    page.keyboard.type("Fran")
    tab_to("anonymous")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=TAKE_ACTION)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Thank You!")).to_be_focused()
    assert names(page)[0] == "Anonymous"
    assert [(signature.country, signature.anonymous) for signature in stored()] == [("FR", True)]


def test_enter_in_a_field_submits_the_form(open_page: OpenPage) -> None:
    page = open_page()
    fill(page)
    page.locator("#email").press("Enter")
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
def test_everything_works_without_javascript(open_page: OpenPage, width: int) -> None:
    page = open_page(width=width, script=False)
    sign(page, name="", postal_code="90012")
    expect(page.get_by_role("alert").get_by_role("link")).to_have_attribute("href", "#name")
    expect(page.locator("#email")).to_have_value("ada@example.org")
    expect(page.locator("#country")).to_have_value("US")
    page.locator("#name").fill("Ada Lovelace")
    page.get_by_role("button", name=TAKE_ACTION).click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert page.url.endswith("/thanks")
    assert names(page) == ["Ada Lovelace"]
    expect(page.locator("#recent .place")).to_have_text("Los Angeles, California, US")
    expect(page.locator("button[data-copy]")).to_be_hidden()
    expect(page.locator("#share-url")).to_be_visible()
    page.locator("#feed a[href$='/signatures']").click()
    page.wait_for_url("**/signatures")
    expect(page.locator(".signatories .name")).to_have_text("Ada Lovelace")


def test_network_failure_keeps_the_input(open_page: OpenPage) -> None:
    page = open_page()
    signatures = re.compile("/signatures$")
    page.route(signatures, lambda route: route.abort())
    sign(page)
    expect(page.get_by_role("alert")).to_have_text(offline_message(page))
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.locator("#email")).to_have_value("ada@example.org")
    page.unroute(signatures)
    page.get_by_role("button", name=TAKE_ACTION).click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert len(stored()) == 1


def test_proxy_error_page_does_not_replace_the_form(open_page: OpenPage) -> None:
    page = open_page()

    def bad_gateway(route: Route) -> None:
        # Some proxies add a content security policy to every response, including their own.
        policy = {"Content-Security-Policy": "default-src 'self'"}
        route.fulfill(status=502, body="<h1>502 Bad Gateway</h1>", content_type="text/html", headers=policy)

    page.route(re.compile("/(signatures|feed)$"), bad_gateway)
    sign(page)
    expect(page.get_by_role("alert")).to_have_text(offline_message(page))
    expect(page.locator("#email")).to_have_value("ada@example.org")
    page.evaluate("document.getElementById('feed').dispatchEvent(new Event('refresh'))")
    page.wait_for_timeout(300)
    expect(page.get_by_role("heading", name="Recent Signatories")).to_be_visible()
    expect(page.get_by_text("Bad Gateway")).to_have_count(0)


def test_signature_sent_again_after_a_lost_response_is_counted_once(open_page: OpenPage) -> None:
    page = open_page()
    signatures = re.compile("/signatures$")

    def lose_the_response(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route(signatures, lose_the_response)
    sign(page)
    expect(page.get_by_role("alert")).to_have_text(offline_message(page))
    page.unroute(signatures)
    page.get_by_role("button", name=TAKE_ACTION).click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    expect(page.locator("#count strong")).to_have_text("1", timeout=25_000)
    assert len(stored()) == 1


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
@pytest.mark.parametrize("mistaken", [False, True], ids=["first try", "after an error"])
def test_source_in_the_link_is_stored_with_the_signature(open_page: OpenPage, script: bool, mistaken: bool) -> None:
    page = open_page("?ref=mail&utm_medium=email", script=script)
    if mistaken:
        sign(page, email="ada@")
        expect(page.get_by_role("alert")).to_be_visible()
    sign(page)
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    other = open_page(script=script)
    sign(other, email="grace@example.org")
    expect(other.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert [signature.source for signature in stored()] == ["mail", ""]
