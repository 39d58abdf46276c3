"""The response cache: a page is rendered once a second, and errors and private responses are never cached."""

import gzip
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from flask import Response
from flask.testing import FlaskClient
from sqlalchemy import event

from campaign.models.campaign import Campaign, CampaignState
from campaign.signatures import fake
from campaign.storage import single_flight
from campaign.storage.database import db
from tests.conftest import PATH, Publish, Sign, only_sqlite

pytestmark = only_sqlite

VIEWS = ["", "/feed", ".json", ".atom"]
Tick = Callable[[], None]
TICK = single_flight.tick
"""The site's own `tick`, which the fixture `app` replaces."""


@pytest.fixture
def next_tick(monkeypatch: pytest.MonkeyPatch) -> Tick:
    """Stop the clock, and return a function that moves it to the next tick."""
    now = [0.0]
    monkeypatch.setattr(single_flight, "tick", lambda: now[0])

    def advance() -> None:
        now[0] += 1

    return advance


@pytest.fixture
def statements(campaign: Campaign) -> list[str]:
    """Return a list that collects every SQL statement that is executed from now on."""
    executed: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: executed.append(statement))
    return executed


@pytest.mark.parametrize("view", VIEWS)
def test_cached_page_needs_no_database_query(
    client: FlaskClient, next_tick: Tick, statements: list[str], view: str
) -> None:
    first = client.get(PATH + view)
    before = len(statements)
    assert before > 0
    app = client.application
    with ThreadPoolExecutor(16) as crowd:
        answers = list(crowd.map(lambda _: app.test_client().get(PATH + view), range(64)))
    assert {answer.data for answer in answers} == {first.data}
    assert {answer.status_code for answer in answers} == {200}
    assert len(statements) == before
    next_tick()
    client.get(PATH + view)
    assert len(statements) > before


@pytest.mark.parametrize("view", VIEWS)
def test_pages_of_a_translation_are_cached_apart_from_those_of_the_main_language(
    client: FlaskClient, next_tick: Tick, publish: Publish, statements: list[str], view: str
) -> None:
    publish(translations={"es": {"title": "Salvemos el parque"}})
    next_tick()
    pages = {path: client.get(path).data for path in (PATH + view, f"{PATH}/es{view}")}
    assert len(set(pages.values())) == 2
    before = len(statements)
    assert {path: client.get(path).data for path in pages} == pages
    assert len(statements) == before


@pytest.mark.parametrize(("at", "queries"), [(1000.001, False), (1000.999, False), (1001.0, True)])
def test_cached_response_expires_at_the_next_full_second(
    client: FlaskClient, statements: list[str], monkeypatch: pytest.MonkeyPatch, at: float, queries: bool
) -> None:
    now = [1000.0]
    monkeypatch.setattr(single_flight, "tick", TICK)
    monkeypatch.setattr(single_flight, "time", SimpleNamespace(time=lambda: now[0], monotonic=time.monotonic))
    client.get(PATH)
    before = len(statements)
    now[0] = at
    client.get(PATH)
    assert (len(statements) > before) is queries


@pytest.mark.parametrize("query", ["ref=mail", "utm_source=a&utm_medium=b", "ref=a&ref=%26", "fbclid=x", "x"])
def test_shared_links_use_the_same_cache_entry(
    client: FlaskClient, next_tick: Tick, statements: list[str], query: str
) -> None:
    first = client.get(PATH)
    before = len(statements)
    answer = client.get(f"{PATH}?{query}", headers={"Referer": "https://news.example/?ref=secret"})
    assert (answer.data, answer.headers["ETag"]) == (first.data, first.headers["ETag"])
    assert client.get(f"{PATH}?{query}", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert len(statements) == before


def test_cached_page_does_not_contain_the_first_visitors_link(client: FlaskClient, next_tick: Tick) -> None:
    first = client.get(f"{PATH}?ref=secret", headers={"Referer": "https://news.example/?ref=secret"})
    assert "secret" not in first.text
    assert client.get(PATH).data == first.data


@pytest.mark.parametrize("view", VIEWS)
def test_cached_response_has_an_encoding_that_the_client_accepts(
    client: FlaskClient, next_tick: Tick, campaign: Campaign, view: str
) -> None:
    # Flask-Compress skips very short responses.
    list(fake.sign(campaign.id, 10, datetime.now(UTC)))
    plain = client.get(PATH + view, headers={"Accept-Encoding": "identity"})
    small = client.get(PATH + view, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(small.data) == plain.data
    again = client.get(PATH + view, headers={"Accept-Encoding": "gzip", "If-None-Match": small.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Content-Security-Policy"] == small.headers["Content-Security-Policy"]
    assert "Content-Length" not in again.headers


def test_changes_are_shown_at_the_next_tick(client: FlaskClient, next_tick: Tick, publish: Publish, sign: Sign) -> None:
    old = client.get(PATH)
    sign()
    publish(state=CampaignState.CLOSED)
    assert client.get(PATH).data == old.data
    next_tick()
    page = client.get(PATH, headers={"If-None-Match": old.headers["ETag"]})
    assert page.status_code == 200
    assert "This petition is closed" in page.text
    assert "Ada Lovelace" in page.text


def test_thank_you_page_is_not_cached(client: FlaskClient, next_tick: Tick, sign: Sign) -> None:
    for name in ("Ada", "Ben"):
        answer = sign(name=name, email=f"{name}@example.org")
        page = client.get(answer.location)
        assert page.headers["Cache-Control"] == "no-store"
        assert name in page.text


@pytest.mark.parametrize(
    ("status", "cache_control", "cached"),
    [
        (200, "public", True),
        (200, "private", False),
        (200, "no-store", False),
        (200, "", False),
        (302, "public", False),
        (404, "public", False),
        (503, "public", False),
    ],
)
def test_only_public_200_responses_are_cached(
    client: FlaskClient, campaign: Campaign, next_tick: Tick, status: int, cache_control: str, cached: bool
) -> None:
    rendered: list[str] = []

    def replace_status(response: Response) -> Response:
        rendered.append(cache_control)
        response.status_code, response.headers["Cache-Control"] = status, cache_control
        response.headers["ETag"] = '"tag"'
        return response

    # After-request functions run in reverse order, so this one runs last.
    client.application.after_request_funcs.setdefault(None, []).insert(0, replace_status)
    for _ in range(2):
        assert client.get(PATH).status_code == status
    assert len(rendered) == (1 if cached else 2)


def test_404_is_not_cached(client: FlaskClient, next_tick: Tick, publish: Publish) -> None:
    assert client.get(PATH).status_code == 404
    publish()
    assert client.get(PATH).status_code == 200


def test_proxies_may_cache_pages_for_a_second_and_for_a_day_during_an_outage(
    client: FlaskClient, campaign: Campaign
) -> None:
    for view in VIEWS:
        directives = client.get(PATH + view).headers["Cache-Control"].split(", ")
        assert set(directives) == {
            "public",
            "max-age=0",
            "s-maxage=1",
            "stale-while-revalidate=1",
            "stale-if-error=86400",
        }


def test_expired_page_is_not_served_while_it_is_refreshed(client: FlaskClient, next_tick: Tick, sign: Sign) -> None:
    client.get(PATH)
    sign()
    for _ in range(3600):
        next_tick()
    app = client.application
    with ThreadPoolExecutor(16) as crowd:
        pages = list(crowd.map(lambda _: app.test_client().get(PATH).text, range(16)))
    assert all("Ada Lovelace" in page for page in pages)
