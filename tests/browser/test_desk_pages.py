"""Pages of the desk and of a campaign in less common states: errors, conflicts, sign-out. All must be accessible."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import expect

from campaign.accounts import audit_log
from campaign.accounts.audit_log import Actor
from campaign.campaigns import preview_links
from campaign.deliveries import contents, exports
from campaign.deliveries.contents import Purpose
from campaign.deliveries.exports import Kind
from campaign.models.account import Role
from campaign.models.campaign import Campaign, CampaignState
from campaign.models.export import ExportState
from campaign.settings import Settings
from campaign.storage.transactions import write_transaction
from tests.browser.conftest import OpenPage
from tests.browser.desk import button, check_accessible, confirm, field, link, open_signed_in, save
from tests.campaigns.test_pictures import uploaded
from tests.conftest import PATH, Publish, Server, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk, later
from tests.moderation.signatures import put

pytestmark = only_sqlite


@pytest.fixture
def admin(at_desk: AtDeskAs, campaign: Campaign) -> AtDesk:
    crowd = [{"name": f"Somebody {n}", "email": f"{n}@example.org"} for n in range(55)]
    ada = {"name": "Ada Lovelace", "city": "London", "signed_at": datetime.now(UTC)}
    same = [ada | {"email": f"ada{n}@mailinator.com"} for n in range(5)]
    put(campaign, *crowd, *same)
    return at_desk(Role.ADMIN)


def test_every_page_of_editing_closing_and_winning_a_campaign_is_accessible(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk, publish: Publish, settings: Settings
) -> None:
    draft = publish(state=CampaignState.DRAFT, slug="draft")
    check_accessible(
        open_page(f"{server.url}/campaigns/draft/preview?key={preview_links.make(settings.secret_key, draft.id)}")
    )
    first, second = (open_signed_in(open_page, server, admin) for _ in range(2))
    first.goto(f"{server.url}/desk/campaigns/new")
    save(first)
    expect(first.get_by_role("alert")).to_be_focused()
    check_accessible(first)
    for page in (first, second):
        page.goto(f"{server.url}/desk{PATH}/edit")
    first.locator("#picture").set_input_files({"name": "pool.jpg", "mimeType": "image/jpeg", "buffer": uploaded()})
    save(first, picture_text="Half of it is red", letter="Dear all,\n\nother words.", summary="One summary.")
    check_accessible(first)
    save(first, reason="The first were wrong")
    first.locator("button[name=seen]").click()
    expect(first.locator("#notice .done")).to_be_visible()
    save(second, summary="Another summary.")
    expect(second.get_by_role("alert")).to_be_focused()
    expect(second.locator(".mine .both")).to_contain_text("Another")
    expect(second.locator(".theirs .both")).not_to_contain_text("Another")
    check_accessible(second)
    second.goto(f"{server.page}/changes")
    check_accessible(second)
    for step in ("close", "win"):
        first.goto(f"{server.url}/desk{PATH}/{step}")
        confirm(first)
        expect(first.get_by_role("status")).to_be_visible()
        # The page is cached for a second.
        second.wait_for_timeout(1100)
        second.goto(server.page)
        check_accessible(second)
    expect(second.get_by_role("heading", name=re.compile(r"\bwon\b", re.IGNORECASE))).to_be_visible()
    first.goto(f"{server.url}/desk{PATH}/record")
    for summary in first.locator("summary").all():
        summary.click()
    expect(first.locator(".record")).to_contain_text(audit_log.DONE["campaign.win"])
    check_accessible(first)


def test_preview_reports_an_expired_session_and_typing_can_continue(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk
) -> None:
    page = open_signed_in(open_page, server, admin)
    page.goto(f"{server.url}/desk{PATH}/edit")
    later(timedelta(hours=13))
    letter = field(page, "letter")
    letter.fill("Dear all, ")
    notice = page.locator("#preview").get_by_role("alert")
    expect(notice.get_by_role("link")).to_have_attribute("href", re.compile("/desk/sign-in$"))
    expect(letter).to_be_focused()
    page.keyboard.type("please")
    expect(letter).to_have_value("Dear all, please")
    check_accessible(page)


def test_picture_over_25_mb_is_not_uploaded(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk, tmp_path: Path
) -> None:
    page = open_signed_in(open_page, server, admin)
    page.goto(f"{server.url}/desk/campaigns/new")
    picture = page.locator("#picture")
    file = tmp_path / "pool.jpg"
    file.write_bytes(bytes(25 * 1024 * 1024 + 1))
    picture.set_input_files(file)
    expect(page.get_by_role("alert")).to_contain_text("25 MB")
    expect(picture).to_have_value("")
    check_accessible(page)
    file.write_bytes(uploaded())
    picture.set_input_files(file)
    expect(page.get_by_role("alert")).to_be_hidden()
    assert picture.input_value().endswith("pool.jpg")


def test_every_page_of_moderating_and_delivering_signatures_is_accessible(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk, campaign: Campaign
) -> None:
    with write_transaction() as session:
        order = contents.order(Purpose.HAND_OVER, ["name"])
        exports.ask(session, Actor(1, "another organizer"), campaign, Kind.BOOK, order, datetime.now(UTC))
        making = exports.ask(session, Actor(1, "another organizer"), campaign, Kind.CSV, order, datetime.now(UTC))
        making.state, making.touched_at = ExportState.MAKING, datetime.now(UTC) + timedelta(minutes=1)
    page = open_signed_in(open_page, server, admin)
    page.goto(f"{server.url}/desk{PATH}/signatures")
    button(page, "/hide").click()
    expect(page.get_by_role("alert")).to_be_focused()
    check_accessible(page)
    # Enter presses no button: it neither shows another page nor reveals email addresses.
    field(page, "reason").fill("Spam")
    field(page, "reason").press("Enter")
    page.wait_for_timeout(500)
    expect(page.locator("button[name=next]")).to_be_visible()
    assert "signature." not in admin.get("/desk/record.csv").text
    expect(field(page, "reason")).to_have_value("Spam")
    page.goto(f"{server.url}/desk{PATH}/look-alikes")
    same, *_, throwaway = page.locator("main ul.rows").all()
    expect(same).to_contain_text(re.compile(r"Ada Lovelace, London, US\b.*\b5\b"))
    expect(throwaway).to_contain_text(re.compile(r"mailinator\.com\b.*\b5\b"))
    check_accessible(page)
    page.goto(f"{server.url}/desk{PATH}/figures?by=minute")
    page.locator("summary").first.click()
    check_accessible(page)
    link(page, "/deliveries").click()
    expect(page.locator(".export progress")).to_be_visible()
    check_accessible(page)
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    page.locator("button[name=kind][value=csv]").first.click()
    expect(page.get_by_role("alert")).to_be_focused()
    check_accessible(page)
