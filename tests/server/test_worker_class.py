"""The worker class works with the installed gunicorn, and handles HTTP as gunicorn does."""

import inspect
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from urllib.parse import urlencode

import gunicorn
import pytest
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.parser import Parser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import PollableMethodQueue, TConn, ThreadWorker

from tests.conftest import ADA, PATH, Server, only_sqlite, stored

WHY = (
    f"gunicorn {gunicorn.__version__} differs from the one that campaign/server/worker_class.py was written for: {{}}. "
    "Read its docstring, look at gunicorn/workers/gthread.py, and change the class or this test."
)
HOST = "Host: localhost\r\n"


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        # Overridden.
        (ThreadWorker.accept, ["self", "listener"]),
        (ThreadWorker.enqueue_req, ["self", "conn"]),
        (ThreadWorker.finish_request, ["self", "conn", "fs"]),
        (ThreadWorker.murder_pending, ["self"]),
        (ThreadWorker.handle_quit, ["self", "sig", "frame"]),
        (TConn.close, ["self", "graceful"]),
        # Called.
        (TConn.__init__, ["self", "cfg", "sock", "client", "server"]),
    ],
)
def test_gunicorn_still_has_the_overridden_methods(method: Callable[..., object], parameters: list[str]) -> None:
    found = list(inspect.signature(method).parameters)
    assert found == parameters, WHY.format(f"{method.__qualname__} has the parameters {found}")


@pytest.mark.parametrize(
    ("method", "lines"),
    [
        # New connections, and idle ones that send again, are passed to enqueue_req(). Only this method uses threads.
        (ThreadWorker.enqueue_req, ["self.tpool.submit(self.handle, conn)", "self.finish_request, conn, fut"]),
        (ThreadWorker.on_client_socket_readable, ["self.keepalived_conns.remove(conn)", "self.enqueue_req(conn)"]),
        (ThreadWorker.run, ["self.nr_conns < self.worker_connections", "self.murder_pending()"]),
        # handle_quit() is called for both signals, may add to the queue, and can tell whether the loop has ended.
        (ThreadWorker.init_signals, ["signal.SIGQUIT, self.handle_quit", "signal.SIGINT, self.handle_quit"]),
        (ThreadWorker.run, ["while self.alive:", "self.poller.close()\n        self.method_queue.close()"]),
        (PollableMethodQueue.init, ["queue.SimpleQueue()"]),
        (PollableMethodQueue.run_callbacks, ["except queue.Empty:"]),
        (ThreadWorker.wait_for_and_dispatch_events, ["except OSError as e:"]),
        # A thread does not wait for a connection whose data is ready.
        (ThreadWorker.handle, ["not conn.initialized and not conn.data_ready", "req = next(conn.parser)"]),
        (ThreadWorker.finish_request, ["self.nr_conns -= 1", "self.keepalived_conns.append(conn)"]),
        # When our socket raises ECONNRESET, the connection ends without a log line.
        (ThreadWorker.handle, ["errno.ECONNRESET"]),
        # gunicorn uses only these methods of the socket to read the request and to send the response.
        (SocketUnreader.chunk, ["self.sock.recv(size)"]),
        (Parser.finish_body, ["except (socket.timeout, TimeoutError):"]),
        (wsgi.create, ['sock.send(b"HTTP/1.1 100 Continue\\r\\n\\r\\n")']),
        (util.write, ["sock.sendall(data)"]),
    ],
)
def test_gunicorn_has_the_internals_that_the_worker_class_relies_on(
    method: Callable[..., object], lines: list[str]
) -> None:
    source = inspect.getsource(method)
    missing = [line for line in lines if line not in source]
    assert not missing, WHY.format(f"{method.__qualname__} no longer has {missing}")


class Client:
    """A connection on which a test sends exactly the bytes that it wants."""

    def __init__(self, server: Server) -> None:
        self.connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)

    def send(self, *parts: str) -> None:
        self.connection.sendall("".join(parts).encode())

    def answer(self, method: str = "GET") -> tuple[int, str]:
        """Return the status and body of the next response."""
        with HTTPResponse(self.connection, method=method) as response:
            response.begin()
            return response.status, response.read().decode()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    client = Client(server)
    yield client
    client.connection.close()


