"""Privacy of signers: public responses show only what signers agreed to, and set no cookies."""

import ast
import re

import pytest
from flask.testing import FlaskClient

from campaign import create_app
from campaign.models.campaign import Campaign
from campaign.settings import ROOT, Settings
from tests.conftest import ADA, HTMX, PATH, Publish, Sign

VIEWS = ["", "/thanks", "/feed", "/signatures", ".json", ".atom"]
POLICY = (
    "default-src 'none'; script-src 'self' https://cdn.jsdelivr.net/npm/htmx.org@4.0.1/dist/htmx.min.js; "
    "style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.mark.parametrize("view", VIEWS)
def test_anonymous_signer_is_listed_only_by_country(client: FlaskClient, sign: Sign, view: str) -> None:
    sign(city="Los Angeles", anonymous="y")
    page = client.get(PATH + view).text
    assert "Anonymous" in page
    assert "US" in page
    for secret in ("Ada", "Lovelace", "ada@", "Los Angeles", "California", "90012"):
        assert secret not in page


def test_anonymous_signers_own_entry_shows_only_the_country(sign: Sign) -> None:
    answer = sign(htmx=True, anonymous="y").text
    assert '<bdi class="name">Anonymous</bdi> <bdi class="place">US</bdi>' in answer
    assert "Lovelace" not in answer
    assert "Los Angeles" not in answer


@pytest.mark.parametrize("view", VIEWS)
def test_email_address_and_postal_code_are_never_shown(client: FlaskClient, sign: Sign, view: str) -> None:
    sign()
    page = client.get(PATH + view).text
    assert "Ada Lovelace" in page
    assert "ada@example.org" not in page
    assert "90012" not in page


def public_responses(client: FlaskClient) -> list[tuple[str, int, dict[str, str]]]:
    answers = [client.get(PATH + view) for view in [*VIEWS, "/share/mastodon", "/share/mastodon?instance=a.example"]]
    answers += [
        client.get(path)
        for path in (
            "/",
            "/privacy",
            f"{PATH}/privacy",
            "/healthz",
            "/readyz",
            "/robots.txt",
            "/static/site.css",
            "/nothing",
        )
    ]
    for place in ({"country": "US", "postal_code": "90012"}, {"country": "FR"}):
        answers.append(client.post("/places", data=place))
    for headers in ({}, HTMX):
        answers.append(client.post(f"{PATH}/signatures", data=ADA, headers=headers))
        answers.append(client.post(f"{PATH}/signatures", data={"name": ""}, headers=headers))
        answers.append(client.post(f"{PATH}/signatures", data=ADA, headers={**headers, "Sec-Fetch-Site": "cross-site"}))
        answers.append(client.post(f"{PATH}/signatures", json={}, headers=headers))
        answers.append(client.post(PATH, data=ADA, headers=headers))
    etag = client.get(PATH).headers["ETag"]
    answers.append(client.get(PATH, headers={"If-None-Match": etag}))
    answers.append(client.options(PATH))
    return [(answer.request.path, answer.status_code, dict(answer.headers)) for answer in answers]


def test_public_responses_set_no_cookie_and_have_security_headers(client: FlaskClient, campaign: Campaign) -> None:
    answers = public_responses(client)
    statuses = {200, 204, 302, 303, 304, 403, 404, 405, 415, 422}
    assert {status for _, status, _ in answers} == statuses, "the list covers every kind of response"
    for path, status, headers in answers:
        assert "Set-Cookie" not in headers, (path, status)
        assert "Access-Control-Allow-Origin" not in headers, "scripts of other sites can't read responses"
        assert headers["Content-Security-Policy"] == POLICY, (path, status)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "geolocation=()" in headers["Permissions-Policy"]
        assert "Strict-Transport-Security" not in headers, "this site uses plain http"


def test_https_site_sends_strict_transport_security(settings: Settings) -> None:
    app = create_app(Settings.from_environ({"SITE_URL": "https://petition.example"}, settings.instance))
    headers = app.test_client().get("/healthz").headers
    assert headers["Strict-Transport-Security"] == "max-age=63072000"


def test_self_hosted_htmx_needs_no_other_host(settings: Settings, publish: Publish) -> None:
    publish()
    app = create_app(Settings.from_environ({"HTMX_URL": "/static/htmx.min.js"}, settings.instance))
    answer = app.test_client().get(PATH)
    assert "script-src 'self';" in answer.headers["Content-Security-Policy"]
    assert '<script src="/static/htmx.min.js" crossorigin' in answer.text
    assert "jsdelivr" not in answer.text


def test_share_links_send_no_referrer(client: FlaskClient, campaign: Campaign) -> None:
    links = re.findall(r'<a [^>]*href="(?:https?:|mailto:)[^>]*>', client.get(f"{PATH}/thanks").text)
    assert len(links) == 9
    for link in links:
        assert 'rel="noopener noreferrer"' in link


CLIENTS = {
    "aiohttp",
    "dns.resolver",
    "ftplib",
    "http.client",
    "httpx",
    "requests",
    "smtplib",
    "urllib.request",
    "urllib3",
}


@pytest.mark.slow
def test_only_mail_can_send_requests_to_other_hosts() -> None:
    imported: dict[str, str] = {}
    files = [file for file in (ROOT / "campaign").rglob("*.py") if file.parent.name != "mail"]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name: file.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported |= {node.module or "": file.name} | {f"{node.module}.{a.name}": file.name for a in node.names}
    assert "urllib.parse" in imported
    assert {name: file for name, file in imported.items() if name in CLIENTS} == {}
