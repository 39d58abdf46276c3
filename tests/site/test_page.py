"""The campaign page: its parts and their order, its states, its metadata, and its size."""

import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from campaign.campaigns import stages
from campaign.models.campaign import Campaign, CampaignState
from campaign.settings import ROOT
from campaign.web.errors import WORDS
from tests.conftest import ADA, HTMX, PATH, Publish, Sign, only_sqlite, stored

pytestmark = only_sqlite

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def assert_in_order(page: str, pieces: list[str]) -> None:
    places = [page.find(piece) for piece in pieces]
    assert -1 not in places, pieces[places.index(-1)]
    assert places == sorted(places)


def test_page_shows_letter_count_form_and_signatories_in_order(sign: Sign, client: FlaskClient) -> None:
    sign()
    page = client.get(PATH).text
    order = [
        '<header class="site"><a href="/">Campaign</a>',
        '<p class="category">Environment</p>',
        "<h1>Save the Park</h1>",
        '<p class="summary">The council wants to sell it.</p>',
        "1 person has signed. Goal: 100",
        "<li>The Mayor</li><li>The Council</li>",
        "<p>please <em>keep</em> the park.</p>",
        ">Signed</h2>",
        "<strong>1</strong> person has signed",
        "Let’s get to 100.",
        "<progress",
        "<form",
        'name="name"',
        'name="email"',
        'name="country"',
        'name="postal_code"',
        'name="city"',
        'name="region"',
        "Don’t show my name or city; list only my country",
        "Keep me posted",
        "Take Action",
        "We show your name",
        "How we handle your data",
        "Recent Signatories",
        "Ada Lovelace",
        "See all signatories",
        "</main>",
    ]
    assert_in_order(page, order)


LETTER, LIST = (
    ["<h1>Save the Park</h1>", ">Signed</h2>", "</strong> people have signed"],
    ["Recent Signatories", "See all signatories"],
)


def test_panel_is_between_letter_and_list_on_every_page(client: FlaskClient, publish: Publish, sign: Sign) -> None:
    sign()
    sign(email="b@example.org")
    thanks = ["Thank You!", "Spread the word", ">Donate</h3>"]
    assert_in_order(client.get(f"{PATH}/thanks").text, LETTER + thanks + LIST)
    refused = sign(email="ada@")
    assert refused.status_code == 422
    assert_in_order(refused.text, [*LETTER, "There is a problem", "Take Action", *LIST])
    publish(opens_at=NOW + DAY)
    early = sign(email="early@example.org")
    assert early.status_code == 409
    assert_in_order(early.text, [*LETTER, "Not open yet", "Ada Lovelace"])
    for state, words in ((CampaignState.CLOSED, "This petition is closed"), (CampaignState.WON, "We won!")):
        publish(state=state)
        late = sign(email="late@example.org")
        assert late.status_code == 410
        assert_in_order(late.text, [*LETTER, words, *LIST])


@pytest.mark.parametrize(("signers", "words"), [(0, "0 people have"), (1, "1 person has"), (2, "2 people have")])
def test_count_has_a_noun_in_each_place(client: FlaskClient, sign: Sign, signers: int, words: str) -> None:
    for number in range(signers):
        sign(email=f"{number}@example.org")
    for path in ("", "/feed", "/thanks"):
        text = re.sub(r"</?strong>", "", client.get(PATH + path).text)
        assert text.count(f">{words} signed") == 2, path
        assert f'data-announcement="{words} signed this letter."' in text
    assert f"<strong>{signers}</strong>{words[1:]} signed" in client.get(f"{PATH}/signatures").text


def test_form_fields_support_autofill(client: FlaskClient, campaign: Campaign) -> None:
    page = client.get(PATH).text
    for name, token in {
        "name": "name",
        "email": "email",
        "country": "country",
        "postal_code": "postal-code",
        "city": "address-level2",
        "region": "address-level1",
    }.items():
        assert re.search(rf'name="{name}"[^>]*autocomplete="{token}"', page)
    assert re.search(r'type="email"[^>]*inputmode="email"', page)


