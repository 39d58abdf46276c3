"""The desk in a browser whose connection fails: nothing that was selected or typed is lost, and the page says so."""

from collections.abc import Callable

import pytest
from flask import Flask
from playwright.sync_api import Route, expect

from campaign.models.account import Role
from campaign.models.campaign import Campaign
from tests.browser.conftest import OpenPage
from tests.browser.desk import button, field, open_signed_in
from tests.conftest import Server, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.moderation.signatures import put

pytestmark = only_sqlite


def no_connection(route: Route) -> None:
    route.abort()


def proxy_error(route: Route) -> None:
    route.fulfill(status=502, content_type="text/html", body="<h1>Bad Gateway</h1>")


@pytest.mark.parametrize("answer", [no_connection, proxy_error])
def test_table_keeps_selection_and_reason_while_the_desk_does_not_respond(
    app: Flask,
    server: Server,
    open_page: OpenPage,
    at_desk: AtDeskAs,
    campaign: Campaign,
    answer: Callable[[Route], None],
) -> None:
    put(campaign, {"name": "Ada Lovelace", "email": "ada@example.org"}, {"name": "Cleo", "email": "cleo@example.org"})
    page = open_signed_in(open_page, server, at_desk(Role.ADMIN))
    page.goto(server.page.replace("/campaigns", "/desk/campaigns") + "/signatures")
    page.get_by_label("Ada Lovelace").check()
    field(page, "reason").fill("spam")
    notice = page.get_by_role("alert").filter(has_text="The desk doesn’t respond.")
    page.route("**/signatures/**", answer)
    button(page, "/hide").click()
    expect(notice).to_be_focused()
    field(page, "words").press_sequentially("cleo")
    expect(notice).to_have_count(1)
    expect(field(page, "words")).to_be_focused()
    expect(page.get_by_label("Ada Lovelace")).to_be_checked()
    expect(field(page, "reason")).to_have_value("spam")
    page.unroute("**/signatures/**")
    button(page, "/hide").click()
    expect(page.locator("#table .notice.done")).to_contain_text("1 signature hidden.")
    expect(notice).to_have_count(0)
