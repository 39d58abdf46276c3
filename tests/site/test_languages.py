"""The language of each response: that of the campaign, or, for pages that belong to none, what the visitor prefers."""

import gzip
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from campaign import create_app
from campaign.campaigns.files import reading
from campaign.languages import catalogs, speaking
from campaign.models.campaign import Campaign, CampaignState
from campaign.settings import ROOT, SettingError, Settings
from campaign.signatures import fake
from campaign.storage.transactions import write_transaction
from tests.conftest import ADA, HTMX, PATH, Publish, only_sqlite

# Pages look the same on both databases.
pytestmark = only_sqlite

HTML = re.compile(r'<html lang="([^"]+)" dir="([^"]+)">')


def language(page: str) -> tuple[str, str]:
    """Return the language and direction of a page."""
    found = HTML.search(page)
    assert found, page[:200]
    return found[1], found[2]


def said(tag: str, message: str, **values: object) -> str:
    """Return a message in a language."""
    with speaking.use(tag):
        return speaking.gettext(message, **values)


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", ("en", "ltr")),
        ("es", ("es", "ltr")),
        ("eo, de-CH;q=0.8, es;q=0.9", ("es", "ltr")),
        ("ar-EG", ("ar", "rtl")),
        ("zh-TW,zh;q=0.9", ("zh-Hant", "ltr")),
        ("eo", ("en", "ltr")),
        ("*", ("en", "ltr")),
        (";;q=,,x" * 9, ("en", "ltr")),
        ("es," * 200, ("en", "ltr")),
    ],
)
@pytest.mark.parametrize("path", ["/campaigns", "/privacy", "/missing"])
def test_page_without_a_campaign_is_in_the_language_that_the_visitor_prefers(
    client: FlaskClient, path: str, accepted: str, expected: tuple[str, str]
) -> None:
    answer = client.get(path, headers={"Accept-Language": accepted})
    assert language(answer.text) == expected
    assert "Accept-Language" in answer.headers["Vary"]


def test_campaign_page_does_not_depend_on_what_the_visitor_prefers(client: FlaskClient, publish: Publish) -> None:
    publish(language="de")
    for path in (PATH, f"{PATH}/feed", f"{PATH}/signatures", f"{PATH}/privacy", f"{PATH}/share/mastodon"):
        answers = [client.get(path, headers={"Accept-Language": accepted}) for accepted in ("es", "")]
        assert answers[0].data == answers[1].data, path
        assert "Accept-Language" not in answers[0].headers.get("Vary", ""), path


def test_setting_decides_where_the_visitor_prefers_no_language_of_ours(app: Flask, client: FlaskClient) -> None:
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], site_language="fr")
    assert language(client.get("/campaigns", headers={"Accept-Language": "eo"}).text) == ("fr", "ltr")
    assert language(client.get("/campaigns").text) == ("fr", "ltr")
    assert language(client.get("/campaigns", headers={"Accept-Language": "es"}).text) == ("es", "ltr")


@pytest.mark.parametrize("tag", ["eo", "xx", "english", "de,en"])
def test_setting_must_be_a_language_that_has_a_catalog(settings: Settings, tag: str) -> None:
    with pytest.raises(SettingError, match=r"SITE_LANGUAGE: must be a language .* de, "):
        create_app(replace(settings, site_language=tag))


@pytest.mark.parametrize("headers", [HTMX, {}], ids=["htmx", "no script"])
def test_errors_of_the_form_are_in_the_language_of_the_page(
    client: FlaskClient, publish: Publish, headers: dict[str, str]
) -> None:
    publish(language="es")
    data = ADA | {"name": "", "city": "x" * 101, "language": "es"}
    answer = client.post(f"{PATH}/signatures", data=data, headers=headers)
    assert answer.status_code == 422
    with speaking.use("es"):
        one = "Shorten “%(field)s” to %(num)s character or fewer"
        too_long = speaking.ngettext(one, one.replace("character ", "characters "), 100, field=said("es", "City"))
    for words in (said("es", "There is a problem"), said("es", "Enter your name"), too_long):
        assert words in answer.text


