"""Where signers come from is kept as an organiser's word, and as nothing that tells one person from another."""

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from campaign import sources
from campaign.models import SOURCE_LENGTH, Campaign
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
        ("", ""),
        (" ", ""),
        ("-", ""),
        ("<script>", "script"),
    ],
)
def test_a_word_is_kept_in_small_letters_digits_and_hyphens(text: str, word: str) -> None:
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
def test_what_could_be_made_for_one_person_is_not_kept(text: str) -> None:
    assert sources.word(text) == ""


@given(st.text())
def test_whatever_is_typed_the_word_is_one_that_can_be_stored_and_stays_itself(text: str) -> None:
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
def test_a_link_holds_the_word_as_ref_or_utm_source(query: str, word: str) -> None:
    assert sources.of_link(OUR_PAGE + query) == word


def test_no_link_at_all_holds_none() -> None:
    assert sources.of_link("") == sources.of_link("http://[") == ""


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_the_link_that_a_signer_came_by_is_kept_as_its_word(
    client: FlaskClient, campaign: Campaign, headers: dict[str, str]
) -> None:
    client.post(f"{PATH}/signatures", data=ADA, headers={**headers, "Referer": f"{OUR_PAGE}?ref=Mail"})
    client.post(f"{PATH}/signatures", data=ADA | {"email": "b@example.org"}, headers={**headers, "Referer": OUR_PAGE})
    client.post(f"{PATH}/signatures", data=ADA | {"email": "c@example.org"}, headers=headers)
    assert [signature.source for signature in stored()] == ["mail", "", ""]


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_the_word_outlives_an_error_in_the_form(
    client: FlaskClient, campaign: Campaign, headers: dict[str, str]
) -> None:
    came_by = {**headers, "Referer": f"{OUR_PAGE}?utm_source=mail"}
    page = client.post(f"{PATH}/signatures", data=ADA | {"email": ""}, headers=came_by)
    assert page.status_code == 422
    assert '<input type="hidden" name="source" value="mail">' in page.text
    # The address that an answer to a form has, without script.
    again = {**headers, "Referer": f"{OUR_PAGE}/signatures"}
    client.post(f"{PATH}/signatures", data=ADA | {"source": "mail"}, headers=again)
    assert [signature.source for signature in stored()] == ["mail"]


def test_a_forged_field_can_hold_no_more_than_a_word(client: FlaskClient, campaign: Campaign) -> None:
    client.post(f"{PATH}/signatures", data=ADA | {"source": "ada@example.org"})
    client.post(f"{PATH}/signatures", data=ADA | {"email": "b@example.org", "source": "=A Formula()"})
    assert [signature.source for signature in stored()] == ["", "a-formula"]


def test_the_page_is_the_same_by_whatever_link_one_comes(client: FlaskClient, campaign: Campaign) -> None:
    answers = [client.get(PATH + query) for query in ("", "?ref=mail", "?utm_source=mail&utm_medium=x", "?other=1")]
    assert len({answer.data for answer in answers}) == 1
    assert len({answer.headers["ETag"] for answer in answers}) == 1
    assert 'name="source"' not in answers[0].text
