"""Many simultaneous signers on a real gunicorn server with two workers."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from campaign.models.campaign import Campaign
from campaign.signatures import tally
from campaign.storage.database import db
from tests.conftest import ADA, HTMX, SLUG, Server, stored


def post(server: Server, **fields: str) -> int:
    request = Request(f"{server.page}/signatures", urlencode(ADA | fields).encode(), HTMX)
    try:
        with urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_64_simultaneous_posts_from_a_mailbox_store_one_signature(server: Server, campaign: Campaign) -> None:
    with ThreadPoolExecutor(64) as crowd:
        statuses = list(crowd.map(lambda n: post(server, name=f"Ada {n}", email=f"a.d.a+{n}@gmail.com"), range(64)))
    assert statuses == [200] * 64
    assert len(stored()) == 1
    assert tally.count(db.session(), campaign.id) == 1


def test_every_signer_of_a_crowd_is_stored_and_counted(server: Server, campaign: Campaign) -> None:
    with ThreadPoolExecutor(16) as crowd:
        statuses = list(crowd.map(lambda n: post(server, email=f"ada{n}@example.org"), range(200)))
    assert statuses == [200] * 200
    assert {signature.email for signature in stored()} == {f"ada{n}@example.org" for n in range(200)}
    assert tally.check(db.session(), campaign.id) == tally.Check(tallied=200, stored=200)


def test_stalled_connections_do_not_block_signing_for_long(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    stalled = [socket.create_connection((host, int(port))) for _ in range(100)]
    for number, connection in enumerate(stalled):
        head = f"POST /campaigns/{SLUG}/signatures HTTP/1.1\r\nHost: {host}:{port}\r\n"
        form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nname="
        connection.sendall((head if number % 2 else head + form).encode())
    deadline = time.monotonic() + 40
    while True:
        try:
            assert post(server) == 200
            break
        except OSError:
            assert time.monotonic() < deadline, "signing is blocked"
    for connection in stalled:
        connection.close()


def test_log_never_contains_signers_data_from_broken_requests(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    form = "name=Ada+Leaked&email=leaked@example.org&country=FR"
    kind = "Content-Type: application/x-www-form-urlencoded\r\n"
    for length, body in (
        ("", form),
        ("Content-Length: 5\r\n", form),
        ("Content-Length: nonsense\r\n", form),
        ("Transfer-Encoding: chunked\r\n", form),
        ("Transfer-Encoding: chunked\r\n", f"{len(form):x}\r\n{form}\r\n0\r\n\r\n"),
        ("", f"{form} HTTP/1.1\r\n\r\n"),
    ):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = f"POST /campaigns/{SLUG}/signatures HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
            connection.sendall(f"{head}{kind}{length}\r\n{body}".encode())
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda connection=connection: connection.recv(65536), b""))  # type: ignore[misc]
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 411", b"HTTP/1.1 422")), (length, answer[:100])
    log = server.log.read_text()
    assert [line for line in log.splitlines() if json.loads(line)["message"] != "answered"] == []
    for secret in ("Ada", "Leaked", "leaked@example.org", "name=", "127.0.0.1"):
        assert secret not in log
