"""Take the screenshots of README.md and docs/organize.md, on a separate site with invented data.

script/screenshots runs this. Names, places, and the shape of the charts are the same in every run. Times, the QR code,
and its key differ.
"""

import io
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from flask import Flask
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import select

from campaign import create_app
from campaign.deliveries import making
from campaign.models.campaign import Campaign
from campaign.moderation import indexing
from campaign.settings import HTMX_URL, ROOT, Settings
from campaign.signatures import fake, tally
from campaign.signatures.signing import insert_unless_signed
from campaign.statistics import roll_ups
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.worker.task import NOW
from tests.browser.conftest import fill
from tests.browser.desk import accept, begin_app_setup, button, enter_password, field, link, submit
from tests.desk.people import Person, invitation
from tests.services import Node, free_port

SAMPLE = "end-ring-police-partnerships"
LIBRARY = {
    "title": "Free the Town Library",
    "category": "Public Places",
    "summary": "The council wants to close the library four days a week. Ask the Mayor to keep its doors open.",
    "addressees": "The Mayor of Brightsea\nThe Town Council",
    "letter": """Dear Mayor and Council Members:

Please keep the **library** open. It is the one warm place in town where nobody has to buy anything.

We ask you to:

- open it six days a week,
- keep its staff,
- and buy new books.""",
}
POOL = f"""---
slug: keep-our-pool-open
title: Keep Our Pool Open
category: Public Places
summary: The council wants to close it.
addressees: The Town Council
goal: 500
thanks: Your name now stands under this letter.
share_text: I signed for the pool.
---
{LIBRARY["letter"].replace("library", "pool")}
"""
Motion = Literal["reduce", "no-preference"]
SIGNATURES = 4200
POOL_SIGNATURES = 312
WEEK_HOURS = 7 * 24


def signing_times(number: int, now: datetime) -> list[datetime]:
    """Return times in the week before now, oldest first: few at night, and most in the early afternoon."""
    hours = [now - timedelta(hours=ago) for ago in range(WEEK_HOURS)]
    weights = [1 + 6 * math.exp(-(((hour.hour - 14) / 4) ** 2)) for hour in hours]
    chosen = random.choices(hours, weights, k=number)  # noqa: S311 (not used for security)
    return sorted(hour - timedelta(seconds=random.uniform(5, 3600)) for hour in chosen)  # noqa: S311


def add_signatures(slug: str, number: int, now: datetime) -> None:
    """Add invented signatures to a campaign."""
    with write_transaction() as session:
        campaign = session.scalars(select(Campaign).where(Campaign.slug == slug)).one()
        connection = session.connection()
        rows = [fake.signature(campaign.id, f"{slug}-{n}", time) for n, time in enumerate(signing_times(number, now))]
        connection.execute(insert_unless_signed(connection.dialect.name), rows)
        tally.add(connection, campaign.id, number)


def make_site(folder: Path) -> Flask:
    """Return a site with two campaigns and their signatures, with its database in the folder."""
    app = create_app(Settings.from_environ({"SITE_NAME": "Open Rights"}, folder))
    (folder / "pool.md").write_text(POOL)
    runner = app.test_cli_runner()
    for arguments in (["prepare"], ["campaigns", "publish", str(folder / "pool.md")]):
        result = runner.invoke(args=arguments)
        if result.exit_code:
            raise SystemExit(result.output)
    # With this seed, three signatures are by Ada Park in Leeds.
    random.seed("screenshots 0")
    now = datetime.now(UTC)
    with app.app_context():
        add_signatures(SAMPLE, SIGNATURES, now)
        add_signatures("keep-our-pool-open", POOL_SIGNATURES, now)
        while roll_ups.add_piece(now) or indexing.index_piece() == NOW:
            pass
        db.engine.dispose()
    return app


@contextmanager
def serve(app: Flask) -> Iterator[str]:
    """Serve the site on a free port, with a background worker, and yield its URL."""
    settings = app.config["SETTINGS"]
    environ = {
        "DATABASE_URL": settings.database_url,
        "SECRET_KEY": settings.secret_key,
        "SITE_NAME": settings.site_name,
        "SITE_URL": "https://petitions.example.org",
    }
    node = Node(environ, settings.instance / "log", free_port())
    node.start()
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "work"]
    worker = subprocess.Popen(command, cwd=ROOT, env=os.environ | environ)  # noqa: S603 (the command is fixed)
    try:
        yield node.url
    finally:
        worker.terminate()
        worker.wait(timeout=30)
        node.stop()


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium."""
    # Chromium's sandbox does not run as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


def open_page(
    browser: Browser, url: str, width: int = 1280, motion: Literal["reduce", "no-preference"] = "reduce"
) -> Page:
    """Open a URL in a new window, with the htmx file from .cache/."""
    context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion=motion)
    page = context.new_page()
    htmx, headers = ROOT / ".cache" / "htmx.min.js", {"Access-Control-Allow-Origin": "*"}
    page.route(HTMX_URL, lambda route: route.fulfill(path=htmx, content_type="text/javascript", headers=headers))
    page.goto(url)
    return page


def save(page: Page, name: str, height: int | None = None) -> None:
    """Save a screenshot as docs/NAME.png: the page down to this height, or the whole page."""
    # Don't wait for "networkidle", because open pages poll every few seconds.
    page.wait_for_load_state("load")
    page.evaluate("document.activeElement.blur()")
    # After a form is sent, its notice has the focus, and the page is scrolled to it.
    page.evaluate("scrollTo(0, 0)")
    width = page.viewport_size["width"] if page.viewport_size else 1280
    if not height:
        # Unlike scrollHeight, this can be less than the height of the window.
        height = page.evaluate("Math.ceil(document.documentElement.getBoundingClientRect().height)")
    page.set_viewport_size({"width": width, "height": height})
    save_image(page.screenshot(), name)


def save_image(png: bytes, name: str) -> None:
    """Save an image as docs/NAME.png, with a palette, which makes the file a third of the size."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    # Dithering would make the file larger and show in the shadows.
    image = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    image.save(ROOT / "docs" / f"{name}.png", optimize=True)


