"""Where a signer lives: countries, states, and city and state from a ZIP code."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from campaign import places
from campaign.models import Campaign
from tests.conftest import HTMX


def fill(client: FlaskClient, **typed: str) -> tuple[int, list[str]]:
    """What the page gets for what was typed: status, and the values of city, region and filled_from."""
    answer = client.post("/places", data=typed, headers=HTMX)
    return answer.status_code, re.findall(r'value="([^"]*)"', answer.text)


def test_a_zip_code_fills_in_city_and_state(client: FlaskClient) -> None:
    assert fill(client, country="US", postal_code="90012") == (200, ["Los Angeles", "California", "90012"])
    assert fill(client, country="US", postal_code="90012", region="ca")[1][:2] == ["Los Angeles", "California"]
    assert fill(client, country="US", postal_code=" 90012-1234 ") == (200, ["Los Angeles", "California", "90012-1234"])


@pytest.mark.parametrize(
    "typed",
    [
        {"country": "US", "postal_code": "9001"},
        {"country": "US", "postal_code": "99999"},
        {"country": "DE", "postal_code": "90012"},
        {"country": "", "postal_code": "90012"},
        {"postal_code": "90012"},
        {"country": "US"},
        {"country": "US", "postal_code": "90012", "city": "Pasadena"},
        {"country": "US", "postal_code": "90012", "region": "Texas"},
        {
            "country": "US",
            "postal_code": "90012",
            "city": "Los Angeles",
            "region": "California",
            "filled_from": "90012",
        },
    ],
    ids=str,
)
def test_where_nothing_is_known_or_something_was_typed_nothing_changes(
    client: FlaskClient, typed: dict[str, str]
) -> None:
    assert fill(client, **typed) == (204, [])


def test_a_corrected_zip_code_corrects_what_the_first_one_filled_in(client: FlaskClient) -> None:
    first = {"city": "Los Angeles", "region": "California", "filled_from": "90012"}
    assert fill(client, country="US", postal_code="10001", **first)[1] == ["New York", "New York", "10001"]
    changed = first | {"city": "Pasadena"}
    assert fill(client, country="US", postal_code="10001", **changed) == (204, [])


@pytest.mark.parametrize(
    "typed",
    [{"country": "CA", "postal_code": "90012"}, {"country": "US", "postal_code": ""}, {"country": "US"}],
    ids=str,
)
def test_a_city_goes_with_the_zip_code_that_filled_it_in(client: FlaskClient, typed: dict[str, str]) -> None:
    first = {"city": "Los Angeles", "region": "California", "filled_from": "90012"}
    assert fill(client, **typed, **first) == (200, ["", "", ""])


def test_a_country_is_a_country_in_every_language() -> None:
    english = places.countries("en")
    assert len(english) == 250, "249 of ISO 3166-1, and Kosovo"
    assert {"US", "FR", "XK", "TW", "PS"} <= english.keys()
    assert not {"EU", "UN", "ZZ", "XA"} & english.keys()
    for language in ("de", "ar", "pt-BR", "zh-Hant"):
        assert places.countries(language).keys() == english.keys()


@pytest.mark.parametrize(
    ("country", "typed", "shown"),
    [
        ("US", "CA", "California"),
        ("US", "d.c.", "District of Columbia"),
        ("US", "new york", "New York"),
        ("US", "Texass", "Texass"),
        ("CA", "ON", "ON"),
        ("US", "", ""),
    ],
)
def test_a_us_state_is_shown_by_its_full_name(country: str, typed: str, shown: str) -> None:
    assert places.region_name(country, typed) == shown


def test_the_partial_is_the_one_that_the_form_holds(client: FlaskClient, campaign: Campaign) -> None:
    partial = client.post("/places", data={"country": "US", "postal_code": "90012"}).text
    form = client.get(f"/campaigns/{campaign.slug}").text
    for part in ('<fieldset class="place" id="place">', 'id="city" name="city"', 'id="region" name="region"'):
        assert part in partial
        assert part in form


def test_the_list_of_zip_codes_is_made_once_and_kept_whole_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list(places.load())
    assert made == sorted(made)
    assert len(made) > 40_000
    for _ in range(2):
        monkeypatch.setattr(places, "_us_places", [])
        assert places.load(tmp_path) == made
    [kept] = tmp_path.iterdir()
    # A power cut can leave an empty file.
    kept.write_text("")
    monkeypatch.setattr(places, "_us_places", [])
    assert places.load(tmp_path) == made
    assert kept.read_text(encoding="utf-8").splitlines() == made
    # A folder that is not there yet is made; one that can't be made costs a second and no more.
    for folder in (tmp_path / "new" / "folder", kept / "in a file"):
        monkeypatch.setattr(places, "_us_places", [])
        assert places.load(folder) == made
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 1
