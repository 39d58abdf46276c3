"""The campaign editor in a real browser: automatic saving, warnings, messages, and photos."""

import re
import time
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image
from playwright.sync_api import Dialog, expect

from campaign.models.account import Role
from campaign.models.campaign import Campaign
from campaign.storage.database import db
from tests.browser.conftest import OpenPage
from tests.browser.desk import check_accessible, confirm, field, link, open_signed_in, press, save
from tests.conftest import PATH, Server, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import stored
from tests.desk.people import AtDesk

pytestmark = only_sqlite
SAVED = re.compile(r"^\s*Saved at \d\d?:\d\d")


@pytest.fixture
def admin(at_desk: AtDeskAs, campaign: Campaign) -> AtDesk:
    return at_desk(Role.ADMIN)


def test_new_campaign_is_saved_while_typing_and_survives_a_crash(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk
) -> None:
    page = open_signed_in(open_page, server, admin)
    page.goto(f"{server.url}/desk/campaigns/new")
    field(page, "title").fill("Free the Library")
    field(page, "letter").fill("Dear Mayor,\n\nfree it")
    expect(page.locator("#saved")).to_have_text(SAVED, timeout=10_000)
    expect(page).to_have_url(f"{server.url}/desk/campaigns/free-the-library/edit")
    with page.expect_response(re.compile("/free-the-library/autosave$")) as saved:
        field(page, "summary").fill("It is locked.")
    assert saved.value.ok
    check_accessible(page)
    # The browser crashes: another window opens the page again.
    other = open_signed_in(open_page, server, admin)
    other.goto(f"{server.url}/desk/campaigns/free-the-library/edit")
    expect(field(other, "letter")).to_have_value("Dear Mayor,\n\nfree it")
    expect(field(other, "summary")).to_have_value("It is locked.")
    # The Save button saves this draft, not a second one.
    save(page, thanks="Thank you.")
    expect(page.locator("#notice .done")).to_contain_text("Saved.")
    assert stored("free-the-library").thanks == "Thank you."
    assert db.session.query(Campaign).count() == 2


def test_leaving_with_unsaved_changes_asks_first(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk
) -> None:
    page = open_signed_in(open_page, server, admin)
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.goto(f"{server.url}/desk{PATH}/edit")
    link(page, "/figures").click()
    expect(page).to_have_url(re.compile("/figures$"))
    assert asked == [], "nothing was typed"
    page.goto(f"{server.url}/desk{PATH}/edit")
    field(page, "title").fill("Save the Whole Park")
    # Browsers on iPhones have no question of their own before they leave a page.
    link(page, "/figures").click()
    assert asked == ["confirm"]
    page.get_by_role("button", name="Sign out").click()
    assert asked == ["confirm"] * 2
    page.close(run_before_unload=True)
    page.wait_for_timeout(300)
    assert asked == ["confirm"] * 2 + ["beforeunload"]
    expect(field(page, "title")).to_have_value("Save the Whole Park")
    # The form's own buttons don't ask, and lose nothing.
    press(page, "close")
    expect(page.frame_locator("iframe").get_by_role("heading", name="Save the Whole Park")).to_be_visible()
    page.locator("button[name=seen]").click()
    expect(page).to_have_url(re.compile("/close$"))
    confirm(page)
    expect(page.locator("#notice .done")).to_be_visible()
    assert len(asked) == 3
    assert stored().title == "Save the Whole Park"


def test_changes_can_be_left_unsaved(app: Flask, server: Server, open_page: OpenPage, admin: AtDesk) -> None:
    page = open_signed_in(open_page, server, admin)
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    page.goto(f"{server.url}/desk{PATH}/edit")
    field(page, "title").fill("Save the Whole Park")
    link(page, "/figures").click()
    expect(page).to_have_url(re.compile("/figures$"))
    assert asked == ["confirm"], "one question is enough"
    assert stored().title == "Save the Park"


