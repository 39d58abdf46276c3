"""Faults of the network: slow and idle connections. They don't involve the database, so SQLite is enough."""

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlencode

from campaign.models.campaign import Campaign
from tests.conftest import ADA, only_sqlite
from tests.faults.browser import Response
from tests.faults.load import RECOVERY_SECONDS, Load
from tests.faults.people import SIGNATURES, Report, outcome_for_signer
from tests.faults.site import Site

IDLE_CONNECTIONS = 1000
SLOW_BYTES = 8
"""Bytes of a request that are sent slowly; sending all of it slowly would take minutes."""


@contextmanager
def connections(site: Site, number: int) -> Iterator[list[socket.socket]]:
    """Open this many connections at once, after raising the limit of open files: 1,000 is often above it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, number + 1000)), hard))
    try:
        with ExitStack() as stack:
            yield [stack.enter_context(socket.create_connection(site.address, timeout=30)) for _ in range(number)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@only_sqlite
def test_thousand_idle_connections_do_not_block_signing(site: Site, load: Load, campaign: Campaign) -> None:
    with load.fault(), connections(site, IDLE_CONNECTIONS):
        load.sign_newcomers(RECOVERY_SECONDS)
        load.await_thanks(RECOVERY_SECONDS)
    load.finish(campaign.id)


@only_sqlite
def test_hundred_clients_that_do_not_close_their_connection_do_not_block_signing(
    site: Site, load: Load, campaign: Campaign
) -> None:
    with load.fault(), connections(site, 100) as opened:
        for connection in opened:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        load.sign_newcomers(RECOVERY_SECONDS)
        load.await_thanks(RECOVERY_SECONDS)
        for connection in opened:
            with HTTPResponse(connection) as response:
                response.begin()
                assert response.read() == b"ok\n"
            assert connection.recv(1) == b"", "the site closes the connection"
    load.finish(campaign.id)


class SlowClients(threading.Thread):
    """Clients that send one byte a second.

    Half of them are slow in the middle of the headers, the other half at the end of the form.
    """

    def __init__(self, connections: list[socket.socket]) -> None:
        super().__init__(daemon=True)
        self.connections = connections
        self.sending = threading.Event()
        self.responses: list[Response] = []

    def run(self) -> None:
        # If a response is missing, the test fails because it counts them.
        with suppress(OSError, HTTPException):
            self._send_slowly()

    def _send_slowly(self) -> None:
        requests = [self._request(number) for number in range(len(self.connections))]
        places = [len(request) - SLOW_BYTES if number % 2 else 40 for number, request in enumerate(requests)]
        for connection, request, place in zip(self.connections, requests, places, strict=True):
            connection.sendall(request[:place])
        for step in range(SLOW_BYTES):
            for connection, request, place in zip(self.connections, requests, places, strict=True):
                connection.sendall(request[place + step :][:1])
            self.sending.set()
            # The slow pace is the subject of the test.
            time.sleep(1)
        for connection, request, place in zip(self.connections, requests, places, strict=True):
            connection.sendall(request[place + SLOW_BYTES :])
            with HTTPResponse(connection, method="POST") as response:
                response.begin()
                self.responses.append(Response(response.status, response.headers, response.read().decode()))

    def _request(self, number: int) -> bytes:
        form = urlencode(ADA | {"email": self.mailbox(number)})
        kind = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n"
        return f"POST {SIGNATURES} HTTP/1.1\r\nHost: localhost\r\nHX-Request: true\r\n{kind}\r\n{form}".encode()

    def mailbox(self, number: int) -> str:
        """Return the email address that a connection signs with."""
        return f"slow{number}@example.org"


@only_sqlite
def test_slow_senders_are_thanked_and_do_not_block_signing(site: Site, load: Load, campaign: Campaign) -> None:
    # These are more connections than the site has threads.
    with load.fault(), connections(site, 80) as opened:
        slow_clients, begun = SlowClients(opened), time.monotonic()
        slow_clients.start()
        assert slow_clients.sending.wait(30)
        load.sign_newcomers(RECOVERY_SECONDS)
        load.await_thanks(RECOVERY_SECONDS)
        slow_clients.join(60)
        assert len(slow_clients.responses) == len(opened)
        for number, response in enumerate(slow_clients.responses):
            mailbox = slow_clients.mailbox(number)
            outcome = outcome_for_signer(response, mailbox)
            load.more_reports.append(Report(mailbox, outcome, begun, time.monotonic()))
    load.finish(campaign.id)
