"""Slow clients of a real gunicorn block no thread, are disconnected eventually, and use a limited share of memory."""

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest

from campaign.server.deadline_socket import Limits
from campaign.server.worker_class import client_of
from campaign.web.limits.body_limits import TEXT_BYTES
from tests.conftest import ADA, PATH, Serve, Server, only_sqlite
from tests.signatures.test_crowd import post

HOUR = 3600.0
ATTACKERS = 80
"""The number of slow clients of each kind: more than two workers have threads."""
HEAD = f"POST {PATH}/signatures HTTP/1.1\r\nHost: localhost\r\n"
FORM = f"{HEAD}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\nname="
GET = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n"
KINDS = {
    "silent": "",
    "slow head": HEAD,
    "slow body": FORM,
    "slow multipart body": FORM.replace("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"),
    "slow body at the desk": FORM.replace(f"{PATH}/signatures", "/desk/sign-in"),
    "slow body at the editor": FORM.replace(f"{PATH}/signatures", "/desk/campaigns/new").replace("60000", "600000"),
    "slow body at the preview": FORM.replace(f"{PATH}/signatures", "/desk/campaigns/preview").replace(
        "60000", "600000"
    ),
    "slow body of a page": FORM.replace("POST", "GET").replace("/signatures", ""),
    "body that is too large": FORM.replace("60000", "6000000"),
    "chunked body": f"{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nname=",
    "reads no response": GET * 1000,
}
"""The first bytes that each kind of attacker sends."""
SLOW_BODIES = ("slow body", "slow body at the desk", "slow body at the editor", "slow body at the preview")

ServeWith = Callable[..., Server]


@pytest.fixture
def serve_with(serve: Serve, tmp_path: Path) -> ServeWith:
    """Return a function that starts a server with other limits than those of gunicorn.conf.py.

    Names in uppercase are settings, and names in lowercase are limits.
    """

    def serve_with(**changes: object) -> Server:
        limits = {name: value for name, value in changes.items() if name.islower()}
        config = tmp_path / "limits.conf.py"
        config.write_text(
            "import dataclasses, runpy\n"
            "globals().update(runpy.run_path('gunicorn.conf.py'))\n"
            "class Limited(worker_class):\n"
            f"    limits = dataclasses.replace(worker_class.limits, **{limits!r})\n"
            "worker_class = Limited\n"
        )
        environ = {name: str(value) for name, value in changes.items() if name.isupper()}
        return serve(GUNICORN_CMD_ARGS=f"--config={config}", **environ)

    return serve_with


@pytest.fixture
def connect() -> Iterator[Callable[..., socket.socket]]:
    """Yield a function that opens a connection to a server, from another IP address of this machine if given."""
    with ExitStack() as stack:

        def connect(server: Server, source: str = "127.0.0.1") -> socket.socket:
            connection = socket.socket()
            stack.enter_context(connection)
            # A small buffer, so that little of a response is in transit to a client that doesn't read it.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.bind((source, 0))
            connection.settimeout(60)
            connection.connect(("127.0.0.1", server.port))
            return connection

        yield connect


Connect = Callable[..., socket.socket]


def is_open(connection: socket.socket) -> bool:
    """Return whether the connection is still open, without reading the response."""
    if not select.select([connection], [], [], 0)[0]:
        return True
    with suppress(ConnectionResetError):
        return connection.recv(1, socket.MSG_PEEK) != b""
    return False


def is_reset(connection: socket.socket) -> bool:
    """Wait until the server has reset the connection, without reading from it."""
    poll = select.poll()
    # poll() reports errors even if no events are requested.
    poll.register(connection, 0)
    return bool(poll.poll(60_000))


def read_to_end(connection: socket.socket) -> bytes:
    """Return everything that the server sends until it closes the connection."""
    answer = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            answer += data
    return answer


class Trickle(threading.Thread):
    """Sends a byte on every connection, again and again."""

    def __init__(self, connections: list[socket.socket]) -> None:
        super().__init__(daemon=True)
        self._connections = connections
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.2):
            for connection in self._connections:
                with suppress(OSError):
                    connection.send(b"a", socket.MSG_DONTWAIT)

    def stop(self) -> None:
        self._over.set()
        self.join()


@only_sqlite
def test_signing_and_reading_work_while_slow_clients_are_connected(serve_with: ServeWith, connect: Connect) -> None:
    # With deadlines of an hour, a slow client that blocks a thread would block it until the end of the test.
    server = serve_with(
        silent_seconds=HOUR, head_seconds=HOUR, body_seconds=HOUR, answer_seconds=HOUR, buffered_bytes=1 << 30
    )
    attackers = {kind: [connect(server) for _ in range(ATTACKERS)] for kind in KINDS}
    for kind, connections in attackers.items():
        for connection in connections:
            connection.sendall(KINDS[kind].encode())
    trickle = Trickle([connection for kind in ("slow head", *SLOW_BODIES) for connection in attackers[kind]])
    trickle.start()
    for number in range(5):
        assert post(server, email=f"ada{number}@example.org") == 200
    trickle.stop()
    for kind in ("silent", "slow head", *SLOW_BODIES, "reads no response"):
        assert all(is_open(connection) for connection in attackers[kind]), kind


