"""Proxy headers from a visitor change nothing, on a real gunicorn."""

import re
import socket
import subprocess
import sys
from http.client import HTTPResponse

import pytest

from campaign.settings import ROOT
from tests.conftest import PATH, Server, only_sqlite

EVIL = "evil.example"
ROUNDS = 8
"""Requests per test. Each of the two workers caches the page for a second, so some requests render it again."""


def ask(server: Server, target: str, *headers: str) -> tuple[int, str, str]:
    """Send a GET request with these header lines, and return status, Location, and body."""
    host = server.url.removeprefix("http://")
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), timeout=30) as connection:
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        with HTTPResponse(connection) as answer:
            answer.begin()
            return answer.status, answer.headers["Location"] or "", answer.read().decode()


@only_sqlite
@pytest.mark.parametrize(
    ("target", "header"),
    [
        (f"//{EVIL}{PATH}", f"SCRIPT_NAME: //{EVIL}"),
        (f"//{EVIL}{PATH}", f"script_name: //{EVIL}"),
        (f"/{EVIL}{PATH}", f"SCRIPT_NAME: /{EVIL}"),
        (PATH, f"SCRIPT_NAME: http://{EVIL}/"),
        (PATH, f"SCRIPT-NAME: //{EVIL}"),
        (PATH, f"PATH_INFO: //{EVIL}/"),
        (PATH, f"PATH-INFO: //{EVIL}/"),
        (PATH, f"X_Forwarded_Host: {EVIL}"),
        (PATH, f"X-Forwarded-Host: {EVIL}"),
        (PATH, f"X-Forwarded-Prefix: //{EVIL}"),
    ],
)
def test_visitors_headers_do_not_change_links_for_others(server: Server, target: str, header: str) -> None:
    for _ in range(ROUNDS):
        status, _, text = ask(server, target, header)
        # SCRIPT_NAME is ignored, so the longer paths don't exist.
        assert status == (200 if target == PATH else 404)
        assert EVIL not in text
        for _ in range(3):
            assert EVIL not in ask(server, PATH)[2]


@only_sqlite
@pytest.mark.parametrize("header", ["X-Forwarded-Proto: https", "X-Forwarded-Protocol: ssl", "X-Forwarded-Ssl: on"])
def test_visitors_headers_do_not_change_the_scheme(server: Server, header: str) -> None:
    # The path has a double slash, so the response is a redirect to an absolute URL.
    status, location, _ = ask(server, f"/campaigns/{PATH.removeprefix('/campaigns')}", header)
    assert status == 308
    assert not location.startswith("https:")
    # gunicorn would refuse a request whose scheme headers disagree.
    assert ask(server, PATH, header, "X-Forwarded-Protocol: none")[0] == 200


@pytest.mark.parametrize("environ", [{}, {"FORWARDED_ALLOW_IPS": "*"}])
@pytest.mark.slow
def test_gunicorn_trusts_no_proxy_and_keeps_safe_defaults(environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "gunicorn", "--print-config"]
    path = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=path | environ, capture_output=True, text=True, check=True, timeout=60)
    settings = dict(re.findall(r"^(\w+)\s+= (.*)$", done.stdout, re.M))
    expected = {
        # Only campaign/web/hosts.py trusts proxies, as many as TRUSTED_PROXIES says.
        "forwarded_allow_ips": "[]",
        "forwarder_headers": "[]",
        "secure_scheme_headers": "{}",
        "header_map": "drop",
        "proxy_protocol": "off",
        "protocol": "http",
        "http_protocols": "['h1']",
        "http2_cleartext": "off",
        # These would accept requests that RFC 9112 forbids and that a proxy may parse differently.
        "permit_obsolete_folding": "False",
        "permit_unconventional_http_method": "False",
        "permit_unconventional_http_version": "False",
        "casefold_http_method": "False",
        "strip_header_spaces": "False",
    }
    assert {name: settings.get(name) for name in expected} == expected
