"""A campaign in several languages: a page for each, with one list and one count."""

import re
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, update

from campaign.campaigns import preview_links
from campaign.languages import speaking
from campaign.models.campaign import Campaign, CampaignState, FormerSlug, Translation
from campaign.storage import single_flight
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import ADA, HTMX, PATH, SECRET_KEY, SLUG, Publish, only_sqlite, stored

# Pages look the same on both databases.
pytestmark = only_sqlite

SPANISH = {
    "title": "Salvemos el parque",
    "category": "Medio ambiente",
    "summary": "El concejo quiere venderlo.",
    "addressees": "El alcalde\nEl concejo",
    "letter": "Estimado alcalde:\n\nconserve el *parque*.",
    "thanks": "Hizo algo bueno.",
    "share_text": "Firmé por el parque.",
    "donate_url": "https://donate.example/parque",
    "donate_text": "Vivimos de donaciones.",
}
ARABIC = {"title": "أنقذوا الحديقة"}
SPANISH_PATH = f"{PATH}/es"


@pytest.fixture(autouse=True)
def translated(publish: Publish) -> None:
    """Publish the campaign in English and Spanish, and with its title in Arabic."""
    publish(translations={"es": SPANISH, "ar": ARABIC}, picture_text="")


def said(tag: str, message: str) -> str:
    """Return a message in a language."""
    with speaking.use(tag):
        return speaking.gettext(message)


def html_language(page: str) -> str:
    """Return the language and direction of a page."""
    found = re.search(r'<html lang="([^"]+)" dir="([^"]+)">', page)
    assert found
    return f"{found[1]} {found[2]}"


def link(page: str, rel: str, language: str = "") -> str | None:
    """Return the target of a link in the head of a page, such as rel="canonical"."""
    found = re.search(rf'<link rel="{rel}"(?: hreflang="{language}")? href="([^"]+)">', page)
    return found[1] if found else None


def test_each_language_has_a_page_of_its_own(client: FlaskClient) -> None:
    english, spanish = client.get(PATH).text, client.get(SPANISH_PATH).text
    assert html_language(english) == "en ltr"
    assert html_language(spanish) == "es ltr"
    for words in ("Salvemos el parque", "Medio ambiente", "El concejo quiere venderlo.", "conserve el <em>parque</em>"):
        assert words in spanish
        assert words not in english
    for words in ("Save the Park", "Dear Mayor"):
        assert words not in spanish
        assert words in english
    assert "<li>El alcalde</li><li>El concejo</li>" in spanish
    assert said("es", "Take Action") in spanish


def test_count_list_and_state_are_shared(client: FlaskClient) -> None:
    assert client.post(f"{PATH}/signatures", data=ADA).status_code == 303
    answer = client.post(f"{SPANISH_PATH}/signatures", data=ADA | {"name": "Eva", "email": "eva@example.org"})
    assert answer.status_code == 303
    for path in (PATH, SPANISH_PATH, f"{PATH}/feed", f"{SPANISH_PATH}/feed", f"{SPANISH_PATH}/signatures"):
        page = client.get(path).text
        assert "Ada" in page
        assert "Eva" in page
        assert "<strong>2</strong>" in page or "feed" not in path
    assert client.get(f"{SPANISH_PATH}.json").json["signatures"]["count"] == 2  # type: ignore[index]


def test_mailbox_counts_once_in_all_languages(client: FlaskClient) -> None:
    for path in (PATH, SPANISH_PATH, f"{PATH}/ar"):
        assert client.post(f"{path}/signatures", data=ADA).status_code == 303
    assert len(stored()) == 1


@pytest.mark.parametrize(("path", "language"), [(PATH, "en"), (SPANISH_PATH, "es"), (f"{PATH}/ar", "ar")])
def test_signature_stores_the_language_that_its_signer_read(client: FlaskClient, path: str, language: str) -> None:
    client.post(f"{path}/signatures", data=ADA)
    [signature] = stored()
    assert signature.language == language


def test_untranslated_texts_are_in_the_main_language_and_say_so(client: FlaskClient) -> None:
    page = client.get(f"{PATH}/ar").text
    assert html_language(page) == "ar rtl"
    assert "<h1>أنقذوا الحديقة</h1>" in page
    for element in ('<p class="summary"', '<div class="words"', '<p class="category"'):
        assert f'{element} lang="en" dir="ltr">' in page
    thanks = client.post(f"{PATH}/ar/signatures", data=ADA, headers=HTMX).text
    assert '<p lang="en" dir="ltr">You did a good thing.</p>' in thanks
    assert 'data-share-text="أنقذوا الحديقة"' in thanks, "the title is shared rather than an English text"


