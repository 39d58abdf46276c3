"""Requests for other hosts are refused, and no header changes the URLs that the site makes."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import EnvironBuilder, FlaskClient
from werkzeug.test import run_wsgi_app

from campaign import create_app
from campaign.models.campaign import Campaign
from campaign.settings import Settings
from campaign.storage.database import db
from campaign.web import errors
from campaign.web.errors import OTHER_HOST, WORDS
from campaign.web.hosts import HEALTH_CHECKS
from tests.conftest import ADA, PATH, Server, Visitor, dispose, only_sqlite, stored
from tests.desk import passkeys
from tests.desk.passkeys import Key, add_passkey, ask_for_new, begin_first_passkey, hand_over
from tests.desk.people import AtDesk

pytestmark = only_sqlite

SITE = "https://petitions.example.org"
OTHERS = [
    "evil.example",
    "petitions.example.org.evil.example",
    "evil-petitions.example.org",
    "petitions.example.org@evil.example",
    "evil.example:443",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "0x7f000001",
    "127.1",
    "10.0.0.5",
    "[2001:db8::1]",
    "a" * 64 + ".example",
    "a" * 8000,
    "petitions.example.org, evil.example",
    "petitions.example.org/evil",
    "xn--80ak6aa92e.com",
    "\u00fc\u00fc",
    "[",
    "[::1",
    ":80",
    "",
    " ",
    "..",
]
Site = Callable[..., FlaskClient]


@pytest.fixture
def site(app: Flask, settings: Settings) -> Iterator[Site]:
    """Return a function that creates the site with other settings and returns a client."""
    sites: list[Flask] = []

    def site(**changes: Any) -> FlaskClient:
        changed = create_app(replace(settings, **{"site_url": SITE} | changes))
        changed.test_client_class = Visitor
        sites.append(changed)
        return changed.test_client()

    yield site
    for each in sites:
        for each_app in (each, *([each.extensions["desk"].app] if each.extensions["desk"].loaded else [])):
            with each_app.app_context():
                dispose()


def ask(client: FlaskClient, path: str, host: str | None, method: str = "GET", **how: Any) -> Response:
    """Send a request with this Host header. None stands for HTTP/1.0 without the header."""
    # Set the path directly: the test client would take the host from a URL.
    given = {"PATH_INFO": path, "HTTP_HOST": host} | how.pop("environ", {})
    environ = EnvironBuilder(client.application, method=method, **how).get_environ() | given
    if host is None:
        del environ["HTTP_HOST"]
    # Run the app directly: the test client parses the URL of every response.
    return Response(*Context().run(run_wsgi_app, client.application, environ, buffered=True))


@pytest.mark.parametrize("host", OTHERS)
@pytest.mark.slow
def test_other_hosts_are_refused_on_every_page(client: FlaskClient, campaign: Campaign, host: str) -> None:
    for path in (PATH, f"{PATH}/feed", "/", "/nothing", "/desk", "/desk/sign-in", "/static/site.css", f"/{PATH}"):
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            answer = ask(client, path, host, method)
            assert answer.status_code == 400, (method, path)
            assert "Location" not in answer.headers
            assert answer.headers["Cache-Control"] == "no-store"
            assert "Content-Security-Policy" in answer.headers
            assert (method == "HEAD") == (answer.get_data() == b"")
            assert host.encode() not in answer.get_data() or len(host) < 2
    assert OTHER_HOST.title in ask(client, PATH, host).get_data(as_text=True)


@pytest.mark.parametrize("host", [*OTHERS[:9], "10.1.2.3:8000", "node-7.internal", "a" * 64])
def test_health_checks_answer_under_any_name(client: FlaskClient, host: str) -> None:
    for path in HEALTH_CHECKS:
        answer = ask(client, path, host)
        assert answer.status_code == 200
        assert answer.mimetype == "text/plain"
    assert {"/healthz", "/readyz"} == HEALTH_CHECKS


HOSTS = ["petitions.example.org", "PETITIONS.example.org", "petitions.example.org:443", "localhost", "127.0.0.1:8000"]
HOSTS += ["[::1]:8000", "127.8.9.1", "www.example.org", "10.0.0.5:8000", "[2001:db8::5]"]


@pytest.mark.parametrize("host", [*HOSTS, None])
@pytest.mark.slow
def test_absolute_urls_use_site_url_for_every_trusted_host(site: Site, campaign: Campaign, host: str | None) -> None:
    client = site(trusted_hosts=frozenset({"www.example.org", "10.0.0.5", "[2001:db8::5]"}))
    for path, location in {
        "/desk": f"{SITE}/desk/",
        "/desk/campaigns//new": f"{SITE}/desk/campaigns/new",
        # A redirect to a path depends on no host.
        f"/campaigns/{PATH.removeprefix('/campaigns')}": PATH,
        "//evil.example/%2e%2e": None,
    }.items():
        answer = ask(client, path, host)
        assert answer.status_code in (308, 404), path
        assert answer.headers.get("Location") in (None, location), path
    for path in (PATH, "/desk/sign-in"):
        page = ask(client, path, host)
        assert page.status_code == 200
        assert (
            host is None
            or host.lower() not in page.get_data(as_text=True).lower()
            or "petitions.example.org" in host.lower()
        )


@pytest.mark.parametrize(
    "given",
    [
        {"SCRIPT_NAME": "/evil"},
        {"SCRIPT_NAME": "//evil.example"},
        {"wsgi.url_scheme": "javascript"},
        {"HTTP_X_FORWARDED_HOST": "evil.example"},
        {"HTTP_X_FORWARDED_PREFIX": "//evil.example"},
        {"HTTP_X_FORWARDED_PROTO": "javascript"},
        {"HTTP_X_FORWARDED_PORT": "81"},
        {"HTTP_FORWARDED": "host=evil.example;proto=javascript"},
        {"SERVER_NAME": "evil.example"},
        {"SERVER_NAME": "a" * 64},
        {"RAW_URI": "http://evil.example/"},
    ],
    ids=str,
)
@pytest.mark.parametrize("proxies", [0, 1])
@pytest.mark.slow
def test_redirects_ignore_forwarding_headers_even_from_a_trusted_proxy(
    site: Site, campaign: Campaign, given: dict[str, str], proxies: int
) -> None:
    client = site(trusted_proxies=proxies)
    for host in ("petitions.example.org", None):
        answer = ask(client, "/desk", host, environ=given)
        assert (answer.status_code, answer.headers["Location"]) == (308, f"{SITE}/desk/")
        home = ask(client, "/", host, environ=given)
        assert (home.status_code, home.headers["Location"]) == (302, PATH)
        sign_in = ask(client, "/desk/", host, environ=given)
        assert sign_in.headers["Location"] == "/desk/sign-in?next=/desk/"


def test_local_site_answers_to_each_name_of_the_machine(client: FlaskClient, campaign: Campaign) -> None:
    for host in ("127.0.0.1:8000", "localhost:8000", "localhost:9000", "[::1]:8000"):
        assert ask(client, PATH, host).status_code == 200
        assert ask(client, "/desk", host).headers["Location"] == f"http://{host}/desk/"


def test_site_in_a_local_network_answers_to_trusted_hosts(site: Site, campaign: Campaign) -> None:
    client = site(site_url="http://0.0.0.0:8000", trusted_hosts=frozenset({"192.168.1.5"}))
    assert ask(client, "/desk", "192.168.1.5:8000").headers["Location"] == "http://192.168.1.5:8000/desk/"
    assert ask(client, PATH, "192.168.1.6:8000").status_code == 400


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("petitions.example.org", SITE, 303),
        ("petitions.example.org", "HTTPS://Petitions.Example.org", 303),
        ("www.example.org", SITE, 303),
        ("www.example.org", "https://www.example.org", 303),
        ("localhost:8000", "http://localhost:8000", 303),
        ("petitions.example.org", "http://petitions.example.org", 403),
        ("petitions.example.org", "https://petitions.example.org:8443", 403),
        ("petitions.example.org", "https://www.example.org", 403),
        ("petitions.example.org", "http://localhost:8000", 403),
        ("localhost:8000", "http://localhost:3000", 403),
        ("petitions.example.org", "https://petitions.example.org.evil.example", 403),
        ("petitions.example.org", SITE + "a" * 8000, 403),
        ("petitions.example.org", "a" * 8000, 403),
        # A page of another host whose name resolves to our IP address.
        ("evil.example", "https://evil.example", 400),
        (None, SITE, 303),
        (None, "https://evil.example", 403),
    ],
)
@pytest.mark.slow
def test_only_pages_of_our_own_hosts_can_post_signatures(
    site: Site, campaign: Campaign, host: str | None, origin: str, status: int
) -> None:
    client = site(trusted_hosts=frozenset({"www.example.org"}))
    answer = ask(client, f"{PATH}/signatures", host, "POST", data=ADA, headers={"Origin": origin})
    assert answer.status_code == status
    assert len(stored()) == (status == 303)


@pytest.mark.slow
def test_passkeys_are_bound_to_site_url(app: Flask, site: Site, newcomer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passkeys, "HOST", "petitions.example.org")
    public = site(trusted_hosts=frozenset({"www.example.org"})).application

    @contextmanager
    def client_at(host: str) -> Iterator[AtDesk]:
        client = begin_first_passkey(public)
        client.environ_base["HTTP_HOST"] = host
        yield client

    with client_at("www.example.org") as client:
        question = ask_for_new(client)
        assert question.options["rp"]["id"] == "petitions.example.org"
        # The browser signs the origin of its page.
        hand_over(client, question, Key(scheme="http").make(question.options))
        assert client.get("/desk/account").status_code != 200
    with client_at("petitions.example.org") as client:
        assert add_passkey(client, Key(scheme="https")).location == "/desk/account/passkey-added"


@pytest.mark.slow
def test_local_passkeys_are_bound_to_the_requested_host(app: Flask, newcomer: str) -> None:
    client = begin_first_passkey(app)
    assert ask_for_new(client).options["rp"]["id"] == "localhost"


def test_failure_outside_the_app_shows_a_plain_error_page(app: Flask, client: FlaskClient, campaign: Campaign) -> None:
    def fail(*_: object) -> None:
        raise UnicodeError("label too long")

    app.create_url_adapter = fail  # type: ignore[method-assign, assignment]
    for method in ("GET", "POST"):
        answer = ask(client, f"{PATH}/thanks", "localhost", method)
        assert answer.status_code == 500
        assert WORDS[500].title in answer.get_data(as_text=True)
        assert "Traceback" not in answer.get_data(as_text=True)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize("path", ["/nothing", "/desk/nothing"])
@pytest.mark.parametrize("broken", ["template", "session", "url_for", "rollback"])
def test_failing_error_page_is_replaced_by_a_plain_page(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, path: str, broken: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    of: Flask = app.extensions["desk"].app if path.startswith("/desk") else app
    if broken == "template":
        monkeypatch.setattr(errors, "render_template", fail)
    elif broken == "session":
        monkeypatch.setattr(of.session_interface, "open_session", fail)
    elif broken == "url_for":
        of.jinja_env.globals["url_for"] = fail
    else:
        monkeypatch.setattr(db.session, "rollback", fail)
        of.before_request_funcs.setdefault(None, []).append(fail)
    answer = client.get(path)
    assert answer.status_code in (404, 500)
    assert "<h1>" in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Content-Security-Policy" in answer.headers


def test_gunicorn_refuses_other_hosts_and_logs_no_traceback(server: Server) -> None:
    for host, path, status in (
        ("a" * 64 + ".example", PATH, 400),
        ("a" * 64 + ".example", "/desk", 400),
        ("a" * 64 + ".example", "/healthz", 200),
        (f"127.0.0.1:{server.port}", PATH, 200),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", path, headers={"Host": host})
        assert connection.getresponse().status == status
        connection.close()
    assert "exception" not in server.log.read_text()
