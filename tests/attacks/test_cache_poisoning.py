"""Nothing from one visitor's request gets into a response that others get: no header, and no error."""

import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Barrier, Event
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from campaign.models.campaign import Campaign
from campaign.storage import single_flight
from campaign.storage.single_flight import SingleFlightCache
from campaign.web.response_cache import Answer, ResponseCache
from tests.conftest import ADA, HTMX, PATH, only_sqlite
from tests.web.test_response_cache import Tick, next_tick

__all__ = ["next_tick"]

EVIL = "evil.example"
POISON: list[dict[str, Any]] = [
    {"SCRIPT_NAME": f"//{EVIL}"},
    {"SCRIPT_NAME": f"/{EVIL}"},
    {"HTTP_X_FORWARDED_HOST": EVIL, "HTTP_X_FORWARDED_PROTO": "javascript", "HTTP_X_FORWARDED_PREFIX": f"//{EVIL}"},
    {"HTTP_X_FORWARDED_PORT": "81", "HTTP_X_FORWARDED_SCHEME": EVIL, "HTTP_FORWARDED": f"host={EVIL}"},
    {"HTTP_X_ORIGINAL_URL": f"//{EVIL}/", "HTTP_X_REWRITE_URL": f"//{EVIL}/", "HTTP_X_HTTP_METHOD_OVERRIDE": "POST"},
    {"HTTP_HOST": "localhost:81"},
    {"SERVER_NAME": EVIL, "SERVER_PORT": "81"},
    {"wsgi.url_scheme": f"http://{EVIL}/"},
    {"RAW_URI": f"http://{EVIL}/", "REQUEST_URI": f"http://{EVIL}/"},
    {"QUERY_STRING": f"ref={EVIL}&before=1-1"},
    {"HTTP_REFERER": f"https://{EVIL}/?ref=evil", "HTTP_USER_AGENT": EVIL, "HTTP_COOKIE": f"desk={EVIL}"},
    {"HTTP_ACCEPT": EVIL, "HTTP_ACCEPT_LANGUAGE": "de", "HTTP_AUTHORIZATION": f"Basic {EVIL}"},
    {"HTTP_RANGE": "bytes=0-9", "HTTP_IF_RANGE": '"x"', "HTTP_IF_MATCH": '"x"'},
    {"HTTP_IF_NONE_MATCH": "*", "HTTP_IF_MODIFIED_SINCE": "Fri, 01 Jan 2100 00:00:00 GMT"},
    {"HTTP_IF_UNMODIFIED_SINCE": "Thu, 01 Jan 1970 00:00:00 GMT"},
    {"HTTP_HX_REQUEST": "false", "HTTP_HX_TARGET": EVIL, "HTTP_HX_CURRENT_URL": f"https://{EVIL}/"},
    {"REMOTE_ADDR": EVIL, "REMOTE_USER": EVIL},
    {"CONTENT_TYPE": "multipart/form-data; boundary=x", "CONTENT_LENGTH": "10000000"},
]
PATHS = [PATH, f"{PATH}/feed", f"{PATH}.json", f"{PATH}.atom"]


def text(answer: TestResponse) -> bytes:
    """Return the page uncompressed, because gzip data contains the time of compression."""
    return gzip.decompress(answer.data) if answer.headers.get("Content-Encoding") else answer.data


@only_sqlite
@pytest.mark.parametrize("poison", POISON, ids=lambda poison: "+".join(poison))
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.slow
def test_headers_of_one_visitor_do_not_change_the_page_of_the_next(
    app: Flask, client: FlaskClient, campaign: Campaign, poison: dict[str, Any], encoding: str, next_tick: Tick
) -> None:
    accepts = {"HTTP_ACCEPT_ENCODING": encoding}
    for path in PATHS:
        clean = client.get(path, environ_overrides=accepts)
        next_tick()
        client.get(path, environ_overrides=accepts | poison)
        # In the same tick, so that this is the cached response to the previous request.
        after = client.get(path, environ_overrides=accepts)
        assert after.status_code == 200
        assert text(after) == text(clean)
        assert after.headers["ETag"] == clean.headers["ETag"]
        assert EVIL not in str(after.headers)
        next_tick()


@pytest.mark.slow
def test_cached_page_is_rendered_from_a_request_with_only_allowed_headers(
    app: Flask, client: FlaskClient, campaign: Campaign
) -> None:
    seen: list[dict[str, Any]] = []
    app.before_request(lambda: seen.append(dict(request.environ)))
    everything = {name: value for poison in POISON for name, value in poison.items()}
    client.get(
        PATH, environ_overrides=everything | {"HTTP_HOST": "localhost", "HTTP_X_ANYTHING": EVIL, "any.key": EVIL}
    )
    [environ] = seen
    assert {name for name in environ if name.startswith("HTTP_")} == {"HTTP_HOST", "HTTP_ACCEPT_ENCODING"}
    assert environ["HTTP_HOST"] == "127.0.0.1:8000"
    assert EVIL not in str({name: value for name, value in environ.items() if name != "werkzeug.request"})
    client.get(PATH, headers=HTMX)
    assert seen[-1]["HTTP_HX_REQUEST"] == "true"


@pytest.mark.slow
def test_thank_you_panel_has_nothing_from_another_signers_request(client: FlaskClient, campaign: Campaign) -> None:
    for number, poison in enumerate([*POISON[:9], {}]):
        sent = ADA | {"email": f"{number}@example.org"}
        answer = client.post(f"{PATH}/signatures", data=sent, headers=HTMX, environ_overrides=poison)
        assert answer.status_code == 200
        assert EVIL not in answer.text
        assert "localhost" not in answer.text
        assert f'href="{PATH}/share/mastodon"' in answer.text


