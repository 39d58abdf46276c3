"""Translating a campaign at the desk in a real browser: with autosave, the live preview, and without JavaScript."""

import re

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from campaign.campaigns import translations
from campaign.models.account import Role
from campaign.models.campaign import Campaign, CampaignState
from tests.browser.conftest import OpenPage
from tests.browser.desk import check_accessible, field, open_signed_in
from tests.conftest import PATH, Publish, Server, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import stored

pytestmark = only_sqlite


@pytest.fixture
def draft(publish: Publish) -> Campaign:
    return publish(state=CampaignState.DRAFT)


def add_arabic(page: Page, server: Server) -> None:
    """Open the tab of a new translation into Arabic."""
    page.goto(f"{server.url}/desk{PATH}/edit")
    page.get_by_text("Add a language").click()
    page.get_by_label("Language of the translation").select_option("ar")
    page.get_by_role("button", name="Add a translation").click()
    expect(page.get_by_role("heading", name="Translation into Arabic")).to_be_visible()


def test_translation_is_written_with_autosave_and_live_preview(
    app: Flask, server: Server, open_page: OpenPage, at_desk: AtDeskAs, draft: Campaign
) -> None:
    page = open_signed_in(open_page, server, at_desk(Role.ADMIN))
    add_arabic(page, server)
    field(page, "title").fill("أنقذوا الحديقة")
    field(page, "letter").fill("نرجو الحفاظ على الحديقة.")
    preview = page.frame_locator("#preview iframe")
    expect(preview.get_by_role("heading", level=1)).to_have_text("أنقذوا الحديقة")
    expect(preview.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.locator("#saved")).to_have_text(re.compile(r"^\s*Saved at \d\d?:\d\d"))
    assert translations.texts_of(stored())["ar"].keys() == {"title", "letter"}
    page.get_by_text("Original", exact=True).first.click()
    expect(page.locator(".original").first).to_contain_text("Save the Park")
    check_accessible(page)
    page.get_by_role("link", name="English").click()
    field(page, "letter").fill("Dear Council")
    expect(page.locator("#saved")).to_have_text(re.compile(r"^\s*Saved at \d\d?:\d\d"))
    page.reload()
    page.get_by_role("link", name="Arabic older than the original").click()
    expect(page.get_by_text("The original has changed since")).to_be_visible()
    check_accessible(page)


def test_translation_is_written_without_javascript(
    app: Flask, server: Server, open_page: OpenPage, at_desk: AtDeskAs, draft: Campaign
) -> None:
    page = open_signed_in(open_page, server, at_desk(Role.ADMIN), script=False)
    add_arabic(page, server)
    field(page, "title").fill("x" * 201)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Shorten the title")
    field(page, "title").fill("أنقذوا الحديقة")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert translations.texts_of(stored()) == {"ar": {"title": "أنقذوا الحديقة"}}
