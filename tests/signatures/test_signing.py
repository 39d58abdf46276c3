"""Signing with and without JavaScript, duplicates, and invalid input."""

import io
import re
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from campaign.models.campaign import Campaign
from campaign.settings import Settings
from campaign.signatures import fake, signing, tally
from campaign.signatures.signing import Details
from campaign.storage.database import db
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


def test_signing_without_script_redirects_to_the_thank_you_page_with_own_entry(sign: Sign, client: FlaskClient) -> None:
    answer = sign()
    assert (answer.status_code, answer.location) == (303, f"{PATH}/thanks")
    page = client.get(answer.location).text
    assert "Thank You!" in page
    assert "You did a good thing." in page
    assert "https://donate.example/park" in page
    assert "Ada Lovelace" in page
    assert "<strong>1</strong>" in page


def test_signing_with_htmx_returns_the_thank_you_panel_and_own_entry(sign: Sign) -> None:
    answer = sign(htmx=True)
    assert answer.status_code == 200
    assert "Thank You!" in answer.text
    assert "<html" not in answer.text
    own = re.search(r'<hx-partial hx-target="#recent" hx-swap="afterbegin">(.*?)</hx-partial>', answer.text, re.S)
    assert own
    assert "Ada Lovelace" in own[1]
    assert "Los Angeles, California, US" in own[1]
    assert answer.headers["HX-Trigger"] == "signed"


@pytest.mark.parametrize(
    ("shown", "counted"),
    [
        ("0", "<strong>1</strong> person has signed.<span> Let’s get to 100."),
        ("98", "<strong>99</strong> people have signed.<span> Let’s get to 100."),
        ("99", "We reached our goal of 100."),
        ("1233", "<strong>1,234</strong> people have signed.<span> Let’s get to 2,000."),
        ("9999999999", "<strong>10,000,000,000</strong> people have signed"),
    ],
)
def test_thank_you_counts_on_from_the_signers_page(sign: Sign, shown: str, counted: str) -> None:
    answer = sign(htmx=True, shown=shown)
    after = int(shown) + 1
    progress = re.search(
        r'<hx-partial hx-target="#progress" hx-swap="outerMorph">(.*?)</hx-partial>', answer.text, re.S
    )
    at_the_top = re.search(
        r'<hx-partial hx-target="#so-far" hx-swap="outerMorph">(.*?)</hx-partial>', answer.text, re.S
    )
    assert progress
    assert at_the_top
    assert counted in progress[1]
    assert f' value="{after}" aria-labelledby="count"' in progress[1]
    assert f"{after:,} p" in at_the_top[1]
    assert f'name="shown" form="sign-form" value="{after}"' in at_the_top[1]


@pytest.mark.parametrize("shown", ["", "-1", "1.5", "1e3", " 1", "٣", "x", "9" * 11, "9" * 5000, "\0", "<b>1"])
def test_count_that_is_not_from_our_page_is_ignored(sign: Sign, shown: str) -> None:
    answer = sign(htmx=True, shown=shown)
    assert answer.status_code == 200
    assert "Thank You!" in answer.text
    assert "#progress" not in answer.text
    assert len(stored()) == 1


def test_page_sends_the_count_that_it_shows(client: FlaskClient, campaign: Campaign, sign: Sign) -> None:
    sign()
    for path in ("", "/feed"):
        page = client.get(PATH + path).text
        assert re.findall(r'name="shown" form="([^"]*)" value="([^"]*)"', page) == [("sign-form", "1")]
    assert '<form id="sign-form"' in client.get(PATH).text


def test_signature_stores_exactly_what_was_typed(sign: Sign, campaign: Campaign) -> None:
    sign(postal_code="75001", country="FR", city="Paris", anonymous="y", updates="y")
    (signature,) = stored()
    assert signature.campaign_id == campaign.id
    assert (signature.name, signature.email) == ("Ada Lovelace", "ada@example.org")
    assert (signature.country, signature.region, signature.city) == ("FR", "", "Paris")
    assert signature.postal_code == "75001"
    assert (signature.anonymous, signature.wants_updates) == (True, True)
    assert signature.listed_at == signature.signed_at


def test_signature_stores_the_language_of_the_signed_page(publish: Publish, settings: Settings) -> None:
    campaign = publish(language="en")
    for language in ("es", "pt-BR"):
        campaign.language = language
        for email in (f"ada@{language}.example.org", "ada@example.org"):
            signing.sign(db.engine, campaign, Details("Ada", email, "US"), datetime.now(UTC), settings)
    assert [signature.language for signature in stored()] == ["es", "es", "pt-BR"]


