"""A real Chromium in front of a real gunicorn. Only the CDN is ours: its one file comes from .cache/, hash and all."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, sync_playwright

from campaign.settings import HTMX_URL, ROOT
from tests.conftest import Serve, Server

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    # Chromium's sandbox does not run as root, as which containers and CI run.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def server(serve: Serve, request: pytest.FixtureRequest) -> Server:
    """One that serves by a single worker, with the settings of the test's mark `settings`: browsers take the cores."""
    mark = request.node.get_closest_marker("settings")
    return serve(**{"WEB_CONCURRENCY": "1"} | (mark.kwargs if mark else {}))


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[OpenPage]:
    """Open an address of the server in a context of its own.

    After the test: no page has broken our policy or thrown, none has asked any other host for anything, and none but
    the `desk` has left a cookie.
    """
    contexts: list[tuple[BrowserContext, set[str]]] = []
    complaints: list[str] = []

    def fetch(route: Route) -> None:
        if route.request.url == HTMX_URL:
            file = ROOT / ".cache" / "htmx.min.js"
            route.fulfill(path=file, content_type="text/javascript", headers={"Access-Control-Allow-Origin": "*"})
        elif route.request.url.startswith(server.url):
            route.continue_()
        else:
            complaints.append(f"asked for {route.request.url}")
            route.abort()

    def listen(message: ConsoleMessage) -> None:
        # Chromium writes every 422 and 503 as an error, htmx every network that fails; what becomes of those is tested.
        harmless = "Failed to load resource" in message.text or "TypeError: Failed to fetch" in message.text
        if message.type == "error" and not harmless:
            complaints.append(message.text)

    def open_page(
        path: str = "", *, width: int = 1280, script: bool = True, scheme: str = "light", desk: bool = False
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            java_script_enabled=script,
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
        )
        contexts.append((context, {"desk"} if desk else set()))
        page = context.new_page()
        page.route("**/*", fetch)
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path if path.startswith("http") else server.page + path)
        return page

    yield open_page
    for context, may_have in contexts:
        assert {cookie["name"] for cookie in context.cookies()} <= may_have
        context.close()
    assert complaints == []


def fill(page: Page, **fields: str) -> None:
    """Fill in the sign form as Ada, but for what is given."""
    filled = {"name": "Ada Lovelace", "email": "ada@example.org", **fields}
    for name in ("name", "email", "postal_code", "city", "region"):
        if name in filled:
            page.locator(f"#{name}").fill(filled[name])
    page.locator("#country").select_option(fields.get("country", "US"))


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page, by every rule that WCAG 2.2 AA and good practice have."""
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {n['target']} {n['failureSummary']}" for v in found for n in v["nodes"]]
