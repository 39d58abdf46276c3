"""Connections that take long: slow ones, and those that say nothing. The database has no part in it."""

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlencode

from campaign.models import Campaign
from tests.conftest import ADA, only_sqlite
from tests.faults.browser import Answer
from tests.faults.load import BACK_SECONDS, Load
from tests.faults.people import SIGNATURES, Word, told_to_signer
from tests.faults.site import Site

SILENT = 1000
SLOW_BYTES = 8
"""So many of a request dawdle; with all of them it would take minutes."""


@contextmanager
def connections(site: Site, number: int) -> Iterator[list[socket.socket]]:
    """So many at once; 1,000 are more than a program may have open as a rule."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, number + 1000)), hard))
    try:
        with ExitStack() as stack:
            yield [stack.enter_context(socket.create_connection(site.address, timeout=30)) for _ in range(number)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@only_sqlite
def test_a_thousand_connections_that_say_nothing_keep_nobody_from_signing(
    site: Site, load: Load, campaign: Campaign
) -> None:
    with load.trouble(), connections(site, SILENT):
        load.await_newcomers(BACK_SECONDS)
        load.await_thanks(BACK_SECONDS)
    load.finish(campaign.id)


@only_sqlite
def test_a_hundred_who_get_their_answer_and_do_not_hang_up_keep_nobody_from_signing(
    site: Site, load: Load, campaign: Campaign
) -> None:
    with load.trouble(), connections(site, 100) as opened:
        for connection in opened:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        load.await_newcomers(BACK_SECONDS)
        load.await_thanks(BACK_SECONDS)
        for connection in opened:
            with HTTPResponse(connection) as response:
                response.begin()
                assert response.read() == b"ok\n"
            assert connection.recv(1) == b"", "the site hangs up"
    load.finish(campaign.id)


class Dawdlers(threading.Thread):
    """People whose phones send a byte a second: every other one within the form, and within what is before it."""

    def __init__(self, connections: list[socket.socket]) -> None:
        super().__init__(daemon=True)
        self.connections = connections
        self.sending = threading.Event()
        self.answers: list[Answer] = []

    def run(self) -> None:
        # Who gets no answer is missing among the answers.
        with suppress(OSError, HTTPException):
            self._dawdle()

    def _dawdle(self) -> None:
        requests = [self._request(number) for number in range(len(self.connections))]
        places = [len(request) - SLOW_BYTES if number % 2 else 40 for number, request in enumerate(requests)]
        for connection, request, place in zip(self.connections, requests, places, strict=True):
            connection.sendall(request[:place])
        for step in range(SLOW_BYTES):
            for connection, request, place in zip(self.connections, requests, places, strict=True):
                connection.sendall(request[place + step :][:1])
            self.sending.set()
            # The pace is what is tested.
            time.sleep(1)
        for connection, request, place in zip(self.connections, requests, places, strict=True):
            connection.sendall(request[place + SLOW_BYTES :])
            with HTTPResponse(connection, method="POST") as response:
                response.begin()
                self.answers.append(Answer(response.status, response.headers, response.read().decode()))

    def _request(self, number: int) -> bytes:
        form = urlencode(ADA | {"email": self.mailbox(number)})
        kind = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n"
        return f"POST {SIGNATURES} HTTP/1.1\r\nHost: localhost\r\nHX-Request: true\r\n{kind}\r\n{form}".encode()

    def mailbox(self, number: int) -> str:
        return f"slow{number}@example.org"


@only_sqlite
def test_who_sends_a_byte_a_second_is_thanked_in_the_end_and_keeps_nobody_from_signing(
    site: Site, load: Load, campaign: Campaign
) -> None:
    # Of a crowd of them, a proxy that takes requests in whole relieves the site; test_proxy.py proves that it does.
    with load.trouble(), connections(site, 2) as opened:
        dawdlers, begun = Dawdlers(opened), time.monotonic()
        dawdlers.start()
        assert dawdlers.sending.wait(30)
        load.await_newcomers(BACK_SECONDS)
        load.await_thanks(BACK_SECONDS)
        dawdlers.join(60)
        assert len(dawdlers.answers) == 2
        for place, answer in enumerate(dawdlers.answers):
            mailbox = dawdlers.mailbox(place)
            load.others.append(Word(mailbox, told_to_signer(answer, mailbox), begun, time.monotonic()))
    load.finish(campaign.id)