def test_countries_are_named_in_the_campaigns_language(client: FlaskClient, publish: Publish) -> None:
    publish(language="de")
    page = client.get(PATH).text
    assert '<option value="DE">Deutschland</option>' in page
    assert page.index(">Ägypten<") < page.index(">Belgien<"), "sorted by the language's rules, not by code point"
    assert page.count("<option") == 251


def test_page_is_in_the_language_of_its_letter(client: FlaskClient, publish: Publish) -> None:
    publish(language="ar")
    page = client.get(PATH).text
    assert '<html lang="ar" dir="rtl">' in page
    assert page.count("lang=") == 1, "nothing on the page is in another language"


def test_letter_in_a_language_without_a_catalog_is_marked_on_an_english_page(
    client: FlaskClient, publish: Publish
) -> None:
    publish(language="ps")
    page = client.get(PATH).text
    assert '<html lang="en" dir="ltr">' in page
    assert '<div class="words" lang="ps" dir="rtl">' in page
    assert '<option value="AF" lang="ps" dir="rtl">افغانستان</option>' in page
    assert "0 people have signed." in page


def test_letter_html_is_sanitized(client: FlaskClient, publish: Publish) -> None:
    publish(
        letter="# Hello\n\n<script>alert(1)</script><img src=x onerror=alert(1)>\n\n[a](javascript:alert(1)) "
        "[b](https://ok.example) ![c](https://track.example/x.png)"
    )
    page = client.get(PATH).text
    words = page[page.index('<div class="words"') : page.index(">Signed<")]
    assert "<script" not in words
    assert "<img" not in words
    assert 'href="javascript' not in words
    assert '<a href="https://ok.example" rel="noopener noreferrer">b</a>' in words
    assert "<h2>Hello</h2>" in words, "only the title is an h1"


def test_upcoming_campaign_shows_when_it_opens_and_refuses_signatures(client: FlaskClient, publish: Publish) -> None:
    publish(opens_at=datetime(2099, 3, 1, 9, tzinfo=UTC))
    page = client.get(PATH)
    assert page.status_code == 200
    assert "Not open yet" in page.text
    assert "March 1, 2099, 9:00 AM UTC" in page.text
    assert "<form" not in page.text
    early = client.post(f"{PATH}/signatures", data=ADA)
    assert early.status_code == 409
    assert "Not open yet" in early.text
    assert stored() == []


@pytest.mark.parametrize(
    ("language", "zone", "expected"),
    [
        ("en", "Europe/Berlin", "March 1, 2099, 10:00 AM GMT+01:00"),
        ("de", "America/New_York", "1. März 2099, 04:00 GMT-05:00"),
        ("fr", "Asia/Kolkata", "1 mars 2099, 14:30 UTC+05:30"),
        ("ja", "Asia/Tokyo", "2099年3月1日 18:00 GMT+09:00"),
        ("ar", "Asia/Riyadh", "1 مارس 2099، 12:00 م \u2068غرينتش+03:00\u2069"),
    ],
)
def test_times_use_and_name_the_campaigns_time_zone(
    client: FlaskClient, publish: Publish, language: str, zone: str, expected: str
) -> None:
    publish(opens_at=datetime(2099, 3, 1, 9, tzinfo=UTC), language=language, time_zone=zone)
    assert f">{expected}</time>" in client.get(PATH).text


def test_open_campaign_shows_when_it_closes(client: FlaskClient, publish: Publish) -> None:
    publish(closes_at=datetime(2099, 3, 1, 9, tzinfo=UTC), time_zone="Europe/Berlin")
    for path in (PATH, f"{PATH}/feed", f"{PATH}/signatures"):
        page = client.get(path).text
        assert re.search(r"<time[^>]*>[^<]*March[^<]*10:00[^<]*</time>", page), path
    publish(slug="for-ever")
    assert "<time" not in client.get("/campaigns/for-ever").text


