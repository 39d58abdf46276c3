"""Fixtures for tests with a real Chromium and a real gunicorn.

No request leaves the machine: htmx, which pages load from a CDN, is served from .cache/ and its hash is checked.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, sync_playwright

from campaign.settings import HTMX_URL, ROOT
from tests.conftest import Serve, Server
from tests.desk.conftest import at_desk, draft, invited

__all__ = ["at_desk", "draft", "invited"]

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    # Chromium's sandbox doesn't work for root, and containers and CI often run as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def server(serve: Serve, request: pytest.FixtureRequest) -> Server:
    """Start a gunicorn with the settings of the test's mark `settings`.

    It has one worker, because browsers need the cores.
    """
    mark = request.node.get_closest_marker("settings")
    return serve(**{"WEB_CONCURRENCY": "1"} | (mark.kwargs if mark else {}))


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[OpenPage]:
    """Return a function that opens a URL of the server in a new browser context.

    After the test, check that no page violated the content security policy, threw an error, or sent a request to
    another host, and that only pages opened with `desk=True` have set a cookie.
    """
    contexts: list[tuple[BrowserContext, set[str]]] = []
    complaints: list[str] = []

    def answer_or_block(route: Route) -> None:
        if route.request.url == HTMX_URL:
            file = ROOT / ".cache" / "htmx.min.js"
            route.fulfill(path=file, content_type="text/javascript", headers={"Access-Control-Allow-Origin": "*"})
        elif route.request.url.startswith(server.url):
            route.continue_()
        else:
            complaints.append(f"request to {route.request.url}")
            route.abort()

    def collect_error(message: ConsoleMessage) -> None:
        # Chromium logs every 422 and 503 as an error, and htmx every failed request. Tests check how pages handle them.
        harmless = "Failed to load resource" in message.text or "TypeError: Failed to fetch" in message.text
        if message.type == "error" and not harmless:
            complaints.append(message.text)

    def open_page(
        path: str = "",
        *,
        width: int = 1280,
        script: bool = True,
        desk: bool = False,
        scheme: Literal["light", "dark"] = "light",
        time_zone: str | None = None,
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            java_script_enabled=script,
            color_scheme=scheme,
            reduced_motion="reduce",
            timezone_id=time_zone,
        )
        contexts.append((context, {"desk"} if desk else set()))
        page = context.new_page()
        page.route("**/*", answer_or_block)
        page.on("console", collect_error)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path if path.startswith("http") else server.page + path)
        return page

    yield open_page
    for context, allowed in contexts:
        assert {cookie["name"] for cookie in context.cookies()} <= allowed
        context.close()
    assert complaints == []


def fill(page: Page, **fields: str) -> None:
    """Fill in the sign form as Ada; `fields` override her data."""
    filled = {"name": "Ada Lovelace", "email": "ada@example.org", **fields}
    for name in ("name", "email", "postal_code", "city", "region"):
        if name in filled:
            page.locator(f"#{name}").fill(filled[name])
    page.locator("#country").select_option(fields.get("country", "US"))


WINDOWS: list[tuple[int, Literal["light", "dark"]]] = [(1280, "light"), (360, "dark")]
"""The widths and color schemes in which pages are checked: a laptop and a phone."""


def check_windows(page: Page) -> None:
    """Check that the page fits all WINDOWS, and that axe-core finds no violation in them."""
    page.wait_for_load_state()
    for width, scheme in WINDOWS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        fits = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert fits, f"{page.url} scrolls sideways at {width} pixels"
        found = violations(page)
        assert not found, f"{page.url}: {found}"


def violations(page: Page, *, only: list[str] | None = None) -> list[str]:
    """Return the problems that axe-core finds by its WCAG 2.2 AA and best-practice rules, or by the rules in `only`."""
    # Without `iframes`, axe-core would wait half a second for each frame, where it isn't loaded.
    options = {"resultTypes": ["violations"], "iframes": False} | ({"runOnly": only} if only else {})
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate("options => axe.run(options)", options)["violations"]
    return [f"{v['id']}: {n['target']} {n['failureSummary']}" for v in found for n in v["nodes"]]
