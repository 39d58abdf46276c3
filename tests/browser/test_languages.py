"""Signing in other languages and writing directions, in a real browser."""

import re

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Locator, Page, Route, expect

from campaign.languages import speaking
from campaign.settings import HTMX_URL
from tests.browser.conftest import OpenPage, fill, violations
from tests.conftest import ADA, PATH, Publish, Server, only_sqlite, stored
from tests.languages.pseudo import accented, mirrored, spoken

pytestmark = only_sqlite

LETTERS = {
    "es": {"title": "Salvemos el parque", "letter": "Por favor, conserven el parque."},
    "ar": {"title": "أنقذوا الحديقة", "letter": "نرجو الحفاظ على الحديقة."},
    "ja": {"title": "公園を守ろう", "letter": "公園を残してください。"},
}


def said(tag: str, message: str) -> str:
    """Return a message in a language."""
    with speaking.use(tag):
        return speaking.gettext(message)


def take_action(page: Page, tag: str) -> None:
    page.get_by_role("button", name=said(tag, "Take Action"), exact=True).click()


def overflow(page: Page) -> int:
    """Return by how many pixels the page scrolls sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def edges(entry: Locator, part: str) -> tuple[float, float]:
    """Return the distances of a part of an entry, left and right, from the left of the window, in pixels."""
    box = entry.locator(part).evaluate("element => element.getBoundingClientRect()")
    return box["left"], box["right"]


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
@pytest.mark.parametrize("tag", LETTERS)
def test_letter_is_signed_in_its_language(open_page: OpenPage, publish: Publish, tag: str, script: bool) -> None:
    publish(language=tag, **LETTERS[tag])
    page = open_page(width=360, script=script)
    assert page.locator("html").get_attribute("lang") == tag
    fill(page, email="ada@")
    take_action(page, tag)
    alert = page.get_by_role("alert")
    expect(alert.get_by_role("heading", name=said(tag, "There is a problem"))).to_be_visible()
    expect(alert).to_contain_text(said(tag, "Enter an email address, like name@example.org"))
    page.locator("#email").fill("ada@example.org")
    take_action(page, tag)
    expect(page.get_by_role("heading", name=said(tag, "Thank You!"))).to_be_visible()
    assert overflow(page) == 0
    assert len(stored()) == 1


@pytest.mark.parametrize("tag", LETTERS)
def test_page_in_another_language_is_accessible(open_page: OpenPage, publish: Publish, tag: str) -> None:
    publish(language=tag, **LETTERS[tag])
    page = open_page(width=360)
    take_action(page, tag)
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, only=["color-contrast"]) == [], "in the dark scheme"


def test_names_in_other_writing_directions_do_not_reorder_the_list(open_page: OpenPage, publish: Publish) -> None:
    publish()
    page = open_page()
    fill(page, name="דנה כהן", city="חיפה", country="IL", postal_code="", region="")
    take_action(page, "en")
    entry = page.locator("#recent li").first
    expect(entry.locator(".name")).to_have_text("דנה כהן")
    assert edges(entry, ".name")[1] < edges(entry, "time")[0], "a Hebrew name in an English list"
    assert edges(entry, ".name")[0] == edges(entry, ".place")[0]
    publish(language="he")
    entry = open_page().locator("#recent li").first
    assert edges(entry, ".name")[0] > edges(entry, "time")[1], "the list runs from right to left"
    assert edges(entry, ".name")[1] == edges(entry, ".place")[1]


def test_switcher_leads_to_the_same_petition_in_another_language(open_page: OpenPage, publish: Publish) -> None:
    publish(translations={"es": LETTERS["es"], "ar": LETTERS["ar"]})
    page = open_page("?ref=mail", width=360)
    switcher = page.get_by_role("navigation", name="Languages")
    page.emulate_media(media="print")
    expect(switcher).to_be_hidden()
    page.emulate_media(media="screen")
    switcher.get_by_role("link", name="العربية").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(LETTERS["ar"]["title"])
    assert page.url.endswith(f"{PATH}/ar?ref=mail"), "the source goes along"
    assert page.locator("html").get_attribute("dir") == "rtl"
    assert overflow(page) == 0
    fill(page)
    take_action(page, "ar")
    expect(page.get_by_role("heading", name=said("ar", "Thank You!"))).to_be_visible()
    [signature] = stored()
    assert (signature.language, signature.source) == ("ar", "mail")
    assert violations(page) == []


def test_visitor_who_prefers_another_language_gets_one_polite_line(
    browser: Browser, server: Server, publish: Publish
) -> None:
    publish(translations={"es": LETTERS["es"], "ar": LETTERS["ar"], "zh-Hant": {"title": "拯救公園"}})
    preferences = {"es-MX": "es", "es": "es", "fr-CA": None, "en-GB": None, "zh-TW": "zh-Hant", "ar-EG": "ar"}
    for preferred, offered in preferences.items():
        context = browser.new_context(locale=preferred)
        page = context.new_page()
        page.route(HTMX_URL, lambda route: route.abort())
        page.goto(f"{server.page}?ref=mail")
        offers = page.locator(".offer")
        if offered:
            expect(offers).to_have_count(1)
            expect(offers).to_have_text(said(offered, "This petition is also available in English."))
            assert offers.get_attribute("lang") == offered
            assert (offers.get_attribute("dir") == "rtl") == (offered == "ar")
            offers.get_by_role("link").click()
            assert page.url.endswith(f"{PATH}/{offered}?ref=mail")
        expect(page.locator(".offer")).to_have_count(0)
        context.close()


def test_pages_fit_a_phone_in_longer_and_mirrored_words(
    browser: Browser, client: FlaskClient, publish: Publish
) -> None:
    """Pages of the pseudo-languages, which only this process knows, come from the app without a server."""

    def answer(route: Route) -> None:
        if route.request.url == HTMX_URL:
            route.abort()
            return
        found = client.get(re.sub("^http://[^/]+", "", route.request.url))
        route.fulfill(status=found.status_code, body=found.data, headers=dict(found.headers))

    context = browser.new_context(viewport={"width": 360, "height": 800}, java_script_enabled=False)
    page = context.new_page()
    page.route("**/*", answer)
    for tag, change in (("en", accented), ("ar", mirrored), ("ar", accented)):
        with spoken(tag, change):
            publish(language=tag, donate_url="https://example.org")
            client.post(f"{PATH}/signatures", data=ADA)
            for path in (PATH, f"{PATH}/thanks", f"{PATH}/signatures", f"{PATH}/privacy", f"{PATH}/share/mastodon"):
                page.goto(f"http://127.0.0.1:8000{path}")
                assert page.locator("html").get_attribute("dir") == ("rtl" if tag == "ar" else "ltr")
                assert overflow(page) == 0, (tag, change.__name__, path)
    context.close()
