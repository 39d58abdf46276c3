"""Long text and many combining marks cost little in every input."""

import pytest
from email_validator import EmailNotValidError
from flask import Flask
from flask.testing import FlaskClient

from campaign.campaigns import sharing
from campaign.desk.signatures.forms import _shown
from campaign.models.account import Role
from campaign.models.campaign import Campaign
from campaign.models.columns import NAME_LENGTH
from campaign.moderation import search
from campaign.signatures import cleaning, places, signing, sources
from campaign.text.bounded_text import MOST_MARKS, MOST_TYPED, RefusedTextError, has_too_many_marks
from campaign.text.email_address import EMAIL_LENGTH
from tests.attacks.conftest import Work
from tests.conftest import HTMX, PATH, Sign, only_sqlite, stored
from tests.desk.conftest import AtDeskAs
from tests.desk.people import browser, enter_password

pytestmark = pytest.mark.slow

DOT_BELOW, GRAVE, MINUS_BELOW = "\u0323", "\u0300", "\u0320"
DOUBLE = "\u0344"
"""One code point that becomes two marks when normalized."""
TONE = "\u302e"
"""A spacing mark with a combining class, so normalization reorders it as well."""

ADDRESS_OF_320_KB = "a" + GRAVE * 80_000 + MINUS_BELOW * 80_000 + "@x.org"
LONG = {
    "an email address of marks": "a" + GRAVE * 3_000 + MINUS_BELOW * 3_000 + "@x.org",
    "marks in the domain": "a@" + "x" + (GRAVE + MINUS_BELOW) * 3_000 + ".org",
    "letters and marks": ("a" + GRAVE * 20 + MINUS_BELOW * 10) * 200,
    "text that grows when normalized": "\ufdfa" * 6_000,
}
"""Texts too long for every field, but short enough for a body of 64 KB."""
SHORT = {
    "a run of marks": "a" + GRAVE * 15 + MINUS_BELOW * 16,
    "marks that become two": "a" + DOUBLE * 30,
    "spacing marks between marks": "a" + (GRAVE * 10 + TONE) * 3,
    "marks behind invisible characters": "a" + (GRAVE * 20 + "\u202e") * 2,
}
"""Texts short enough for a name, with more marks in a row than bounded_text.py allows."""
TYPED = {**LONG, **SHORT}
MOST_WORK = 32 * EMAIL_LENGTH + 10_000
"""The most characters that a request may normalize.

email_validator normalizes 32 for each character of an email address.
"""


