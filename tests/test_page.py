"""The petition's page: what a reader finds on it, in which order, and in each of its states."""

import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from campaign import campaigns
from campaign.models import Campaign, CampaignState
from campaign.settings import ROOT
from tests.conftest import ADA, HTMX, PATH, Publish, Sign, stored

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def test_a_reader_finds_letter_count_signatories_and_form_in_this_order(sign: Sign, client: FlaskClient) -> None:
    sign()
    page = client.get(PATH).text
    order = [
        '<header class="site"><a href="/">Campaign</a>',
        '<p class="category">Environment</p>',
        "<h1>Save the Park</h1>",
        '<p class="summary">The council wants to sell it.</p>',
        "<li>The Mayor</li><li>The Council</li>",
        "<p>please <em>keep</em> the park.</p>",
        ">Signed</h2>",
        "<strong>1</strong> has signed",
        "<progress",
        "Recent Signatories",
        "Ada Lovelace",
        "See all signatories",
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
        "We keep what you type here",
    ]
    places = [page.find(piece) for piece in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)


def test_a_phone_can_fill_the_form_by_itself(client: FlaskClient, campaign: Campaign) -> None:
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
    assert '<option value="DE" lang="de">Deutschland</option>' in page
    assert page.index(">Ägypten<") < page.index(">Belgien<"), "sorted as a reader expects, not by code point"
    assert page.count("<option") == 251
    assert '<div lang="de" dir="ltr">' in page


def test_a_language_that_is_written_from_the_right_is_set_so(client: FlaskClient, publish: Publish) -> None:
    publish(language="ar")
    assert '<div class="words" lang="ar" dir="rtl">' in client.get(PATH).text


def test_the_letter_can_do_no_harm(client: FlaskClient, publish: Publish) -> None:
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
    assert "<h2>Hello</h2>" in words, "the page's h1 is the title"


def test_a_campaign_that_is_not_open_yet_says_when_it_opens(client: FlaskClient, publish: Publish) -> None:
    publish(opens_at=datetime(2099, 3, 1, 9, tzinfo=UTC))
    page = client.get(PATH)
    assert page.status_code == 200
    assert "Not open yet" in page.text
    assert "1 March 2099, 09:00 UTC" in page.text
    assert "<form" not in page.text
    early = client.post(f"{PATH}/signatures", data=ADA)
    assert early.status_code == 409
    assert "Not open yet" in early.text
    assert stored() == []


@pytest.mark.parametrize(
    ("language", "zone", "said"),
    [
        ("en", "Europe/Berlin", "1 March 2099, 10:00 GMT+01:00"),
        ("de", "America/New_York", "1 März 2099, 04:00 GMT-05:00"),
        ("fr", "Asia/Kolkata", "1 mars 2099, 14:30 UTC+05:30"),
    ],
)
def test_a_time_is_told_by_the_campaigns_clock_and_says_by_which(
    client: FlaskClient, publish: Publish, language: str, zone: str, said: str
) -> None:
    publish(opens_at=datetime(2099, 3, 1, 9, tzinfo=UTC), language=language, time_zone=zone)
    assert f">{said}</time>" in client.get(PATH).text


def test_an_open_campaign_says_until_when_it_can_be_signed(client: FlaskClient, publish: Publish) -> None:
    publish(closes_at=datetime(2099, 3, 1, 9, tzinfo=UTC), time_zone="Europe/Berlin")
    for path in (PATH, f"{PATH}/feed", f"{PATH}/signatures"):
        page = client.get(path).text
        assert re.search(r"You can sign until <time[^>]*>[^<]*March[^<]*10:00[^<]*</time>", page), path
    publish(slug="for-ever")
    assert "You can sign until" not in client.get("/campaigns/for-ever").text


@pytest.mark.parametrize("how", ["by the organiser", "by the clock"])
def test_a_closed_campaign_keeps_letter_count_and_list_but_no_form(
    client: FlaskClient, publish: Publish, sign: Sign, how: str
) -> None:
    sign()
    if how == "by the clock":
        publish(opens_at=NOW - 2 * DAY, closes_at=NOW - DAY)
    else:
        publish(state=CampaignState.CLOSED)
    page = client.get(PATH)
    assert page.status_code == 200
    for piece in ("This petition is closed", "1 person signed it", "please <em>keep</em>", "Ada Lovelace"):
        assert piece in page.text
    assert "<form" not in page.text
    assert "hx-trigger" not in page.text, "a list that does not grow is not asked for again"
    for headers in ({}, HTMX):
        late = client.post(f"{PATH}/signatures", data=ADA | {"email": "late@example.org"}, headers=headers)
        assert late.status_code == 410
        assert "This petition is closed" in late.text
        assert ("<html" in late.text) is not bool(headers)
    assert len(stored()) == 1


