"""The sign form folds an email address before it validates it, stores the folded form, and shows what it changed."""

import re

import pytest
from flask.testing import FlaskClient

from campaign.models.campaign import Campaign
from campaign.signatures import tally
from campaign.storage.database import db
from tests.conftest import PATH, Sign, only_sqlite, stored

NOTE = "We removed or replaced characters that can’t be part of an email address"
SPELLINGS = ["ada７＠example.org", "Ada <ada7@EXAMPLE。org>", " mailto:ada7@example.org., ", "“ada7@example.org”"]


@pytest.mark.parametrize("htmx", [True, False], ids=["htmx", "no script"])
def test_address_is_stored_as_it_can_be_delivered_and_counted_once(sign: Sign, campaign: Campaign, htmx: bool) -> None:
    answers = [sign(htmx=htmx, email=email) for email in SPELLINGS]
    assert {answer.status_code for answer in answers} == {200 if htmx else 303}
    assert [(signature.email, signature.email_key) for signature in stored()] == [("ada7@example.org",) * 2]
    assert tally.count(db.session(), campaign.id) == 1
    without_times = {re.sub(r"<time.*?</time>", "", answer.text) for answer in answers}
    assert len(without_times) == 1, "no answer shows which spelling signed first"


@pytest.mark.parametrize("typed", SPELLINGS)
def test_thank_you_says_how_the_address_was_corrected(client: FlaskClient, sign: Sign, typed: str) -> None:
    assert "We saved your email address as <bdi>ada7@example.org</bdi>." in sign(htmx=True, email=typed).text
    thanks = sign(email=typed).location
    assert thanks == f"{PATH}/thanks?corrected=email", "no address gets into an access log"
    assert NOTE in client.get(thanks).text


@only_sqlite
@pytest.mark.parametrize("typed", [" Ada@Example.ORG\n", "ada@xn--bcher-kva.example"])
def test_thank_you_says_nothing_if_nothing_changed(client: FlaskClient, sign: Sign, typed: str) -> None:
    assert "We saved your email address as" not in sign(htmx=True, email=typed).text
    thanks = sign(email=typed).location
    assert thanks == f"{PATH}/thanks"
    assert NOTE not in client.get(thanks).text


@only_sqlite
@pytest.mark.parametrize("typed", SPELLINGS)
def test_form_that_is_shown_again_says_what_changed(sign: Sign, typed: str) -> None:
    page = sign(email=typed, name="").text
    assert 'name="email" type="email" value="ada7@example.org"' in page
    assert NOTE in page
    assert re.search(r'id="email"[^>]*aria-describedby="email-hint"', page)


@only_sqlite
@pytest.mark.parametrize(
    "typed", ["ada@example.org", " Ada@Example.ORG\n", "", "ada@bücher.example", "ada@xn--bcher-kva.example"]
)
def test_form_that_is_shown_again_says_nothing_if_nothing_changed(sign: Sign, typed: str) -> None:
    assert NOTE not in sign(email=typed, name="").text


@only_sqlite
def test_new_form_says_nothing_about_changes(client: FlaskClient, campaign: Campaign) -> None:
    assert NOTE not in client.get(PATH).text


@only_sqlite
def test_invalid_address_is_shown_folded_with_its_error(sign: Sign) -> None:
    page = sign(email="ada７＠example,").text
    assert 'value="ada7@example"' in page
    assert "Enter an email address, like name@example.org" in page
    assert 'aria-describedby="email-message email-hint"' in page


@only_sqlite
@pytest.mark.parametrize("field", ["name", "city", "region"])
def test_name_with_a_dot_is_stored_and_a_link_gets_an_error(sign: Sign, field: str) -> None:
    assert sign(**{field: "Dr.de Vries"}).status_code == 303
    assert getattr(stored()[0], field) == "Dr.de Vries"
    page = sign(**{field: "see my-site.com", "email": "other@example.org"})
    assert page.status_code == 422
    assert "If it’s not a link, put a space after each dot" in page.text
