"""The page that says what we store about signers, and the short note in the sign form that links to it."""

import re
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from campaign.deliveries import contents, exports
from campaign.deliveries.contents import Purpose
from campaign.models.campaign import Campaign
from campaign.models.signature import Signature
from campaign.settings import Settings
from campaign.signatures import sources
from campaign.web.limits import rate_limits
from tests.conftest import PATH, Publish

ROW = re.compile(
    r'<tr data-columns="([^"]*)">\s*<th scope="row">(.+?)</th>\s*<td data-label="Why">(.+?)</td>\s*'
    r'<td data-label="Who sees it">(.+?)</td>\s*<td data-label="How long">(.+?)</td>\s*</tr>'
)
PATHS = ["/privacy", f"{PATH}/privacy"]
HIDDEN_COLUMNS = {
    "email",
    "email_key",
    "postal_code",
    "wants_updates",
    "source",
    "language",
    "campaign_id",
    "id",
    "state",
}
"""Columns that neither visitors nor addressees see."""


def rows(client: FlaskClient, path: str) -> dict[str, tuple[str, ...]]:
    """Return the table's rows by the columns that they are about."""
    page = client.get(path).text
    found = ROW.findall(page)
    assert len(found) == page.count("<tr") - 1, "each row has all four cells"
    return {columns: tuple(cells) for columns, *cells in found}


@pytest.mark.parametrize("path", PATHS)
def test_table_names_every_column_that_is_stored(client: FlaskClient, campaign: Campaign, path: str) -> None:
    named = [column for columns in rows(client, path) for column in columns.split()]
    assert sorted(named) == sorted(column.name for column in Signature.__table__.columns)


@pytest.mark.parametrize("path", PATHS)
def test_table_names_addressees_only_for_delivered_columns(client: FlaskClient, campaign: Campaign, path: str) -> None:
    delivered = {*contents.COLUMNS[Purpose.HAND_OVER], "signed_at", "listed_at", "anonymous"} - {"signed_on"}
    for columns, (what, _, who, kept) in rows(client, path).items():
        names = set(columns.split())
        if names:
            assert names <= delivered or names <= HIDDEN_COLUMNS, f"{what}: name what some see in a row of its own"
            assert ("the people the letter is addressed to" in who.lower()) is (names <= delivered), what
            assert kept == "While the petition is online"


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ("20 per minute, 300 per hour", "Up to an hour"),
        ("1 per 4 second", "Up to 1 minute"),
        ("5 per 30 minutes", "Up to 30 minutes"),
        ("100 per day", "Up to 1440 minutes"),
    ],
)
def test_table_says_how_long_rate_limits_keep_a_network(
    app: Flask, client: FlaskClient, settings: Settings, limits: str, kept: str
) -> None:
    shared = app.extensions["shared"]
    app.extensions["sign_limit"] = rate_limits.RateLimit(settings, shared, limits)
    assert rows(client, "/privacy")[""][3] == kept
    off = replace(settings, ratelimit_enabled=False)
    app.extensions["sign_limit"] = rate_limits.RateLimit(off, shared, limits)
    assert "" not in rows(client, "/privacy")
    assert "network" not in client.get("/privacy").text


def test_page_states_the_same_figures_as_the_code(client: FlaskClient, campaign: Campaign) -> None:
    page = client.get("/privacy").text
    assert sources.FEWEST_SIGNERS == 5
    assert exports.KEPT.days == 1
    assert "five or more signers" in page
    assert "after a day" in page


def test_note_and_page_say_what_deliveries_contain(client: FlaskClient, publish: Publish) -> None:
    publish(slug="other")
    publish(deliver_anonymous=True)
    never = "We never show your email address or postal code."
    ours, other = client.get(PATH).text, client.get("/campaigns/other").text
    for page, slug in ((ours, "save-the-park"), (other, "other")):
        note = re.search(r'<p class="note">(.*?)</p>', page, re.S)
        assert note
        text = re.sub(r"<a.*", "", note[1])
        assert text.count(".") == 2, "two sentences"
        assert never in text
        assert len(text.split()) <= 45
        assert f'<a href="/campaigns/{slug}/privacy">How we handle your data</a>' in note[1]
    ours, other = client.get(f"{PATH}/privacy").text, client.get("/campaigns/other/privacy").text
    still, no_more = "still get your name, city, and state, marked as not for", "get no more than that"
    assert (still in ours, no_more in ours) == (True, False)
    assert (still in other, no_more in other) == (False, True)
    site = client.get("/privacy").text
    assert "Some petitions still give your name, city, and state" in site
    for page in (ours, other, site):
        assert never in page
        assert "We store nothing else about you." in page


def test_page_is_cacheable_and_linked_from_every_page(client: FlaskClient, campaign: Campaign) -> None:
    for path in PATHS:
        first = client.get(path)
        assert "public" in first.headers["Cache-Control"]
        assert client.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    for path in ("/privacy", PATH, f"{PATH}/thanks", f"{PATH}/signatures", "/nothing"):
        footer = client.get(path).text.partition("<footer")[2]
        assert '<a href="/privacy">How we handle your data</a>' in footer, path
    assert "Back to the letter" in client.get(f"{PATH}/privacy").text
    assert client.get("/campaigns/none/privacy").status_code == 404
