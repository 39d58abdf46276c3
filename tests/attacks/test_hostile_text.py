"""Hostile names and places: the page shows them as text, or the signer gets an error."""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from campaign.deliveries.contents import FORMULA_SIGNS, csv_chunks, neutral
from campaign.models.campaign import Campaign
from campaign.signatures import cleaning, places
from tests.conftest import ADA, PATH, stored

SOURCE = (
    "abYZ ÆñßİıʼN\u200d\u200c\u0301é中ุ😀<>&\"'`=/\\;:{}[]()%$#!?*_-+.,|~^"
    "\x00\x07\t\n\r\x1b\x7f\x85\u2028\u202e\u2066\ufeff\ufffe\ue000"
)
TYPED = st.text(st.one_of(st.sampled_from(SOURCE), st.characters(exclude_categories=["Cs"])), min_size=1, max_size=110)
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "</li></ol></div><h1>Gone",
    "&lt;b&gt;",
    "]]></title><x>",
    "</script><script>",
    "A" + "\u0301" * 90,
    "\u202eeverT",
]


class Text(HTMLParser):
    """Collects the names and places of signatories, and all tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "bdi" and dict(attrs).get("class") in ("name", "place"):
            self.found.append("")
            self._inside = True
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "bdi"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data


Test = Callable[..., None]


def hostile(test: Test) -> Test:
    for text in HOSTILE:
        test = example(name=text, city=text)(test)
    quiet = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    return quiet(given(name=TYPED, city=TYPED)(test))


@hostile
@pytest.mark.slow
def test_signers_input_is_shown_as_text_or_refused(app: Flask, campaign: Campaign, name: str, city: str) -> None:
    client = app.test_client()
    # Each example needs a new mailbox.
    email = f"{len(stored())}@example.org"
    fields = ADA | {"name": name, "city": city, "region": "", "postal_code": "", "country": "FR", "email": email}
    before = len(stored())
    answer = client.post(f"{PATH}/signatures", data=fields)
    assert answer.status_code in (303, 422)
    if answer.status_code == 422:
        assert len(stored()) == before
        assert 'class="message"' in answer.text
        return
    shown_name, shown_place = cleaning.clean(name), ", ".join(p for p in (cleaning.clean(city), "FR") if p)
    page = Text(client.get(PATH).text)
    assert page.found[:2] == [shown_name, shown_place]
    assert not page.tags & {"img", "b", "x"}
    newest = json.loads(client.get(f"{PATH}.json").text)["signatures"]["recent"][0]
    assert (newest["name"], newest["place"]) == (shown_name, shown_place)
    atom = ElementTree.fromstring(client.get(f"{PATH}.atom").text)  # noqa: S314 (our own response)
    entry = atom.find("{*}entry/{*}title")
    assert entry is not None
    assert entry.text == shown_name


@pytest.mark.parametrize("character", "\u115f\u1160\u3164\uffa0\u00ad\u200b\u200e\u202e\u2066\ufeff", ids=ascii)
def test_invisible_characters_are_dropped(character: str) -> None:
    assert cleaning.clean(f"A{character}da") == "Ada"


@pytest.mark.parametrize("character", "\u200c\u200d", ids=ascii)
def test_joiners_of_persian_and_indic_names_are_kept(character: str) -> None:
    assert cleaning.clean(f"A{character}da") == f"A{character}da"


@pytest.mark.parametrize("character", " \t\n\r\u00a0\u2003\u2028\u3000", ids=ascii)
def test_white_space_is_collapsed(character: str) -> None:
    assert cleaning.clean(f"{character}Ada {character}{character}Byron{character}") == "Ada Byron"


@pytest.mark.parametrize(
    "character",
    "\x00\x07\x1b\x1c\x1f\x7f\x85\x9f\ud800\udfff\ue000\uf8ff\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0010ffff",
    ids=ascii,
)
def test_forbidden_characters_are_found_after_cleaning(character: str) -> None:
    assert cleaning.has_forbidden_character(cleaning.clean(f"A{character}da"))


@pytest.mark.parametrize("character", "a \xa0\u0301\u200d\ufdcf\ufdf0\ufffd\U0001f600", ids=ascii)
def test_ordinary_characters_are_not_forbidden(character: str) -> None:
    assert not cleaning.has_forbidden_character(character)


@given(TYPED)
@pytest.mark.slow
def test_cleaning_is_idempotent(text: str) -> None:
    once = cleaning.clean(text)
    assert cleaning.clean(once) == once


@given(TYPED)
def test_clean_text_has_no_bidirectional_controls(text: str) -> None:
    for character in cleaning.clean(text):
        assert unicodedata.bidirectional(character) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )


@given(st.text())
@pytest.mark.slow
def test_no_exported_cell_is_a_formula(text: str) -> None:
    # In many languages, spreadsheets start a new cell at a semicolon.
    for cell in re.split("[;\t]", neutral(text)):
        assert not cell.strip().startswith(tuple(FORMULA_SIGNS))
    assert not neutral(text).startswith(("\t", "\r", "\n"))
    assert neutral(text).replace("'", "") == text.replace("'", "")


@example('Anna;"=1+1;')
@example("as agreed\n=1+1")
@given(st.text(st.one_of(st.sampled_from("=+-@;\t\r\n\"', ab"), st.characters(exclude_categories=["Cs"]))))
def test_no_cell_is_a_formula_with_another_delimiter(text: str) -> None:
    (_, row) = "".join(csv_chunks(["name", "city"], [[["Ada", text]]])).split("\r\n", 1)
    for delimiter in ";\t":
        for cells in csv.reader(io.StringIO(row, newline=""), delimiter=delimiter):
            assert not [cell for cell in cells if cell.strip().startswith(tuple(FORMULA_SIGNS))]


@given(st.text(max_size=30), st.text(max_size=30))
@pytest.mark.slow
def test_zip_code_lookup_accepts_any_text(country: str, code: str) -> None:
    assert places.place_of(country, code) is None or country == "US"
    places.place_of("US", code)