def test_fake_signatures_have_the_campaigns_language(publish: Publish) -> None:
    list(fake.sign(publish(language="de").id, 2, datetime.now(UTC)))
    assert [signature.language for signature in stored()] == ["de", "de"]


def test_signer_gets_no_updates_without_opting_in(sign: Sign) -> None:
    sign()
    assert stored()[0].wants_updates is False


def test_zip_code_fills_in_only_empty_city_and_state(sign: Sign) -> None:
    sign(postal_code="10001-1234")
    sign(email="b@example.org", postal_code="10001", city="Brooklyn")
    sign(email="c@example.org", postal_code="10001", region="NY")
    sign(email="d@example.org", postal_code="10001", region="ca")
    places = [(signature.city, signature.region) for signature in stored()]
    assert places == [("New York", "New York"), ("Brooklyn", ""), ("New York", "New York"), ("", "California")]


def test_city_from_an_earlier_zip_code_is_not_published(sign: Sign) -> None:
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
def test_ten_spellings_of_a_mailbox_are_counted_once(sign: Sign, campaign: Campaign, htmx: bool) -> None:
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
def test_email_key_is_the_same_for_all_encodings_of_an_address(one: str, other: str) -> None:
    assert signing.email_key(one) == signing.email_key(other)


def test_email_key_keeps_dots_unless_the_provider_ignores_them() -> None:
    assert signing.email_key("a.da@example.org") != signing.email_key("ada@example.org")


def test_duplicate_gets_the_same_response_as_a_new_signature(sign: Sign) -> None:
    def without_times(html: str) -> str:
        return re.sub(r"<time.*?</time>", "", html)

    def headers(answer: TestResponse) -> dict[str, str]:
        # Each request has its own random ID, which is generated before the request is read.
        return {name: value for name, value in answer.headers.items() if name != "X-Request-ID"}

    fields = {"name": "Somebody", "city": "Paris", "shown": "7"}
    new = sign(htmx=True, email="new@example.org", **fields)
    sign(email="ada@example.org")
    duplicate = sign(htmx=True, email="ada@example.org", **fields)
    assert "<strong>8</strong> people have signed" in new.text
    assert without_times(duplicate.text) == without_times(new.text)
    assert headers(duplicate) == headers(new)
    without_script = [sign(email=email) for email in ("fresh@example.org", "ada@example.org")]
    assert without_script[0].data == without_script[1].data
    assert headers(without_script[0]) == headers(without_script[1])


@pytest.mark.parametrize(
    "name", ["J.de Vries", "P.in t Veld", "M.de la Cruz", "Dr. No", "O’Brien", "Jean-Luc", "李小龍", "رضا‌پور"]
)
def test_real_names_are_not_taken_for_links(sign: Sign, name: str) -> None:
    assert sign(name=name).status_code == 303
    assert stored()[0].name == name


def test_duplicate_does_not_change_the_first_signature(sign: Sign) -> None:
    sign(name="Ada Lovelace")
    sign(name="Somebody Else", anonymous="y")
    assert [(signature.name, signature.anonymous) for signature in stored()] == [("Ada Lovelace", False)]


def test_mailbox_can_sign_several_campaigns(client: FlaskClient, publish: Publish) -> None:
    for slug in ("one", "two"):
        publish(slug=slug)
        assert client.post(f"/campaigns/{slug}/signatures", data=ADA).status_code == 303
    assert len(stored()) == 2