def form(**fields: str) -> str:
    return urlencode(ADA | fields)


def post(body: str, *headers: str) -> str:
    """Return the head of a request that sends this sign form."""
    kind = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
    return f"POST {PATH}/signatures HTTP/1.1\r\n{HOST}HX-Request: true\r\n{kind}{''.join(headers)}\r\n"


@only_sqlite
def test_requests_on_one_connection_are_answered_in_order(client: Client) -> None:
    for number in range(3):
        body = form(email=f"ada{number}@example.org")
        client.send(post(body), body)
        assert client.answer("POST")[0] == 200
        client.send(f"GET {PATH} HTTP/1.1\r\n{HOST}\r\n")
        assert client.answer()[0] == 200
    assert len(stored()) == 3


@only_sqlite
def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    body = form()
    health = f"GET /healthz HTTP/1.1\r\n{HOST}\r\n"
    missing = f"HEAD /missing HTTP/1.1\r\n{HOST}\r\n"
    client.send(health, missing, post(body), body, missing, health.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
    read = b"".join(iter(lambda: client.connection.recv(65536), b""))
    statuses = [int(part[:3]) for part in read.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 404, 200, 404, 200]
    assert len(stored()) == 1


@only_sqlite
@pytest.mark.parametrize("step", [1, 7, 3000])
def test_request_in_many_packets_is_answered(client: Client, step: int) -> None:
    body = form() + "&padding=" + "a" * 20 * step
    request = post(body) + body
    for place in range(0, len(request), step):
        client.send(request[place : place + step])
    assert client.answer("POST")[0] == 200


@only_sqlite
@pytest.mark.parametrize("padding", [0, 20_000])
def test_client_that_expects_100_continue_gets_it_before_the_body(client: Client, padding: int) -> None:
    body = form() + "&padding=" + "a" * padding
    client.send(post(body, "Expect: 100-continue\r\n"))
    assert client.connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(body)
    assert client.connection.recv(12) == b"HTTP/1.1 200"


@only_sqlite
def test_100_continue_is_sent_once_if_the_body_has_arrived(client: Client) -> None:
    body = form()
    client.send(post(body, "Expect: 100-continue\r\n", "Connection: close\r\n"), body)
    read = b"".join(iter(lambda: client.connection.recv(65536), b""))
    assert read.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


@only_sqlite
def test_http_1_0_request_is_answered_and_its_connection_closed(client: Client) -> None:
    client.send("GET /healthz HTTP/1.0\r\n\r\n")
    read = b"".join(iter(lambda: client.connection.recv(65536), b""))
    assert read.startswith(b"HTTP/1.0 200 OK\r\n")
    assert read.endswith(b"ok\n")


@only_sqlite
def test_client_that_closes_its_sending_side_gets_its_response(client: Client) -> None:
    body = form()
    client.send(post(body), body)
    client.connection.shutdown(socket.SHUT_WR)
    assert client.answer("POST")[0] == 200
    assert client.connection.recv(1) == b""


@only_sqlite
def test_body_that_ends_early_is_refused(client: Client) -> None:
    client.send(post(form()), "name=Ada")
    client.connection.shutdown(socket.SHUT_WR)
    assert client.answer("POST")[0] == 400
    assert stored() == []


@only_sqlite
def test_body_that_is_too_large_for_its_route_is_refused(client: Client) -> None:
    body = form() + "&padding=" + "a" * 70_000
    client.send(post(body), body)
    assert client.answer("POST")[0] == 413
    assert stored() == []


@only_sqlite
@pytest.mark.parametrize("length", [700_000, 6_000_000, 10**15])
def test_body_that_is_too_large_is_refused_by_its_announced_length(client: Client, length: int) -> None:
    head = post("").replace("Content-Length: 0", f"Content-Length: {length}")
    client.send(head, "name=")
    assert client.answer("POST")[0] == 413


@only_sqlite
def test_chunked_body_is_refused(client: Client) -> None:
    chunks = f"{len(form()):x}\r\n{form()}\r\n0\r\n\r\n"
    client.send(f"POST {PATH}/signatures HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{chunks}")
    assert client.answer("POST")[0] == 411
    assert stored() == []