def test_thank_you_is_in_the_language_of_the_page(client: FlaskClient, publish: Publish) -> None:
    publish(language="ja", donate_url="https://example.org")
    answer = client.post(f"{PATH}/signatures", data=ADA | {"anonymous": "y", "shown": "0"}, headers=HTMX)
    for message in ("Thank You!", "Spread the word", "Donate", "Anonymous"):
        assert said("ja", message) in answer.text, message
    assert said("ja", "Thank You!") in client.get(f"{PATH}/thanks").text


@pytest.mark.parametrize(
    ("posted", "shown"), [("de", "de"), ("de-AT", "de"), ("ar", "ar"), ("", "en"), ("eo", "en"), ("x" * 30, "en")]
)
def test_refusal_without_the_database_is_in_the_language_of_the_page(
    app: Flask, client: FlaskClient, campaign: Campaign, posted: str, shown: str
) -> None:
    with write_transaction() as session:
        session.execute(text("ALTER TABLE signature RENAME TO away"))
    answer = client.post(f"{PATH}/signatures", data=ADA | {"language": posted})
    assert answer.status_code == 503
    assert language(answer.text)[0] == shown
    assert said(shown, "We couldn’t save your signature") in answer.text
    assert f'name="language" value="{shown}"' in answer.text


def test_fields_that_a_zip_code_filled_in_keep_their_language(client: FlaskClient) -> None:
    answer = client.post("/places", data={"country": "US", "postal_code": "90012", "language": "de"})
    assert "Los Angeles" in answer.text
    assert said("de", "City") in answer.text


def test_feeds_for_machines_are_in_the_language_of_the_campaign(publish: Publish, client: FlaskClient) -> None:
    publish(language="de")
    assert client.post(f"{PATH}/signatures", data=ADA | {"anonymous": "y"}).status_code == 303
    assert client.get(f"{PATH}.json").json["signatures"]["recent"][0]["name"] == said("de", "Anonymous")  # type: ignore[index]
    atom = client.get(f"{PATH}.atom").text
    assert 'xml:lang="de"' in atom
    assert f"<title>{said('de', 'Anonymous')}</title>" in atom


@pytest.mark.parametrize("tag", catalogs.tags())
@pytest.mark.slow
def test_page_and_style_sheet_are_small_in_every_language(publish: Publish, client: FlaskClient, tag: str) -> None:
    [sample] = reading.read_all((ROOT / "campaigns").glob("*.md"))
    texts = {key: getattr(sample.campaign, key) for key in ("title", "summary", "letter")}
    campaign = publish(language=tag, **texts)
    list(fake.sign(campaign.id, 20, datetime.now(UTC)))
    headers = {"Accept-Encoding": "gzip"}
    page = client.get(PATH, headers=headers)
    style = re.search(r'href="(/static/site[^"]+\.css)"', gzip.decompress(page.data).decode())
    assert style
    assert len(page.data) + len(client.get(style[1], headers=headers).data) < 14 * 1024


def test_desk_stays_in_english(client: FlaskClient) -> None:
    answer = client.get("/desk/sign-in", headers={"Accept-Language": "de"})
    assert language_of_desk(answer.text) == "en"


def language_of_desk(page: str) -> str:
    found = re.search(r'<html lang="([^"]+)"', page)
    assert found
    return found[1]


def test_language_of_a_page_never_reaches_the_next_request(client: FlaskClient, publish: Publish) -> None:
    publish(language="de")
    client.get(f"{PATH}/signatures")
    assert not speaking.is_chosen()
    assert language(client.get("/missing").text)[0] == "en"


@pytest.mark.parametrize("tag", ["ja", "zh-Hans", "zh-Hant"])
def test_sentences_of_chinese_and_japanese_have_no_spaces_between_them(
    publish: Publish, client: FlaskClient, tag: str
) -> None:
    for state in (CampaignState.OPEN, CampaignState.WON, CampaignState.CLOSED):
        publish(language=tag, state=state)
        for path in (PATH, f"{PATH}/privacy"):
            assert not re.search(r"[。！？] +[^<\s]", client.get(path).text), (state, path)