def test_thank_you_and_share_links_stay_in_the_language(client: FlaskClient) -> None:
    answer = client.post(f"{SPANISH_PATH}/signatures", data=ADA)
    assert answer.location == f"{SPANISH_PATH}/thanks"
    for page in (
        client.get(answer.location).text,
        client.post(f"{SPANISH_PATH}/signatures", data=ADA, headers=HTMX).text,
    ):
        assert said("es", "Thank You!") in page
        assert "Hizo algo bueno." in page
        assert "https://donate.example/parque" in page
        assert f'value="http://127.0.0.1:8000{SPANISH_PATH}"' in page
        assert "Firm%C3%A9+por+el+parque" in page
        assert f'href="{SPANISH_PATH}/share/mastodon"' in page
    mastodon = client.get(f"{SPANISH_PATH}/share/mastodon?instance=mastodon.social").text
    assert "park%2Fes%3Fref%3Dmastodon" in mastodon


@pytest.mark.parametrize("end", ["/signatures", "/privacy", "/share/mastodon", "/thanks", "/feed", ".atom"])
def test_other_pages_of_the_campaign_have_each_language(client: FlaskClient, end: str) -> None:
    page = client.get(f"{SPANISH_PATH}{end}").text
    assert "Save the Park" not in page
    paths = re.findall(rf'(?:href|hx-get)="({PATH}[^"]*)"', page)
    others = [PATH, f"{PATH}/ar"] if end == "/thanks" else []
    assert all(path.startswith(SPANISH_PATH) for path in paths if path not in others), paths


def test_languages_link_to_each_other(client: FlaskClient) -> None:
    site = "http://127.0.0.1:8000"
    for path in (PATH, SPANISH_PATH, f"{PATH}/ar"):
        page = client.get(path).text
        assert link(page, "canonical") == f"{site}{path}"
        assert link(page, "alternate", "en") == link(page, "alternate", "x-default") == f"{site}{PATH}"
        assert link(page, "alternate", "es") == f"{site}{SPANISH_PATH}"
        assert link(page, "alternate", "ar") == f"{site}{PATH}/ar"
        assert f'<meta property="og:url" content="{site}{path}">' in page
    assert '<meta property="og:locale" content="es_ES">' in client.get(SPANISH_PATH).text
    assert '<meta property="og:locale:alternate" content="en_US">' in client.get(SPANISH_PATH).text


def test_switcher_names_each_language_in_itself(client: FlaskClient) -> None:
    page = unescape(client.get(PATH).text)
    switcher = page[page.index('<nav class="languages"') : page.index("</nav>")]
    assert f'<a href="{SPANISH_PATH}" hreflang="es" lang="es" dir="ltr"' in switcher
    assert ">Español</a>" in switcher
    assert f'<a href="{PATH}/ar" hreflang="ar" lang="ar" dir="rtl"' in switcher
    assert ">العربية</a>" in switcher
    assert '<b aria-current="true">English</b>' in switcher
    assert f'data-offer="{said("es", "This petition is also available in English.")}"' in switcher


def test_campaign_in_one_language_has_no_switcher(client: FlaskClient, publish: Publish) -> None:
    publish(slug="other", title="Another")
    page = client.get("/campaigns/other").text
    assert "hreflang" not in page
    assert 'class="languages"' not in page
    assert "og:locale:alternate" not in page


@pytest.mark.parametrize("tag", ["fr", "xx", "zz-Latn", "sw", "es-MX", "ar-Latn-EG"])
def test_language_without_a_translation_is_our_own_404(client: FlaskClient, tag: str) -> None:
    answer = client.get(f"{PATH}/{tag}")
    assert answer.status_code == 404
    assert "Page not found" in answer.text


@pytest.mark.parametrize("end", ["/feed", "/thanks", "/signatures", "/privacy", "/share/mastodon"])
def test_open_tabs_of_a_removed_translation_go_on_in_the_main_language(client: FlaskClient, end: str) -> None:
    answer = client.get(f"{PATH}/fr{end}?x=1")
    assert answer.status_code == 308
    assert answer.location == f"{PATH}{end}?x=1"


def test_unknown_languages_cost_no_queries(client: FlaskClient, monkeypatch: pytest.MonkeyPatch, app: Flask) -> None:
    monkeypatch.setattr(single_flight, "tick", lambda: 0.0)
    client.get(PATH)
    executed: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *args: executed.append(args[2]))
    for tag in ("aa", "ab", "xx-Latn", "ZZ"):
        assert client.get(f"{PATH}/{tag}").status_code == 404
        assert client.get(f"{PATH}/{tag}/feed").status_code == 308
    assert executed == []


def test_page_loads_only_the_texts_of_its_own_language(client: FlaskClient, app: Flask) -> None:
    executed: list[tuple[str, object]] = []
    event.listen(db.engine, "before_cursor_execute", lambda *args: executed.append((args[2], args[3])))
    assert "Salvemos el parque" in client.get(SPANISH_PATH).text
    whole = [parameters for statement, parameters in executed if "campaign_translation.letter" in statement]
    assert len(whole) == 1


