"""Signing: what a signer gets, with the page's script and without, and what bad input gets."""

import io
import re

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from campaign import signing, tally
from campaign.extensions import db
from campaign.models import Campaign
from tests.conftest import ADA, HTMX, PATH, Publish, Sign, stored

TEN_SPELLINGS = [
    "ada.lovelace@gmail.com",
    "Ada.Lovelace@gmail.com",
    "ADALOVELACE@GMAIL.COM",
    "  adalovelace@gmail.com ",
    "a.d.a.lovelace@gmail.com",
    "adalovelace+petitions@gmail.com",
    "ada.lovelace+a+b@gmail.com",
    "adalovelace@googlemail.com",
    "Ada.Lovelace+x@GoogleMail.com",
    "\u200eadalovelace@gmail.com",
]


def test_without_script_a_signer_is_sent_to_the_thank_you_page_and_finds_themselves_there(
    sign: Sign, client: FlaskClient
) -> None:
    answer = sign()
    assert (answer.status_code, answer.location) == (303, f"{PATH}/thanks")
    page = client.get(answer.location).text
    assert "Thank You!" in page
    assert "You did a good thing." in page
    assert "https://donate.example/park" in page
    assert "Ada Lovelace" in page
    assert "<strong>1</strong>" in page


def test_with_htmx_the_answer_is_the_thank_you_panel_and_the_signers_own_entry(sign: Sign) -> None:
    answer = sign(htmx=True)
    assert answer.status_code == 200
    assert "Thank You!" in answer.text
    assert "<html" not in answer.text
    own = re.search(r'<hx-partial hx-target="#recent" hx-swap="afterbegin">(.*?)</hx-partial>', answer.text, re.S)
    assert own
    assert "Ada Lovelace" in own[1]
    assert "Los Angeles, California, US" in own[1]
    assert answer.headers["HX-Trigger"] == "signed"


def test_what_was_typed_is_stored_and_nothing_else(sign: Sign, campaign: Campaign) -> None:
    sign(postal_code="75001", country="FR", city="Paris", anonymous="y", updates="y")
    (signature,) = stored()
    assert signature.campaign_id == campaign.id
    assert (signature.name, signature.email) == ("Ada Lovelace", "ada@example.org")
    assert (signature.country, signature.region, signature.city) == ("FR", "", "Paris")
    assert signature.postal_code == "75001"
    assert (signature.anonymous, signature.wants_updates) == (True, True)
    assert signature.listed_at == signature.signed_at


def test_nobody_is_sent_updates_who_did_not_ask(sign: Sign) -> None:
    sign()
    assert stored()[0].wants_updates is False


def test_a_us_zip_code_gives_city_and_state_to_who_left_them_empty(sign: Sign) -> None:
    sign(postal_code="10001-1234")
    sign(email="b@example.org", postal_code="10001", city="Brooklyn")
    sign(email="c@example.org", postal_code="10001", region="NY")
    sign(email="d@example.org", postal_code="10001", region="ca")
    places = [(signature.city, signature.region) for signature in stored()]
    assert places == [("New York", "New York"), ("Brooklyn", ""), ("New York", "New York"), ("", "California")]


def test_a_city_that_an_earlier_zip_code_filled_in_is_not_published_with_another(sign: Sign) -> None:
    filled = {"city": "Los Angeles", "region": "California", "filled_from": "90012"}
    sign(postal_code="10001", **filled)
    sign(email="b@example.org", country="CA", postal_code="M5H 2N2", **filled)
    sign(email="c@example.org", postal_code="10001", **filled | {"city": "Pasadena"})
    sign(email="d@example.org", postal_code="90012", **filled)
    places = [(signature.city, signature.region) for signature in stored()]
    assert places == [
        ("New York", "New York"),
        ("", ""),
        ("Pasadena", "California"),
        ("Los Angeles", "California"),
    ]


@pytest.mark.parametrize("htmx", [True, False])
def test_ten_spellings_of_one_mailbox_are_one_signature(sign: Sign, campaign: Campaign, htmx: bool) -> None:
    for number, email in enumerate(TEN_SPELLINGS):
        assert sign(htmx=htmx, email=email, name=f"Ada {number}").status_code in (200, 303)
    assert [signature.name for signature in stored()] == ["Ada 0"]
    assert tally.count(db.session(), campaign.id) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada@bücher.example.com", "ada@xn--bcher-kva.example.com"),
        ("jos\u00e9@example.org", "jose\u0301@example.org"),
        ("ada@example.org", "ADA@EXAMPLE.ORG"),
    ],
)
def test_a_mailbox_is_known_by_any_encoding_of_its_address(one: str, other: str) -> None:
    assert signing.email_key(one) == signing.email_key(other)