def take_public_pages(browser: Browser, url: str) -> None:
    """Take screenshots of a campaign's page, and of the thank-you after signing."""
    page = open_page(browser, f"{url}/campaigns/{SAMPLE}", motion="no-preference")
    save(page, "page", 900)
    fill(page, name="Noor Haddad", email="noor@example.org", postal_code="94103")
    page.get_by_role("button", name="Take Action").click()
    expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
    # The signer's own entry has faded in, and is highlighted for two more seconds.
    page.wait_for_timeout(700)
    page.evaluate("scrollTo({top: document.querySelector('#count').offsetTop - 60, behavior: 'instant'})")
    page.evaluate("document.activeElement.blur()")
    save_image(page.screenshot(), "thank-you")


def sign_in(browser: Browser, app: Flask, url: str) -> Page:
    """Take a screenshot of setting up an authenticator app; return a page at the desk with an admin signed in."""
    person = Person("grace@example.org")
    page = open_page(browser, url + invitation(app, person.email, "admin"), width=624)
    accept(page)
    enter_password(page, person)
    begin_app_setup(page, person)
    # The form and its margin, without the page's header.
    page.evaluate("document.querySelector('header').remove()")
    save(page, "desk-app")
    field(page, "code").fill(person.code())
    submit(page, "code")
    expect(page.locator("button[name=generate_new_codes]")).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 900})
    return page


def take_campaigns(page: Page, url: str) -> None:
    """Take screenshots of the list of campaigns, and of a new campaign with its preview."""
    page.goto(f"{url}/desk/")
    save(page, "desk-campaigns", 390)
    link(page, "/campaigns/new").click()
    for name, text in LIBRARY.items():
        field(page, name).fill(text)
    preview = page.frame_locator("iframe")
    expect(preview.get_by_role("heading", name=LIBRARY["title"])).to_be_visible()
    expect(preview.get_by_text("buy new books")).to_be_attached()
    # The preview is refreshed when typing has stopped, and when the last field has lost the focus.
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(3000)
    expect(page.locator(".htmx-request")).to_have_count(0)
    expect(preview.get_by_text("buy new books")).to_be_attached()
    save(page, "desk-write", 900)


def take_signatures(page: Page, desk: str) -> None:
    """Take a screenshot of a search for signatures, after hiding two of its results."""
    page.goto(f"{desk}/signatures")
    page.locator("main input[type=text]:visible, main input[type=search]:visible").first.fill("ada park leeds")
    page.get_by_role("button", name="Search").click()
    rows = page.locator("#table tbody tr")
    expect(rows.first).to_contain_text("Ada Park")
    for row in rows.all()[1:3]:
        row.get_by_role("checkbox").check()
    field(page, "reason").fill("They are duplicates")
    button(page, "/hide").click()
    expect(page.locator(".notice.done")).to_be_visible()
    save(page, "desk-signatures")


def take_deliveries(app: Flask, page: Page, desk: str) -> None:
    """Take a screenshot of the files for delivery, after two of them were made."""
    page.goto(f"{desk}/deliveries")
    section = page.locator("section", has=page.locator("#hand-over"))
    ready = page.locator("form[action$='/file']").get_by_role("button")
    for number, kind in enumerate(("pdf", "xlsx"), 1):
        section.locator(f"button[name=kind][value={kind}]").click()
        with app.app_context():
            making.make_next(db.engine, app.config["SETTINGS"], kind)
            db.engine.dispose()
        expect(ready).to_have_count(number, timeout=60_000)
    page.goto(f"{desk}/deliveries")
    save(page, "desk-deliveries")


def main() -> None:
    """Take all screenshots."""
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        app = make_site(Path(folder))
        with serve(app) as url:
            take_public_pages(browser, url)
            page, desk = sign_in(browser, app, url), f"{url}/desk/campaigns/{SAMPLE}"
            take_campaigns(page, url)
            take_signatures(page, desk)
            page.goto(f"{desk}/figures?by=hour")
            save(page, "desk-figures", 1240)
            take_deliveries(app, page, desk)


if __name__ == "__main__":
    main()
