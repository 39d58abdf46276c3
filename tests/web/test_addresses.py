"""Addresses that are almost right lead to the page, with their query, and never to another site."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from campaign import create_app
from campaign.models.campaign import Campaign, CampaignState
from campaign.settings import Settings
from campaign.signatures import sources
from campaign.storage import single_flight
from campaign.storage.database import db
from tests.campaigns.test_letter_changes import change
from tests.conftest import ADA, HTMX, PATH, SLUG, Publish, Visitor, dispose, only_sqlite, stored

APPENDED = r"""
. , ; : ! ) ] } > ' " … * ** _ ` | \ = ~ ^ $ - -- ). "> / // /. .html .htm /index.html .php /sign #sign # ? & %20 %0A
=20 。 、 ） 】 」 》 ” ’ » ！ ， ． ؟ ، をぜひ &gt; &quot; &amp; %2520
"""
WHITE_SPACE = [" ", "\u00a0", "\u3000", "\t", "\n", "\r\n", "=\r\n", " and sign it", ".Please sign", "\n\nThank you"]
INVISIBLE = ["\u200b", "\ufeff", "\u2060", "\u200e", "\x1f", "\x00"]
WRITTEN = [
    "/campaigns/SAVE-THE-PARK",
    "/Campaigns/Save-The-Park",
    "/CAMPAIGNS/save-the-park",
    "/campaign/save-the-park",
    "/save-the-park",
    "/SAVE-THE-PARK",
    "/save-the-park/",
    "/save-the-park.",
    "//save-the-park",
    "/(save-the-park)",
    "//campaigns/save-the-park",
    "/campaigns//save-the-park",
    "///campaigns///save-the-park///",
    "/campaigns/(save-the-park)",
    "/campaigns/*save-the-park*",
    "/campaigns/_save-the-park_",
    "/campaigns/<save-the-park>",
    "/campaigns/“save-the-park”",
    "/campaigns/ save-the-park",
    "/campaigns/save–the–park",
    "/campaigns/save—the—park",
    "/campaigns/save‑the‑park",
    "/campaigns/save−the−park",
    "/campaigns/save_the_park",
    "/campaigns/save--the-park",
    "/campaigns/ｓａｖｅ－ｔｈｅ－ｐａｒｋ",
    "/campaigns／save-the-park",
    "/campaigns\\save-the-park",
    "/campaigns/save-\r\nthe-park",
    "/campaigns/save-=\r\nthe-park",
    "/campaigns/save-the- park",
    "/campaigns/save-the-\u200bpark",
    "/campaigns/sávé-thé-park",
]
pytestmark = pytest.mark.usefixtures("campaign")


def ask(client: FlaskClient, path: str, method: str = "GET", query: str = "", **how: Any) -> TestResponse:
    """Send a request with this decoded path. The test client would take two slashes for the beginning of a host."""
    environ = {"PATH_INFO": path.encode().decode("latin-1")}
    return client.open("/", query_string=query, method=method, environ_overrides=environ, **how)


def location(client: FlaskClient, path: str, query: str = "") -> str | None:
    """Return where a decoded path is redirected to, after checking the redirect, or None if it isn't."""
    answer = ask(client, path, query=query)
    if answer.status_code in (404, 200):
        return None
    assert answer.status_code == 308, path
    assert answer.headers["Cache-Control"] == "no-cache", path
    assert ("X-Accel-Expires" in answer.headers) == ("?" not in answer.location), "nginx may not store a query"
    assert client.get(answer.location).status_code in (200, 302), "one redirect is enough"
    return answer.location


@only_sqlite
@pytest.mark.slow
def test_characters_after_an_address_lead_to_the_page(client: FlaskClient) -> None:
    ends = [*APPENDED.split(), *WHITE_SPACE, *INVISIBLE]
    wrong = {end: found for end in ends if (found := location(client, PATH + end)) != PATH}
    assert wrong == {}


@only_sqlite
@pytest.mark.slow
def test_address_that_is_written_differently_leads_to_the_page(client: FlaskClient) -> None:
    wrong = {path: found for path in WRITTEN if (found := location(client, path)) != PATH}
    assert wrong == {}