def test_dots_matter_where_the_provider_minds_them() -> None:
    assert signing.email_key("a.da@example.org") != signing.email_key("ada@example.org")


def test_a_mailbox_that_has_signed_gets_the_very_same_answer(sign: Sign) -> None:
    def words(answer: str) -> str:
        return re.sub(r"<time.*?</time>", "", answer)

    def headers(answer: TestResponse) -> dict[str, str]:
        # Each request has an id of its own, made at random before anything is known of it.
        return {name: value for name, value in answer.headers.items() if name != "X-Request-ID"}

    stranger = sign(htmx=True, email="new@example.org", name="Somebody", city="Paris")
    sign(email="ada@example.org")
    again = sign(htmx=True, email="ada@example.org", name="Somebody", city="Paris")
    assert words(again.text) == words(stranger.text)
    assert headers(again) == headers(stranger)
    without_script = [sign(email=email) for email in ("fresh@example.org", "ada@example.org")]
    assert without_script[0].data == without_script[1].data
    assert headers(without_script[0]) == headers(without_script[1])


@pytest.mark.parametrize(
    "name", ["J.de Vries", "P.in t Veld", "M.de la Cruz", "Dr. No", "O’Brien", "Jean-Luc", "李小龍", "رضا‌پور"]
)
def test_nobodys_name_is_taken_for_a_link(sign: Sign, name: str) -> None:
    assert sign(name=name).status_code == 303
    assert stored()[0].name == name


def test_the_first_signature_of_a_mailbox_stands(sign: Sign) -> None:
    sign(name="Ada Lovelace")
    sign(name="Somebody Else", anonymous="y")
    assert [(signature.name, signature.anonymous) for signature in stored()] == [("Ada Lovelace", False)]


def test_one_mailbox_may_sign_every_campaign(client: FlaskClient, publish: Publish) -> None:
    for slug in ("one", "two"):
        publish(slug=slug)
        assert client.post(f"/campaigns/{slug}/signatures", data=ADA).status_code == 303
    assert len(stored()) == 2


REFUSED = {
    "no name": ({"name": ""}, "Enter your name"),
    "a blank name": ({"name": " \u200b\u200d "}, "Enter your name"),
    "a name that shows nothing": ({"name": "\u3164\u115f\uffa0\u2063"}, "Enter your name"),
    "a name of dots": ({"name": "..."}, "Enter your name"),
    "a long name": ({"name": "x" * 101}, "Your name must have 100 characters or fewer"),
    "a link for a name": ({"name": "see https://spam.example"}, "Your name can’t hold a link or an @"),
    "a bare link for a name": ({"name": "Buy at cheap.com"}, "Your name can’t hold a link or an @"),
    "www in a name": ({"name": "www.spam"}, "Your name can’t hold a link or an @"),
    "a link in wide letters": ({"name": "evil．com"}, "Your name can’t hold a link or an @"),
    "a link with an ideographic stop": ({"name": "evil。com"}, "Your name can’t hold a link or an @"),
    "a link of two letters": ({"name": "see casino.pw"}, "Your name can’t hold a link or an @"),
    "a wide @ in a name": ({"name": "Ada＠evil"}, "Your name can’t hold a link or an @"),
    "an address for a name": ({"name": "ada@example"}, "Your name can’t hold a link or an @"),
    "a formula for a name": ({"name": "=1+1"}, "Your name can’t begin with = + - or @"),
    "a control character": ({"name": "Ada\x00"}, "Your name holds a character that can’t be shown"),
    "a wide formula for a name": ({"name": "＝1+1 A"}, "Your name can’t begin with = + - or @"),
    "a separator of teletypes": ({"name": "Ada\x1fL"}, "Your name holds a character that can’t be shown"),
    "what is no character": ({"name": "Ada\ufdd0"}, "Your name holds a character that can’t be shown"),
    "a control character in a city": ({"city": "Pa\x07ris"}, "Your city holds a character that can’t be shown"),
    "no address": ({"email": ""}, "Enter your email address"),
    "half an address": ({"email": "ada@"}, "Enter an email address like name@example.org"),
    "no domain": ({"email": "ada@localhost"}, "Enter an email address like name@example.org"),
    "two addresses": ({"email": "a@example.org, b@example.org"}, "Enter one email address"),
    "two addresses in a row": ({"email": "a@example.org b@example.org"}, "Enter one email address"),
    "a long address": ({"email": f"{'x' * 250}@example.org"}, "Your email address must have 254 characters or fewer"),
    "no country": ({"country": ""}, "Choose your country"),
    "an unknown country": ({"country": "XX"}, "Choose your country from the list"),
    "a long postal code": ({"postal_code": "1" * 21}, "Your postal code must have 20 characters or fewer"),
    "a long city": ({"city": "x" * 101}, "Your city must have 100 characters or fewer"),
    "a link for a city": ({"city": "http://spam"}, "Your city can’t hold a link or an @"),
    "a long region": ({"region": "x" * 101}, "Your state or region must have 100 characters or fewer"),
    "a filled trap": ({"website": "http://spam.example"}, "Something filled in a field that is meant to stay empty"),
}