@pytest.mark.parametrize(
    ("asked", "right"),
    [("/ES", "/es"), ("/Es/privacy", "/es/privacy"), ("/en", ""), ("/en/signatures", "/signatures"), ("/es).", "/es")],
)
def test_other_spelling_of_a_language_is_redirected(client: FlaskClient, asked: str, right: str) -> None:
    answer = client.get(f"{PATH}{asked}?ref=mail")
    assert answer.status_code == 308
    assert answer.location == f"{PATH}{right}?ref=mail"


def test_former_slug_keeps_the_language(client: FlaskClient) -> None:
    with write_transaction() as session:
        session.execute(update(Campaign).values(slug="new-name"))
        session.add(FormerSlug(slug=SLUG, campaign_id=1))
    answer = client.get(f"{SPANISH_PATH}?ref=mail")
    assert answer.status_code == 308
    assert answer.location == "/campaigns/new-name/es?ref=mail"


def test_signature_counts_although_its_translation_was_removed(client: FlaskClient) -> None:
    with write_transaction() as session:
        session.query(Translation).delete()
    assert client.get(SPANISH_PATH).status_code == 404
    answer = client.post(f"{SPANISH_PATH}/signatures", data=ADA)
    assert answer.status_code == 303
    assert answer.location == f"{PATH}/thanks"
    assert [each.language for each in stored()] == ["en"]


def test_errors_and_refusals_are_in_the_language_of_the_page(client: FlaskClient) -> None:
    for headers in (HTMX, {}):
        answer = client.post(f"{SPANISH_PATH}/signatures", data=ADA | {"name": ""}, headers=headers)
        assert answer.status_code == 422
        assert said("es", "Enter your name") in answer.text
        assert f'action="{SPANISH_PATH}/signatures"' in answer.text


def test_list_of_petitions_has_the_visitors_language(client: FlaskClient, publish: Publish) -> None:
    publish(slug="other", title="Another")
    page = client.get("/campaigns", headers={"Accept-Language": "es"}).text
    assert f'<a href="{SPANISH_PATH}">Salvemos el parque</a>' in page
    assert '<h2 lang="en" dir="ltr"><a href="/campaigns/other">Another</a></h2>' in page
    page = client.get("/campaigns", headers={"Accept-Language": "fr"}).text
    assert f'<a href="{PATH}">Save the Park</a>' in page


def test_list_of_petitions_has_the_nearest_language(client: FlaskClient, publish: Publish) -> None:
    publish(slug="other", title="Another", translations={"pt-PT": {"title": "Salvem o parque"}})
    page = client.get("/campaigns", headers={"Accept-Language": "pt-BR"}).text
    assert '<a href="/campaigns/other/pt-PT">Salvem o parque</a>' in page


def test_switcher_offers_no_language_that_the_site_cannot_speak(client: FlaskClient, publish: Publish) -> None:
    publish(slug="park", language="nb", title="Redd parken", translations={"en": {"title": "Save it"}})
    page = client.get("/campaigns/park/en").text
    assert ">Norsk bokmål</a>" in page
    assert "data-offer" not in page


def test_page_is_the_same_for_every_visitor(client: FlaskClient) -> None:
    answers = [client.get(SPANISH_PATH, headers={"Accept-Language": accepted}) for accepted in ("en", "ar", "")]
    assert len({answer.data for answer in answers}) == 1
    assert all("Accept-Language" not in answer.headers.get("Vary", "") for answer in answers)
    assert client.get(SPANISH_PATH, headers={"If-None-Match": answers[0].headers["ETag"]}).status_code == 304


def test_json_lists_the_languages(client: FlaskClient) -> None:
    data = client.get(f"{SPANISH_PATH}.json").json
    assert data
    assert (data["title"], data["language"]) == ("Salvemos el parque", "es")
    site = "http://127.0.0.1:8000"
    assert data["languages"] == {"en": f"{site}{PATH}", "ar": f"{site}{PATH}/ar", "es": f"{site}{SPANISH_PATH}"}


def test_preview_of_a_draft_shows_each_language(client: FlaskClient, publish: Publish) -> None:
    draft = publish(state=CampaignState.DRAFT, translations={"es": SPANISH})
    key = preview_links.make(SECRET_KEY, draft.id)
    page = client.get(f"{SPANISH_PATH}/preview?key={key}").text
    assert "Salvemos el parque" in page
    english = re.search(r'<a href="([^"]+)" hreflang="en"', page)
    assert english
    assert "Save the Park" in client.get(unescape(english[1])).text, "its languages link to each other"
    assert client.get(f"{PATH}/fr/preview?key={key}").status_code == 404
    assert client.get(SPANISH_PATH).status_code == 404, "visitors don't see the draft"


def test_closed_campaign_is_closed_in_each_language(client: FlaskClient, publish: Publish) -> None:
    publish(state=CampaignState.CLOSED, translations={"es": SPANISH})
    assert said("es", "This petition is closed") in client.get(SPANISH_PATH).text
    answer = client.post(f"{SPANISH_PATH}/signatures", data=ADA)
    assert answer.status_code == 410
    assert "Salvemos el parque" in answer.text
