"""A browser with a keep-alive connection. It can tell whether the server has read a request without a response."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse

RESPONSE_TIMEOUT = 30
"""Seconds to wait for a response. Every fault in these tests must be over sooner."""


class UnreadError(Exception):
    """The server has not read any byte of the request."""


class UnansweredError(Exception):
    """The server has read the request, and the connection ended without a complete response."""


@dataclass(frozen=True)
class Response:
    """A response."""

    status: int
    headers: Message
    text: str


class Browser:
    """A client with one connection, which is reused, and reopened after the site closes it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._connection: socket.socket | None = None

    def send(self, method: str, path: str, body: str = "") -> Response:
        """Send a request with htmx's header, and return the response.

        Raises:
            UnreadError: The server has not read the request.
            UnansweredError: The server has read the request, but sent no complete response.
            TimeoutError: There is no response, and the connection is still open.
        """
        sent = body.encode()
        form = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(sent)}\r\n" if sent else ""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {':'.join(map(str, self._address))}\r\nHX-Request: true\r\n{form}\r\n"
        )
        connection, self._connection = self._connection, None
        if connection and _is_open(connection):
            # A server may close an idle connection at any moment, even while the next request is on its way. Browsers
            # then send the request again on a new connection, and so do we. This is safe only once, on a reused
            # connection, and if _exchange() proves that the request was not read: otherwise it could be handled twice.
            with suppress(UnreadError):
                return self._exchange(connection, method, head.encode() + sent)
        try:
            opened = socket.create_connection(self._address, timeout=RESPONSE_TIMEOUT)
        except ConnectionError as error:
            raise UnreadError(repr(error)) from error
        return self._exchange(opened, method, head.encode() + sent)

    def _exchange(self, connection: socket.socket, method: str, request: bytes) -> Response:
        done = False
        try:
            _send_and_wait(connection, request)
            try:
                with HTTPResponse(connection, method=method) as response:
                    response.begin()
                    text = response.read().decode()
            except (HTTPException, ConnectionError) as error:
                raise UnansweredError(f"incomplete: {error!r}") from error
            done = not response.will_close
            return Response(response.status, response.headers, text)
        finally:
            if done:
                self._connection = connection
            else:
                connection.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()
            self._connection = None


def _is_open(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        connection.settimeout(RESPONSE_TIMEOUT)
        return True
    except OSError:
        pass
    # The connection has ended, or has bytes that belong to no response.
    connection.close()
    return False


def _send_and_wait(connection: socket.socket, request: bytes) -> None:
    """Send a request in one piece, and wait for the first byte of the response.

    Linux resets a connection if the server closes it with unread bytes, or if bytes arrive after it was closed. If all
    bytes were read, the connection ends without a reset. A request sent in one piece is read in one piece. So a reset
    before the first byte of the response means that the request was not read. An end without a reset means that it was.

    Raises:
        UnreadError: The server has not read the request.
        UnansweredError: The server has read the request, and closed the connection.
    """
    try:
        connection.sendall(request)
        first = connection.recv(1, socket.MSG_PEEK)
    except ConnectionError as error:
        raise UnreadError(repr(error)) from error
    if first:
        return
    # The connection may have ended before our bytes were sent. The reset that answered them is then in SO_ERROR.
    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise UnreadError("closed before")
    raise UnansweredError("ended")
