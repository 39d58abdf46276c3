"""Cities of the ZIP code list are spelled as people there spell them."""

import re

import pytest

from campaign.signatures import city_names, places
from campaign.signatures.city_names import spelled


@pytest.mark.parametrize(
    ("zip_code", "city"),
    [
        ("75069", "McKinney"),
        ("78501", "McAllen"),
        ("22101", "McLean"),
        ("31055", "McRae-Helena"),
        ("54656", "Sparta"),
        ("63366", "O'Fallon"),
        ("34639", "Land O' Lakes"),
        ("68763", "O'Neill"),
        ("83814", "Coeur d'Alene"),
        ("78850", "D'Hanis"),
        ("63101", "St. Louis"),
        ("49783", "Sault Ste. Marie"),
        ("41011", "Covington"),
        ("09001", "APO"),
        ("09204", "FPO"),
        ("09160", "DPO"),
        ("92010", "Carlsbad"),
        ("19406", "King of Prussia"),
        ("10520", "Croton-on-Hudson"),
        ("54935", "Fond du Lac"),
        ("32720", "DeLand"),
        ("91011", "La Cañada Flintridge"),
        ("00610", "Añasco"),
        ("80840", "USAF Academy"),
        ("43456", "Put-in-Bay"),
        ("50310", "Des Moines"),
        ("90001", "Los Angeles"),
        ("36509", "Bayou La Batre"),
        ("29474", "Round O"),
    ],
)
def test_city_of_a_zip_code_is_spelled_as_people_there_spell_it(zip_code: str, city: str) -> None:
    place = places.place_of("US", zip_code)
    assert place
    assert place.city == city


def every_city() -> list[tuple[str, str]]:
    return sorted({(city, state) for _, city, state in (line.split("\t") for line in places.load())})


# What the Postal Service's spelling leaves behind, apart from names that people spell like this.
_WRONG = re.compile(
    r"\bMc[a-z ]|\bMac [A-Z]|\b[B-Z] [A-Z]|\b[A-Z]{2} [A-Z]{2}\b|\b(?:Apo|Fpo|Dpo|Afb|Ft|Mt|St|Pk|Natl)\b(?!\.)"
    r"|\bSaint\b|-[a-z]+$| (?:Of|The|And|On|By) "
)
_RIGHT = {"Saint Jo", "Saint Just", "Saint Mary-of-the-Woods", "Opa-locka", "Round O", "Mary D"}


@pytest.mark.slow
def test_no_city_of_the_complete_list_is_spelled_wrong() -> None:
    names = {spelled(city, state) for city, state in every_city()}
    assert len(names) > 18_000
    assert sorted(name for name in names - _RIGHT if _WRONG.search(name)) == []


@pytest.mark.slow
def test_spelling_changes_no_letters_of_a_city() -> None:
    def letters(name: str) -> str:
        return "".join(re.findall("[a-z]", name.lower()))

    written_out = re.compile(r"\b(?:St|Ste|Ft|Mt|Saint|Sainte|Fort|Mount|S|South|Pk|Park|Natl|National|Pa S&Dc)\b\.?")
    for city, state in every_city():
        name = spelled(city, state)
        if name.isascii():
            assert letters(written_out.sub("", name)) == letters(written_out.sub("", city)), name


def test_every_exception_is_in_the_list() -> None:
    known = {f"{city}, {state}" for city, state in every_city()}
    assert city_names._EXCEPTIONS.keys() <= known
