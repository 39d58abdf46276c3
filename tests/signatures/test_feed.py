"""The public feed of the newest signatories, and the full list page by page."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, update

from campaign.models.campaign import Campaign
from campaign.models.signature import Signature
from campaign.signatures import fake, feed, tally
from campaign.storage import single_flight
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.web.errors import WORDS
from tests.conftest import PATH, Sign, stored


def names(page: str) -> list[str]:
    return re.findall(r'<bdi class="name">(.*?)</bdi>', page)


def test_feed_lists_the_ten_newest_signatories_newest_first(sign: Sign, client: FlaskClient) -> None:
    for number in range(12):
        sign(name=f"Nr {number}", email=f"{number}@example.org")
    assert names(client.get(f"{PATH}/feed").text) == [f"Nr {number}" for number in range(11, 1, -1)]


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ({"postal_code": "90012"}, "Los Angeles, California, US"),
        ({"postal_code": "", "city": "Austin", "region": "tx"}, "Austin, Texas, US"),
        ({"country": "FR", "postal_code": "75001", "city": "Paris"}, "Paris, FR"),
        ({"country": "FR", "postal_code": ""}, "FR"),
        ({"country": "DE", "region": "Bayern", "postal_code": ""}, "Bayern, DE"),
    ],
)
def test_feed_entry_shows_name_place_and_relative_time(
    sign: Sign, client: FlaskClient, typed: dict[str, str], place: str
) -> None:
    sign(**typed)
    page = client.get(f"{PATH}/feed").text
    assert f'<bdi class="name">Ada Lovelace</bdi> <bdi class="place">{place}</bdi>' in page
    at = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
    assert re.search(f'<time datetime="{at}">\\d seconds? ago</time>', page)


def test_feed_formats_numbers_and_times_in_the_campaigns_language(
    client: FlaskClient, campaign: Campaign, sign: Sign
) -> None:
    list(fake.sign(campaign.id, 1234, datetime.now(UTC) - timedelta(hours=3)))
    with write_transaction() as session:
        session.execute(update(Campaign).values(language="de"))
    page = client.get(f"{PATH}/feed").text
    assert "<strong>1.234</strong>" in page
    assert "vor 3 Stunden" in page


def test_full_list_shows_each_signatory_exactly_once(client: FlaskClient, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 120, datetime.now(UTC)))
    # Give all signatures the same time, so that only their IDs order them.
    with write_transaction() as session:
        session.execute(update(Signature).values(listed_at=datetime.now(UTC)))
    url, seen, pages = f"{PATH}/signatures", [], 0
    while url:
        page = client.get(url).text
        seen += re.findall(r'id="signatory-(\d+)"', page)
        pages += 1
        link = re.search(r'id="more"><a href="([^"]+)"', page)
        url = link[1].replace("&amp;", "&") if link else ""
    assert pages == 3
    assert seen == [str(signature.id) for signature in reversed(stored())]


def test_new_signature_does_not_shift_the_next_page(client: FlaskClient, campaign: Campaign, sign: Sign) -> None:
    list(fake.sign(campaign.id, 60, datetime.now(UTC) - timedelta(hours=1)))
    first = client.get(f"{PATH}/signatures").text
    older = re.search(r'id="more"><a href="([^"]+)"', first)
    sign()
    assert older
    second = client.get(older[1]).text
    assert len(re.findall("<li id", first)) + len(re.findall("<li id", second)) == 60
    assert "Ada Lovelace" not in second


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-", "-1", "1-x", "1-1-1", "١-١", "9" * 30 + "-1", "9" * 18 + "-1"])
def test_invalid_cursor_returns_the_sites_404_page(client: FlaskClient, campaign: Campaign, cursor: str) -> None:
    answer = client.get(f"{PATH}/signatures", query_string={"before": cursor})
    assert answer.status_code == 404
    assert WORDS[404].title in answer.text


def test_page_polls_a_busy_campaign_more_often_than_a_quiet_one(
    client: FlaskClient, campaign: Campaign, sign: Sign
) -> None:
    list(fake.sign(campaign.id, 1, datetime.now(UTC) - timedelta(hours=1)))
    assert 'data-interval="15"' in client.get(PATH).text
    sign()
    assert 'data-interval="5"' in client.get(PATH).text


@pytest.mark.parametrize(
    ("ago", "seconds"), [(timedelta(minutes=5) - timedelta(microseconds=1), 5), (timedelta(minutes=5), 15)]
)
def test_campaign_is_quiet_five_minutes_after_its_last_signature(ago: timedelta, seconds: int) -> None:
    now = datetime.now(UTC)
    assert feed.Feed(1, [feed.Signatory(1, "Ada", "US", now - ago)], 0.0).interval(now) == seconds
    assert feed.Feed(0, [], 0.0).interval(now) == 15


@pytest.mark.parametrize(("signers", "older"), [(49, False), (50, False), (51, True)])
def test_page_of_the_full_list_has_at_most_fifty_signatories(campaign: Campaign, signers: int, older: bool) -> None:
    list(fake.sign(campaign.id, signers, datetime.now(UTC)))
    page = feed.page(campaign.id)
    assert (len(page.signatories), page.next is not None) == (min(signers, 50), older)


def test_feed_requests_within_a_tick_share_one_query(
    client: FlaskClient, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_flight, "tick", lambda: 0.0)
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    for _ in range(5):
        assert client.get(f"{PATH}/feed").status_code == 200
    assert sum("FROM signature" in statement for statement in statements) == 1
    assert sum("FROM tally" in statement for statement in statements) == 1


def test_signer_without_script_sees_own_entry_despite_cached_feed(
    client: FlaskClient, sign: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_flight, "tick", lambda: 0.0)
    client.get(PATH)
    assert "Ada Lovelace" in client.get(sign().location).text


def test_hidden_signature_is_still_counted(client: FlaskClient, sign: Sign, campaign: Campaign) -> None:
    sign()
    with write_transaction() as session:
        session.execute(update(Signature).values(listed_at=None))
    page = client.get(f"{PATH}/feed").text
    assert names(page) == []
    assert "<strong>1</strong>" in page
    assert tally.check(db.session(), campaign.id).is_correct