@pytest.mark.parametrize("htmx", [True, False], ids=["htmx", "no script"])
@pytest.mark.parametrize(("typed", "words"), REFUSED.values(), ids=REFUSED)
def test_bad_input_gets_words_beside_the_field_and_keeps_the_rest(
    sign: Sign, typed: dict[str, str], words: str, htmx: bool
) -> None:
    fields = {"city": "Köln & Umgebung", "anonymous": "y"} | typed
    answer = sign(htmx=htmx, **fields)
    assert answer.status_code == 422
    assert stored() == []
    assert ("<html" in answer.text) is not htmx
    (wrong,) = typed
    assert f'<a href="#{wrong}">{words}' in answer.text, "the summary leads to the field"
    message = re.search(rf'id="{wrong}-message"><span class="visually-hidden">Error:</span> (.*?)</p>', answer.text)
    assert message
    assert message[1].startswith(words)
    assert re.search(rf'id="{wrong}"[^>]*aria-describedby="{wrong}-message" aria-invalid="true"', answer.text)
    if wrong != "city":
        assert 'value="Köln &amp; Umgebung"' in answer.text
    if wrong != "email":
        assert 'value="ada@example.org"' in answer.text
    assert re.search(r'id="anonymous"[^>]* checked', answer.text)


def test_every_wrong_field_is_named_at_once(client: FlaskClient, campaign: Campaign) -> None:
    answer = client.post(f"{PATH}/signatures", data={"city": "Paris"})
    assert answer.status_code == 422
    for words in ("Enter your name", "Enter your email address", "Choose your country"):
        assert words in answer.text


def test_a_person_whose_browser_filled_the_trap_can_sign_at_the_second_try(sign: Sign) -> None:
    caught = sign(website="https://mine.example")
    assert re.search(r'id="website" name="website" type="text" value=""', caught.text)
    assert 'class="trap shown"' in caught.text
    assert sign(website="").status_code == 303
    assert len(stored()) == 1


def test_names_of_the_world_are_taken_as_they_are(sign: Sign) -> None:
    names = ["Nguyễn Thị Minh Khai", "محمد بن‌علی", "José M. Ph.D", "O’Brien-Smith", "李小龙", "Jr. St.John", "X Æ A-12"]
    for number, name in enumerate(names):
        assert sign(name=name, email=f"n{number}@example.org").status_code == 303, name
    assert [signature.name for signature in stored()] == names


def test_a_name_is_cleaned_of_what_cannot_be_seen(sign: Sign) -> None:
    sign(name="  Ada\u202e \t Love\u200blace\r\n")
    assert stored()[0].name == "Ada Lovelace"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"name=%FF%FE&email=a%40example.org&country=US", "application/x-www-form-urlencoded", 400),
        (b"name=\xff&email=a%40example.org&country=US", "application/x-www-form-urlencoded", 400),
        (b"name=Ada&email=a%40example.org", "application/x-www-form-urlencoded; charset=utf-16", 415),
        (b'{"name": "Ada"}', "application/json", 415),
        (b"name=Ada", "text/plain", 415),
        (b"name=Ada", "", 415),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x", 415),
        (b"name=" + b"x" * 65536, "application/x-www-form-urlencoded", 413),
    ],
)
def test_a_body_that_is_no_whole_form_gets_our_own_page(
    client: FlaskClient, campaign: Campaign, body: bytes, content_type: str, status: int
) -> None:
    answer = client.post(f"{PATH}/signatures", data=body, content_type=content_type)
    assert answer.status_code == status
    assert '<header class="site">' in answer.text
    notice = client.post(f"{PATH}/signatures", data=body, content_type=content_type, headers=HTMX)
    assert notice.status_code == status
    assert notice.headers["HX-Retarget"] == "#notice"
    assert "<html" not in notice.text
    assert stored() == []


def test_a_body_that_is_cut_off_is_refused(client: FlaskClient, campaign: Campaign) -> None:
    whole = b"name=Ada&email=ada%40example.org&country=US"
    answer = client.post(
        f"{PATH}/signatures",
        input_stream=io.BytesIO(whole),
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"CONTENT_LENGTH": str(len(whole) + 10)},
    )
    assert answer.status_code == 400
    assert stored() == []
