"""Share links to other sites, with nothing loaded from them."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from babel.localedata import locale_identifiers
from flask.testing import FlaskClient

from campaign.campaigns import sharing
from campaign.models.campaign import Campaign
from tests.conftest import PATH

URL = "https://petition.example/campaigns/park"


def test_share_links_contain_text_and_url_with_source() -> None:
    links = {str(link.name): link.url for link in sharing.links(URL, "Sign & share: 100 % “yes”", "Save the Park")}
    assert list(links) == ["Bluesky", "X", "Facebook", "WhatsApp", "Telegram", "Reddit", "LinkedIn", "Email"]
    for name, link in links.items():
        given = " ".join(value for values in parse_qs(urlsplit(link).query).values() for value in values)
        assert f"{URL}?ref={name.lower()}" in given, "organizers see where signers came from"
        if name not in ("Facebook", "LinkedIn"):
            assert "Sign & share: 100 % “yes”" in given or "Save the Park" in given
    assert "+" not in links["Email"], "mail programs show a plus as a plus"


@pytest.mark.parametrize(
    ("typed", "host"),
    [
        ("mastodon.social", "mastodon.social"),
        (" https://Mastodon.Social/@ada ", "mastodon.social"),
        ("@ada@chaos.social", "chaos.social"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("mastodon.social.", "mastodon.social"),
        ("HTTPS://mastodon.social/", "mastodon.social"),
        ("Mastodon. social", "mastodon.social"),
        ("@ ada @mastodon.social,", "mastodon.social"),
        ("<https://mastodon.social>", "mastodon.social"),
        ("ｍａｓｔｏｄｏｎ．ｓｏｃｉａｌ", "mastodon.social"),
        ("ａｄａ＠mastodon。social", "mastodon.social"),
        ("masto\u200bdon\u200d.social\ufeff", "mastodon.social"),
    ],
    ids=ascii,
)
def test_mastodon_server_is_recognized_in_every_usual_spelling(typed: str, host: str) -> None:
    assert sharing.mastodon_link(typed, URL, "Sign").url.startswith(f"https://{host}/share?")


@pytest.mark.parametrize(("typed", "host"), [(" https://Mastodon.Social/@ada ", "mastodon.social")])
def test_mastodon_page_links_to_the_server(client: FlaskClient, campaign: Campaign, typed: str, host: str) -> None:
    page = client.get(f"{PATH}/share/mastodon", query_string={"instance": typed})
    assert page.status_code == 200
    assert f'href="https://{host}/share?text=I+signed+for+the+park.+http' in page.text
    assert "%3Fref%3Dmastodon" in page.text
    assert f"Continue to {host}" in page.text


@pytest.mark.parametrize(
    "typed",
    [
        "mastodon",
        "a b.example",
        "javascript:alert(1)",
        "http://",
        "1.2.3.4",
        "x" * 300 + ".org",
        "a..b",
        "-a.example",
        "a.example:80",
    ],
)
def test_invalid_mastodon_server_gets_an_error(client: FlaskClient, campaign: Campaign, typed: str) -> None:
    page = client.get(f"{PATH}/share/mastodon", query_string={"instance": typed})
    assert page.status_code == 422
    assert 'id="instance-message"' in page.text
    assert 'class="button"' not in page.text
    assert 'aria-invalid="true"' in page.text


def test_campaign_url_to_copy_has_no_source(client: FlaskClient, campaign: Campaign) -> None:
    page = client.get(f"{PATH}/thanks").text
    url = f"http://127.0.0.1:8000{PATH}"
    for place in (f'id="share-url" type="url" dir="ltr" readonly value="{url}"', f'data-share-url="{url}"'):
        assert place in page
    for view in ("", ".json", ".atom"):
        assert f"{url}?" not in client.get(PATH + view).text.replace("ref%3D", "")


def test_mastodon_page_first_asks_for_the_server(client: FlaskClient, campaign: Campaign) -> None:
    page = client.get(f"{PATH}/share/mastodon")
    assert page.status_code == 200
    assert "Your Mastodon server" in page.text
    assert "Continue to" not in page.text


def test_link_preview_has_a_territory_for_every_language_with_one() -> None:
    locales = {name: sharing.preview_locale(name.replace("_", "-")) for name in locale_identifiers()}
    without = {name.partition("_")[0] for name, locale in locales.items() if not locale}
    assert without == {"eo", "ia", "io", "jbo", "tok", "vo"}, "languages of no country"
    for name, locale in locales.items():
        assert not locale or re.fullmatch(r"[a-z]{2,3}_[A-Z]{2}", locale), name