def test_message_disappears_when_its_field_is_fixed(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk
) -> None:
    page = open_signed_in(open_page, server, admin)
    page.goto(f"{server.url}/desk{PATH}/edit")
    save(page, goal="many", donate_url="donate", thanks="")
    for name in ("goal", "donate_url", "thanks"):
        expect(page.locator(f"#{name}-message")).to_be_visible()
    field(page, "goal").fill("still many")
    field(page, "donate_url").fill("https://example.org/donate")
    expect(page.locator("#donate_url-message")).to_have_count(0)
    expect(page.locator("#goal-message")).to_be_visible()
    expect(page.locator(".notice.wrong li")).to_have_count(2)
    field(page, "goal").fill("1,000")
    field(page, "thanks").fill("Thank you")
    expect(page.locator("form .message:visible")).to_have_count(0)
    expect(page.locator(".notice.wrong")).to_have_count(0)
    check_accessible(page)


def test_draft_changed_by_a_colleague_is_not_overwritten_while_typing(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk
) -> None:
    first, second = (open_signed_in(open_page, server, admin) for _ in range(2))
    first.goto(f"{server.url}/desk/campaigns/new")
    save(first, title="Ours", letter="One.\n\nTwo.\n\nThree.")
    expect(first.locator("#notice .done")).to_be_visible()
    second.goto(first.url)
    field(first, "letter").fill("One.\n\nTwo by the first.\n\nThree.")
    expect(first.locator("#saved")).to_have_text(SAVED, timeout=10_000)
    field(second, "letter").fill("One.\n\nTwo by the second.\n\nThree, too.")
    expect(second.locator("#saved")).to_contain_text("Not saved", timeout=10_000)
    assert stored("ours").letter == "One.\n\nTwo by the first.\n\nThree."
    save(second)
    expect(second.get_by_role("group", name="Letter: you both changed these lines")).to_be_visible()
    check_accessible(second)
    second.get_by_label("Keep both").check()
    save(second)
    expect(second.locator("#notice .done")).to_be_visible()
    assert stored("ours").letter == "One.\n\nTwo by the first.\n\nTwo by the second.\n\nThree, too."


def test_photo_of_a_phone_is_shrunk_before_it_is_sent(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk, tmp_path: Path
) -> None:
    photo = tmp_path / "pool.jpg"
    Image.effect_noise((4000, 3000), 90).convert("RGB").save(photo, quality=80)
    page = open_signed_in(open_page, server, admin)
    page.goto(f"{server.url}/desk{PATH}/edit")
    page.locator("#picture").set_input_files(photo)
    expect(page.get_by_role("img", name="The chosen picture: pool.jpg")).to_be_visible()
    # Not page.wait_for_function, which the content security policy forbids.
    deadline = time.monotonic() + 30
    while page.evaluate("document.getElementById('picture').files[0].size") > photo.stat().st_size // 2:
        assert time.monotonic() < deadline, "the photo is still as large as it was"
        page.wait_for_timeout(100)
    save(page, picture_text="Half of it is red")
    page.locator("button[name=seen]").click()
    expect(page.get_by_role("img", name="The attached picture: Half of it is red")).to_be_visible()
    check_accessible(page)


def test_editor_works_without_javascript(app: Flask, server: Server, open_page: OpenPage, admin: AtDesk) -> None:
    page = open_signed_in(open_page, server, admin, script=False)
    page.goto(f"{server.url}/desk/campaigns/new")
    for name, text in {"title": "Ours", "summary": "All", "letter": "Dear", "thanks": "Thanks"}.items():
        field(page, name).fill(text)
    press(page, "publish")
    expect(page).to_have_url(re.compile("/campaigns/ours/publish$"))
    confirm(page)
    expect(page.locator("#notice .done")).to_be_visible()
    page.locator(".steps summary").click()
    press(page, "unpublish")
    confirm(page)
    field(page, "letter").fill("Dear all")
    page.locator(".steps summary").click()
    with page.expect_download() as file:
        press(page, "download")
    assert "Dear all" in file.value.path().read_text()
    expect(page).to_have_url(re.compile("/campaigns/ours/edit$"))
    page.locator(".steps summary").click()
    link(page, "/delete").click()
    confirm(page)
    expect(page.locator("#notice .done")).to_contain_text("deleted")
