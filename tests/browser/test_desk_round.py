"""An organizer's whole working day in real browsers: from the invitation to the archive, on a laptop and on a phone."""

import csv
import io
import re
import sys

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from campaign.accounts import audit_log
from tests.browser.conftest import OpenPage, fill
from tests.browser.desk import (
    accept,
    button,
    check_accessible,
    confirm,
    enter_password,
    field,
    join,
    link,
    make_recovery_codes,
    press,
    save,
    set_up_app,
    submit,
)
from tests.conftest import Server, StartWork
from tests.desk.people import Person

LETTER = "Dear Mayor,\n\nplease keep the **pool** open.\n"
FIELDS = {
    "title": "Save the Pool",
    "category": "Environment",
    "summary": "The council wants to close it.",
    "addressees": "The Mayor\nThe Council",
    "letter": LETTER,
    "goal": "3",
    "thanks": "You did a good thing.",
    "share_text": "I signed for the pool.",
}
RECORDED = (
    "campaign.create",
    "campaign.publish",
    "export.download",
    "campaign.close",
    "campaign.archive",
)
"""The actions that the campaign's page of the audit log must show at the end."""


def invite(admin: Page, organizer: Page, server: Server) -> None:
    """Invite an organizer as the admin. Then, as the organizer, follow the link and sign in."""
    admin.goto(f"{server.url}/desk/accounts")
    field(admin, "email").fill("ada@example.org")
    field(admin, "role").select_option("organizer")
    submit(admin, "email")
    person = Person("ada@example.org")
    organizer.goto(admin.locator("#link").input_value().replace("http://127.0.0.1:8000", server.url))
    accept(organizer)
    enter_password(organizer, person)
    set_up_app(organizer, person)
    make_recovery_codes(organizer)
    link(organizer, "/desk/").click()
    expect(organizer.get_by_role("heading", name="Campaigns")).to_be_visible()


def write(page: Page, *, script: bool) -> None:
    """Write a campaign, and look at its preview, which follows the typing if scripts run."""
    link(page, "/campaigns/new").click()
    for name, text in FIELDS.items():
        field(page, name).fill(text)
    if not script:
        press(page, "preview")
    preview = page.frame_locator("iframe")
    expect(preview.get_by_role("heading", name="Save the Pool")).to_be_visible()
    expect(preview.locator(".words strong")).to_have_text("pool")
    save(page)
    expect(page.locator("#notice .done")).to_be_visible()


def sign(visitor: Page, name: str) -> None:
    fill(visitor, name=name, email=f"{name.split()[0].lower()}@example.org", postal_code="90012")
    visitor.get_by_role("button", name="Take Action").click()
    expect(visitor.get_by_role("heading", name="Thank You!")).to_be_visible()


def moderate(page: Page, name: str, action: str) -> None:
    """Hide or restore a signature, with a reason."""
    page.get_by_label(name).check()
    field(page, "reason").fill("A test of ours")
    button(page, f"/{action}").click()
    expect(page.locator(".notice.done")).to_be_visible()


def duplicate_and_delete(page: Page) -> None:
    """Duplicate the campaign, and delete the draft that this makes."""
    page.locator(".steps summary").click()
    press(page, "duplicate")
    expect(page).to_have_url(re.compile("/save-the-pool-copy/edit$"))
    page.locator(".steps summary").click()
    link(page, "/delete").click()
    confirm(page)
    expect(page.locator("#notice .done")).to_be_visible()


