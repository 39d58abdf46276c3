"""A gunicorn worker with threads that assigns a thread to a request only once the request has arrived.

**Why we need our own.** In gunicorn 27, a thread reads a request's head and body and sends the response, and no setting
limits how long a client may take. `timeout` is for the main loop, and `keepalive` for idle connections. Only until the
first byte does the worker wait without a thread. So 70 connections that send a byte every three seconds, or that never
read, block all threads forever. gunicorn's documentation recommends a buffering proxy against slow clients.
In 2026 we also considered:

- gunicorn's gevent and tornado workers block no thread for a slow client, but need code that never blocks. SQLite,
  password hashes, and our group commit block.
- waitress reads requests and sends responses in its main loop, as we do. But it is a single process, and limits only
  idle time (`channel_timeout`, 120 seconds since the last byte). A byte a minute keeps a connection open forever.
- granian has a timeout for the head (from hyper), but none for the body or the response.
- hypercorn is made for ASGI, and runs WSGI applications in threads with the whole body in memory.
- cheroot has a timeout for each read, in a thread.

**What it overrides** in gunicorn.workers.gthread. tests/server/test_worker_class.py fails if a new gunicorn no longer
has these methods.

- `ThreadWorker.accept` leaves connections to less busy workers, limits the connections of a client, and creates our
  `Connection`.
- `ThreadWorker.enqueue_req` is called for a new connection, and for an idle one that sends another request. Ours reads
  the request in the main loop. Once it has arrived, it calls gunicorn's method, which assigns a thread.
- `ThreadWorker.finish_request` is called in the main loop when a thread is done. Ours sends the rest of the response,
  leaves idle connections to gunicorn's method, and closes others without blocking the main loop.
- `ThreadWorker.murder_pending` is called in each round of the main loop. Ours closes connections past their deadline.
- `ThreadWorker.handle_quit` is the signal handler for SIGINT and SIGQUIT. gunicorn's takes the thread pool's lock, and
  deadlocks if the signal interrupts the main thread while it holds that lock. Ours only makes the main loop stop.
- `TConn.close` also stops counting the connection for its client.

It uses `cfg`, `alive`, `nr_conns`, `poller`, and `method_queue` of ThreadWorker, and `sock`, `timeout`, and
`data_ready` of TConn. gunicorn uses our DeadlineSocket wherever it would use a socket.
"""

import errno
import selectors
import signal
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from campaign.server.deadline_socket import READ_BYTES, Arrived, DeadlineSocket, Limits
from campaign.text.client_network import ip_of, network_of

HESITATE_SECONDS = 0.00005
"""How long a worker waits before it accepts a connection, for each connection that it already has."""
QUIT_SECONDS = 5
"""How long a worker may take to stop after SIGINT or SIGQUIT, so that threads can finish their requests."""
SWEEP_SECONDS = 0.5
"""How often the main loop looks for connections past their deadline."""
REFUSALS = {
    Arrived.LARGE_HEAD: "431 Request Header Fields Too Large",
    Arrived.NO_LENGTH: "411 Length Required",
    Arrived.PART_OF_HEAD: "408 Request Timeout",
    Arrived.PART_OF_BODY: "408 Request Timeout",
}
"""Responses that the main loop sends itself. No browser sends such a request, unless its network fails."""


class Connection(TConn):  # type: ignore[misc]  # gunicorn publishes no types.
    """A client's connection, with the buffers and deadlines of its socket."""

    def __init__(self, cfg: Any, sock: DeadlineSocket, client: Any, server: Any, forget: Callable[[], None]) -> None:
        """Create a connection; `forget` is called when it is closed."""
        super().__init__(cfg, sock, client, server)
        # Otherwise gunicorn would wait for the first byte in a thread.
        self.data_ready = True
        self.arrived: Arrived | None = None
        self._forget: Callable[[], None] | None = forget

    def close(self, graceful: bool = False) -> None:
        """Close the connection at once. `Worker.hang_up` has already done the work of a graceful close."""
        if self._forget:
            self._forget()
            self._forget = None
        super().close()


