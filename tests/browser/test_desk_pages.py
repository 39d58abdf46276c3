"""Every page of the desk must be accessible, also in less common states: errors, conflicts, sign-out."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import expect

from campaign.accounts import audit_log
from campaign.accounts.audit_log import Actor
from campaign.campaigns import preview_links, stages
from campaign.deliveries import contents, exports
from campaign.deliveries.contents import Purpose
from campaign.deliveries.exports import Kind
from campaign.models.account import Role
from campaign.models.campaign import Campaign, CampaignState
from campaign.models.export import ExportState
from campaign.settings import Settings
from campaign.storage.transactions import write_transaction
from tests.browser.conftest import OpenPage, violations
from tests.browser.desk import button, check_accessible, confirm, field, link, open_signed_in, save
from tests.campaigns.test_pictures import uploaded
from tests.conftest import PATH, Publish, Server, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk, later
from tests.moderation.signatures import put

pytestmark = only_sqlite


SEND_FORM = """([path, fields]) => {
  const form = Object.assign(document.createElement("form"), { method: "post", action: path });
  for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }
  document.body.append(form);
  form.submit();
}"""
"""Send a form to a path of the desk, which may refuse it."""

WCAG = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]

PAGES = [
    "/",
    "/account",
    "/account/app",
    "/account/passkeys",
    "/account/password",
    "/account/recovery-codes",
    "/accounts",
    "/accounts/1",
    "/password-again",
    "/campaigns/new",
    f"{PATH}/edit",
    f"{PATH}/edit/es",
    f"{PATH}/edit/es/remove",
    f"{PATH}/messages?language=es",
    f"{PATH}/signatures",
    f"{PATH}/look-alikes",
    f"{PATH}/figures?by=day",
    f"{PATH}/deliveries",
    f"{PATH}/record",
    f"{PATH}/close",
    f"{PATH}/win",
    f"{PATH}/archive",
    "/campaigns/archived/unarchive",
    "/campaigns/closed/reopen",
    "/campaigns/closed/unpublish",
    "/campaigns/draft/publish",
    "/campaigns/draft/delete",
]
"""Every page of the desk that an admin can open by its URL. One test checks them all."""

ELSEWHERE = {
    "accounts.accept": "test_desk_sign_in.py",
    "security.login": "test_desk_sign_in.py",
    "security.mf_recovery": "test_desk_sign_in.py",
    "security.tf_select": "test_desk_sign_in.py",
    "security.two_factor_token_validation": "test_desk_sign_in.py",
    "security.wan_signin": "test_desk_sign_in.py",
    "campaigns.message": "test_messages_with_formatting_are_accessible",
}
"""Pages that other tests check."""

NOT_PAGES = {
    "accounts.arrive": "redirects",
    "accounts.passkey_added": "redirects",
    "security.wan_delete": "redirects",
    "campaigns.download": "a file",
    "figures.as_csv": "a file",
    "records.everything": "a file",
    "security.static": "files",
    "deliveries.progress": "a part of a page",
    "figures.live": "a part of a page",
    "security.two_factor_rescue": "always responds with 404",
}


@pytest.fixture
def campaign(publish: Publish) -> Campaign:
    return publish(translations={"es": {"title": "Salvemos el parque"}})


@pytest.fixture
def admin(at_desk: AtDeskAs, campaign: Campaign) -> AtDesk:
    ada = {"name": "Ada Lovelace", "city": "London", "signed_at": datetime.now(UTC)}
    put(campaign, *(ada | {"email": f"ada{n}@mailinator.com"} for n in range(5)))
    return at_desk(Role.ADMIN)


@pytest.fixture
def exports_in_progress(campaign: Campaign) -> None:
    """Request two files of another organizer: one is waiting, and one is being created."""
    with write_transaction() as session:
        order = contents.order(Purpose.HAND_OVER, ["name"])
        exports.ask(session, Actor(1, "another organizer"), campaign, Kind.BOOK, order, datetime.now(UTC))
        making = exports.ask(session, Actor(1, "another organizer"), campaign, Kind.CSV, order, datetime.now(UTC))
        making.state, making.touched_at = ExportState.MAKING, datetime.now(UTC) + timedelta(minutes=1)


def test_list_of_pages_is_complete(app: Flask) -> None:
    desk: Flask = app.extensions["desk"].app
    urls = desk.url_map.bind("localhost")
    checked = {urls.match(page.partition("?")[0])[0] for page in PAGES}
    routes = {rule.endpoint for rule in desk.url_map.iter_rules() if "GET" in (rule.methods or ())}
    assert sorted(routes) == sorted([*checked, *ELSEWHERE, *NOT_PAGES])
    assert {page.rpartition("/")[2] for page in PAGES} >= {*stages.ALL_STEPS}


def test_every_page_is_accessible_in_light_and_dark(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk, publish: Publish, exports_in_progress: None
) -> None:
    publish(state=CampaignState.DRAFT, slug="draft")
    publish(state=CampaignState.CLOSED, slug="closed")
    archived = publish(slug="archived")
    with write_transaction() as session:
        session.get_one(Campaign, archived.id).archived_at = datetime.now(UTC)
    page = open_signed_in(open_page, server, admin)
    for path in PAGES:
        response = page.goto(f"{server.url}/desk{path}")
        assert response
        assert (response.status, page.url) == (200, f"{server.url}/desk{path}")
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        check_accessible(page)


def test_refused_requests_are_accessible(app: Flask, server: Server, open_page: OpenPage, at_desk: AtDeskAs) -> None:
    page = open_signed_in(open_page, server, at_desk(Role.ORGANIZER))
    new = "/campaigns/new"
    for status, path, fields in (
        (404, "/nothing", None),
        (403, "/accounts", None),
        (405, "/sign-out", None),
        (413, "/account/sessions", {"session": "x" * 64 * 1024}),
        (400, "/sign-out", {"csrf_token": "wrong"}),
        (400, new, {"csrf_token": "wrong", "title": "Ours"}),
    ):
        with page.expect_response(f"{server.url}/desk{path}") as response:
            if fields is None:
                page.goto(f"{server.url}/desk{path}")
            else:
                page.evaluate(SEND_FORM, [f"/desk{path}", fields])
        assert response.value.status == status, path
        check_accessible(page)
    page.goto(f"{server.url}/desk{new}")
    field(page, "title").fill("Ours")
    later(timedelta(hours=13))
    save(page)
    expect(page.get_by_role("button", name="Send again")).to_be_visible()
    check_accessible(page)


def test_messages_with_formatting_are_accessible(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk
) -> None:
    page = open_signed_in(open_page, server, admin)
    # A message's own page forbids scripts, and axe-core is a script.
    message = page.request.get(f"{server.url}/desk{PATH}/messages/confirm?language=es")
    page.goto("about:blank")
    page.set_content(message.text())
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        # Messages have no heading, which WCAG doesn't demand.
        assert violations(page, only=WCAG) == [], scheme


def test_editing_conflicts_and_public_pages_of_closed_and_won_campaigns_are_accessible(
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


def test_errors_of_moderating_and_delivering_signatures_are_accessible(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk, campaign: Campaign, exports_in_progress: None
) -> None:
    put(campaign, *({"name": f"Somebody {n}", "email": f"{n}@example.org"} for n in range(55)))
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
    link(page, "/deliveries").click()
    expect(page.locator(".export progress")).to_be_visible()
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    page.locator("button[name=kind][value=csv]").first.click()
    expect(page.get_by_role("alert")).to_be_focused()
    check_accessible(page)
