"""Slow clients of a real nginx with deploy/nginx.conf prevent nobody from signing, and block no thread of a node."""

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from campaign.settings import ROOT
from tests.conftest import DOMAIN, PATH, Serve, only_sqlite
from tests.nginx import Proxy, nginx

CONFIG = (ROOT / "deploy/nginx.conf").read_text()
MOST_REQUESTS = 100
"""Simultaneous requests of a client here: fewer than in production, so that all can be sent before one times out."""
FORM = (
    f"POST {PATH}/signatures HTTP/1.1\r\nHost: {DOMAIN}\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n\r\nname="
)
GET = f"GET {PATH}/thanks HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n"


@pytest.fixture
def proxy(start_node: Serve, tmp_path: Path) -> Iterator[Proxy]:
    """Yield an nginx in front of a node with deadlines of an hour, so that only nginx can protect the node."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    config = tmp_path / "limits.conf.py"
    config.write_text(
        "import dataclasses, runpy\n"
        "globals().update(runpy.run_path('gunicorn.conf.py'))\n"
        "class Limited(worker_class):\n"
        "    limits = dataclasses.replace(\n"
        "        worker_class.limits, body_seconds=3600, answer_seconds=3600, unsent_bytes=0\n"
        "    )\n"
        "worker_class = Limited\n"
    )
    [limit] = re.findall(r"limit_conn campaign_clients \d+;", CONFIG)
    changes = {limit: f"limit_conn campaign_clients {MOST_REQUESTS};"}
    with nginx(folder, start_node(GUNICORN_CMD_ARGS=f"--config={config}"), changes=changes) as proxy:
        yield proxy


def connections(proxy: Proxy, number: int, stack: ExitStack, text: str = "") -> list[ssl.SSLSocket]:
    """Open this number of TLS connections, which are closed with the stack, and send a text on each."""

    def connect(_number: int) -> ssl.SSLSocket:
        plain = socket.socket()
        # A small buffer, so that little of a response is in transit to a client that doesn't read it.
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(60)
        plain.connect(("127.0.0.1", proxy.port))
        connection = stack.enter_context(proxy.trusted.wrap_socket(plain, server_hostname=DOMAIN))
        connection.sendall(text.encode())
        return connection

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(connect, range(number)))


@only_sqlite
def test_signing_through_nginx_works_while_slow_clients_are_connected(proxy: Proxy) -> None:
    with ExitStack() as stack:
        slow = connections(proxy, 80, stack)
        for number, connection in enumerate(slow):
            connection.sendall((FORM if number % 2 else GET * 200).encode())
        over = threading.Event()

        def trickle() -> None:
            while not over.wait(0.2):
                for connection in slow[1::2]:
                    with suppress(OSError):
                        connection.send(b"a")

        trickling = threading.Thread(target=trickle)
        trickling.start()
        assert [proxy.sign(email=f"ada{number}@example.org").status for number in range(5)] == [200] * 5
        over.set()
        trickling.join()


@only_sqlite
def test_simultaneous_requests_of_a_client_are_limited(proxy: Proxy) -> None:
    with ExitStack() as stack:
        # A few more than the limit, because on a busy machine nginx may lose a connection.
        slow = connections(proxy, MOST_REQUESTS + 20, stack, FORM)

        def is_refused() -> bool:
            # nginx ends a request that sends nothing for 20 seconds.
            for connection in slow:
                with suppress(OSError):
                    connection.send(b"a")
            return proxy.sign().status == 503

        proxy.until(is_refused)
        refused = proxy.sign()
        assert "nothing was signed" in refused.text
        assert refused.headers["Retry-After"]
        # Another client is not affected.
        plain = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), 60, ("127.0.0.2", 0)))
        other = stack.enter_context(proxy.trusted.wrap_socket(plain, server_hostname=DOMAIN))
        other.sendall(GET.encode())
        assert other.recv(12) == b"HTTP/1.1 200"
    # Finished requests no longer count.
    proxy.until(lambda: proxy.sign().status == 200)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:"),
        ("2001:db8:1:2::6", "2001:db8:1:2:"),
        ("2001:db8:1::6", "2001:db8:1::"),
        ("2001:db8::6", "2001:db8::"),
        ("192.0.2.1", None),
        ("::1", None),
    ],
)
def test_client_of_an_ipv6_address_is_its_64_network(address: str, client: str | None) -> None:
    [pattern] = re.findall(r'"~(\^\(\?<campaign_groups>.*)" ', CONFIG)
    found = re.match(pattern.replace("?<", "?P<"), address)
    assert (found and found["campaign_groups"]) == client
