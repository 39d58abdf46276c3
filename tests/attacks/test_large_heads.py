"""A real gunicorn refuses a request with an unusually large head before the site sees it."""

import socket

import pytest

from tests.conftest import PATH, Server, only_sqlite


def status(server: Server, target: str, *headers: str) -> int:
    """Return the status of the response to a GET request with these header lines."""
    host = server.url.removeprefix("http://")
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), timeout=30) as connection:
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return int(connection.recv(12).split()[1])


@only_sqlite
def test_large_head_is_refused(server: Server) -> None:
    assert status(server, f"{PATH}?{'x' * 4096}") == 414
    assert status(server, PATH, f"Cookie: {'x' * 8190}") == 431
    assert status(server, PATH, *(f"X-Field-{number}: x" for number in range(64))) == 431


@only_sqlite
@pytest.mark.parametrize(
    ("target", "headers"),
    [
        # A URL with everything that newsletters and social networks add.
        (f"{PATH}?ref=mail" + f"&utm_word={'x' * 100}" * 20, []),
        # Cookies of an organization's other sites.
        (PATH, ["Cookie: " + f"other={'x' * 500}; " * 12]),
        # The fields of a browser, a CDN, and a proxy.
        (PATH, [f"X-Field-{number}: {'x' * 200}" for number in range(50)]),
    ],
)
def test_ordinary_head_is_accepted(server: Server, target: str, headers: list[str]) -> None:
    assert status(server, target, *headers) == 200
