"""Count and progress in a real browser: they change at once after signing, and never fall."""

import contextlib
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Error, Page, Route, expect

from campaign.models.campaign import Campaign
from campaign.signatures import fake
from tests.browser.conftest import OpenPage
from tests.browser.test_sign import sign
from tests.conftest import Publish, only_sqlite, stored

# Pages look the same on both databases; tests without a browser compare their responses.
pytestmark = only_sqlite

NEXT_FEED = 6_000
"""Milliseconds after signing in which the page has requested the feed (AFTER_SIGNING in site.js)."""
FEED = re.compile("/feed$")


def record_counts(page: Page) -> Callable[[], list[str]]:
    """Return a function that returns all counts that the page has shown since now, each once in a row."""
    page.evaluate("""() => {
        const shown = () => ['#count strong', '#so-far', 'progress'].map(selector => {
            const element = document.querySelector(selector);
            return element?.value ?? parseInt(element?.textContent);
        }).join(' ');
        window.counts = [];
        const note = () => { if (counts.at(-1) !== shown()) counts.push(shown()) };
        note();
        // Callbacks run before the browser paints.
        new MutationObserver(note).observe(document.body, {subtree: true, childList: true, attributes: true});
    }""")
    return lambda: page.evaluate("window.counts")


def three(count: int) -> str:
    return f"{count} {count} {count}"


def test_count_changes_with_the_thank_you_and_never_falls(open_page: OpenPage, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 5, datetime.now(UTC)))
    page = open_page()
    counts = record_counts(page)
    with page.expect_response(FEED, timeout=20_000):
        sign(page)
        expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
        assert counts()[-1] == three(6)
    expect(page.locator("#recent li[id]")).to_have_count(6)
    assert counts() == [three(5), three(6)]


def test_count_of_a_signer_who_has_signed_before_never_falls(open_page: OpenPage, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 5, datetime.now(UTC)))
    sign(first := open_page())
    expect(first.get_by_role("heading", name="Thank You!")).to_be_visible()
    page = open_page()
    expect(page.locator("#count strong")).to_have_text("6")
    counts = record_counts(page)
    sign(page, name="Ada Again")
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    page.wait_for_timeout(NEXT_FEED)
    assert counts() == [three(6), three(7)]
    assert page.locator("#recent .name").first.inner_text() == "Ada Again"
    # When somebody else signs, the page shows the true count and list again.
    sign(open_page(), name="Grace Hopper", email="grace@example.org")
    expect(page.locator("#recent .name").first).to_have_text("Grace Hopper", timeout=20_000)
    assert counts() == [three(6), three(7)]
    assert "Ada Again" not in page.locator("#recent").inner_text()
    assert len(stored()) == 7


def test_feed_requested_before_signing_does_not_change_the_page(open_page: OpenPage) -> None:
    page = open_page()
    counts = record_counts(page)
    late: list[Route] = []
    page.route(FEED, lambda route: late.append(route))
    with page.expect_request(FEED):
        page.evaluate("document.getElementById('feed').dispatchEvent(new Event('refresh'))")
    old = page.context.request.get(page.url + "/feed").text()
    sign(page)
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    for route in late:
        # The page has canceled the request.
        with contextlib.suppress(Error):
            route.fulfill(body=old, content_type="text/html", headers={"Campaign-Answer": "1"})
    page.unroute(FEED)
    page.wait_for_timeout(500)
    assert counts() == [three(0), three(1)]
    assert page.locator("#recent .name").all_inner_texts() == ["Ada Lovelace"]


def test_stale_feed_does_not_change_the_page_of_a_signer(open_page: OpenPage) -> None:
    page = open_page()
    counts = record_counts(page)
    old = page.context.request.get(page.url + "/feed").text()
    page.route(FEED, lambda route: route.fulfill(body=old, content_type="text/html", headers={"Campaign-Answer": "1"}))
    sign(page)
    # The tab is shown again right after signing.
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    with page.expect_response(FEED, timeout=20_000):
        expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    page.wait_for_timeout(300)
    assert counts() == [three(0), three(1)]
    assert page.locator("#recent .name").all_inner_texts() == ["Ada Lovelace"]


def test_refused_signature_leaves_the_count_and_refreshing_goes_on(open_page: OpenPage) -> None:
    page = open_page()
    counts = record_counts(page)
    sign(page, email="ada@")
    expect(page.get_by_role("alert")).to_be_visible()
    sign(open_page(), name="Grace Hopper", email="grace@example.org")
    expect(page.locator("#count strong")).to_have_text("1", timeout=25_000)
    sign(page)
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert counts() == [three(0), three(1), three(2)]


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_goal_that_the_signer_reaches_is_celebrated_at_once(
    open_page: OpenPage, publish: Publish, script: bool
) -> None:
    publish(goal=1)
    page = open_page(script=script)
    sign(page)
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    assert page.locator("#count").inner_text() == "1 person has signed. Let’s get to 2."
    assert "We reached our goal of 1." in page.locator("#progress").inner_text()
    assert page.locator("#so-far").inner_text() == "1 person has signed. Goal: 2"