@pytest.mark.parametrize("closed_by", ["organizer", "closing time"])
def test_closed_campaign_keeps_letter_count_and_list_without_form(
    client: FlaskClient, publish: Publish, sign: Sign, closed_by: str
) -> None:
    sign()
    if closed_by == "closing time":
        publish(opens_at=NOW - 2 * DAY, closes_at=NOW - DAY)
    else:
        publish(state=CampaignState.CLOSED)
    page = client.get(PATH)
    assert page.status_code == 200
    for piece in ("This petition is closed", "1 person signed it", "please <em>keep</em>", "Ada Lovelace"):
        assert piece in page.text
    assert "<form" not in page.text
    assert "hx-trigger" not in page.text, "a closed campaign's list is not refreshed"
    for headers in ({}, HTMX):
        late = client.post(f"{PATH}/signatures", data=ADA | {"email": "late@example.org"}, headers=headers)
        assert late.status_code == 410
        assert "This petition is closed" in late.text
        assert ("<html" in late.text) is not bool(headers)
    assert len(stored()) == 1


def test_won_campaign_announces_the_win(client: FlaskClient, publish: Publish) -> None:
    publish(state=CampaignState.WON)
    assert "We won!" in client.get(PATH).text
    assert client.post(f"{PATH}/signatures", data=ADA).status_code == 410


def test_reached_goal_is_celebrated_and_raised(client: FlaskClient, publish: Publish, sign: Sign) -> None:
    publish(goal=2)
    sign()
    assert "Let’s get to 2." in client.get(PATH).text
    sign(email="b@example.org")
    page = client.get(PATH).text
    assert "We reached our goal of 2." in page
    assert "Let’s get to 5." in page
    assert '<progress max="5" value="2"' in page


@pytest.mark.parametrize(
    ("goal", "count", "shown", "reached"),
    [
        (100, 0, 100, None),
        (100, 99, 100, None),
        (100, 100, 200, 100),
        (100, 199, 200, 100),
        (100, 200, 500, 200),
        (1300, 1300, 2000, 1300),
        (9, 9, 10, 9),
        (999, 5_000_000, 10_000_000, 5_000_000),
    ],
)
def test_reached_goal_rises_to_the_next_round_number(
    publish: Publish, goal: int, count: int, shown: int, reached: int | None
) -> None:
    progress = stages.progress(publish(goal=goal), count)
    assert (progress.goal, progress.reached) == (shown, reached)


def test_draft_is_hidden_on_every_route(client: FlaskClient, publish: Publish) -> None:
    publish(state=CampaignState.DRAFT)
    for path in ("", "/thanks", "/feed", "/signatures", ".json", ".atom", "/share/mastodon", "/privacy"):
        assert client.get(PATH + path).status_code == 404
    assert client.post(f"{PATH}/signatures", data=ADA).status_code == 404
    assert "Save the Park" not in client.get("/").text


@pytest.mark.parametrize(
    "path", ["/campaigns/none", "/campaigns/none/feed", "/nothing", "/campaigns/a.b", "/campaigns/"]
)
def test_unknown_url_gets_the_404_page(client: FlaskClient, campaign: Campaign, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert WORDS[404].title in answer.text


def test_wrong_method_gets_the_405_page(client: FlaskClient, campaign: Campaign) -> None:
    answer = client.post(PATH, data=ADA)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert WORDS[405].title in answer.text


@pytest.mark.parametrize("path", ["/", PATH, "/healthz", "/desk/sign-in", "/desk/"])
@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "DELETE"])
@pytest.mark.slow
def test_unused_methods_are_refused(client: FlaskClient, campaign: Campaign, method: str, path: str) -> None:
    assert client.open(path, method=method).status_code == 405


def test_home_redirects_to_the_only_open_campaign(client: FlaskClient, publish: Publish) -> None:
    assert "There are no petitions yet" in client.get("/").text
    publish()
    publish(slug="old", title="An old one", state=CampaignState.CLOSED)
    answer = client.get("/")
    assert (answer.status_code, answer.location) == (302, PATH)
    publish(slug="new", title="A new one")
    page = client.get("/").text
    assert page.index("A new one") < page.index("Save the Park") < page.index("An old one")
    assert "Closed · 0 people have signed." in page


