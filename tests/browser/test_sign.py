"""Signing in a real browser: without a reload, by keyboard alone, without JavaScript, on a phone, on a bad network."""

import contextlib
import re

import pytest
from playwright.sync_api import Error, Locator, Page, Route, expect

from campaign import feed
from tests.browser.conftest import OpenPage, fill
from tests.conftest import Server, only_sqlite, stored

# A browser sees no difference between databases; what they answer is tested without it, on both.
pytestmark = only_sqlite

TAKE_ACTION = "Take Action"


def names(page: Page) -> list[str]:
    return page.locator("#recent .name").all_inner_texts()


def sign(page: Page, **fields: str) -> None:
    fill(page, **fields)
    page.get_by_role("button", name=TAKE_ACTION).click()


def test_one_signs_without_a_reload_and_is_thanked_in_the_forms_place(open_page: OpenPage) -> None:
    page = open_page()
    page.evaluate("window.marker = 'still here'")
    sign(page, postal_code="90012")
    heading = page.get_by_role("heading", name="Thank You!")
    expect(heading).to_be_focused()
    expect(page.get_by_role("button", name=TAKE_ACTION)).to_have_count(0)
    assert names(page)[0] == "Ada Lovelace"
    expect(page.locator("#recent .place").first).to_have_text("Los Angeles, California, US")
    # Count and progress follow with the next asking, which also gives the entry its place in the list for good.
    expect(page.locator("#count strong")).to_have_text("1", timeout=25_000)
    expect(page.locator("#recent li[id]")).to_have_count(1)
    expect(page.locator("progress")).to_have_js_property("value", 1)
    assert names(page) == ["Ada Lovelace"]
    assert page.evaluate("window.marker") == "still here"
    assert page.url.endswith("/campaigns/save-the-park")


def test_another_persons_signature_appears_in_an_open_tab(open_page: OpenPage) -> None:
    watching = open_page()
    watching.evaluate("window.marker = 'still here'")
    heading = watching.get_by_role("heading", name="Recent Signatories").element_handle()
    sign(open_page(), name="Grace Hopper", email="grace@example.org")
    expect(watching.locator("#recent .name")).to_have_text("Grace Hopper", timeout=(feed.QUIET_SECONDS + 10) * 1000)
    expect(watching.locator("#count strong")).to_have_text("1", timeout=25_000)
    expect(watching.locator("#announcer")).to_have_text("1 person has signed this letter.")
    assert watching.evaluate("window.marker") == "still here"
    assert heading is not None
    assert heading.evaluate("element => element.isConnected"), "morphed in place, not replaced"


@pytest.mark.parametrize("list_in_view", [True, False])
def test_what_is_being_typed_stays_where_it_is_while_the_list_grows(open_page: OpenPage, list_in_view: bool) -> None:
    watching = open_page(width=360)
    field = watching.locator("#name" if list_in_view else "#region")
    field.fill("Half a na")
    field.evaluate("(field, block) => field.scrollIntoView({block})", "end" if list_in_view else "start")
    before = top(field)
    let_the_list_grow(watching, open_page())
    assert top(field) == pytest.approx(before, abs=1)
    expect(field).to_be_focused()
    expect(field).to_have_value("Half a na")


@pytest.mark.parametrize("anchors", [True, False], ids=["browser anchors", "browser does not anchor"])
def test_what_is_being_read_stays_where_it_is_while_the_list_grows(open_page: OpenPage, anchors: bool) -> None:
    watching = open_page(width=360)
    if not anchors:
        watching.add_init_script("CSS.supports = () => false")
        watching.reload()
        watching.evaluate("document.documentElement.style.overflowAnchor = 'none'")
    note = watching.locator(".privacy")
    note.scroll_into_view_if_needed()
    before = top(note)
    let_the_list_grow(watching, open_page())
    assert top(note) == pytest.approx(before, abs=1)


def top(element: Locator) -> float:
    """Pixels from the top of the window."""
    return float(element.evaluate("element => element.getBoundingClientRect().top"))


