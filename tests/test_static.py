"""Style sheet and script: fetched once, and anew as soon as they change."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from campaign import static
from campaign.models import Campaign
from campaign.settings import ROOT
from tests.conftest import PATH, only_sqlite

pytestmark = only_sqlite


def address_of(page: str, name: str) -> str:
    stem, suffix = name.split(".")
    found = re.search(rf'"(/static/{stem}\.[0-9a-f]{{12}}\.{suffix})"', page)
    assert found
    return found[1]


def test_browsers_fetch_style_and_script_once_and_keep_them(client: FlaskClient, campaign: Campaign) -> None:
    page = client.get(PATH).text
    for name in ("site.css", "site.js", "favicon.svg"):
        answer = client.get(address_of(page, name))
        assert answer.status_code == 200
        assert set(answer.headers["Cache-Control"].split(", ")) == {"public", "max-age=31536000", "immutable"}
        assert answer.data == (Path(str(client.application.static_folder)) / name).read_bytes()


def test_they_are_compressed_once_and_not_for_each_reader(client: FlaskClient, campaign: Campaign) -> None:
    address, headers = address_of(client.get(PATH).text, "site.css"), {"Accept-Encoding": "br"}
    first = client.get(address, headers=headers)
    assert first.headers["Content-Encoding"] == "br"
    client.application.view_functions.pop("static")
    assert client.get(address, headers=headers).data == first.data


@pytest.mark.parametrize(
    "headers", [{"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, {"Range": "bytes=0-9"}, {"If-None-Match": "*"}]
)
def test_who_asks_for_less_takes_nothing_from_the_next(
    client: FlaskClient, campaign: Campaign, headers: dict[str, str]
) -> None:
    address = address_of(client.get(PATH).text, "site.css")
    client.get(address, headers=headers)
    whole = client.get(address)
    assert (whole.status_code, whole.data) == (200, (ROOT / "static/site.css").read_bytes())


def test_a_changed_file_has_a_new_address(client: FlaskClient, campaign: Campaign, tmp_path: Path) -> None:
    before = address_of(client.get(PATH).text, "site.css")
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "site.css").write_text("body { color: red }")
    changed = Flask("changed", static_folder=str(tmp_path / "static"))
    static.init_app(changed)
    with changed.test_request_context():
        assert changed.url_for("static", filename="site.css") not in (before, "/static/site.css")


def test_a_page_of_another_version_gets_our_file_and_asks_again_next_time(client: FlaskClient) -> None:
    for address in ("/static/site.0123456789ab.css", "/static/site.css"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-cache"


def test_a_file_that_is_not_there_is_our_own_404(client: FlaskClient) -> None:
    assert "There is nothing here" in client.get("/static/nothing.0123456789ab.css").text
