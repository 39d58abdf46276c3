"""The list: the newest ten, and everybody, a page at a time."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, update

from campaign import fake, feed, once, tally
from campaign.extensions import db, write_transaction
from campaign.models import Campaign, Signature
from tests.conftest import PATH, Sign, stored


def names(page: str) -> list[str]:
    return re.findall(r'<bdi class="name">(.*?)</bdi>', page)


def test_the_ten_newest_are_shown_newest_first(sign: Sign, client: FlaskClient) -> None:
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
def test_each_has_name_place_and_how_long_ago(
    sign: Sign, client: FlaskClient, typed: dict[str, str], place: str
) -> None:
    sign(**typed)
    page = client.get(f"{PATH}/feed").text
    assert f'<bdi class="name">Ada Lovelace</bdi> <bdi class="place">{place}</bdi>' in page
    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00" lang="en">\d seconds? ago</time>', page)


def test_numbers_and_times_are_written_in_the_campaigns_language(
    client: FlaskClient, campaign: Campaign, sign: Sign
) -> None:
    list(fake.sign(campaign.id, 1234, datetime.now(UTC) - timedelta(hours=3)))
    with write_transaction() as session:
        session.execute(update(Campaign).values(language="de"))
    page = client.get(f"{PATH}/feed").text
    assert "<strong>1.234</strong>" in page
    assert "vor 3 Stunden" in page


def test_everybody_can_be_read_page_by_page_and_nobody_twice(client: FlaskClient, campaign: Campaign) -> None:
    list(fake.sign(campaign.id, 120, datetime.now(UTC)))
    # Signatures of the same instant are told apart by their id.
    with write_transaction() as session:
        session.execute(update(Signature).values(listed_at=datetime.now(UTC)))
    address, seen, pages = f"{PATH}/signatures", [], 0
    while address:
        page = client.get(address).text
        seen += re.findall(r'id="signatory-(\d+)"', page)
        pages += 1
        link = re.search(r'id="more"><a href="([^"]+)"', page)
        address = link[1].replace("&amp;", "&") if link else ""
    assert pages == 3
    assert seen == [str(signature.id) for signature in reversed(stored())]


def test_the_list_does_not_shift_when_somebody_signs_meanwhile(
    client: FlaskClient, campaign: Campaign, sign: Sign
) -> None:
    list(fake.sign(campaign.id, 60, datetime.now(UTC) - timedelta(hours=1)))
    first = client.get(f"{PATH}/signatures").text
    older = re.search(r'id="more"><a href="([^"]+)"', first)
    sign()
    assert older
    second = client.get(older[1]).text
    assert len(re.findall("<li id", first)) + len(re.findall("<li id", second)) == 60
    assert "Ada Lovelace" not in second


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-", "-1", "1-x", "1-1-1", "١-١", "9" * 30 + "-1", "9" * 18 + "-1"])
def test_a_bad_cursor_gets_our_own_404(client: FlaskClient, campaign: Campaign, cursor: str) -> None:
    answer = client.get(f"{PATH}/signatures", query_string={"before": cursor})
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


def test_a_quiet_campaign_is_asked_for_seldom_and_a_busy_one_often(
    client: FlaskClient, campaign: Campaign, sign: Sign
) -> None:
    list(fake.sign(campaign.id, 1, datetime.now(UTC) - timedelta(hours=1)))
    assert f'data-interval="{feed.QUIET_SECONDS}"' in client.get(PATH).text
    sign()
    assert f'data-interval="{feed.BUSY_SECONDS}"' in client.get(PATH).text
    assert feed.BUSY_SECONDS < feed.QUIET_SECONDS


def test_the_database_is_asked_once_however_many_look(
    client: FlaskClient, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "tick", lambda: 0.0)
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    for _ in range(5):
        assert client.get(f"{PATH}/feed").status_code == 200
    assert sum("FROM signature" in statement for statement in statements) == 1
    assert sum("FROM tally" in statement for statement in statements) == 1


def test_a_signer_without_script_sees_themselves_even_if_the_feed_is_kept(
    client: FlaskClient, sign: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "tick", lambda: 0.0)
    client.get(PATH)
    assert "Ada Lovelace" in client.get(sign().location).text


def test_who_is_not_listed_is_still_counted(client: FlaskClient, sign: Sign, campaign: Campaign) -> None:
    sign()
    with write_transaction() as session:
        session.execute(update(Signature).values(listed_at=None))
    page = client.get(f"{PATH}/feed").text
    assert names(page) == []
    assert "<strong>1</strong>" in page
    assert tally.check(db.session(), campaign.id).right
