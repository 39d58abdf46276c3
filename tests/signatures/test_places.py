"""Countries, US states, and filling in city and state from a ZIP code."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from campaign.models.campaign import Campaign
from campaign.signatures import places
from campaign.text import folding
from campaign.text.bounded_text import normalized
from tests.conftest import HTMX, only_sqlite


def fill(client: FlaskClient, **typed: str) -> tuple[int, list[str]]:
    """Post the place fields; return the status and the new values of city, region, and filled_from."""
    answer = client.post("/places", data=typed, headers=HTMX)
    return answer.status_code, re.findall(r'value="([^"]*)"', answer.text)


def test_zip_code_fills_in_city_and_state(client: FlaskClient) -> None:
    assert fill(client, country="US", postal_code="90012") == (200, ["Los Angeles", "California", "90012"])
    assert fill(client, country="US", postal_code="90012", region="ca")[1][:2] == ["Los Angeles", "California"]
    assert fill(client, country="US", postal_code=" 90012-1234 ") == (200, ["Los Angeles", "California", "90012-1234"])


@pytest.mark.parametrize(
    "typed",
    [
        *("90012", " 90012 ", "90012-1234", "90012 1234", "90012–1234", "90012 — 1234", "90012−1234", "900121234"),
        *(
            "９００１２",
            "９００１２－１２３４",
            "٩٠٠١٢",
            "९००१२",
            "90012\u00a01234",
            "90012\u20111234",
            "90012-",
            "90012.",
            "9 0012",
        ),
    ],
    ids=ascii,
)
def test_zip_code_is_understood_in_every_spelling(typed: str) -> None:
    assert places.place_of("US", typed) == ("Los Angeles", "California")
    plain = "90012-1234" if folding.ascii_digits(normalized(typed, 20, "NFKC")).rstrip()[-1] == "4" else "90012"
    assert places.postal_code(typed, "US") == plain


@pytest.mark.parametrize("typed", ["9001", "900123", "90012-12", "90012-12345", "90012/1234", "9OO12", "90012x", ""])
def test_text_that_is_no_zip_code_has_no_place(typed: str) -> None:
    assert places.place_of("US", typed) is None
    assert places.postal_code(typed, "US") == normalized(typed, 20, "NFKC")


@pytest.mark.parametrize(
    ("country", "typed", "stored"),
    [
        ("JP", "１５０−０００２", "150-0002"),
        ("IR", "۱۱۳۶۹", "11369"),
        ("CA", "M5H 2N2", "M5H 2N2"),
        ("CA", "Ｍ５Ｈ　２Ｎ２", "M5H 2N2"),
        ("GB", "ec1a 1bb", "ec1a 1bb"),
        ("BR", "50010–000", "50010-000"),
        ("DE", "900121234", "900121234"),
        ("PR", "00901 1234", "00901-1234"),
    ],
)
def test_postal_code_is_stored_in_ordinary_characters(country: str, typed: str, stored: str) -> None:
    assert places.postal_code(typed, country) == stored
    assert places.postal_code(stored, country) == stored


@only_sqlite
@pytest.mark.parametrize(
    ("country", "code", "city", "region"),
    [
        ("PR", "00901", "San Juan", ""),
        ("GU", "96910", "Hagåtña", ""),
        ("VI", "00802", "St. Thomas", ""),
        ("AS", "96799", "Pago Pago", ""),
        ("MP", "96950", "Saipan", ""),
        ("US", "00901", "San Juan", "Puerto Rico"),
    ],
)
def test_territory_chosen_as_country_gets_its_cities(
    client: FlaskClient, country: str, code: str, city: str, region: str
) -> None:
    assert fill(client, country=country, postal_code=code) == (200, [city, region, code])
    elsewhere = "GU" if country != "GU" else "PR"
    assert fill(client, country=elsewhere, postal_code=code) == (204, [])
    # Choosing the other country later changes the place that was filled in.
    filled = {"city": city, "region": region, "filled_from": code}
    assert fill(client, country=elsewhere, postal_code=code, **filled) == (200, ["", "", ""])
    if country == "PR":
        assert fill(client, country="US", postal_code=code, **filled) == (200, ["San Juan", "Puerto Rico", code])


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
def test_unknown_code_or_typed_place_changes_nothing(client: FlaskClient, typed: dict[str, str]) -> None:
    assert fill(client, **typed) == (204, [])


def test_corrected_zip_code_replaces_the_city_it_filled_in(client: FlaskClient) -> None:
    first = {"city": "Los Angeles", "region": "California", "filled_from": "90012"}
    assert fill(client, country="US", postal_code="10001", **first)[1] == ["New York", "New York", "10001"]
    changed = first | {"city": "Pasadena"}
    assert fill(client, country="US", postal_code="10001", **changed) == (204, [])


@pytest.mark.parametrize(
    "typed",
    [{"country": "CA", "postal_code": "90012"}, {"country": "US", "postal_code": ""}, {"country": "US"}],
    ids=str,
)
def test_removing_the_zip_code_clears_the_city_it_filled_in(client: FlaskClient, typed: dict[str, str]) -> None:
    first = {"city": "Los Angeles", "region": "California", "filled_from": "90012"}
    assert fill(client, **typed, **first) == (200, ["", "", ""])


@pytest.mark.parametrize(
    ("country", "typed", "shown"),
    [
        ("US", "CA", "California"),
        ("US", "d.c.", "District of Columbia"),
        ("US", "new york", "New York"),
        ("US", "Texass", "Texass"),
        ("US", "N. Y.", "New York"),
        ("US", "ｃａ", "California"),
        ("US", "NEW  YORK", "New York"),
        ("US", "newyork", "New York"),
        ("PR", "CA", "CA"),
        ("CA", "ON", "ON"),
        ("US", "", ""),
    ],
)
def test_us_state_is_shown_by_its_full_name(country: str, typed: str, shown: str) -> None:
    assert places.region_name(country, typed) == shown


def test_place_partial_matches_the_sign_form(client: FlaskClient, campaign: Campaign) -> None:
    partial = client.post("/places", data={"country": "US", "postal_code": "90012"}).text
    form = client.get(f"/campaigns/{campaign.slug}").text
    for part in ('<fieldset class="place" id="place">', 'id="city" name="city"', 'id="region" name="region"'):
        assert part in partial
        assert part in form


@pytest.mark.slow
def test_zip_code_list_is_generated_once_and_cached_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = list(places.load())
    assert lines == sorted(lines)
    assert len(lines) > 40_000
    for _ in range(2):
        monkeypatch.setattr(places, "_us_places", [])
        assert places.load(tmp_path) == lines
    [cached] = tmp_path.iterdir()
    # A power failure can leave an empty file. The list is then generated again.
    cached.write_text("")
    monkeypatch.setattr(places, "_us_places", [])
    assert places.load(tmp_path) == lines
    assert cached.read_text(encoding="utf-8").splitlines() == lines
    # A missing folder is created. If it can't be created, the list is generated again.
    for folder in (tmp_path / "new" / "folder", cached / "in a file"):
        monkeypatch.setattr(places, "_us_places", [])
        assert places.load(folder) == lines
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 1