@only_sqlite
@pytest.mark.parametrize("end", ["/thanks", "/signatures", "/feed", "/privacy", ".json", ".atom", "/share/mastodon"])
def test_view_after_the_slug_is_kept(client: FlaskClient, end: str) -> None:
    for path in (f"{PATH}{end}.", f"{PATH.upper()}{end.upper()}", f"{PATH}{end}/", f"/{PATH}{end})", f"{PATH}{end}#x"):
        assert location(client, path) == PATH + end, path


@only_sqlite
@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        (f"{PATH}/", "ref=mail", "ref=mail"),
        (f"{PATH}.", "ref=mail&before=1-2", "ref=mail&before=1-2"),
        (f"{PATH}&utm_source=mail", "", "utm_source=mail"),
        (f"{PATH}&ref=mail", "x=1", "ref=mail&x=1"),
        (f"{PATH}?ref=mail", "", "ref=mail"),
        (f"{PATH}%3Fref%3Dmail", "", "ref=mail"),
        (f"{PATH}&amp;ref=mail", "", "ref=mail"),
        (f"{PATH}?utm_medium=x&amp;ref=mail", "", "utm_medium=x&ref=mail"),
        (f"{PATH}&ref=3Dmail", "", "ref=mail"),
        (f"{PATH}/&ref=mail#sign", "", "ref=mail"),
        (f"{PATH}&ref=mail and more", "", "ref=mail"),
        (f"{PATH}).", "_external=1&_scheme=javascript&slug=other&endpoint=site.home", ""),
    ],
)
@pytest.mark.slow
def test_source_and_query_are_kept(client: FlaskClient, path: str, query: str, expected: str) -> None:
    target = location(client, path, query)
    assert target == f"{PATH}?{expected or query}"
    assert sources.from_link(f"http://localhost{target}") == ("mail" if expected else "")


def test_source_is_read_from_a_link_that_a_mail_program_encoded() -> None:
    for query in ("ref=3Dmail", "x=1&amp;ref=mail", "utm_source=3Dmail&amp;x=3D1", "ref=mail.", "ref=mail)"):
        assert sources.from_link(f"https://petitions.example.org{PATH}?{query}") == "mail", query


def test_signing_works_at_an_address_that_is_almost_right(client: FlaskClient) -> None:
    paths = (f"{PATH}/signatures/", f"{PATH.upper()}/signatures", f"/{PATH}//signatures", f"{PATH}/signatures).")
    for number, path in enumerate(paths):
        for headers in ({}, HTMX):
            sent = ADA | {"email": f"{number}.{len(headers)}@example.org"}
            answer = ask(client, path, "POST", data=sent, headers=headers)
            assert (answer.status_code, answer.location) == (308, f"{PATH}/signatures"), path
            assert client.post(answer.location, data=sent, headers=headers).status_code == (200 if headers else 303)
    assert len(stored()) == 8


def test_former_slug_that_is_almost_right_leads_to_the_current_one(client: FlaskClient, campaign: Campaign) -> None:
    change(campaign, slug="keep-the-park")
    new = "/campaigns/keep-the-park"
    for path in (f"{PATH}.", PATH.upper(), f"{PATH}/", f"/{SLUG}"):
        assert location(client, path, "ref=mail") == f"{new}?ref=mail"
    assert location(client, f"{PATH}/signatures/") == f"{new}/signatures"


@only_sqlite
def test_pages_of_the_site_have_one_address(client: FlaskClient, publish: Publish) -> None:
    publish(slug="another")
    for path in ("/index.html", "/INDEX.HTM", "/index.html)", "//", "/.", "/%20"):
        assert location(client, path, "ref=mail") == "/?ref=mail", path
    for path in ("/privacy/", "/Privacy", "/privacy.", "/privacy.html", "//privacy"):
        assert location(client, path, "ref=mail") == "/privacy?ref=mail", path


@only_sqlite
def test_redirect_from_the_home_page_keeps_the_source(client: FlaskClient) -> None:
    assert client.get("/?ref=mail").location == f"{PATH}?ref=mail"
    assert client.get("/").location == PATH