def let_the_list_grow(watching: Page, other: Page) -> None:
    sign(other, name="Grace Hopper", email="grace@example.org")
    expect(other.get_by_role("heading", name="Thank You!")).to_be_visible()
    watching.evaluate("document.getElementById('feed').dispatchEvent(new Event('refresh'))")
    expect(watching.locator("#recent .name")).to_have_text("Grace Hopper", timeout=20_000)
    # Scroll anchoring acts when the browser paints.
    watching.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_a_hidden_tab_asks_for_nothing(open_page: OpenPage) -> None:
    page = open_page()
    asked: list[str] = []
    # The browser takes its time with the icon.
    page.wait_for_load_state("networkidle")
    page.on("request", lambda request: asked.append(request.url))
    set_hidden = """hidden => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(set_hidden, True)
    page.wait_for_timeout((feed.QUIET_SECONDS + 2) * 1000)
    assert asked == []
    with page.expect_response(re.compile("/feed$")):
        page.evaluate(set_hidden, False)


def test_an_unchanged_poll_is_answered_304_through_the_browsers_cache(open_page: OpenPage, server: Server) -> None:
    page = open_page()
    # Interception, by which the tests bring htmx, switches the browser's cache off.
    page.unroute_all()
    first, second = (page.evaluate(f"fetch('{server.page}/feed').then(answer => answer.text())") for _ in range(2))
    assert first == second
    timing = page.evaluate("performance.getEntriesByType('resource').filter(e => e.name.endsWith('/feed'))")
    sizes = [entry["encodedBodySize"] for entry in timing], [entry["transferSize"] for entry in timing]
    assert sizes[1][-1] < sizes[0][-1], "headers only"


def test_errors_take_the_focus_lead_to_their_fields_and_keep_what_was_typed(open_page: OpenPage) -> None:
    page = open_page()
    sign(page, name="http://spam.example", email="ada@", city="Köln", country="")
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary.get_by_role("link")).to_have_text(
        [
            "Your name can’t hold a link or an @",
            "Enter an email address like name@example.org",
            "Choose your country",
        ]
    )
    summary.get_by_role("link", name="Enter an email address").click()
    email = page.get_by_label("Email")
    expect(email).to_be_focused()
    expect(email).to_have_accessible_description(re.compile("Enter an email address like name@example.org"))
    expect(email).to_have_value("ada@")
    expect(page.get_by_role("textbox", name="City")).to_have_value("Köln")
    sign(page)
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()


def test_a_zip_code_fills_in_city_and_state_as_it_is_typed(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_label("Country", exact=True).select_option("US")
    page.get_by_label("Postal code").press_sequentially("90012")
    expect(page.get_by_role("textbox", name="City")).to_have_value("Los Angeles")
    expect(page.get_by_label("State or region")).to_have_value("California")
    page.get_by_label("Postal code").fill("10001")
    expect(page.get_by_role("textbox", name="City")).to_have_value("New York")
    page.get_by_role("textbox", name="City").fill("Brooklyn")
    with page.expect_response(re.compile("/places")) as answer:
        page.get_by_label("Postal code").fill("90012")
    assert answer.value.status == 204
    expect(page.get_by_role("textbox", name="City")).to_have_value("Brooklyn")
    # Neither name nor address leave the page before the button is pressed.
    page.get_by_role("textbox", name="Name").fill("Ada Lovelace")
    with page.expect_request(re.compile("/places")) as request:
        page.get_by_label("Postal code").fill("60601")
    assert request.value.url.endswith("/places"), "where people live is in no access log"
    assert (request.value.post_data or "").split("&")[0] == "country=US"
    assert "Ada" not in (request.value.post_data or "")


def test_what_the_signer_typed_outlives_a_late_answer(open_page: OpenPage) -> None:
    page = open_page()
    late: list[Route] = []
    page.route(re.compile("/places"), lambda route: late.append(route))
    page.get_by_label("Country", exact=True).select_option("US")
    with page.expect_request(lambda request: "11201" in (request.post_data or "")):
        page.get_by_label("Postal code").fill("11201")
    page.get_by_role("textbox", name="City").fill("Queens")
    page.get_by_label("State or region").fill("N")
    for route in late:
        # It is of use only to who still waits.
        with contextlib.suppress(Error):
            route.continue_()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("textbox", name="City")).to_have_value("Queens")


def test_of_two_zip_codes_on_a_slow_network_the_last_one_counts(open_page: OpenPage) -> None:
    page = open_page()
    late: list[Route] = []
    page.route(re.compile("/places"), lambda route: late.append(route))
    with page.expect_request(re.compile("/places")):
        page.get_by_label("Country", exact=True).select_option("US")
    for code in ("90012", "10001"):
        page.get_by_label("Postal code").fill(code)
        page.wait_for_timeout(400)
    page.unroute_all()
    for route in late:
        with contextlib.suppress(Error):
            route.fallback()
    expect(page.get_by_role("textbox", name="City")).to_have_value("New York")


def test_a_corrected_zip_code_is_followed_also_after_an_error(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_label("Country", exact=True).select_option("US")
    page.get_by_label("Postal code").fill("90012")
    expect(page.get_by_role("textbox", name="City")).to_have_value("Los Angeles")
    sign(page, email="ada@")
    expect(page.get_by_role("alert")).to_be_focused()
    # Enter, before the page has asked for the new code's city.
    page.get_by_label("Postal code").fill("10001")
    page.get_by_label("Email").fill("ada@example.org")
    page.get_by_label("Email").press("Enter")
    expect(page.locator("#recent .place").first).to_have_text("New York, New York, US")


@pytest.mark.parametrize("width", [360, 1280])
def test_a_second_click_at_the_same_spot_leads_nowhere(open_page: OpenPage, width: int) -> None:
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


def test_who_cannot_see_the_button_hears_that_signing_is_under_way(open_page: OpenPage) -> None:
    page = open_page()
    waiting: list[Route] = []
    page.route(re.compile("/signatures$"), lambda route: waiting.append(route))
    sign(page)
    expect(page.get_by_role("status")).to_have_text("Sending your signature…")
    waiting[0].continue_()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_focused()


@pytest.mark.parametrize("width", [360, 1280])
def test_one_can_sign_by_keyboard_alone(open_page: OpenPage, width: int) -> None:
    page = open_page(width=width)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()

    def tab_to(label: str) -> None:
        for _ in range(30):
            if page.evaluate("document.activeElement.labels?.[0]?.innerText ?? ''").startswith(label):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{label} can't be reached")

    tab_to("Name")
    page.keyboard.type("Ada Lovelace")
    tab_to("Email")
    page.keyboard.type("ada@example.org")
    tab_to("Country")
    page.keyboard.type("Fran")
    tab_to("Don’t show")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=TAKE_ACTION)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Thank You!")).to_be_focused()
    assert names(page)[0] == "Anonymous"
    assert [(signature.country, signature.anonymous) for signature in stored()] == [("FR", True)]


def test_enter_in_a_field_signs(open_page: OpenPage) -> None:
    page = open_page()
    fill(page)
    page.get_by_label("Email").press("Enter")
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
def test_everything_works_without_javascript(open_page: OpenPage, width: int) -> None:
    page = open_page(width=width, script=False)
    sign(page, name="", postal_code="90012")
    expect(page.get_by_role("alert")).to_contain_text("Enter your name")
    expect(page.get_by_label("Email")).to_have_value("ada@example.org")
    expect(page.get_by_label("Country", exact=True)).to_have_value("US")
    page.get_by_role("textbox", name="Name").fill("Ada Lovelace")
    page.get_by_role("button", name=TAKE_ACTION).click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert page.url.endswith("/thanks")
    assert names(page) == ["Ada Lovelace"]
    expect(page.locator("#recent .place")).to_have_text("Los Angeles, California, US")
    expect(page.get_by_role("button", name="Copy link")).to_be_hidden()
    expect(page.get_by_label("Link to this petition")).to_be_visible()
    page.get_by_role("link", name="See all signatories").click()
    expect(page.get_by_role("heading", name="All signatories")).to_be_visible()


def test_nothing_is_lost_when_the_network_is(open_page: OpenPage) -> None:
    page = open_page()
    gone = re.compile("/signatures$")
    page.route(gone, lambda route: route.abort())
    sign(page)
    expect(page.get_by_role("alert")).to_contain_text("We can’t reach the site")
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_label("Email")).to_have_value("ada@example.org")
    page.unroute(gone)
    page.get_by_role("button", name=TAKE_ACTION).click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert len(stored()) == 1


def test_somebody_elses_error_page_does_not_take_the_forms_place(open_page: OpenPage) -> None:
    page = open_page()

    def bad_gateway(route: Route) -> None:
        # Some proxies put a policy on every answer, their own too.
        policy = {"Content-Security-Policy": "default-src 'self'"}
        route.fulfill(status=502, body="<h1>502 Bad Gateway</h1>", content_type="text/html", headers=policy)

    page.route(re.compile("/(signatures|feed)$"), bad_gateway)
    sign(page)
    expect(page.get_by_role("alert")).to_contain_text("We can’t reach the site")
    expect(page.get_by_label("Email")).to_have_value("ada@example.org")
    page.evaluate("document.getElementById('feed').dispatchEvent(new Event('refresh'))")
    page.wait_for_timeout(300)
    expect(page.get_by_role("heading", name="Recent Signatories")).to_be_visible()
    expect(page.get_by_text("Bad Gateway")).to_have_count(0)


def test_a_signature_that_was_stored_though_the_answer_was_lost_is_counted_once(open_page: OpenPage) -> None:
    page = open_page()
    lost = re.compile("/signatures$")

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route(lost, lose_the_answer)
    sign(page)
    expect(page.get_by_role("alert")).to_contain_text("We can’t reach the site")
    page.unroute(lost)
    page.get_by_role("button", name=TAKE_ACTION).click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    expect(page.locator("#count strong")).to_have_text("1", timeout=25_000)
    assert len(stored()) == 1


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
@pytest.mark.parametrize("mistaken", [False, True], ids=["at once", "after a mistake"])
def test_the_word_of_the_link_that_brought_a_signer_is_kept(open_page: OpenPage, script: bool, mistaken: bool) -> None:
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
