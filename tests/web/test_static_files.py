"""Static files: cached forever under a URL that changes with their content."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from campaign.models.campaign import Campaign
from campaign.settings import ROOT
from campaign.web import static_files
from campaign.web.errors import WORDS
from tests.conftest import PATH, only_sqlite

pytestmark = only_sqlite


def url_of(page: str, name: str) -> str:
    stem, suffix = name.split(".")
    found = re.search(rf'"(/static/{stem}\.[0-9a-f]{{12}}\.{suffix})"', page)
    assert found
    return found[1]


def test_static_files_are_cached_forever(client: FlaskClient, campaign: Campaign) -> None:
    page = client.get(PATH).text
    for name in ("site.css", "site.js", "favicon.svg"):
        answer = client.get(url_of(page, name))
        assert answer.status_code == 200
        assert set(answer.headers["Cache-Control"].split(", ")) == {"public", "max-age=31536000", "immutable"}
        assert answer.data == (Path(str(client.application.static_folder)) / name).read_bytes()


def test_compressed_static_files_are_cached(client: FlaskClient, campaign: Campaign) -> None:
    url, headers = url_of(client.get(PATH).text, "site.css"), {"Accept-Encoding": "br"}
    first = client.get(url, headers=headers)
    assert first.headers["Content-Encoding"] == "br"
    client.application.view_functions.pop("static")
    assert client.get(url, headers=headers).data == first.data


@pytest.mark.parametrize(
    "headers", [{"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, {"Range": "bytes=0-9"}, {"If-None-Match": "*"}]
)
def test_partial_and_conditional_requests_leave_the_cached_file_complete(
    client: FlaskClient, campaign: Campaign, headers: dict[str, str]
) -> None:
    url = url_of(client.get(PATH).text, "site.css")
    client.get(url, headers=headers)
    whole = client.get(url)
    assert (whole.status_code, whole.data) == (200, (ROOT / "static/site.css").read_bytes())


def test_changed_static_file_has_a_new_url(client: FlaskClient, campaign: Campaign, tmp_path: Path) -> None:
    before = url_of(client.get(PATH).text, "site.css")
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "site.css").write_text("body { color: red }")
    changed = Flask("changed", static_folder=str(tmp_path / "static"))
    static_files.init_app(changed)
    with changed.test_request_context():
        assert changed.url_for("static", filename="site.css") not in (before, "/static/site.css")


def test_static_file_with_another_hash_is_served_uncached(client: FlaskClient) -> None:
    for url in ("/static/site.0123456789ab.css", "/static/site.css"):
        answer = client.get(url)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-cache"


def test_missing_static_file_gets_the_404_page(client: FlaskClient) -> None:
    assert WORDS[404].title in client.get("/static/nothing.0123456789ab.css").text