# A day takes a minute. In four days, each database, each device, and JavaScript or not meet each other.
@pytest.mark.parametrize(
    ("database", "width", "script"),
    [
        pytest.param("sqlite", 1280, True, id="sqlite-laptop-script"),
        pytest.param("sqlite", 360, False, id="sqlite-phone-no script"),
        pytest.param("postgresql", 1280, False, id="postgresql-laptop-no script"),
        pytest.param("postgresql", 360, True, id="postgresql-phone-script"),
    ],
    indirect=["database"],
)
def test_organizer_runs_a_campaign_from_invitation_to_archive(
    app: Flask,
    server: Server,
    start_work: StartWork,
    open_page: OpenPage,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    *,
    script: bool,
) -> None:
    start_work()
    if not script or width == 360:
        # axe-core is a script. Each check looks at both widths. test_desk_pages.py checks the other pages.
        monkeypatch.setattr(sys.modules[__name__], "check_accessible", lambda _page: None)

    def open_desk() -> Page:
        return open_page(f"{server.url}/desk/sign-in", desk=True, width=width, script=script)

    def refresh(page: Page) -> None:
        """Reload the page, unless it refreshes itself."""
        if not script:
            page.wait_for_timeout(1100)  # Public pages are cached for a second.
            page.reload()

    admin, organizer = open_desk(), open_desk()
    join(admin, app, server)
    invite(admin, organizer, server)

    write(organizer, script=script)
    url = f"{server.url}/campaigns/save-the-pool"
    stranger = open_page(url)
    response = stranger.reload()
    assert response
    assert response.status == 404
    press(organizer, "preview_link")
    preview_url = organizer.locator("#preview-link").input_value()
    colleague = open_page(preview_url.replace("http://127.0.0.1:8000", server.url))
    expect(colleague.get_by_role("heading", name="Save the Pool")).to_be_visible()

    press(organizer, "publish")
    confirm(organizer)
    link(organizer, "/figures").click()
    expect(organizer.locator("#count strong")).to_have_text("0")

    visitor = open_page(f"{url}?ref=mail", width=width, script=script)
    for name in ("Grace Hopper", "Mary Shelley"):
        visitor.goto(f"{url}?ref=mail")
        sign(visitor, name)
    refresh(organizer)
    expect(organizer.locator("#count strong")).to_have_text("2", timeout=25_000)
    assert organizer.context.cookies()
    assert visitor.context.cookies() == []

    link(organizer, "/signatures").click()
    assert "grace@example.org" not in organizer.content()
    button(organizer, "/addresses").click()
    expect(organizer.get_by_text("grace@example.org")).to_be_visible()
    moderate(organizer, "Grace Hopper", "hide")
    check_accessible(organizer)
    visitor.wait_for_timeout(1100)
    visitor.goto(url)
    expect(visitor.locator("#count strong")).to_have_text("2")
    expect(visitor.locator("#recent")).not_to_contain_text("Grace Hopper")
    moderate(organizer, "Grace Hopper", "restore")
    refresh(visitor)
    expect(visitor.locator("#recent")).to_contain_text("Grace Hopper", timeout=25_000)

    link(organizer, "/deliveries").click()
    section = organizer.locator("section", has=organizer.locator("#hand-over"))
    downloads = organizer.locator("form[action$='/file']").get_by_role("button")
    # The second file waits for the first.
    for kind in ("csv", "pdf"):
        section.locator(f"button[name=kind][value={kind}]").click()
        expect(organizer.locator(".export")).to_have_count(1 if kind == "csv" else 2)
    for _ in range(20):
        # Without scripts, the page offers a link to refresh it.
        if script or downloads.count() == 2:
            break
        refresh(organizer)
    expect(downloads).to_have_count(2, timeout=30_000)
    check_accessible(organizer)
    with organizer.expect_download() as fetched:
        organizer.get_by_role("button", name=re.compile("Download.*CSV", re.IGNORECASE)).click()
    rows = list(csv.DictReader(io.StringIO(fetched.value.path().read_text(encoding="utf-8-sig"))))
    assert sorted(row["name"] for row in rows) == ["Grace Hopper", "Mary Shelley"]
    assert "email" not in rows[0]
    with organizer.expect_download() as fetched:
        organizer.get_by_role("button", name=re.compile("Download.*book", re.IGNORECASE)).click()
    assert fetched.value.path().read_bytes().startswith(b"%PDF-")

    link(organizer, "/edit").click()
    duplicate_and_delete(organizer)
    organizer.goto(f"{server.url}/desk/campaigns/save-the-pool/edit")
    press(organizer, "close")
    confirm(organizer)
    visitor.wait_for_timeout(1100)
    visitor.goto(url)
    expect(visitor.get_by_role("heading", name=re.compile(r"\bclosed\b"))).to_be_visible()
    organizer.locator(".steps summary").click()
    press(organizer, "archive")
    confirm(organizer)
    link(organizer, "/record").click()
    check_accessible(organizer)
    for action in RECORDED:
        expect(organizer.locator(".record")).to_contain_text(audit_log.DONE[action])
    for words in ("viewed the email addresses of 2 signatures", "hid 1 signature", "restored 1 signature"):
        expect(organizer.locator(".record")).to_contain_text(words)
    organizer.locator("header nav a[href$='/desk/']").click()
    expect(organizer.get_by_role("row", name="Save the Pool")).to_contain_text("rchived")
