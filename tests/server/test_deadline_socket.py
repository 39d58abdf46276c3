"""A thread waits for a large body, and for the reader of a large response, as long as the client is fast enough."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from campaign.server.deadline_socket import Arrived, DeadlineSocket, Limits

LIMITS = replace(Limits(), body_seconds=0.5, answer_seconds=0.5, body_bytes=1000, unsent_bytes=10_000)
LARGE = 3_000_000
HEAD = f"POST / HTTP/1.1\r\nContent-Length: {LARGE}\r\n\r\n".encode()


@pytest.fixture
def peer_and_ours() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a TCP connection, with small buffers."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as peer:
        for each in (listener, peer):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(listener.getsockname())
        ours, _ = listener.accept()
        with ours:
            yield peer, ours


Ends = tuple[socket.socket, socket.socket]


def test_large_response_reaches_a_slow_reader_completely(peer_and_ours: Ends) -> None:
    peer, accepted = peer_and_ours
    ours = DeadlineSocket(accepted, replace(LIMITS, least_rate=1))

    def send() -> None:
        for _ in range(LARGE // 5000):
            ours.sendall(b"x" * 5000)

    sending = threading.Thread(target=send)
    sending.start()
    received = 0
    while received < LARGE - LIMITS.unsent_bytes:
        received += len(peer.recv(100_000))
    sending.join()
    # The main loop sends the rest.
    while received < LARGE:
        ours.flush()
        received += len(peer.recv(100_000))
    assert ours.unsent_bytes == 0
    ours.close()


@pytest.mark.parametrize("reads", [0, 100])
@pytest.mark.slow
def test_client_that_reads_too_slowly_is_disconnected(peer_and_ours: Ends, reads: int) -> None:
    peer, accepted = peer_and_ours
    ours = DeadlineSocket(accepted, replace(LIMITS, least_rate=1_000_000))
    over = threading.Event()

    def read() -> None:
        while reads and not over.wait(0.02):
            peer.recv(reads)

    reading = threading.Thread(target=read)
    reading.start()
    with pytest.raises(ConnectionResetError):
        ours.sendall(b"x" * LARGE)
    over.set()
    reading.join()
    ours.close()


def test_response_of_usual_size_does_not_block_a_thread(peer_and_ours: Ends) -> None:
    _, accepted = peer_and_ours
    with DeadlineSocket(accepted, Limits()) as ours:
        # If this call blocked, it would block until the default deadline.
        ours.sendall(b"x" * Limits().unsent_bytes)
        assert ours.unsent_bytes > 0


def test_large_body_is_read_completely(peer_and_ours: Ends) -> None:
    peer, accepted = peer_and_ours
    with DeadlineSocket(accepted, replace(LIMITS, least_rate=1)) as ours:
        next_request = b"GET / HTTP/1.1\r\n\r\n"
        sending = threading.Thread(target=lambda: peer.sendall(HEAD + b"x" * LARGE + next_request))
        sending.start()
        while (arrived := ours.receive()) is not Arrived.REQUEST:
            assert arrived in (Arrived.NOTHING, Arrived.PART_OF_HEAD)
        body = b""
        while len(body) < len(HEAD) + LARGE:
            body += ours.recv(8192)
        sending.join()
        assert body == HEAD + b"x" * LARGE
        # The next bytes belong to the next request.
        with pytest.raises(TimeoutError):
            ours.recv(8192)
        ours.expect_request()
        while ours.receive() is not Arrived.REQUEST:
            pass
        assert ours.recv(8192) == next_request


@pytest.mark.slow
def test_client_that_sends_a_large_body_too_slowly_is_disconnected(peer_and_ours: Ends) -> None:
    peer, accepted = peer_and_ours
    peer.sendall(HEAD)
    over = threading.Event()

    def trickle() -> None:
        while not over.wait(0.02):
            peer.send(b"x")

    trickling = threading.Thread(target=trickle)
    with DeadlineSocket(accepted, replace(LIMITS, least_rate=1_000_000)) as ours:
        while ours.receive() is not Arrived.REQUEST:
            pass
        trickling.start()
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: ours.recv(8192), b""))
        over.set()
        trickling.join()


def test_body_is_not_awaited_once_the_response_has_begun(peer_and_ours: Ends) -> None:
    peer, accepted = peer_and_ours
    peer.sendall(HEAD)
    with DeadlineSocket(accepted, Limits()) as ours:
        while ours.receive() is not Arrived.REQUEST:
            pass
        assert ours.recv(8192) == HEAD
        ours.sendall(b"HTTP/1.1 413 Content Too Large\r\n\r\n")
        with pytest.raises(TimeoutError):
            ours.recv(8192)


@pytest.mark.parametrize(
    ("sent", "arrived"),
    [
        (b"", Arrived.NOTHING),
        (b"GET", Arrived.PART_OF_HEAD),
        (b"GET / HTTP/1.1\r\n\r", Arrived.PART_OF_HEAD),
        (b"GET / HTTP/1.1\r\n\r\n", Arrived.REQUEST),
        (b"POST / HTTP/1.1\r\ncontent-length:3\r\n\r\nab", Arrived.PART_OF_BODY),
        (b"POST / HTTP/1.1\r\nCONTENT-LENGTH: \t3 \r\n\r\nabc", Arrived.REQUEST),
        # gunicorn refuses these, so there is nothing to wait for.
        (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", Arrived.REQUEST),
        (b"POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\n", Arrived.REQUEST),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", Arrived.REQUEST),
        (b"\r\n\r\n", Arrived.REQUEST),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Arrived.NO_LENGTH),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, Arrived.LARGE_HEAD),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", Arrived.LARGE_HEAD),
    ],
)
def test_receive_returns_how_much_has_arrived(sent: bytes, arrived: Arrived) -> None:
    peer, accepted = socket.socketpair()
    with peer, DeadlineSocket(accepted, LIMITS) as ours:
        peer.sendall(sent)
        # A long head takes several reads.
        assert [ours.receive() for _ in range(4)][-1] is arrived


def test_connection_closed_in_head_or_body_is_distinguished() -> None:
    for sent, arrived in ((b"GET /", Arrived.END), (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na", Arrived.REQUEST)):
        peer, accepted = socket.socketpair()
        with peer, DeadlineSocket(accepted, LIMITS) as ours:
            peer.sendall(sent)
            ours.receive()
            peer.shutdown(socket.SHUT_WR)
            assert ours.receive() is arrived
            if arrived is Arrived.REQUEST:
                # The site gets a body that is shorter than announced, and refuses it.
                assert (ours.recv(8192), ours.recv(8192)) == (sent, b"")
