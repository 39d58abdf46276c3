"""A whole campaign, from the invitation to the delivery, by people in browsers of their own; on both databases."""

import csv
import io
import re
import sys
from itertools import cycle

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from campaign.extensions import db
from tests.browser.conftest import OpenPage, fill, violations
from tests.browser.test_desk_sign_in import accept, arrive, enter_password, set_up_app
from tests.conftest import Server
from tests.desk.people import Person

LETTER = "Dear Mayor,\n\nplease keep the **lido** open.\n"
WIDTHS = (360, 1280)
_in_the_dark = cycle((True, False))


def looks_right(page: Page) -> None:
    """Nobody is shut out of the page: by turns on a phone in the dark, and on a large screen in the light."""
    page.wait_for_load_state()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page.url} at {width}"
    if next(_in_the_dark):
        page.set_viewport_size({"width": WIDTHS[0], "height": 800})
        page.emulate_media(color_scheme="dark")
    else:
        page.emulate_media(color_scheme="light")
    assert violations(page) == [], page.url


def invite(admin: Page, organiser: Page, server: Server) -> None:
    """The admin makes a link at the desk; the organiser follows it."""
    admin.goto(f"{server.url}/desk/accounts")
    admin.get_by_label("Email").fill("ada@example.org")
    admin.get_by_label("Role").select_option("organiser")
    admin.get_by_role("button", name="Make a link").click()
    person = Person("ada@example.org")
    organiser.goto(admin.get_by_label("Link").input_value().replace("http://127.0.0.1:8000", server.url))
    accept(organiser)
    enter_password(organiser, person)
    set_up_app(organiser, person)
    organiser.get_by_role("button", name="Make recovery codes").click()
    organiser.get_by_role("link", name="I have them").click()
    expect(organiser.get_by_role("heading", name="Campaigns")).to_be_visible()
    looks_right(organiser)


def write(page: Page) -> None:
    """Write a campaign, watching the page come into being beside it."""
    page.get_by_role("link", name="New campaign").click()
    looks_right(page)
    for label, text in {
        "Title": "Save the Lido",
        "Category": "Environment",
        "Summary": "The council wants to close it.",
        "Addressees": "The Mayor\nThe Council",
        "Letter": LETTER,
        "Goal": "3",
        "Thank-you text": "You did a good thing.",
        "Share text": "I signed for the lido.",
    }.items():
        page.get_by_label(label, exact=True).fill(text)
    preview = page.frame_locator("iframe")
    expect(preview.get_by_role("heading", name="Save the Lido")).to_be_visible()
    expect(preview.locator(".words strong")).to_have_text("lido")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="Publish …")).to_be_visible()
    looks_right(page)


def sign(visitor: Page, name: str) -> None:
    fill(visitor, name=name, email=f"{name.split()[0].lower()}@example.org", postal_code="90012")
    visitor.get_by_role("button", name="Take Action").click()
    expect(visitor.get_by_role("heading", name="Thank You!")).to_be_visible()


def moderate(page: Page, name: str, action: str) -> None:
    """Hide a signature, or restore it, with a reason."""
    page.get_by_label(name).check()
    page.get_by_label("Reason").fill("A test of ours")
    page.get_by_role("button", name=action).click()
    expect(page.locator(".notice.done")).to_be_visible()


def test_an_organiser_runs_a_campaign_from_the_invitation_to_the_delivery(
    app: Flask, server: Server, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    if db.engine.dialect.name == "postgresql":
        # Pages look the same on both databases.
        monkeypatch.setattr(sys.modules[__name__], "looks_right", lambda _page: None)
    admin = open_page(f"{server.url}/desk/sign-in", desk=True)
    organiser = open_page(f"{server.url}/desk/sign-in", desk=True)
    arrive(admin, app, server)
    invite(admin, organiser, server)

    write(organiser)
    address = f"{server.url}/campaigns/save-the-lido"
    stranger = open_page(address)
    expect(stranger.get_by_role("heading", name="There is nothing here")).to_be_visible()
    organiser.get_by_role("button", name="Make a preview link").click()
    link = organiser.get_by_label(re.compile("Link for colleagues")).input_value()
    colleague = open_page(link.replace("http://127.0.0.1:8000", server.url))
    expect(colleague.get_by_role("heading", name="Save the Lido")).to_be_visible()

    organiser.get_by_role("link", name="Publish …").click()
    looks_right(organiser)
    organiser.get_by_role("button", name="Publish", exact=True).click()
    organiser.get_by_role("link", name="Figures").click()
    looks_right(organiser)
    expect(organiser.locator("main")).to_contain_text(re.compile(r"0\s+signed"))

    visitor = open_page(f"{address}?ref=mail")
    for name in ("Grace Hopper", "Mary Shelley"):
        visitor.goto(f"{address}?ref=mail")
        sign(visitor, name)
    # By itself, while somebody looks.
    expect(organiser.locator("main")).to_contain_text(re.compile(r"2\s+signed"), timeout=25_000)
    assert organiser.context.cookies()
    assert visitor.context.cookies() == []

    organiser.get_by_role("link", name="Signatures").click()
    looks_right(organiser)
    assert "grace@example.org" not in organiser.content()
    organiser.get_by_role("button", name="Show email addresses").click()
    expect(organiser.get_by_text("grace@example.org")).to_be_visible()
    moderate(organiser, "Grace Hopper", "Hide from the list")
    looks_right(organiser)
    visitor.goto(address)
    expect(visitor.locator("#count")).to_contain_text("2 have signed")
    expect(visitor.locator("#recent")).not_to_contain_text("Grace Hopper")
    moderate(organiser, "Grace Hopper", "Restore")
    expect(visitor.locator("#recent")).to_contain_text("Grace Hopper", timeout=25_000)

    organiser.get_by_role("link", name="Deliveries").click()
    looks_right(organiser)
    for kind in ("CSV", "book"):
        section = organiser.locator("section", has=organiser.get_by_role("heading", name="To hand over"))
        section.get_by_role("button", name=re.compile(kind, re.IGNORECASE)).click()
        expect(organiser.get_by_role("button", name=re.compile("Download")).first).to_be_visible(timeout=30_000)
    looks_right(organiser)
    with organiser.expect_download() as fetched:
        organiser.get_by_role("button", name=re.compile("Download.*CSV", re.IGNORECASE)).click()
    rows = list(csv.DictReader(io.StringIO(fetched.value.path().read_text())))
    assert sorted(row["name"] for row in rows) == ["Grace Hopper", "Mary Shelley"]
    assert "email" not in rows[0]
    with organiser.expect_download() as fetched:
        organiser.get_by_role("button", name=re.compile("Download.*book", re.IGNORECASE)).click()
    assert fetched.value.path().read_bytes().startswith(b"%PDF-")

    organiser.get_by_role("link", name="Letter").click()
    organiser.get_by_role("link", name="Close …").click()
    organiser.get_by_role("button", name="Close", exact=True).click()
    visitor.wait_for_timeout(1100)
    visitor.goto(address)
    expect(visitor.get_by_role("heading", name="This petition is closed")).to_be_visible()
    organiser.get_by_role("link", name="Record").click()
    looks_right(organiser)
    for done in ("wrote", "published", "saw email addresses", "hid", "restored", "fetched", "closed"):
        expect(organiser.locator(".record")).to_contain_text(done)
    organiser.get_by_role("link", name="Campaigns").click()
    expect(organiser.get_by_role("row", name="Save the Lido")).to_contain_text("Closed")
    looks_right(organiser)