def test_page_has_metadata_for_search_engines_and_link_previews(client: FlaskClient, publish: Publish) -> None:
    publish(title='Save <the> "Park"</script>')
    page = client.get(PATH).text
    url = f"http://127.0.0.1:8000{PATH}"
    assert f'<link rel="canonical" href="{url}">' in page
    for property_ in ("title", "description", "url", "site_name", "type", "locale"):
        assert f'property="og:{property_}"' in page
    assert 'name="twitter:card"' in page
    assert 'name="description" content="The council wants to sell it."' in page
    data = re.search(r'<script type="application/ld\+json">(.*?)</script>', page, re.S)
    assert data
    assert json.loads(data[1])["name"] == 'Save <the> "Park"</script>'


@pytest.mark.parametrize(
    ("language", "locale"),
    [
        ("en", "en_US"),
        ("de", "de_DE"),
        ("de-AT", "de_AT"),
        ("pt", "pt_BR"),
        ("pt-PT", "pt_PT"),
        ("zh-Hant", "zh_TW"),
        ("sr-Latn", "sr_RS"),
        ("ar", "ar_EG"),
        ("es-419", "es_ES"),
        ("en-001", "en_US"),
        ("eo", ""),
    ],
)
def test_link_preview_names_language_and_territory(
    client: FlaskClient, publish: Publish, language: str, locale: str
) -> None:
    publish(language=language)
    found = re.findall(r'<meta property="og:locale" content="(.*?)">', client.get(PATH).text)
    assert found == [locale] * bool(locale)


def test_canonical_url_ignores_the_host_header(client: FlaskClient, campaign: Campaign) -> None:
    page = client.get(PATH, headers={"Host": "evil.example"}).text
    assert "evil.example" not in page


def test_page_and_style_sheet_fit_into_the_first_round_trip(client: FlaskClient, publish: Publish) -> None:
    sample = (ROOT / "campaigns" / "end-ring-police-partnerships.md").read_text()
    publish(letter=sample.split("---\n", 2)[2])
    for number in range(10):
        client.post(f"{PATH}/signatures", data=ADA | {"email": f"{number}@example.org", "name": f"Signer {number}"})
    for encoding in ("gzip", "br", "zstd"):
        answers = [client.get(path, headers={"Accept-Encoding": encoding}) for path in (PATH, "/static/site.css")]
        assert [answer.headers["Content-Encoding"] for answer in answers] == [encoding] * 2
        assert sum(len(answer.data) for answer in answers) < 14 * 1024
    assert b"Signer 9" in gzip.decompress(client.get(PATH, headers={"Accept-Encoding": "gzip"}).data)


def test_pages_load_only_htmx_from_another_host(client: FlaskClient, sign: Sign) -> None:
    sign()
    for path in (PATH, f"{PATH}/thanks", f"{PATH}/signatures", f"{PATH}/share/mastodon", "/privacy"):
        page = client.get(path).text
        fetched = re.findall(r'<(?:script|img|iframe|source|video|audio)[^>]* src="([^"]+)"', page)
        fetched += re.findall(r'<link rel="(?:stylesheet|icon|preload|preconnect)"[^>]* href="([^"]+)"', page)
        hosts = {urlsplit(address).netloc for address in fetched} - {""}
        assert hosts == {"cdn.jsdelivr.net"}
        assert not re.search(r"<style|\son\w+=|\sstyle=|<script>", page), "no inline scripts or styles"


def test_unchanged_pages_get_304(client: FlaskClient, campaign: Campaign) -> None:
    for path in ("", "/feed", ".json", ".atom", "/signatures"):
        for encoding in ("identity", "gzip"):
            first = client.get(PATH + path, headers={"Accept-Encoding": encoding})
            headers = {"If-None-Match": first.headers["ETag"], "Accept-Encoding": encoding}
            second = client.get(PATH + path, headers=headers)
            assert (first.status_code, second.status_code, second.data) == (200, 304, b""), path
