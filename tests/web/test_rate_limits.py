"""Rate limits stop a flood from one client, and a limited signer loses nothing."""

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

from campaign import create_app
from campaign.models.campaign import Campaign
from campaign.settings import Settings
from campaign.storage import single_flight
from campaign.storage.database import db
from campaign.web import response_cache
from tests.conftest import ADA, HTMX, PATH, Serve, Server, Visitor, only_sqlite, stored
from tests.services import Service

pytestmark = only_sqlite

Post = Callable[..., TestResponse]
_number = count()


@pytest.fixture
def post(app: Flask, campaign: Campaign, settings: Settings) -> Iterator[Callable[..., Post]]:
    """Return a function that creates a site with changed settings, and returns a function that signs on it.

    Each signature comes from a new mailbox.
    """

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


def test_limit_of_twenty_signatures_a_minute_applies_to_each_client(
    post: Callable[..., Post],
) -> None:
    sign = post()
    assert statuses(sign, 22) == [200] * 20 + [429] * 2
    assert statuses(sign, 2, "203.0.113.8") == [200, 200]


def test_hourly_limit_applies_separately(post: Callable[..., Post]) -> None:
    assert statuses(post(ratelimit_sign="5 per minute, 3 per hour"), 4) == [200] * 3 + [429]


@pytest.mark.parametrize("htmx", [False, True], ids=["no script", "htmx"])
def test_limited_signer_sees_the_wait_and_keeps_the_form_data(post: Callable[..., Post], htmx: bool) -> None:
    sign = post(ratelimit_sign="1 per minute")
    sign()
    answer = sign(htmx=htmx, email="kept@example.org", city="Köln")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 66
    assert 'role="alert"' in answer.text
    for typed in ("Ada Lovelace", "kept@example.org", "90012", "Köln"):
        assert f'value="{typed}"' in answer.text
    assert '<option value="US" selected>' in answer.text
    assert ('id="resend"' in answer.text) == htmx
    assert ("press the button again in" in answer.text) == (not htmx)
    assert len(stored()) == 1


@pytest.mark.slow
def test_limited_signer_can_sign_after_the_wait(post: Callable[..., Post]) -> None:
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
def test_ipv6_network_counts_as_one_client(post: Callable[..., Post], first: str, second: str, same: bool) -> None:
    sign = post(ratelimit_sign="1 per minute")
    assert statuses(sign, 1, first) == [200]
    assert statuses(sign, 1, second) == [429 if same else 200]


@pytest.mark.parametrize("address", ["10.1.2.3", "2001:db8::7", "::ffff:10.1.2.3"])
def test_trusted_networks_are_not_limited(post: Callable[..., Post], address: str) -> None:
    sign = post(ratelimit_sign="1 per minute", ratelimit_trusted="10.0.0.0/8, 2001:db8::/32")
    assert statuses(sign, 3, address) == [200] * 3
    assert statuses(sign, 2, "127.0.0.1") == [200, 429]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", ""])
def test_local_proxy_is_not_limited(post: Callable[..., Post], address: str) -> None:
    assert statuses(post(ratelimit_sign="1 per minute"), 3, address) == [200] * 3


def test_rate_limits_can_be_disabled(post: Callable[..., Post]) -> None:
    assert statuses(post(ratelimit_sign="1 per minute", ratelimit_enabled=False), 3) == [200] * 3


@pytest.mark.slow
def test_reading_is_never_limited(client: FlaskClient, campaign: Campaign) -> None:
    pages = [client.get(f"{PATH}/feed", environ_base={"REMOTE_ADDR": "203.0.113.7"}) for _ in range(50)]
    assert {page.status_code for page in pages} == {200}


def sign_in_parallel(server: Server, number: int) -> list[int]:
    """Send this many signatures in parallel, and return the response statuses."""

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


def test_redis_counts_across_workers_and_nodes(serve: Serve, redis: Service) -> None:
    nodes = [serve(REDIS_URL=redis.url, **LIMITED) for _ in range(2)]
    answers = [status for node in nodes for status in sign_in_parallel(node, 24)]
    assert (answers.count(200), answers.count(429)) == (20, 28)


def test_redis_stores_no_ip_address_and_expires_every_key(serve: Serve, redis: Service) -> None:
    sign_in_parallel(serve(REDIS_URL=redis.url, **LIMITED), 3)
    with Redis.from_url(redis.url) as looking:
        keys = [key.decode() for key in looking.scan_iter() if not key.startswith(b"campaign:answer:")]
        assert [re.sub("[0-9a-f]{32}", "…", key) for key in keys] == ["campaign:LIMITER/…/20/1/hour"]
        assert 0 < int(looking.ttl(keys[0])) <= 3600
        assert all(0 < int(looking.pttl(key)) <= 2000 for key in looking.scan_iter("campaign:answer:*"))


def test_signing_works_without_redis_and_logs_the_fault_once_a_minute(serve: Serve, redis: Service) -> None:
    server = serve(REDIS_URL=redis.url, WEB_CONCURRENCY="1", **LIMITED)
    assert sign_in_parallel(server, 10) == [200] * 10
    redis.kill()
    answers = sign_in_parallel(server, 30)
    assert (answers.count(200), answers.count(429)) == (20, 10), "the process counts by itself"
    assert len(re.findall("Redis is unavailable", server.log.read_text())) == 1
    redis.start()
    while sign_in_parallel(server, 1) != [200]:
        pass


def test_redis_shares_pages_between_nodes_with_equal_settings(
    settings: Settings, campaign: Campaign, redis: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_flight, "tick", lambda: 7.0)
    # On a busy machine, Redis may respond late, and the second request may come later than Redis keeps a page.
    monkeypatch.setattr("campaign.storage.redis.ANSWER_SECONDS", 10)
    monkeypatch.setattr(response_cache, "REDIS_TTL_MS", 60_000)
    nodes = [create_app(replace(settings, redis_url=redis.url)) for _ in range(2)]
    other = create_app(replace(settings, redis_url=redis.url, site_name="Another"))
    pages = []
    for node in (*nodes, other):
        pages.append(node.test_client().get(PATH, headers={"Accept-Encoding": "gzip"}))
        # Only a page that is rendered again would contain this name.
        node.config["SETTINGS"] = replace(node.config["SETTINGS"], site_name="Rendered again")
    assert pages[0].data == pages[1].data
    headers = [{name: value for name, value in page.headers if name != "X-Request-ID"} for page in pages]
    assert headers[0] == headers[1]
    assert pages[2].data != pages[0].data


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", b"[1]\n", b'["200 OK", [["a"]], ""]\n', b"[1, 2, 3]\n"])
def test_invalid_pages_in_redis_are_ignored(
    settings: Settings, campaign: Campaign, redis: Service, monkeypatch: pytest.MonkeyPatch, rubbish: bytes
) -> None:
    monkeypatch.setattr(single_flight, "tick", lambda: 7.0)
    first, second = (create_app(replace(settings, redis_url=redis.url)).test_client() for _ in range(2))
    page = first.get(PATH).data
    with Redis.from_url(redis.url) as others:
        for key in others.scan_iter("campaign:answer:*"):
            others.set(key, rubbish)
    assert second.get(PATH).data == page