def test_a_won_campaign_says_so(client: FlaskClient, publish: Publish) -> None:
    publish(state=CampaignState.WON)
    assert "We won!" in client.get(PATH).text
    assert client.post(f"{PATH}/signatures", data=ADA).status_code == 410


def test_a_goal_that_is_reached_is_celebrated_and_moves_on(client: FlaskClient, publish: Publish, sign: Sign) -> None:
    publish(goal=2)
    sign()
    assert "Let’s get to 2." in client.get(PATH).text
    sign(email="b@example.org")
    page = client.get(PATH).text
    assert "The goal of 2 is reached." in page
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
def test_goals_move_to_the_next_round_number(
    publish: Publish, goal: int, count: int, shown: int, reached: int | None
) -> None:
    progress = campaigns.progress(publish(goal=goal), count)
    assert (progress.goal, progress.reached) == (shown, reached)


def test_a_draft_is_nowhere(client: FlaskClient, publish: Publish) -> None:
    publish(state=CampaignState.DRAFT)
    for path in ("", "/thanks", "/feed", "/signatures", ".json", ".atom", "/share/mastodon"):
        assert client.get(PATH + path).status_code == 404
    assert client.post(f"{PATH}/signatures", data=ADA).status_code == 404
    assert "Save the Park" not in client.get("/").text


@pytest.mark.parametrize(
    "path", ["/campaigns/none", "/campaigns/none/feed", "/nothing", "/campaigns/a.b", "/campaigns/"]
)
def test_what_is_not_there_gets_our_own_page(client: FlaskClient, campaign: Campaign, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


def test_a_wrong_method_gets_our_own_page(client: FlaskClient, campaign: Campaign) -> None:
    answer = client.post(PATH, data=ADA)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert "That can’t be done here" in answer.text


def test_home_leads_to_the_only_campaign_that_can_be_signed(client: FlaskClient, publish: Publish) -> None:
    assert "There is no petition yet" in client.get("/").text
    publish()
    publish(slug="old", title="An old one", state=CampaignState.CLOSED)
    answer = client.get("/")
    assert (answer.status_code, answer.location) == (302, PATH)
    publish(slug="new", title="A new one")
    page = client.get("/").text
    assert page.index("A new one") < page.index("Save the Park") < page.index("An old one")
    assert "closed" in page


def test_search_engines_and_link_previews_are_told_what_it_is(client: FlaskClient, publish: Publish) -> None:
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


def test_the_canonical_address_is_ours_whatever_host_was_asked(client: FlaskClient, campaign: Campaign) -> None:
    page = client.get(PATH, headers={"Host": "evil.example"}).text
    assert "evil.example" not in page


def test_page_and_style_arrive_in_the_first_round_trip(client: FlaskClient, publish: Publish) -> None:
    sample = (ROOT / "campaigns" / "end-ring-police-partnerships.md").read_text()
    publish(letter=sample.split("---\n", 2)[2])
    for number in range(10):
        client.post(f"{PATH}/signatures", data=ADA | {"email": f"{number}@example.org", "name": f"Somebody {number}"})
    for encoding in ("gzip", "br", "zstd"):
        answers = [client.get(path, headers={"Accept-Encoding": encoding}) for path in (PATH, "/static/site.css")]
        assert [answer.headers["Content-Encoding"] for answer in answers] == [encoding] * 2
        assert sum(len(answer.data) for answer in answers) < 14 * 1024
    assert b"Somebody 9" in gzip.decompress(client.get(PATH, headers={"Accept-Encoding": "gzip"}).data)


def test_nothing_on_the_page_is_fetched_from_others_but_htmx(client: FlaskClient, sign: Sign) -> None:
    sign()
    for path in (PATH, f"{PATH}/thanks", f"{PATH}/signatures", f"{PATH}/share/mastodon"):
        page = client.get(path).text
        fetched = re.findall(r'<(?:script|img|iframe|source|video|audio)[^>]* src="([^"]+)"', page)
        fetched += re.findall(r'<link rel="(?:stylesheet|icon|preload|preconnect)"[^>]* href="([^"]+)"', page)
        hosts = {urlsplit(address).netloc for address in fetched} - {""}
        assert hosts == {"cdn.jsdelivr.net"}
        assert not re.search(r"<style|\son\w+=|\sstyle=|<script>", page), "no inline anything"


def test_a_page_that_has_not_changed_is_answered_304(client: FlaskClient, campaign: Campaign) -> None:
    for path in ("", "/feed", ".json", ".atom", "/signatures"):
        for encoding in ("identity", "gzip"):
            first = client.get(PATH + path, headers={"Accept-Encoding": encoding})
            headers = {"If-None-Match": first.headers["ETag"], "Accept-Encoding": encoding}
            second = client.get(PATH + path, headers=headers)
            assert (first.status_code, second.status_code, second.data) == (200, 304, b""), path
