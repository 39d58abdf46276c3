"""What a crowd reads is made once a second, is the same for all of them, and is never somebody else's or an error."""

import gzip
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from campaign import fake, once
from campaign.extensions import db
from campaign.models import Campaign, CampaignState
from tests.conftest import PATH, Publish, Sign

VIEWS = ["", "/feed", ".json", ".atom"]
Tick = Callable[[], None]


@pytest.fixture
def next_tick(monkeypatch: pytest.MonkeyPatch) -> Tick:
    """Time stands still until it is called."""
    now = [0.0]
    monkeypatch.setattr(once, "tick", lambda: now[0])

    def go_on() -> None:
        now[0] += 1

    return go_on


@pytest.fixture
def statements(campaign: Campaign) -> list[str]:
    """All that the database was asked so far."""
    asked: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement))
    return asked


@pytest.mark.parametrize("view", VIEWS)
def test_a_crowd_asks_the_database_nothing(
    client: FlaskClient, next_tick: Tick, statements: list[str], view: str
) -> None:
    first = client.get(PATH + view)
    asked = len(statements)
    assert asked > 0
    app = client.application
    with ThreadPoolExecutor(16) as crowd:
        answers = list(crowd.map(lambda _: app.test_client().get(PATH + view), range(64)))
    assert {answer.data for answer in answers} == {first.data}
    assert {answer.status_code for answer in answers} == {200}
    assert len(statements) == asked
    next_tick()
    client.get(PATH + view)
    assert len(statements) > asked


@pytest.mark.parametrize("query", ["ref=mail", "utm_source=a&utm_medium=b", "ref=a&ref=%26", "fbclid=x", "x"])
def test_a_crowd_that_comes_by_a_shared_link_costs_no_more(
    client: FlaskClient, next_tick: Tick, statements: list[str], query: str
) -> None:
    first = client.get(PATH)
    asked = len(statements)
    answer = client.get(f"{PATH}?{query}", headers={"Referer": "https://news.example/?ref=secret"})
    assert (answer.data, answer.headers["ETag"]) == (first.data, first.headers["ETag"])
    assert client.get(f"{PATH}?{query}", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert len(statements) == asked


def test_the_link_by_which_the_first_came_is_nothing_to_the_others(client: FlaskClient, next_tick: Tick) -> None:
    first = client.get(f"{PATH}?ref=secret", headers={"Referer": "https://news.example/?ref=secret"})
    assert "secret" not in first.text
    assert client.get(PATH).data == first.data


@pytest.mark.parametrize("view", VIEWS)
def test_everyone_gets_it_as_compressed_as_they_can_read_it(
    client: FlaskClient, next_tick: Tick, campaign: Campaign, view: str
) -> None:
    # An answer of a few bytes is not worth compressing.
    list(fake.sign(campaign.id, 10, datetime.now(UTC)))
    plain = client.get(PATH + view, headers={"Accept-Encoding": "identity"})
    small = client.get(PATH + view, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(small.data) == plain.data
    again = client.get(PATH + view, headers={"Accept-Encoding": "gzip", "If-None-Match": small.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Content-Security-Policy"] == small.headers["Content-Security-Policy"]
    assert "Content-Length" not in again.headers


def test_what_has_happened_is_shown_at_the_next_tick(
    client: FlaskClient, next_tick: Tick, publish: Publish, sign: Sign
) -> None:
    old = client.get(PATH)
    sign()
    publish(state=CampaignState.CLOSED)
    assert client.get(PATH).data == old.data
    next_tick()
    page = client.get(PATH, headers={"If-None-Match": old.headers["ETag"]})
    assert page.status_code == 200
    assert "This petition is closed" in page.text
    assert "Ada Lovelace" in page.text


def test_the_thank_you_page_is_made_for_each(client: FlaskClient, next_tick: Tick, sign: Sign) -> None:
    for name in ("Ada", "Ben"):
        answer = sign(name=name, email=f"{name}@example.org")
        page = client.get(answer.location)
        assert page.headers["Cache-Control"] == "no-store"
        assert name in page.text


def test_an_error_is_not_kept(client: FlaskClient, next_tick: Tick, publish: Publish) -> None:
    assert client.get(PATH).status_code == 404
    publish()
    assert client.get(PATH).status_code == 200


def test_a_proxy_may_keep_it_for_a_second_and_for_a_day_while_we_are_down(
    client: FlaskClient, campaign: Campaign
) -> None:
    for view in VIEWS:
        kept = client.get(PATH + view).headers["Cache-Control"].split(", ")
        assert set(kept) == {"public", "max-age=0", "s-maxage=1", "stale-while-revalidate=1", "stale-if-error=86400"}


def test_nobody_gets_the_page_of_an_hour_ago_while_one_makes_it_anew(
    client: FlaskClient, next_tick: Tick, sign: Sign
) -> None:
    client.get(PATH)
    sign()
    for _ in range(3600):
        next_tick()
    app = client.application
    with ThreadPoolExecutor(16) as crowd:
        pages = list(crowd.map(lambda _: app.test_client().get(PATH).text, range(16)))
    assert all("Ada Lovelace" in page for page in pages)