REFUSED = {
    "no name": ({"name": ""}, "Enter your name"),
    "an invisible name": ({"name": " \u200b\u200d "}, "Enter your name"),
    "a name of blank letters": ({"name": "\u3164\u115f\uffa0\u2063"}, "Enter your name"),
    "a name of dots": ({"name": "..."}, "Enter your name"),
    "a long name": ({"name": "x" * 101}, "Shorten “Name” to 100 characters or fewer"),
    "a link as name": ({"name": "see https://spam.example"}, "“Name” can’t contain a link or an @ sign"),
    "a bare link as name": ({"name": "Buy at cheap.com"}, "“Name” can’t contain a link or an @ sign"),
    "www in a name": ({"name": "www.spam"}, "“Name” can’t contain a link or an @ sign"),
    "a link in full-width letters": ({"name": "evil．com"}, "“Name” can’t contain a link or an @ sign"),
    "a link with an ideographic stop": ({"name": "evil。com"}, "“Name” can’t contain a link or an @ sign"),
    "a link with a two-letter domain": ({"name": "see casino.pw"}, "“Name” can’t contain a link or an @ sign"),
    "a full-width @ in a name": ({"name": "Ada＠evil"}, "“Name” can’t contain a link or an @ sign"),
    "an email address as name": ({"name": "ada@example"}, "“Name” can’t contain a link or an @ sign"),
    "a formula as name": ({"name": "=1+1"}, "Your name can’t start with =, +, -, or @"),
    "a control character": ({"name": "Ada\x00"}, "“Name” contains a character that can’t be shown"),
    "a full-width formula as name": ({"name": "＝1+1 A"}, "Your name can’t start with =, +, -, or @"),
    "a teletype separator": ({"name": "Ada\x1fL"}, "“Name” contains a character that can’t be shown"),
    "a noncharacter": ({"name": "Ada\ufdd0"}, "“Name” contains a character that can’t be shown"),
    "a control character in a city": ({"city": "Pa\x07ris"}, "“City” contains a character that can’t be shown"),
    "no email address": ({"email": ""}, "Enter your email address"),
    "half an email address": ({"email": "ada@"}, "Enter an email address, like name@example.org"),
    "no domain": ({"email": "ada@localhost"}, "Enter an email address, like name@example.org"),
    "two email addresses": ({"email": "a@example.org, b@example.org"}, "Enter one email address"),
    "two email addresses with a space": ({"email": "a@example.org b@example.org"}, "Enter one email address"),
    "a long email address": (
        {"email": f"{'x' * 250}@example.org"},
        "Shorten “Email” to 254 characters or fewer",
    ),
    "no country": ({"country": ""}, "Choose your country"),
    "an unknown country": ({"country": "XX"}, "Choose your country from the list"),
    "a long postal code": ({"postal_code": "1" * 21}, "Shorten “Postal code” to 20 characters or fewer"),
    "a long city": ({"city": "x" * 101}, "Shorten “City” to 100 characters or fewer"),
    "a link as city": ({"city": "http://spam"}, "“City” can’t contain a link or an @ sign"),
    "a long region": ({"region": "x" * 101}, "Shorten “State or region” to 100 characters or fewer"),
    "a filled honeypot": ({"website": "http://spam.example"}, "A field that must stay empty was filled in"),
}


@pytest.mark.parametrize("htmx", [True, False], ids=["htmx", "no script"])
@pytest.mark.parametrize(("typed", "words"), REFUSED.values(), ids=REFUSED)
def test_invalid_field_gets_an_error_and_other_fields_keep_their_values(
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


def test_all_invalid_fields_get_errors_at_once(client: FlaskClient, campaign: Campaign) -> None:
    answer = client.post(f"{PATH}/signatures", data={"city": "Paris"})
    assert answer.status_code == 422
    for words in ("Enter your name", "Enter your email address", "Choose your country"):
        assert words in answer.text


def test_signer_whose_browser_filled_the_honeypot_can_sign_at_the_second_try(sign: Sign) -> None:
    caught = sign(website="https://mine.example")
    assert re.search(r'id="website" name="website" type="text" value=""', caught.text)
    assert 'class="trap shown"' in caught.text
    assert sign(website="").status_code == 303
    assert len(stored()) == 1


def test_names_in_many_scripts_are_stored_unchanged(sign: Sign) -> None:
    names = ["Nguyễn Thị Minh Khai", "محمد بن‌علی", "José M. Ph.D", "O’Brien-Smith", "李小龙", "Jr. St.John", "X Æ A-12"]
    for number, name in enumerate(names):
        assert sign(name=name, email=f"n{number}@example.org").status_code == 303, name
    assert [signature.name for signature in stored()] == names


def test_invisible_characters_are_removed_from_names(sign: Sign) -> None:
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
def test_malformed_form_body_gets_the_sites_error_page(
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


def test_truncated_body_is_refused(client: FlaskClient, campaign: Campaign) -> None:
    whole = b"name=Ada&email=ada%40example.org&country=US"
    answer = client.post(
        f"{PATH}/signatures",
        input_stream=io.BytesIO(whole),
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"CONTENT_LENGTH": str(len(whole) + 10)},
    )
    assert answer.status_code == 400
    assert stored() == []
