"""Pages of the desk, and of a campaign, in the states that a smooth round does not come to; nobody is shut out."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from playwright.sync_api import FilePayload, Page, expect

from campaign import delivery, exports, preview_key
from campaign.delivery import Purpose
from campaign.desk_models import Role
from campaign.exports import Kind
from campaign.extensions import write_transaction
from campaign.models import Campaign, CampaignState
from campaign.record import Actor
from campaign.settings import Settings
from tests.browser.conftest import OpenPage
from tests.browser.test_desk_round import looks_right
from tests.conftest import PATH, Publish, Server, only_sqlite
from tests.desk.conftest import AtDeskAs, at_desk, invited  # noqa: F401 (fixtures)
from tests.desk.people import AtDesk, later
from tests.test_pictures import uploaded
from tests.test_signature_table import put

pytestmark = only_sqlite


@pytest.fixture
def admin(at_desk: AtDeskAs, campaign: Campaign) -> AtDesk:  # noqa: F811
    crowd = [{"name": f"Somebody {n}", "email": f"{n}@example.org"} for n in range(55)]
    ada = {"name": "Ada Lovelace", "city": "London", "signed_at": datetime.now(UTC)}
    same = [ada | {"email": f"ada{n}@mailinator.com"} for n in range(5)]
    put(campaign, *crowd, *same)
    return at_desk(Role.ADMIN)


def enter(open_page: OpenPage, server: Server, client: AtDesk) -> Page:
    """A browser in which that client has signed in."""
    page = open_page(f"{server.url}/desk/sign-in", desk=True)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookie
    page.context.add_cookies([{"name": "desk", "value": cookie.value, "domain": server.name, "path": "/desk"}])
    return page


def save(page: Page, button: str, **typed: str) -> None:
    for label, words in typed.items():
        page.get_by_label(label, exact=True).fill(words)
    page.get_by_role("button", name=button).click()


def test_a_campaign_is_changed_by_two_and_won_and_no_page_of_it_shuts_anybody_out(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk, publish: Publish, settings: Settings
) -> None:
    draft = publish(state=CampaignState.DRAFT, slug="draft")
    looks_right(
        open_page(f"{server.url}/campaigns/draft/preview?key={preview_key.make(settings.secret_key, draft.id)}")
    )
    first, second = (enter(open_page, server, admin) for _ in range(2))
    first.goto(f"{server.url}/desk/campaigns/new")
    first.get_by_role("button", name="Save").click()
    expect(first.get_by_role("alert")).to_be_focused()
    looks_right(first)
    for page in (first, second):
        page.goto(f"{server.url}/desk{PATH}/edit")
    first.locator("#picture").set_input_files({"name": "lido.jpg", "mimeType": "image/jpeg", "buffer": uploaded()})
    first.get_by_label("Picture in words").fill("Half of it is red")
    save(first, "Save …", Letter="Dear all,\n\nother words.", Summary="One summary.")
    looks_right(first)
    first.get_by_label("Reason").fill("The first were wrong")
    first.get_by_role("button", name="Save …").click()
    first.get_by_role("button", name="Save and show it to everybody").click()
    expect(first.get_by_role("status")).to_have_text("Saved.")
    save(second, "Save …", Summary="Another summary.")
    expect(second.get_by_role("alert")).to_be_focused()
    expect(second.locator(".both")).to_contain_text("Another")
    looks_right(second)
    second.goto(f"{server.page}/changes")
    looks_right(second)
    for step, button in (("close", "Close"), ("win", "Declare won")):
        first.goto(f"{server.url}/desk{PATH}/{step}")
        first.get_by_role("button", name=button).click()
        expect(first.get_by_role("status")).to_be_visible()
        # Until it is no longer kept.
        second.wait_for_timeout(1100)
        second.goto(server.page)
        looks_right(second)
    expect(second.get_by_role("heading", name="We won!")).to_be_visible()
    first.goto(f"{server.url}/desk{PATH}/record")
    for summary in first.locator("summary").all():
        summary.click()
    expect(first.locator(".record")).to_contain_text("declared it won")
    looks_right(first)


def test_who_is_signed_out_while_they_write_is_told_where_they_look_and_can_write_on(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk
) -> None:
    page = enter(open_page, server, admin)
    page.goto(f"{server.url}/desk{PATH}/edit")
    later(timedelta(hours=13))
    letter = page.get_by_label("Letter", exact=True)
    letter.fill("Dear all, ")
    expect(page.locator("#preview")).to_contain_text("You are signed out meanwhile")
    expect(letter).to_be_focused()
    page.keyboard.type("please")
    expect(letter).to_have_value("Dear all, please")
    looks_right(page)


def test_a_picture_that_is_too_large_is_not_sent_and_takes_no_letter_with_it(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk
) -> None:
    page = enter(open_page, server, admin)
    page.goto(f"{server.url}/desk/campaigns/new")
    picture = page.locator("#picture")
    file: FilePayload = {"name": "lido.jpg", "mimeType": "image/jpeg", "buffer": bytes(5 * 1024 * 1024 + 1)}
    picture.set_input_files(file)
    expect(page.get_by_role("alert")).to_contain_text("larger than 5 MB")
    expect(picture).to_have_value("")
    looks_right(page)
    picture.set_input_files({**file, "buffer": uploaded()})
    expect(page.get_by_role("alert")).to_be_hidden()
    assert picture.input_value().endswith("lido.jpg")


def test_a_list_is_looked_after_and_no_page_of_it_shuts_anybody_out(
    app: Flask, server: Server, open_page: OpenPage, admin: AtDesk, campaign: Campaign
) -> None:
    with write_transaction() as session:
        order = delivery.order(Purpose.HAND_OVER, ["name"])
        exports.ask(session, Actor(1, "somebody else"), campaign, Kind.BOOK, order, datetime.now(UTC))
    page = enter(open_page, server, admin)
    page.goto(f"{server.url}/desk{PATH}/signatures")
    page.get_by_role("button", name="Hide from the list").click()
    expect(page.get_by_role("alert")).to_be_focused()
    looks_right(page)
    # Enter chooses nothing by itself: neither another page, nor to see addresses.
    page.get_by_label("Reason").fill("Spam")
    page.get_by_label("Reason").press("Enter")
    page.wait_for_timeout(500)
    expect(page.get_by_role("button", name="Older ones")).to_be_visible()
    assert "signature." not in admin.get("/desk/record.csv").text
    expect(page.get_by_label("Reason")).to_have_value("Spam")
    page.goto(f"{server.url}/desk{PATH}/look-alikes")
    expect(page.get_by_text("Ada Lovelace, London, US: 5 times")).to_be_visible()
    expect(page.get_by_text("mailinator.com: 5", exact=True)).to_be_visible()
    looks_right(page)
    page.goto(f"{server.url}/desk{PATH}/figures?by=minute")
    page.locator("summary").first.click()
    looks_right(page)
    page.goto(f"{server.url}/desk{PATH}/deliveries")
    expect(page.get_by_text("Being made")).to_be_visible()
    looks_right(page)
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    page.get_by_role("button", name="Make a CSV file").first.click()
    expect(page.get_by_role("alert")).to_be_focused()
    looks_right(page)