@pytest.mark.parametrize("slug", ["a" * 81, "A", "%41", "caf\u00e9", "a.b", "a\x00", "a" * 3000])
def test_response_for_an_impossible_slug_is_not_cached(client: FlaskClient, slug: str) -> None:
    responses = cache(client.application)
    for number in range(5):
        assert client.get(f"/campaigns/{slug}{number if len(slug) > 80 else ''}").status_code == 404
    assert (responses._cached, responses._shared) == ({}, {})


@pytest.mark.slow
@only_sqlite
def test_unknown_slugs_do_not_fill_the_cache(client: FlaskClient, campaign: Campaign, next_tick: Tick) -> None:
    responses = cache(client.application)
    client.get(PATH)
    for number in range(1000):
        assert client.get(f"/campaigns/no-{number}").status_code == 404
    assert len(responses._cached) == 1
    assert responses._shared == {}


def test_cache_holds_at_most_512_responses(app: Flask, next_tick: Tick) -> None:
    responses = cache(app)
    for number in range(513):
        assert len(responses._cached) == number
        responses.get((f"/{number}", "", False), lambda: Answer("200 OK", [], b"", '"tag"'))
    assert len(responses._cached) == 1


def cache(app: Flask) -> SingleFlightCache[Any, Any]:
    """Return the store of the response cache."""
    middleware: Any = app.wsgi_app
    while not isinstance(middleware, ResponseCache):
        middleware = middleware._app
    return middleware._answers


@contextmanager
def crowd(number: int) -> Iterator[ThreadPoolExecutor]:
    """Start this many threads, and stop them afterwards."""
    with ThreadPoolExecutor(number) as threads:
        yield threads


class FailsOnce:
    """A function that fails on the first call, once all other threads of a crowd wait for its value."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.called, self.calls = Event(), 0

    def __call__(self) -> str:
        """Return the value, or raise the error on the first call."""
        self.calls += 1
        if self.calls == 1:
            self.called.set()
            # By then, the other threads wait for the lock. A thread that is later makes the value itself.
            Event().wait(0.3)
            raise self.error
        return "value"


def results_of_waiting(
    values: SingleFlightCache[str, str], make: FailsOnce, number: int = 8
) -> tuple[list[object], int]:
    """Return the results of threads that wait while the first call fails, and the number of calls."""
    gate = Barrier(number)

    def ask(first: bool) -> object:
        if not first:
            gate.wait(10)
        try:
            return values.get("key", make)
        except Exception as error:
            return error

    with crowd(number + 1) as threads:
        first = threads.submit(ask, True)
        make.called.wait(10)
        others = [threads.submit(ask, False) for _ in range(number)]
        assert first.result() is make.error
        return [other.result() for other in others], make.calls


@pytest.mark.parametrize(("ticks", "got"), [(3, "old"), (-3, "old"), (4, "new"), (-4, "new")])
def test_value_of_up_to_three_ticks_ago_is_returned_while_another_thread_refreshes_it(
    monkeypatch: pytest.MonkeyPatch, ticks: int, got: str
) -> None:
    monkeypatch.setattr(single_flight, "tick", lambda: 100.0)
    values: SingleFlightCache[str, str] = SingleFlightCache(most=4)
    values.get("key", lambda: "old")
    monkeypatch.setattr(single_flight, "tick", lambda: 100.0 + ticks)
    making, go_on = Event(), Event()

    def make() -> str:
        making.set()
        go_on.wait(10)
        return "new"

    with crowd(2) as threads:
        first = threads.submit(values.get, "key", make)
        making.wait(10)
        other = threads.submit(values.get, "key", make)
        # Until the new value is made, a thread that must wait has no result. One that needn't wait gets the old value.
        answered = wait([other], timeout=10 if got == "old" else 0.2).done
        go_on.set()
        assert bool(answered) is (got == "old")
        assert (first.result(10), other.result(10)) == ("new", got)


@pytest.mark.parametrize("error", [UnicodeError("label too long"), RuntimeError(), KeyError("x")], ids=repr)
@pytest.mark.slow
def test_error_of_a_request_is_not_raised_in_waiting_requests(next_tick: Tick, error: Exception) -> None:
    results, calls = results_of_waiting(SingleFlightCache(most=4), FailsOnce(error))
    assert results == ["value"] * 8
    assert calls == 2


@pytest.mark.slow
def test_database_error_is_raised_in_all_waiting_requests(next_tick: Tick) -> None:
    make = FailsOnce(OperationalError("SELECT", {}, Exception("away")))
    results, calls = results_of_waiting(SingleFlightCache(most=4), make)
    assert results.count(make.error) >= 7
    assert calls <= 2


@pytest.mark.parametrize(("status", "shared"), [(400, False), (404, False), (500, False), (503, True)])
@pytest.mark.slow
def test_error_page_goes_only_to_the_request_that_caused_it(
    app: Flask, client: FlaskClient, campaign: Campaign, next_tick: Tick, status: int, *, shared: bool
) -> None:
    made: list[int] = []
    started = Event()

    def fail_once() -> tuple[str, int] | None:
        made.append(1)
        if len(made) > 1:
            return None
        started.set()
        Event().wait(0.5)
        return "failed", status

    app.before_request(fail_once)
    with crowd(9) as threads:

        def get() -> int:
            return app.test_client().get(PATH).status_code

        first = threads.submit(get)
        started.wait(10)
        others = [threads.submit(get) for _ in range(8)]
        assert first.result() == status
        statuses = [other.result() for other in others]
    if shared:
        assert statuses.count(status) >= 7
    else:
        assert set(statuses) == {200}
    assert get() == 200
