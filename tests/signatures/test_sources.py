"""Sources: words from shared links, which must never identify a person."""

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from campaign.models.campaign import Campaign
from campaign.models.columns import SOURCE_LENGTH
from campaign.signatures import sources
from tests.conftest import ADA, HTMX, PATH, stored

OUR_PAGE = f"http://localhost{PATH}"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("mail", "mail"),
        ("Mail", "mail"),
        ("WhatsApp", "whatsapp"),
        ("news letter", "news-letter"),
        ("news_letter.2", "news-letter-2"),
        ("-mail-", "mail"),
        ("mastodon.social", "mastodon-social"),
        ("flyer-24-12", "flyer-24-12"),
        ("38degrees", "38degrees"),
        ("b2b", "b2b"),
        ("G20", "g20"),
        ("Été", "été"),
        ("ｍａｉｌ", "mail"),
        ("почта", "почта"),
        ("facade", "facade"),
        ("x" * 20, "x" * 20),
        ("24-12-7", "24-12-7"),
        ("", ""),
        (" ", ""),
        ("-", ""),
        ("<script>", "script"),
    ],
)
def test_source_word_has_lowercase_letters_digits_and_hyphens(text: str, word: str) -> None:
    assert sources.word(text) == word


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.org",
        "ada＠example.org",
        "@ada",
        "supporter-1234",
        "1234",
        "٠١٢٣",
        "555-123-4567",
        "030-12-34-56",
        "12-34-56",
        "192.168.1.10",
        "550e8400-e29b-41d4-a716-446655440000",
        "deadbeef",
        "DEADBEEF",
        "3fa9c2d1",
        "a1b2c3",
        "aGVsbG9Xb3JsZA",
        "QWRhIExvdmVsYWNl",
        "YWRhQGV4YW1wbGUub3Jn",
        "mfrggzdfmztwqmfrggzdf",
        "IwAR0n5d8kQ",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "a-very-long-word-that-nobody-would-say",
    ],
)
def test_source_that_could_identify_a_person_is_dropped(text: str) -> None:
    assert sources.word(text) == ""


@given(st.text())
def test_source_word_is_always_storable_and_stable(text: str) -> None:
    word = sources.word(text)
    assert len(word) <= SOURCE_LENGTH
    assert all(character.isalnum() or character == "-" for character in word)
    assert word == word.lower()
    assert sources.word(word) == word


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("?ref=mail", "mail"),
        ("?utm_source=news&utm_medium=email", "news"),
        ("?utm_source=news&ref=mail", "mail"),
        ("?ref=ada%40example.org&utm_source=news", "news"),
        ("?ref=News+Letter#sign", "news-letter"),
        ("?ref=", ""),
        ("?href=mail", ""),
        ("?ref=%ff%00", ""),
        ("", ""),
        ("?" + "a=1&" * 2000, ""),
    ],
)
def test_source_word_is_read_from_ref_or_utm_source(query: str, word: str) -> None:
    assert sources.from_link(OUR_PAGE + query) == word


@pytest.mark.parametrize(("length", "word"), [(4096, "mail"), (4097, "")])
def test_links_longer_than_4096_characters_have_no_source(length: int, word: str) -> None:
    link = f"{OUR_PAGE}?ref=mail&x="
    assert sources.from_link(link.ljust(length, "a")) == word


def test_invalid_links_have_no_source() -> None:
    assert sources.from_link("") == sources.from_link("http://[") == ""


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_source_of_the_referring_link_is_stored(
    client: FlaskClient, campaign: Campaign, headers: dict[str, str]
) -> None:
    client.post(f"{PATH}/signatures", data=ADA, headers={**headers, "Referer": f"{OUR_PAGE}?ref=Mail"})
    client.post(f"{PATH}/signatures", data=ADA | {"email": "b@example.org"}, headers={**headers, "Referer": OUR_PAGE})
    client.post(f"{PATH}/signatures", data=ADA | {"email": "c@example.org"}, headers=headers)
    assert [signature.source for signature in stored()] == ["mail", "", ""]


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_source_survives_an_error_in_the_form(client: FlaskClient, campaign: Campaign, headers: dict[str, str]) -> None:
    came_by = {**headers, "Referer": f"{OUR_PAGE}?utm_source=mail"}
    page = client.post(f"{PATH}/signatures", data=ADA | {"email": ""}, headers=came_by)
    assert page.status_code == 422
    assert '<input type="hidden" name="source" value="mail">' in page.text
    # Without JavaScript, the page that shows the errors has the URL of the form's action, without the source.
    again = {**headers, "Referer": f"{OUR_PAGE}/signatures"}
    client.post(f"{PATH}/signatures", data=ADA | {"source": "mail"}, headers=again)
    assert [signature.source for signature in stored()] == ["mail"]


def test_forged_source_field_is_cleaned(client: FlaskClient, campaign: Campaign) -> None:
    client.post(f"{PATH}/signatures", data=ADA | {"source": "ada@example.org"})
    client.post(f"{PATH}/signatures", data=ADA | {"email": "b@example.org", "source": "=A Formula()"})
    assert [signature.source for signature in stored()] == ["", "a-formula"]


def test_page_is_identical_for_every_source_link(client: FlaskClient, campaign: Campaign) -> None:
    answers = [client.get(PATH + query) for query in ("", "?ref=mail", "?utm_source=mail&utm_medium=x", "?other=1")]
    assert len({answer.data for answer in answers}) == 1
    assert len({answer.headers["ETag"] for answer in answers}) == 1
    assert 'name="source"' not in answers[0].text