def each(texts: dict[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("text", texts.values(), ids=texts.keys())


@only_sqlite
@each(LONG)
@pytest.mark.parametrize("field", ["name", "email", "postal_code", "city", "region"])
def test_long_text_in_the_sign_form_gets_an_error_at_its_field(sign: Sign, work: Work, field: str, text: str) -> None:
    answer = sign(htmx=True, **{field: text})
    assert answer.status_code == 422
    assert answer.text.count('class="message"') == 1
    assert f'id="{field}-message"' in answer.text
    assert "characters or fewer" in answer.text
    assert text in answer.text, "the input is kept"
    assert work.normalized <= MOST_WORK
    assert not stored()


@only_sqlite
@each(SHORT)
@pytest.mark.parametrize("field", ["name", "city", "region"])
def test_too_many_marks_in_the_sign_form_get_an_error_at_the_field(
    sign: Sign, work: Work, field: str, text: str
) -> None:
    answer = sign(htmx=True, **{field: text})
    assert answer.status_code == 422
    assert answer.text.count('class="message"') == 1
    assert "too many on one letter" in answer.text
    assert work.normalized <= MOST_WORK
    assert not stored()


@only_sqlite
@each(TYPED)
@pytest.mark.parametrize("field", ["country", "filled_from", "source", "website", "delivered", "anonymous"])
def test_long_text_in_other_sign_form_fields_costs_little(sign: Sign, work: Work, field: str, text: str) -> None:
    answer = sign(**{field: text})
    assert answer.status_code in (303, 422)
    assert work.normalized <= MOST_WORK
    # Cleaning the shortest texts leaves an ordinary word.
    assert {signature.source for signature in stored()} <= {"", "ä", "à"}


def test_longest_name_in_decomposed_letters_is_accepted(sign: Sign) -> None:
    # ǟ, typed as a letter and two marks, a hundred times: as long as a name may be.
    assert sign(name="a\u0308\u0304" * NAME_LENGTH).status_code == 303
    assert [signature.name for signature in stored()] == ["ǟ" * NAME_LENGTH]


@only_sqlite
@each(TYPED)
@pytest.mark.parametrize("field", ["postal_code", "city", "region", "filled_from", "country", "name", "email"])
def test_long_text_in_the_zip_code_lookup_costs_little(client: FlaskClient, work: Work, field: str, text: str) -> None:
    typed = {"country": "US", "postal_code": "90012"} | {field: text}
    assert client.post("/places", data=typed, headers=HTMX).status_code in (200, 204)
    assert work.normalized <= MOST_WORK


@only_sqlite
def test_largest_body_of_the_zip_code_lookup_costs_little(client: FlaskClient, work: Work) -> None:
    # The lookup needs no rate limit: all it does with a body of 64 KB is parse it.
    names = ("name", "email", "postal_code", "city", "region", "filled_from", "source")
    typed = dict.fromkeys(names, "a" + (GRAVE + MINUS_BELOW) * 750)
    assert client.post("/places", data=typed, headers=HTMX).status_code == 204
    assert work.normalized <= MOST_WORK
    too_much = client.post("/places", data={"city": "a" * 66_000}, headers=HTMX)
    assert too_much.status_code == 413


@only_sqlite
@each(TYPED)
def test_long_referrer_costs_little(client: FlaskClient, campaign: Campaign, work: Work, text: str) -> None:
    for link in (f"http://localhost{PATH}?ref={text}", f"http://localhost{PATH}?ref=" + "a" * 5_000, f"//{text}"):
        headers = {"Referer": link.encode().decode("latin-1")}
        assert client.post(f"{PATH}/signatures", data={"name": ""}, headers=headers).status_code == 422
    assert work.normalized <= MOST_WORK


@only_sqlite
@each(TYPED)
def test_long_mastodon_server_is_refused(client: FlaskClient, campaign: Campaign, work: Work, text: str) -> None:
    for name in (text, f"{text}.example.org", f"mastodon.{text}", "a." * 5_000, "xn--" + "a" * 5_000):
        answer = client.get(f"{PATH}/share/mastodon", query_string={"instance": name})
        assert answer.status_code == 422
        assert 'id="instance-message"' in answer.text
    assert work.normalized <= 5 * MOST_WORK


@only_sqlite
@each(TYPED)
@pytest.mark.parametrize(
    "path",
    ["/campaigns/{}", "/campaigns/{}/signatures", f"{PATH}/signatures?before={{}}", "/desk/campaigns/{}/edit", "/{}"],
)
def test_long_text_in_a_url_costs_little(
    client: FlaskClient, campaign: Campaign, work: Work, path: str, text: str
) -> None:
    assert client.get(path.format(text)).status_code in (302, 404)
    assert work.normalized <= MOST_WORK


@each(TYPED)
def test_long_email_address_at_sign_in_costs_little(app: Flask, work: Work, text: str) -> None:
    client = browser(app)
    for address in (text, f"{text}@example.org", f"ada@{text}"):
        answer = enter_password(client, address)
        assert answer.status_code == 422
        assert address in answer.text, "the input is kept"
    assert work.normalized <= 3 * MOST_WORK


@only_sqlite
def test_email_address_of_320_kb_is_not_normalized(app: Flask, work: Work) -> None:
    client = browser(app)
    assert enter_password(client, ADDRESS_OF_320_KB).status_code in (413, 422)
    with pytest.raises(EmailNotValidError):
        signing.email_key(ADDRESS_OF_320_KB)
    assert work.normalized == 0


@only_sqlite
@each(TYPED)
def test_long_return_url_at_sign_in_is_refused(app: Flask, work: Work, text: str) -> None:
    client = browser(app)
    for address in (f"/{text}" + "a" * 2_000, f"//{text}" + GRAVE * 31, f"/\t/{text}" + GRAVE * 31, "//["):
        assert enter_password(client, "ada@example.org", next=address).status_code == 400
        assert client.get("/desk/sign-in", query_string={"next": address}).status_code == 400
    assert work.normalized <= MOST_WORK


@each(TYPED)
def test_long_email_address_cannot_be_invited(at_desk: AtDeskAs, work: Work, text: str) -> None:
    admin = at_desk(Role.ADMIN)
    for address in (text, f"{text}@example.org"):
        answer = admin.post("/desk/accounts", data={"email": address, "role": "organizer"})
        assert answer.status_code == 422
        assert 'id="email-message"' in answer.text
        assert address in answer.text, "the input is kept"
    assert work.normalized <= 2 * MOST_WORK


@each(LONG | {"marks behind invisible characters": SHORT["marks behind invisible characters"]})
@pytest.mark.parametrize("field", ["words", "address", "source"])
def test_long_search_at_the_desk_gets_an_error_at_its_field(
    at_desk: AtDeskAs, campaign: Campaign, work: Work, field: str, text: str
) -> None:
    admin = at_desk(Role.ADMIN)
    for act in ("search", "hide", "addresses", "undo"):
        answer = admin.post(f"/desk{PATH}/signatures/{act}", data={field: text, "reason": "spam", "everyone": "y"})
        assert answer.status_code == 422
        assert "characters or fewer" in answer.text or "too many on one letter" in answer.text
        assert _shown(text) in answer.text, "the input is kept"
    assert work.normalized <= MOST_WORK


@only_sqlite
@each(LONG)
def test_long_reason_is_refused(at_desk: AtDeskAs, campaign: Campaign, work: Work, text: str) -> None:
    sent = {"reason": text, "id": "1"}
    answer = at_desk(Role.ADMIN).post(f"/desk{PATH}/signatures/hide", data=sent)
    assert answer.status_code == 422
    assert "Shorten “Reason” to 500 characters or fewer" in answer.text
    assert work.normalized <= MOST_WORK


@only_sqlite
@each(LONG)
def test_long_title_makes_no_slug_and_is_refused(at_desk: AtDeskAs, work: Work, text: str) -> None:
    admin = at_desk(Role.ADMIN)
    answer = admin.post("/desk/campaigns/new", data={"title": text})
    assert answer.status_code == 422
    assert "200 characters or fewer" in answer.text
    assert admin.post("/desk/campaigns/preview", data={"title": text}).status_code == 200
    assert work.normalized <= MOST_WORK


@only_sqlite
@each(TYPED)
def test_long_passkey_name_is_refused(at_desk: AtDeskAs, work: Work, text: str) -> None:
    answer = at_desk(Role.ADMIN).post("/desk/account/passkeys", data={"name": text + "a" * 65, "usage": "secondary"})
    assert answer.status_code == 422
    assert "The name must have 64 characters or fewer" in answer.text
    assert work.normalized == 0


@pytest.mark.parametrize("address", ["a" * 300 + "@x.org", "ǟ" * 200 + "@x.org", "a@" + "a." * 200 + "org"])
def test_email_address_longer_than_the_limit_is_invalid(address: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        signing.email_key(address)


def test_punycode_domain_with_too_many_marks_is_invalid(app: Flask) -> None:
    hidden = ("a" + "".join(map(chr, range(0x0300, 0x0330)))).encode("punycode").decode()
    assert enter_password(browser(app), f"ada@xn--{hidden}.org").status_code == 422


def test_decomposed_email_address_is_the_same_mailbox() -> None:
    assert signing.email_key("u\u0308" * 100 + "@x.org") == signing.email_key("ü" * 100 + "@x.org")


@each(TYPED)
def test_every_text_function_refuses_or_ignores_long_text(work: Work, text: str) -> None:
    assert has_too_many_marks(cleaning.clean(text)) or len(cleaning.clean(text)) > EMAIL_LENGTH
    assert sources.word(text) in ("", "ä", "à")
    assert sources.from_link(f"http://localhost/?ref={text}") in ("", "ä", "à")
    assert places.place_of("US", text) is None
    with pytest.raises(ValueError, match=r"host|more than"):
        sharing.mastodon_link(text, "https://example.org", "")
    with pytest.raises(RefusedTextError):
        search._cleaned(text + GRAVE * (MOST_MARKS + 1))
    assert work.normalized <= 10 * MOST_TYPED * EMAIL_LENGTH
