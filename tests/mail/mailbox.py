"""A real SMTP server on loopback that keeps messages, and can be told to misbehave."""

import ssl
import time
from asyncio import WriteTransport
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.services import free_port

OK = "250 OK"


class Mailbox:
    """What the server has received, and how it answers."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.connections: Counter[int] = Counter()
        """How many messages came through each connection."""
        self.answer_recipient: Callable[[str], str] = lambda _: OK
        self.answer_data: Callable[[EmailMessage], str] = lambda _: OK
        """The answer to a message; `STALL` doesn't come for a while, and `HANG_UP` ends the connection."""

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = self.answer_recipient(address)
        if answer == OK:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        answer = self.answer_data(message)
        if answer == HANG_UP:
            assert isinstance(server.transport, WriteTransport)
            server.transport.abort()
            return OK
        if answer.startswith(OK):
            self.messages.append(message)
            self.recipients += envelope.rcpt_tos
            self.connections[id(session)] += 1
        return answer

    @property
    def ids(self) -> Counter[str]:
        """How often each Message-ID was received."""
        return Counter(str(message["Message-ID"]) for message in self.messages)

    def wait_for(self, number: int, seconds: float = 20) -> None:
        """Wait until this many messages have been received."""
        until = time.monotonic() + seconds
        while len(self.messages) < number:
            assert time.monotonic() < until, f"{len(self.messages)} of {number} messages"
            time.sleep(0.02)


HANG_UP = "hang up"


class Server(Controller):
    """The server. It may be stopped and started again at the same port."""

    def __init__(self, mailbox: Mailbox, port: int, **options: Any) -> None:
        super().__init__(mailbox, hostname="127.0.0.1", port=port, ready_timeout=20, **options)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"


def authenticator(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    """Accept one user."""
    assert isinstance(data, LoginPassword)
    return AuthResult(success=(data.login, data.password) == (b"site", b"p@ss:word"), handled=False)


@contextmanager
def smtp_server(mailbox: Mailbox, **options: Any) -> Iterator[Server]:
    """Run a server."""
    server = Server(mailbox, free_port(), **options)
    server.start()
    try:
        yield server
    finally:
        if server._thread and server._thread.is_alive():
            server.stop()


def context(certificate: str, key: str) -> ssl.SSLContext:
    """Return a context for a server with this certificate."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(certificate, key)
    return made
