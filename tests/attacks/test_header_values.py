"""Long or unusual request headers cost nothing: they are truncated, dropped, or mapped to a few cache keys."""

from typing import Any

import flask_compress.flask_compress as compress
import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from campaign.models.campaign import Campaign
from campaign.web.hosts import ClientAddress
from campaign.web.limits import header_limits
from campaign.web.limits.header_limits import LONGEST, encoding
from tests.attacks.test_cache_poisoning import cache
from tests.conftest import ADA, PATH, Visitor, only_sqlite
from tests.web.test_response_cache import Tick, next_tick

__all__ = ["next_tick"]

NAMES = [
    "Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Content-Type", "Cookie",
    "Forwarded", "From", "HX-Boosted", "HX-Current-URL", "HX-Request", "HX-Target", "HX-Trigger", "If-Match",
    "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Origin", "Pragma", "Range", "Referer",
    "Sec-Fetch-Site", "TE", "User-Agent", "Via", "X-CSRFToken", "X-Forwarded-For", "X-Forwarded-Host",
    "X-Forwarded-Proto", "X-Request-ID", "X-Requested-With", "X-Anything",
]  # fmt: skip
# gunicorn joins up to 64 fields of 8 KB with commas. A dozen show the same.
LONG = ["," * 8190, "a," * 50_000, "a" * 100_000, '"' * 8190, "a=;" * 30_000, "bytes=" + "0-1," * 25_000]
PATHS = [PATH, f"{PATH}/signatures", f"{PATH}/thanks", "/", "/static/site.css", "/nothing", "/desk/sign-in", "/desk/"]


@pytest.fixture
def seen(app: Flask) -> list[dict[str, Any]]:
    """Return a list that collects the environ of each request to the site and the desk."""
    environs: list[dict[str, Any]] = []
    for each in (app, app.extensions["desk"].app):
        each.before_request_funcs.setdefault(None, []).insert(0, lambda: environs.append(dict(request.environ)))
    return environs


@only_sqlite
@pytest.mark.parametrize("value", LONG, ids=lambda value: f"{len(value)} of {value[:6]}")
@pytest.mark.slow
def test_long_headers_do_not_reach_the_apps(
    client: FlaskClient, campaign: Campaign, seen: list[dict[str, Any]], value: str
) -> None:
    headers = [(name, value) for name in NAMES]
    for path in PATHS:
        for method in ("GET", "HEAD", "POST"):
            assert client.open(path, method=method, headers=headers).status_code < 500, (method, path)
    assert len(seen) > 20
    for environ in seen:
        given = {name: text for name, text in environ.items() if name.startswith(("HTTP_", "CONTENT_"))}
        assert set(given) <= set(LONGEST)
        assert all(len(text) <= LONGEST[name] for name, text in given.items())
        assert sum(map(len, given.values())) < 2000


@only_sqlite
def test_unused_headers_do_not_reach_the_apps(
    client: FlaskClient, campaign: Campaign, seen: list[dict[str, Any]]
) -> None:
    unread = ["Authorization", "Forwarded", "HX-Target", "Via", "X-Forwarded-Host", "X-Anything"]
    for path in PATHS:
        client.get(path, headers=[(name, "a") for name in unread])
    assert len(seen) > 4
    names = {f"HTTP_{name.upper().replace('-', '_')}" for name in unread}
    assert not any(names & set(environ) for environ in seen)


@pytest.mark.parametrize("name", ["Origin", "Sec-Fetch-Site"])
@pytest.mark.parametrize("value", ["a" * 8190, "http://localhost" + " " * 8000, "same-origin" + "a" * 8000])
@only_sqlite
def test_long_origin_header_is_refused_as_cross_site(
    client: FlaskClient, campaign: Campaign, name: str, value: str
) -> None:
    assert client.post(f"{PATH}/signatures", data=ADA, headers={name: value}).status_code == 403


@only_sqlite
@pytest.mark.slow
def test_accept_encoding_values_do_not_multiply_cache_keys(
    client: FlaskClient, campaign: Campaign, next_tick: Tick
) -> None:
    compress._choose_algorithm.cache_clear()
    for number in range(300):
        for value in (f"x{number}," * 1000, f"gzip, x{number}", f"br;q=0.{number}", f"x{number}"):
            for path in (PATH, "/", "/nothing"):
                client.get(path, headers={"Accept-Encoding": value})
    assert len(cache(client.application)._cached) <= 4
    assert compress._choose_algorithm.cache_info().currsize <= 8
    assert len(header_limits._KNOWN) < 20


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", "identity"),
        ("identity", "identity"),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "zstd"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.000, br ; q=0.001", "br"),
        ("*", "zstd"),
        ("zstd;q=0, *", "br"),
        ("*;q=0", "identity"),
        ("*;q=0, gzip", "gzip"),
        ("x-gzip, deflate", "identity"),
        ("gzip" + "," * 124, "gzip"),
        ("gzip" + "," * 125, "identity"),
        ("gzip" * 100, "identity"),
        ("gzip" + "," * 8190, "identity"),
        (";,;=,q=", "identity"),
        ("\u00e9, gzip", "gzip"),
    ],
)
def test_one_of_four_encodings_is_chosen(accepted: str, chosen: str) -> None:
    assert encoding(accepted) == chosen


@pytest.mark.parametrize(("length", "status"), [(512, 304), (980, 304), (1024, 200), (8190, 200)])
@pytest.mark.slow
def test_entity_tags_are_compared_up_to_a_maximum_length(
    client: FlaskClient, campaign: Campaign, next_tick: Tick, length: int, status: int
) -> None:
    etag = client.get(PATH).headers["ETag"]
    tags = {"If-None-Match": f'"{"a" * (length - 2)}", {etag}'}
    assert client.get(PATH, headers=tags).status_code == status


@pytest.mark.parametrize(
    ("hops", "forwarded", "address"),
    [
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "192.0.2.1, 203.0.113.7", "203.0.113.7"),
        (2, "192.0.2.1, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (1, "192.0.2.1," * 50_000 + "203.0.113.7", "203.0.113.7"),
        (1, '"192.0.2.1, 203.0.113.7', "203.0.113.7"),
        (1, '"\\", 203.0.113.7', "203.0.113.7"),
        (10, ",".join(["2001:db8:1:2:3:4:5:6"] * 10), "2001:db8:1:2:3:4:5:6"),
        (2, "203.0.113.7", "127.0.0.1"),
        (1, "", "127.0.0.1"),
        (1, "203.0.113.7, ", "127.0.0.1"),
        (1, "," * 8190, "127.0.0.1"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_visitor_can_not_hide_the_ip_address_that_a_proxy_appends(hops: int, forwarded: str, address: str) -> None:
    got: list[str] = []

    def app(environ: dict[str, Any], _start: object) -> list[bytes]:
        got.append(environ["REMOTE_ADDR"])
        return []

    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": forwarded}
    ClientAddress(app, hops)(environ, lambda *_: lambda _: None)
    assert got == [address]


@pytest.mark.slow
def test_query_with_thousands_of_fields_is_not_a_server_error(client: FlaskClient, campaign: Campaign) -> None:
    assert isinstance(client, Visitor)
    for path in (PATH, f"{PATH}/signatures", f"{PATH}/share/mastodon", "/desk/sign-in", "/desk/"):
        for query in ("&" * 3900, "a=&" * 1300, "before=" + "9" * 3900, "next=" + "/" * 3900, "%" * 3900):
            assert client.get(f"{path}?{query}").status_code < 500