@only_sqlite
def test_slow_clients_are_disconnected_although_they_keep_sending(serve_with: ServeWith, connect: Connect) -> None:
    server = serve_with(silent_seconds=1, head_seconds=1, body_seconds=1, answer_seconds=1, least_rate=1_000_000)
    attackers = {kind: [connect(server) for _ in range(4)] for kind in KINDS}
    for kind, connections in attackers.items():
        for connection in connections:
            connection.sendall(KINDS[kind].encode())
    quiet = ("silent", "reads no response")
    trickle = Trickle([each for kind, connections in attackers.items() if kind not in quiet for each in connections])
    trickle.start()
    for kind, connections in attackers.items():
        for connection in connections:
            if kind == "reads no response":
                assert is_reset(connection)
                continue
            answer = read_to_end(connection)
            if kind in ("slow head", *SLOW_BODIES):
                assert answer.startswith(b"HTTP/1.1 408 "), kind
    trickle.stop()
    assert post(server) == 200


@only_sqlite
def test_slow_reader_gets_every_response(serve_with: ServeWith, connect: Connect) -> None:
    server = serve_with(answer_seconds=2, least_rate=1)
    connection, requests = connect(server), 150
    connection.sendall(
        GET.encode() * (requests - 1) + GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode()
    )
    answer = b""
    while data := connection.recv(20_000):
        answer += data
        threading.Event().wait(0.002)
    assert answer.count(b"HTTP/1.1 200 OK") == requests
    assert answer.count(b"</html>") == requests


@only_sqlite
def test_connections_of_a_client_are_limited(serve_with: ServeWith, connect: Connect) -> None:
    server = serve_with(
        silent_seconds=HOUR, client_connections=20, WEB_CONCURRENCY=1, RATELIMIT_TRUSTED="192.0.2.0/24, 127.0.0.3"
    )
    taken = [connect(server) for _ in range(60)]
    for source in ("127.0.0.2", "127.0.0.3"):
        other = connect(server, source)
        other.sendall(GET.encode())
        assert other.recv(15) == b"HTTP/1.1 200 OK"
    refused = [connection for connection in taken if not is_open(connection)]
    assert len(taken) - len(refused) in (19, 20), "the fixture that waits for the server may still be connected"
    # A trusted network may have any number of connections.
    trusted = [connect(server, "127.0.0.3") for _ in range(60)]
    for connection in trusted:
        connection.sendall(GET.encode())
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
    # Closed connections no longer count.
    for connection in taken:
        connection.close()
    while True:
        again = connect(server)
        with suppress(OSError):
            again.sendall(GET.encode())
            if again.recv(15) == b"HTTP/1.1 200 OK":
                break


@only_sqlite
@pytest.mark.parametrize("environ", [{}, {"TRUSTED_PROXIES": 1, "RATELIMIT_TRUSTED": "192.0.2.0/24"}])
def test_connections_of_this_machine_and_of_a_trusted_proxy_are_not_limited(
    serve: Serve, connect: Connect, environ: dict[str, object]
) -> None:
    server = serve(WEB_CONCURRENCY="1", **{name: str(value) for name, value in environ.items()})
    # More than gunicorn.conf.py allows a client.
    connections = [connect(server) for _ in range(520)]
    connections[-1].sendall(GET.encode())
    assert connections[-1].recv(15) == b"HTTP/1.1 200 OK"


@only_sqlite
def test_unfinished_requests_use_limited_memory(serve_with: ServeWith, connect: Connect) -> None:
    server = serve_with(body_seconds=HOUR, buffered_bytes=1_000_000, WEB_CONCURRENCY=1)
    connections = [connect(server) for _ in range(40)]
    for connection in connections:
        connection.sendall(FORM.encode() + b"a" * 50_000)
    while sum(map(is_open, connections)) > 1_000_000 // 50_000:
        threading.Event().wait(0.05)
    assert is_open(connections[-1]), "the oldest must be closed first"
    assert post(server) == 200


@only_sqlite
def test_small_form_survives_when_large_bodies_exceed_the_memory_limit(serve_with: ServeWith, connect: Connect) -> None:
    server = serve_with(body_seconds=HOUR, buffered_bytes=1_000_000, WEB_CONCURRENCY=1)
    form = urlencode(ADA)
    signer = connect(server)
    signer.sendall(FORM.replace("60000", str(len(form))).removesuffix("name=").encode() + form[:5].encode())
    attackers = [connect(server) for _ in range(40)]
    for attacker in attackers:
        attacker.sendall(FORM.encode() + b"a" * 50_000)
    while sum(map(is_open, attackers)) > 1_000_000 // 50_000:
        threading.Event().wait(0.05)
    signer.sendall(form[5:].encode())
    assert signer.recv(12) == b"HTTP/1.1 303"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_client_is_identified_by_ipv4_address_or_ipv6_64(one: str, other: str, same: bool) -> None:
    assert (client_of((one, 1, 0, 0)) == client_of((other, 2, 0, 0))) is same
    assert client_of("") == b""


def test_deadlines_are_as_long_as_those_of_nginx() -> None:
    # deploy/nginx.conf has 20 seconds between two reads, as has htmx.
    assert Limits().head_seconds >= 10
    assert Limits().body_seconds >= 20


def test_main_loop_waits_for_every_body_that_a_stranger_may_send() -> None:
    assert Limits().body_bytes == TEXT_BYTES
