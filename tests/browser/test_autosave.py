"""Automatic saving in a real browser, on slow and broken networks: nothing that was typed is lost."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page, Route, expect

from campaign.models.account import Role
from campaign.models.campaign import Campaign
from campaign.storage.database import db
from tests.browser.conftest import OpenPage
from tests.browser.desk import field, open_signed_in, save
from tests.campaigns.test_pictures import uploaded
from tests.conftest import PATH, Server, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import stored
from tests.desk.people import AtDesk

pytestmark = only_sqlite
SAVED = re.compile(r"^\s*Saved at \d\d?:\d\d")
NOT_SAVED = "Not saved: there is no connection. We’ll try again."
Open = Callable[[str], Page]


@pytest.fixture
def admin(at_desk: AtDeskAs) -> AtDesk:
    return at_desk(Role.ADMIN)


@pytest.fixture
def editor(server: Server, open_page: OpenPage, admin: AtDesk) -> Open:
    """Return a function that opens a page of the desk below /campaigns, signed in."""

    def open_editor(path: str) -> Page:
        page = open_signed_in(open_page, server, admin)
        page.goto(f"{server.url}/desk/campaigns/{path}")
        return page

    return open_editor


def wait_for_route(page: Page, held: list[Route]) -> Route:
    """Wait until a request is held."""
    for _ in range(100):
        if held:
            return held.pop(0)
        page.wait_for_timeout(100)
    raise AssertionError("no request was sent")


def test_text_typed_during_the_first_save_of_a_new_draft_is_saved(app: Flask, editor: Open) -> None:
    page, held = editor("new"), list[Route]()
    page.route(re.compile("/campaigns/autosave$"), lambda route: held.append(route))
    field(page, "title").fill("Ours")
    field(page, "letter").fill("Dear Mayor")
    first = wait_for_route(page, held)
    field(page, "summary").fill("Typed in the meantime")
    first.continue_()
    with page.expect_response(re.compile("/ours/autosave$"), timeout=10_000) as again:
        pass
    assert again.value.ok
    expect(page.locator("#saved")).to_have_text(SAVED)
    assert stored("ours").summary == "Typed in the meantime"


def test_lost_answer_to_the_first_save_of_a_new_draft_makes_no_second_draft(app: Flask, editor: Open) -> None:
    page, held = editor("new"), list[Route]()
    page.route(re.compile("/campaigns/autosave$"), lambda route: held.append(route), times=1)
    field(page, "title").fill("Ours")
    field(page, "letter").fill("Dear Mayor")
    first = wait_for_route(page, held)
    first.fetch()
    first.abort()
    expect(page.locator("#saved")).to_contain_text(NOT_SAVED)
    with page.expect_response(re.compile("/ours/autosave$"), timeout=15_000) as again:
        field(page, "letter").fill("Dear Mayor, more")
    assert again.value.ok
    assert stored("ours").letter == "Dear Mayor, more"
    titles = db.session.query(Campaign.title).order_by(Campaign.id).all()
    assert [title for (title,) in titles].count("Ours") == 1


@pytest.mark.parametrize("status", [200, 404, 502])
def test_page_of_a_proxy_is_not_taken_for_the_answer(
    app: Flask,
    editor: Open,
    draft: Campaign,
    status: int,
) -> None:
    page = editor(f"{draft.slug}/edit")
    page.route("**/autosave", lambda route: route.fulfill(status=status, body="<h1>Proxy</h1>"), times=1)
    field(page, "title").fill("Typed")
    expect(page.locator("#saved")).to_contain_text(NOT_SAVED, timeout=10_000)
    expect(page.locator("#saved")).not_to_contain_text("Proxy")
    field(page, "title").fill("Typed again")
    expect(page.locator("#saved")).to_have_text(SAVED, timeout=10_000)
    assert stored().title == "Typed again"


def test_automatic_saving_continues_after_a_save_was_stopped(
    app: Flask,
    editor: Open,
    draft: Campaign,
) -> None:
    page = editor(f"{draft.slug}/edit")
    # After a 204, the browser stays on the page, as after its Stop button.
    page.route(re.compile("/edit$"), lambda route: route.fulfill(status=204), times=1)
    save(page, title="Stopped")
    page.wait_for_timeout(500)
    field(page, "summary").fill("Typed after that")
    expect(page.locator("#saved")).to_have_text(SAVED, timeout=10_000)
    assert (stored().title, stored().summary) == ("Stopped", "Typed after that")


def test_incomplete_time_does_not_delete_the_stored_one(app: Flask, editor: Open, draft: Campaign) -> None:
    page = editor(f"{draft.slug}/edit")
    with page.expect_navigation():
        save(page, closes_at="2027-03-01T09:00")
    closing, before = field(page, "closes_at"), stored().closes_at
    assert before
    closing.focus()
    page.keyboard.press("Backspace")
    expect(closing).to_have_value("")
    expect(page.locator("#saved")).to_have_text(re.compile("except for: Closing time"), timeout=10_000)
    assert stored().closes_at == before
    # The Save button keeps what was typed on the page, too.
    save(page, title="With half of a time")
    expect(closing).to_be_focused()
    assert closing.evaluate("field => field.validity.badInput")
    closing.fill("2027-03-02T09:00")
    with page.expect_navigation():
        save(page)
    assert stored().closes_at == before + timedelta(days=1)


def test_only_the_last_accepted_picture_is_shown_as_attached(
    app: Flask, editor: Open, campaign: Campaign, tmp_path: Path
) -> None:
    small, large, broken = tmp_path / "small.png", tmp_path / "large.png", tmp_path / "broken.png"
    small.write_bytes(uploaded("PNG"))
    # Browsers ignore what follows the end of a PNG.
    large.write_bytes(uploaded("PNG") + b"\0" * 27_000_000)
    broken.write_bytes(b"no picture")
    page = editor(f"{PATH.rpartition('/')[2]}/edit")
    choose = page.locator("#picture").set_input_files
    for rejected in (large, broken):
        choose(small)
        expect(page.get_by_role("img", name="The chosen picture: small.png")).to_be_visible()
        choose(rejected)
        page.wait_for_timeout(500)
        expect(page.locator("#attached canvas")).to_have_count(0)
    choose(small)
    expect(page.get_by_role("img", name="The chosen picture: small.png")).to_be_visible()
    choose([])
    expect(page.locator("#attached canvas")).to_have_count(0)


@pytest.mark.parametrize("width", [1000, 1280])
@pytest.mark.parametrize("height", [720, 900])
def test_buttons_and_status_stay_in_view_beside_the_form(
    app: Flask,
    editor: Open,
    draft: Campaign,
    width: int,
    height: int,
) -> None:
    page = editor(f"{draft.slug}/edit")
    page.set_viewport_size({"width": width, "height": height})
    bar, side, fields = page.locator(".bar"), page.locator(".side"), page.locator(".fields")
    for name in ("letter", "thanks", "slug"):
        field(page, name).scroll_into_view_if_needed()
        for part in ("button:text-is('Save')", "button[value=publish]", "summary", "#saved"):
            expect(bar.locator(part).first).to_be_in_viewport(ratio=1)
        expect(page.locator("iframe")).to_be_in_viewport()
    left, right = fields.bounding_box(), side.bounding_box()
    assert left
    assert right
    assert left["x"] + left["width"] < right["x"]
    # The fields come first, then the bar, then the preview.
    field(page, "deliver_anonymous").focus()
    focused = []
    for _ in range(2):
        page.keyboard.press("Tab")
        focused.append(page.evaluate("document.activeElement.textContent"))
    assert focused == ["Save", "Preview"]
    with page.expect_response("**/preview"):
        field(page, "title").fill("Shown in the preview")
    expect(page.frame_locator("iframe").get_by_role("heading", name="Shown in the preview")).to_be_visible()


def test_buttons_stay_in_view_below_the_form_on_a_phone(
    app: Flask,
    editor: Open,
    draft: Campaign,
) -> None:
    page = editor(f"{draft.slug}/edit")
    page.set_viewport_size({"width": 360, "height": 740})
    for name in ("title", "letter", "thanks"):
        field(page, name).scroll_into_view_if_needed()
        expect(page.get_by_role("button", name="Save", exact=True)).to_be_in_viewport(ratio=1)
        box = page.locator(".bar").bounding_box()
        assert box
        assert abs(box["y"] + box["height"] - 740) < 2
