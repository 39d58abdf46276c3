"""A visitor's connection, kept alive as a browser keeps it, and the truth about an answer that does not come."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse

PATIENCE = 30
"""Seconds until somebody who gets no answer gives up; no fault here may last that long."""


class UnreadError(Exception):
    """The request reached nobody: not one byte of it was read."""


class UnansweredError(Exception):
    """The request was read, and then the connection ended without a whole answer."""


@dataclass(frozen=True)
class Answer:
    """What a visitor gets."""

    status: int
    headers: Message
    text: str


class Browser:
    """One connection, used again and again, and opened anew when the site has closed it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._kept: socket.socket | None = None

    def ask(self, method: str, path: str, body: str = "") -> Answer:
        """Send a request as htmx does.

        Raises:
            UnreadError, UnansweredError: there is no answer.
            TimeoutError: there is none, and the connection is still open.
        """
        sent = body.encode()
        form = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(sent)}\r\n" if sent else ""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {':'.join(map(str, self._address))}\r\nHX-Request: true\r\n{form}\r\n"
        )
        kept, self._kept = self._kept, None
        if kept and _is_open(kept):
            # A server may close an idle connection at any moment, also while the next request is on its way. Browsers
            # send that one again by themselves, on a new connection, and so may we: once, on a connection that was
            # used before, and only where _answer() proves that nothing of it was read, so that nothing is done twice.
            with suppress(UnreadError):
                return self._answer(kept, method, head.encode() + sent)
        try:
            opened = socket.create_connection(self._address, timeout=PATIENCE)
        except ConnectionError as error:
            raise UnreadError(repr(error)) from error
        return self._answer(opened, method, head.encode() + sent)

    def _answer(self, connection: socket.socket, method: str, request: bytes) -> Answer:
        done = False
        try:
            _send_and_wait(connection, request)
            try:
                with HTTPResponse(connection, method=method) as response:
                    response.begin()
                    text = response.read().decode()
            except (HTTPException, ConnectionError) as error:
                raise UnansweredError(f"broke off: {error!r}") from error
            done = not response.will_close
            return Answer(response.status, response.headers, text)
        finally:
            if done:
                self._kept = connection
            else:
                connection.close()

    def close(self) -> None:
        """Leave."""
        if self._kept:
            self._kept.close()
            self._kept = None


def _is_open(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        connection.settimeout(PATIENCE)
        return True
    except OSError:
        pass
    # At an end, or with bytes that nobody asked for.
    connection.close()
    return False


def _send_and_wait(connection: socket.socket, request: bytes) -> None:
    """Send a request in one piece, and wait for the first byte of the answer.

    Linux resets a connection that is closed with bytes in it that nobody has read, and one that gets bytes after it was
    closed; one whose bytes were all read just ends. So a reset before the first byte of an answer says that the request
    was not read, since one piece is read at once; an end without a reset says that it was.
    """
    try:
        connection.sendall(request)
        first = connection.recv(1, socket.MSG_PEEK)
    except ConnectionError as error:
        raise UnreadError(repr(error)) from error
    if first:
        return
    # The end may have come before our bytes left; the reset that they met stands here then.
    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise UnreadError("closed before")
    raise UnansweredError("ended")