class Worker(ThreadWorker):  # type: ignore[misc]
    """The worker class; see the module's docstring for what it overrides."""

    limits = Limits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start without connections."""
        super().__init__(*args, **kwargs)
        self._waiting: dict[Connection, None] = {}
        """Connections that the main loop waits for, oldest first, except idle ones, which gunicorn manages."""
        self._clients: Counter[bytes] = Counter()
        self._next_sweep = 0.0
        self._quitting = False

    # Overridden.

    def accept(self, listener: Any) -> None:
        """Accept a connection, unless a worker with fewer connections is quicker, or the client has too many."""
        if self.cfg.workers > 1:
            time.sleep(min(self.nr_conns, 20) * HESITATE_SECONDS)
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ECONNABORTED):
                return
            raise
        client = client_of(address)
        if self._has_too_many(client, address):
            accepted.close()
            return
        self._clients[client] += 1
        self.nr_conns += 1
        sock = DeadlineSocket(accepted, self.limits)
        self.enqueue_req(Connection(self.cfg, sock, address, listener.getsockname(), partial(self._forget, client)))

    def enqueue_req(self, conn: Connection) -> None:
        """Begin to read a request, part of which may have been received already."""
        conn.sock.expect_request()
        conn.arrived = None
        self._receive(conn)

    def finish_request(self, conn: Connection, fs: "Future[Any]") -> None:
        """Send the rest of the response, then wait for the next request or close the connection."""
        try:
            keep = bool(fs.result())
        except (CancelledError, Exception):
            self._close(conn)
            return
        if conn.sock.fileno() < 0:
            self._close(conn)
        elif conn.sock.unsent_bytes:
            self._wait(conn, selectors.EVENT_WRITE, partial(self._send_rest, conn, fs, keep), conn.sock.answer_deadline)
        else:
            self._next(conn, fs, keep)

    def murder_pending(self) -> None:
        """Close connections past their deadline, and the largest ones if all together buffer too many bytes.

        A sign form is small, so it survives when an attacker sends large ones. Of connections that buffer equally many
        bytes, the oldest is closed first.
        """
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + SWEEP_SECONDS
        buffered = 0
        newest_first = list(reversed(self._waiting))
        for conn in sorted(newest_first, key=_buffered_bytes):
            buffered += _buffered_bytes(conn)
            if buffered > self.limits.buffered_bytes:
                self._close(conn)
            elif conn.timeout <= now:
                if conn.arrived in REFUSALS:
                    self._refuse(conn, conn.arrived)
                else:
                    self._close(conn)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop once threads have handled their requests, without waiting for clients.

        Ctrl+C causes two signals: SIGINT from the terminal, and SIGQUIT from gunicorn's main process. Both may
        interrupt the main thread while it holds a lock, or in this method, so it takes no lock.
        """
        if self._quitting:
            return
        self._quitting = True
        self.alive = False
        # SIGALRM then ends the process. gunicorn would kill it after graceful_timeout and log "Perhaps out of memory?".
        signal.alarm(QUIT_SECONDS)
        # When the main loop ends, it closes the poller and the queue. The queue's file descriptor may then be reused.
        if self.poller.get_map() is not None:
            # This calls SimpleQueue.put(), which is reentrant.
            self.method_queue.defer(sys.exit, 0)

    # Waiting for a request.

    def _receive(self, conn: Connection, _sock: Any = None) -> None:
        try:
            arrived = conn.sock.receive()
        except OSError:
            self._close(conn)
            return
        if arrived is Arrived.REQUEST:
            self._leave(conn)
            super().enqueue_req(conn)
        elif arrived is Arrived.END:
            self._close(conn)
        elif arrived in (Arrived.LARGE_HEAD, Arrived.NO_LENGTH):
            self._refuse(conn, arrived)
        elif arrived is not conn.arrived:
            seconds = {
                Arrived.NOTHING: self.limits.silent_seconds,
                Arrived.PART_OF_HEAD: self.limits.head_seconds,
                Arrived.PART_OF_BODY: conn.sock.body_seconds,
            }[arrived]
            conn.arrived = arrived
            self._wait(conn, selectors.EVENT_READ, partial(self._receive, conn), time.monotonic() + seconds)

    def _refuse(self, conn: Connection, arrived: Arrived) -> None:
        line = REFUSALS[arrived]
        fields = f"Connection: close\r\nContent-Type: text/plain\r\nContent-Length: {len(line)}"
        with suppress(OSError):
            conn.sock.sendall(f"HTTP/1.1 {line}\r\n{fields}\r\n\r\n{line}".encode())
        self.hang_up(conn)

    # After the response.

    def _send_rest(self, conn: Connection, fs: "Future[Any]", keep: bool, _sock: Any) -> None:
        try:
            conn.sock.flush()
        except OSError:
            self._close(conn)
            return
        if conn.sock.unsent_bytes:
            conn.timeout = conn.sock.answer_deadline
        else:
            self._leave(conn)
            self._next(conn, fs, keep)

    def _next(self, conn: Connection, fs: "Future[Any]", keep: bool) -> None:
        if not keep:
            self.hang_up(conn)
        elif conn.sock.received:
            self.enqueue_req(conn)
        else:
            super().finish_request(conn, fs)

    def hang_up(self, conn: Connection) -> None:
        """Close the sending side of a connection, and read until the client closes it too.

        Closing a connection with unread data resets it, so the client could lose a response that is still in transit
        (RFC 9112, section 9.6).
        """
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.arrived = None
        conn.sock.received.clear()
        callback = partial(self._drain, conn)
        self._wait(conn, selectors.EVENT_READ, callback, time.monotonic() + self.limits.silent_seconds)

    def _drain(self, conn: Connection, sock: DeadlineSocket) -> None:
        with suppress(OSError):
            if socket.socket.recv(sock, READ_BYTES):
                return
        self._close(conn)

    def _wait(self, conn: Connection, events: int, callback: Callable[[Any], None], deadline: float) -> None:
        conn.timeout = deadline
        if conn in self._waiting:
            self.poller.modify(conn.sock, events, callback)
        else:
            self._waiting[conn] = None
            self.poller.register(conn.sock, events, callback)

    def _leave(self, conn: Connection) -> None:
        if conn in self._waiting:
            del self._waiting[conn]
            self.poller.unregister(conn.sock)

    def _close(self, conn: Connection) -> None:
        self._leave(conn)
        self.nr_conns -= 1
        if conn.sock.unsent_bytes:
            # Discard unsent data. Otherwise the system would keep it for minutes (socket(7), SO_LINGER).
            with suppress(OSError):
                conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.close()

    def _has_too_many(self, client: bytes, address: Any) -> bool:
        most = self.limits.client_connections
        if most is None or not client or self._clients[client] < most:
            return False
        ip = ip_of(address[0])
        return not any(ip in network for network in self.limits.exempt)

    def _forget(self, client: bytes) -> None:
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]


def _buffered_bytes(conn: Connection) -> int:
    sock: DeadlineSocket = conn.sock
    return len(sock.received) + sock.unsent_bytes


def client_of(address: Any) -> bytes:
    """Return the network under which a client's connections are counted, or b"" for a Unix socket."""
    return network_of(address[0]) if isinstance(address, tuple) else b""
