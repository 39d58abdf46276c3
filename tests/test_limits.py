"""One client can't flood us, and who shares an address with others loses nothing."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.test import TestResponse

from campaign import create_app, once, shared
from campaign.extensions import db
from campaign.models import Campaign
from campaign.settings import Settings
from tests.conftest import ADA, HTMX, PATH, Serve, Server, Visitor, only_sqlite, stored
from tests.services import Service

pytestmark = only_sqlite

Post = Callable[..., TestResponse]
_number = count()


@pytest.fixture
def post(app: Flask, campaign: Campaign, settings: Settings) -> Iterator[Callable[..., Post]]:
    """Make a site of these settings, and give what signs there, each time from a new mailbox."""

    def site(**changes: object) -> Post:
        limited = create_app(replace(settings, **changes))  # type: ignore[arg-type]
        limited.test_client_class = Visitor

        def post(address: str = "203.0.113.7", *, htmx: bool = False, **fields: str) -> TestResponse:
            form = ADA | {"email": f"ada{next(_number)}@example.org"} | fields
            return limited.test_client().post(
                f"{PATH}/signatures", data=form, headers=HTMX if htmx else {}, environ_base={"REMOTE_ADDR": address}
            )

        return post

    yield site
    db.session.remove()


def statuses(post: Post, number: int, address: str = "203.0.113.7") -> list[int]:
    return [post(address, htmx=True).status_code for _ in range(number)]


def test_twenty_a_minute_may_sign_from_one_address_and_its_neighbours_go_on(
    post: Callable[..., Post],
) -> None:
    sign = post()
    assert statuses(sign, 22) == [200] * 20 + [429] * 2
    assert statuses(sign, 2, "203.0.113.8") == [200, 200]


def test_the_hour_has_its_own_limit(post: Callable[..., Post]) -> None:
    assert statuses(post(ratelimit_sign="5 per minute, 3 per hour"), 4) == [200] * 3 + [429]


@pytest.mark.parametrize("htmx", [False, True], ids=["no script", "htmx"])
def test_who_must_wait_is_told_how_long_and_keeps_what_they_typed(post: Callable[..., Post], htmx: bool) -> None:
    sign = post(ratelimit_sign="1 per minute")
    sign()
    answer = sign(htmx=htmx, email="kept@example.org", city="Köln")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 66
    assert "many are signing from your network" in answer.text
    for typed in ("Ada Lovelace", "kept@example.org", "90012", "Köln"):
        assert f'value="{typed}"' in answer.text
    assert '<option value="US" selected>' in answer.text
    assert ("sends it again by itself" in answer.text) == htmx
    assert ("press the button again in" in answer.text) == (not htmx)
    assert len(stored()) == 1


def test_after_the_wait_they_can_sign(post: Callable[..., Post]) -> None:
    sign = post(ratelimit_sign="1 per second")
    assert statuses(sign, 2) == [200, 429]
    while sign(htmx=True, email="again@example.org").status_code != 200:
        pass
    assert [signature.email for signature in stored()][-1] == "again@example.org"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("203.0.113.7", "203.0.113.6", False),
    ],
)
def test_a_household_is_one_client_whichever_of_its_addresses_it_has(
    post: Callable[..., Post], first: str, second: str, same: bool
) -> None:
    sign = post(ratelimit_sign="1 per minute")
    assert statuses(sign, 1, first) == [200]
    assert statuses(sign, 1, second) == [429 if same else 200]


@pytest.mark.parametrize("address", ["10.1.2.3", "2001:db8::7", "::ffff:10.1.2.3"])
def test_trusted_networks_are_not_limited(post: Callable[..., Post], address: str) -> None:
    sign = post(ratelimit_sign="1 per minute", ratelimit_trusted="10.0.0.0/8, 2001:db8::/32")
    assert statuses(sign, 3, address) == [200] * 3
    assert statuses(sign, 2, "127.0.0.1") == [200, 429]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", ""])
def test_a_proxy_on_this_machine_is_not_taken_for_one_client(post: Callable[..., Post], address: str) -> None:
    assert statuses(post(ratelimit_sign="1 per minute"), 3, address) == [200] * 3


def test_limits_can_be_switched_off(post: Callable[..., Post]) -> None:
    assert statuses(post(ratelimit_sign="1 per minute", ratelimit_enabled=False), 3) == [200] * 3


def test_reading_is_never_limited(client: FlaskClient, campaign: Campaign) -> None:
    pages = [client.get(f"{PATH}/feed", environ_base={"REMOTE_ADDR": "203.0.113.7"}) for _ in range(50)]
    assert {page.status_code for page in pages} == {200}


def over(server: Server, number: int) -> list[int]:
    """What as many signers at once are answered."""

    def post(_: int) -> int:
        form = urlencode(ADA | {"email": f"ada{next(_number)}@example.org"}).encode()
        try:
            with urlopen(Request(f"{server.page}/signatures", form, HTMX), timeout=30) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    with ThreadPoolExecutor(8) as crowd:
        return list(crowd.map(post, range(number)))


LIMITED = {"RATELIMIT_TRUSTED": "192.0.2.0/24", "RATELIMIT_SIGN": "20 per hour"}


def test_with_redis_all_workers_of_all_nodes_count_together(serve: Serve, redis: Service) -> None:
    nodes = [serve(REDIS_URL=redis.url, **LIMITED) for _ in range(2)]
    answers = [status for node in nodes for status in over(node, 24)]
    assert (answers.count(200), answers.count(429)) == (20, 28)


def test_redis_keeps_no_address_and_nothing_for_longer_than_the_window(serve: Serve, redis: Service) -> None:
    over(serve(REDIS_URL=redis.url, **LIMITED), 3)
    with Redis.from_url(redis.url) as looking:
        keys = [key.decode() for key in looking.scan_iter() if not key.startswith(b"campaign:answer:")]
        assert [re.sub("[0-9a-f]{32}", "…", key) for key in keys] == ["campaign:LIMITER/…/20/1/hour"]
        assert 0 < int(looking.ttl(keys[0])) <= 3600
        assert all(0 < int(looking.pttl(key)) <= 2000 for key in looking.scan_iter("campaign:answer:*"))


def test_while_redis_is_away_everybody_can_sign_and_the_log_says_so_once_a_minute(serve: Serve, redis: Service) -> None:
    server = serve(REDIS_URL=redis.url, WEB_CONCURRENCY="1", **LIMITED)
    assert over(server, 10) == [200] * 10
    redis.kill()
    answers = over(server, 30)
    assert (answers.count(200), answers.count(429)) == (20, 10), "the process counts on its own"
    assert len(re.findall("Redis can't be used", server.log.read_text())) == 1
    redis.start()
    while over(server, 1) != [200]:
        pass


def test_with_redis_a_page_is_made_by_one_for_all(
    settings: Settings, campaign: Campaign, redis: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "tick", lambda: 7.0)
    nodes = [create_app(replace(settings, redis_url=redis.url)) for _ in range(2)]
    other = create_app(replace(settings, redis_url=redis.url, site_name="Another"))
    pages = []
    for node in (*nodes, other):
        pages.append(node.test_client().get(PATH, headers={"Accept-Encoding": "gzip"}))
        # Made anew, it would say so.
        node.config["SETTINGS"] = replace(node.config["SETTINGS"], site_name="Made anew")
    assert pages[0].data == pages[1].data
    headers = [{name: value for name, value in page.headers if name != "X-Request-ID"} for page in pages]
    assert headers[0] == headers[1]
    assert pages[2].data != pages[0].data


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", b"[1]\n", b'["200 OK", [["a"]], ""]\n', b"[1, 2, 3]\n"])
def test_what_others_have_put_into_redis_is_not_shown(
    settings: Settings, campaign: Campaign, redis: Service, monkeypatch: pytest.MonkeyPatch, rubbish: bytes
) -> None:
    monkeypatch.setattr(once, "tick", lambda: 7.0)
    first, second = (create_app(replace(settings, redis_url=redis.url)).test_client() for _ in range(2))
    page = first.get(PATH).data
    with Redis.from_url(redis.url) as others:
        for key in others.scan_iter("campaign:answer:*"):
            others.set(key, rubbish)
    assert second.get(PATH).data == page


def test_who_has_addresses_without_end_does_not_fill_the_memory(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "MOST_COUNTS", 10)
    counts = shared.Counts(shared.Shared(settings))
    assert [counts.incr(f"client {number}", 60) for number in range(25)] == [1] * 25
    assert len(counts._own) <= 10