HOSTILE = r"""
//evil.example ///evil.example/ /\evil.example /\/evil.example //evil.example/campaigns/save-the-park /http://evil.example
/https:evil.example /@evil.example /%2F/evil.example /.evil.example /campaigns//evil.example /campaigns/\\evil.example/
/;@evil.example /javascript:alert(1)
"""
INJECTED = [
    *("\r\nLocation: https://evil.example", "&x=\r\nSet-Cookie: a=b", "?x=%0d%0aSet-Cookie:%20a=b", "&\u2028x"),
    *("\\@evil.example", "/..//evil.example", "/../../evil.example", "@evil.example", "//evil.example"),
    "?//evil.example",
]


@only_sqlite
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_no_address_leads_to_another_site(client: FlaskClient, method: str) -> None:
    for path in HOSTILE.split():
        answer = ask(client, path, method)
        assert answer.status_code == 404, path
        assert "Location" not in answer.headers
    for end in INJECTED:
        answer = ask(client, PATH + end, method)
        assert answer.status_code in ((308,) if method != "POST" else (404, 405)), end
        assert urlsplit(answer.headers.get("Location", PATH)).path == PATH, end
        assert not urlsplit(answer.headers.get("Location", PATH)).netloc
        assert "Set-Cookie" not in answer.headers
        assert "\n" not in str(list(answer.headers.values())), end


@only_sqlite
def test_address_of_no_page_or_draft_stays_404(client: FlaskClient, publish: Publish) -> None:
    publish(slug="draft", state=CampaignState.DRAFT)
    for path in ("/campaigns/draft.", "/draft", "/campaigns/DRAFT", "/campaigns/none/", "/none", f"{PATH[:-5]}.park"):
        assert location(client, path) is None, path
    for path in (f"{PATH}/changes", f"{PATH}/preview", f"{PATH}/preview?key=x", f"{PATH}/signatures?before=x"):
        assert client.get(path).status_code == 404, "the page's own 404 is not redirected to itself"
    assert client.post(f"{PATH}/", data=ADA).status_code == 404
    assert location(client, "/campaigns/save-the-park" + "." * 2000) is None
    assert location(client, "/campaigns/" + "\u0301" * 900) is None


@only_sqlite
def test_scanners_cost_no_query(client: FlaskClient) -> None:
    executed: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: executed.append(statement))
    for path in ("/favicon.ico", "/wp-login.php", "/.env", "/.git/config", "/admin/index.php", "/a/b/c"):
        assert client.get(path).status_code == 404, path
    assert executed == []


def test_crowd_at_such_an_address_costs_no_queries(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_flight, "tick", lambda: 0.0)
    executed: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: executed.append(statement))
    for number in range(50):
        assert client.get(f"{PATH}.?ref=mail{number}").status_code == 308
    assert len([statement for statement in executed if statement.startswith("SELECT")]) == 2, "campaign and languages"


@pytest.fixture
def make_site(settings: Settings) -> Iterator[Callable[[str], FlaskClient]]:
    """Return a function that creates the site with a SITE_URL and returns a client."""
    made: list[Flask] = []

    def make(site_url: str) -> FlaskClient:
        made.append(create_app(replace(settings, site_url=site_url)))
        made[-1].test_client_class = Visitor
        return made[-1].test_client()

    yield make
    for app in made:
        with app.app_context():
            dispose()


@only_sqlite
@pytest.mark.parametrize("site_url", ["https://petitions.example.org", "https://www.petitions.example.org"])
def test_www_leads_to_the_sites_own_url(make_site: Callable[[str], FlaskClient], site_url: str) -> None:
    own = urlsplit(site_url).netloc
    other = own.removeprefix("www.") if own.startswith("www.") else f"www.{own}"
    client = make_site(site_url)
    for path in (
        PATH,
        "/",
        "//evil.example/",
        "/\r\nx",
        "@evil.example",
        ".evil.example/",
        f"{PATH}/signatures",
        "/desk/",
    ):
        for method in ("GET", "POST"):
            answer = ask(client, path, method, "ref=mail", headers={"Host": other})
            assert (answer.status_code, answer.headers["Cache-Control"]) == (308, "no-cache")
            assert answer.location == f"{site_url}/{quote(path.lstrip('/'))}?ref=mail"
            assert "Content-Security-Policy" in answer.headers
    for host in (f"www.{other}", f"ww.{own}", "www.evil.example", f"www.{own}.evil.example", "www."):
        if host != own:
            assert client.get(PATH, headers={"Host": host}).status_code == 400, host
