"""A client's socket with deadlines for a whole request and a whole response.

worker_class.py gives gunicorn such a socket in place of each accepted one. First, the worker's main loop reads a
request into the socket's buffer. Then a thread reads the request from the buffer and responds. Finally, the main loop
sends the rest of the response. Only one of them uses the socket at a time, so it needs no lock.
"""

import errno
import select
import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Network, IPv6Network

READ_BYTES = 16_384
"""How many bytes are read at once."""
END_OF_HEAD = b"\r\n\r\n"
# Module-level names, because looking up super() in each request takes longer.
_recv, _send = socket.socket.recv, socket.socket.send
SMALL_BODY = 65_536
"""The body size in bytes for which `body_seconds` applies: the limit of every form except the editor's."""


@dataclass(frozen=True)
class Limits:
    """How long a client may take, and how much a worker process buffers for it.

    A slow client uses a connection and some memory, but no thread. So the deadlines are generous: it must be possible
    to sign from a phone on a bad network.
    """

    silent_seconds: float = 10
    """How long a new connection may be silent, and how long a client may take to close the connection after its last
    response. Browsers open connections in advance, and a phone whose request is lost three times sends it again after
    seven seconds."""
    head_seconds: float = 15
    """How long a request's head may take from its first byte. An ordinary one fits into one or two packets."""
    body_seconds: float = 30
    """How long a body of up to SMALL_BODY bytes may take. A larger one gets more time, by `least_rate`."""
    answer_seconds: float = 30
    """How long a client may read nothing of its response. A client that reads gets more time, by `least_rate`."""
    least_rate: int = 10_000
    """The minimum average rate of a large body or response in bytes per second. It is 80 kbit/s, which phones still
    reach on bad 3G. A delivery of 100 MB may take almost three hours."""
    head_bytes: int = 32_768
    """The largest head; nginx has the same limit (large_client_header_buffers)."""
    body_bytes: int = 665_536
    """The largest body that the main loop waits for: the most that a stranger may send to any route
    (body_limits.TEXT_BYTES). Larger bodies are accepted only from signed-in organizers, and a thread waits for them.
    All others are refused by their Content-Length, before anything of them is read."""
    unsent_bytes: int = 1_048_576
    """How much of a response may wait to be sent without a thread. No response to a stranger is larger: the largest
    picture has 200 KB, the longest letter 50,000 characters."""
    buffered_bytes: int = 67_108_864
    """How much a worker process buffers for all clients that it waits for."""
    client_connections: int | None = None
    """How many connections of one client a worker process accepts; None for no limit."""
    exempt: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks whose connections are not limited."""


class Arrived(Enum):
    """How much of a request has arrived."""

    NOTHING = auto()
    PART_OF_HEAD = auto()
    PART_OF_BODY = auto()
    REQUEST = auto()
    """Enough for a thread to begin."""
    END = auto()
    """The client has closed the connection before the end of the head."""
    LARGE_HEAD = auto()
    NO_LENGTH = auto()
    """The body is chunked, so its length is unknown until its end."""


# Module-level names, because looking up the members of an enumeration in each request takes longer.
_UNFINISHED = (Arrived.NOTHING, Arrived.PART_OF_HEAD, Arrived.PART_OF_BODY)
_NOTHING, _PART_OF_HEAD, _PART_OF_BODY = _UNFINISHED
_REQUEST = Arrived.REQUEST


class DeadlineSocket(socket.socket):
    """A non-blocking socket with buffers, which gunicorn uses like a blocking socket."""

    def __init__(self, accepted: socket.socket, limits: Limits) -> None:
        """Take over an accepted socket."""
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        super().setblocking(False)
        self.limits = limits
        self.received = bytearray()
        """Bytes that the main loop has received, and that no thread has read yet."""
        self._unsent: deque[memoryview] = deque()
        self.unsent_bytes = 0
        self._unread_since: float | None = None
        """Since when data has been waiting because the client doesn't read it; None if nothing is waiting."""
        self._taken = 0
        """Bytes that the client has read since then."""
        self._ended = False
        self._continued = False
        self.expect_request()

    # For the main loop.

    def expect_request(self) -> None:
        """Prepare for the next request."""
        self._searched = 0
        self._size: int | None = None
        """Size of head and body, once the head has arrived."""
        self._ready = 0
        """Bytes of the request in `received` that a thread may read."""
        self._missing = 0
        """Bytes of the request that have not arrived."""
        self._answering = False

    def receive(self) -> Arrived:
        """Receive without waiting, and return how much of the request has arrived.

        Raises:
            OSError: The connection is broken.
        """
        # The buffer may already hold the next request. Then nothing more is received, so that a client that sends
        # requests and reads no responses can't fill the memory.
        arrived = self._examine() if self.received else _NOTHING
        if arrived not in _UNFINISHED:
            return arrived
        try:
            data = _recv(self, READ_BYTES)
        except BlockingIOError:
            return arrived
        self.received += data
        self._ended = not data
        return self._examine()

    def _examine(self) -> Arrived:
        received = self.received
        if self._size is None:
            end = received.find(END_OF_HEAD, self._searched)
            if end < 0 or end > self.limits.head_bytes:
                return self._unfinished_head()
            head = bytes(received[: end + len(END_OF_HEAD)]).lower()
            if b"\r\ntransfer-encoding:" in head:
                return Arrived.NO_LENGTH
            self._size = len(head)
            if b"\r\ncontent-length:" in head:
                self._expect_body(head)
        missing = self._size - len(received)
        if missing <= 0:
            self._ready = self._size
            return _REQUEST
        if self._awaits_body and not self._ended:
            if self._expects_continue and not self._continued:
                # The client waits for this before it sends the body. gunicorn would send it only after the body.
                self._continued = True
                self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
            return _PART_OF_BODY
        self._ready, self._missing = len(received), missing
        return _REQUEST

    def _unfinished_head(self) -> Arrived:
        if len(self.received) > self.limits.head_bytes:
            return Arrived.LARGE_HEAD
        if self._ended:
            return Arrived.END
        self._searched = max(0, len(self.received) - len(END_OF_HEAD) + 1)
        return _PART_OF_HEAD if self.received else _NOTHING

    def _expect_body(self, head: bytes) -> None:
        # gunicorn parses the head later. If it refuses the request, for example for two lengths, no body is needed.
        length = _field(head, b"\r\ncontent-length:")
        bytes_of_body = int(length) if length.isdigit() and len(length) < 16 else 0
        self._size = len(head) + bytes_of_body
        self._continued = False
        self._body_since: float | None = None
        self._awaits_body = bytes_of_body <= self.limits.body_bytes
        self._expects_continue = _field(head, b"\r\nexpect:") == b"100-continue" and b" http/1.1\r\n" in head

    @property
    def body_seconds(self) -> float:
        """How long the client may take to send the announced body."""
        larger = max(0, (self._size or 0) - SMALL_BODY)
        return self.limits.body_seconds + larger / self.limits.least_rate

    def flush(self) -> None:
        """Send as much of the waiting data as the client reads now.

        Raises:
            OSError: The connection is broken.
        """
        while self._unsent:
            try:
                sent = _send(self, self._unsent[0])
            except BlockingIOError:
                return
            self._taken += sent
            self.unsent_bytes -= sent
            if sent == len(self._unsent[0]):
                self._unsent.popleft()
            else:
                self._unsent[0] = self._unsent[0][sent:]
        self._unread_since = None

    @property
    def answer_deadline(self) -> float:
        """When the client must have read more of its response, in seconds of time.monotonic()."""
        return (self._unread_since or 0) + self.limits.answer_seconds + self._taken / self.limits.least_rate

    # For gunicorn, in a thread.

    def setblocking(self, flag: bool) -> None:
        """Do nothing: the socket stays non-blocking."""

    def settimeout(self, value: float | None) -> None:
        """Do nothing: the limits set the deadlines."""

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Return a part of the request. The thread waits only for a body that is too large for the main loop.

        Raises:
            TimeoutError: The request has no more bytes, or the response has begun, so the rest isn't needed.
            ConnectionResetError: The body takes too long.
        """
        if self._ready:
            data = bytes(self.received[: min(bufsize, self._ready)])
            del self.received[: len(data)]
            self._ready -= len(data)
            return data
        if self._ended:
            return b""
        if self._answering or not self._missing:
            raise TimeoutError(errno.ETIMEDOUT, "the request has no more bytes")
        data = self._recv_large_body(min(bufsize, self._missing))
        self._missing -= len(data)
        return data

    def _recv_large_body(self, bufsize: int) -> bytes:
        while True:
            with suppress(BlockingIOError):
                return _recv(self, bufsize)
            if self._body_since is None:
                self._body_since, self._body_missing = time.monotonic(), self._missing
            arrived = self._body_missing - self._missing
            more = self.limits.body_seconds + arrived / self.limits.least_rate
            self._await(select.POLLIN, self._body_since + more)

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]
        """Send "100 Continue" unless it has been sent. gunicorn uses this method for nothing else."""
        if not self._continued:
            self._send(data)
        return len(data)

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
        """Send a part of the response, or leave it to the main loop. The thread waits only if too much is unsent.

        Raises:
            ConnectionResetError: The client reads its response too slowly.
        """
        self._answering = True
        self._send(data)
        while self.unsent_bytes > self.limits.unsent_bytes:
            self._await(select.POLLOUT, self.answer_deadline)
            self.flush()

    def _send(self, data: bytes) -> None:
        sent = 0
        if self._unsent:
            self.flush()
        if not self._unsent:
            try:
                sent = _send(self, data)
            except BlockingIOError:
                pass
            else:
                if sent == len(data):
                    return
        if self._unread_since is None:
            self._unread_since, self._taken = time.monotonic(), 0
        self._unsent.append(memoryview(data)[sent:])
        self.unsent_bytes += len(data) - sent

    def _await(self, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(self, event)
        # A day is longer than any deadline, and fits into poll()'s milliseconds.
        if not poll.poll(min(max(0, deadline - time.monotonic()), 86_400) * 1000):
            # gunicorn doesn't log ECONNRESET, because clients cause it.
            raise ConnectionResetError(errno.ECONNRESET, "the client is too slow")


def _field(head: bytes, name: bytes) -> bytes:
    start = head.find(name)
    if start < 0:
        return b""
    start += len(name)
    return head[start : head.index(b"\r\n", start)].strip()
