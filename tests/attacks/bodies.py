"""Request bodies that count how much of them is read."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

MOST_BYTES, MOST_FIELDS = 64 * 1024, 200
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"


class Body(io.BytesIO):
    """A body that counts how many of its bytes are read."""

    bytes_read = 0
    before_read: Callable[[], object] = staticmethod(lambda: None)
    """Is called before each read."""

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, as Werkzeug does."""
        self.before_read()
        number = super().readinto(buffer)
        self.bytes_read += number
        return number

    def read(self, size: int | None = -1) -> bytes:
        """Read some or all bytes."""
        self.before_read()
        data = super().read(size)
        self.bytes_read += len(data)
        return data


@dataclass
class Sent:
    """The response to a request, and how many bytes of the request's body were read."""

    answer: TestResponse
    read: int


def send(
    client: FlaskClient,
    path: str,
    body: bytes,
    kind: str,
    *,
    method: str = "POST",
    chunked: bool = False,
    announced: int | None = None,
    **how: Any,
) -> Sent:
    """Send a body with a Content-Length, which is its length unless `announced` is given.

    With `chunked` there is no Content-Length, as when gunicorn passes on a chunked body.
    """
    stream = Body(body)
    environ: dict[str, Any] = {"wsgi.input_terminated": True}
    if not chunked:
        environ = {"CONTENT_LENGTH": str(len(body) if announced is None else announced)}
    answer = FlaskClient.open(
        client, path, method=method, input_stream=stream, content_type=kind, environ_overrides=environ, **how
    )
    return Sent(answer, stream.bytes_read)


def part(name: str, value: bytes, *, file: str = "", header: bytes = b"") -> bytes:
    """Return a part of a multipart form."""
    filename = f'; filename="{file}"'.encode() if file else b""
    named = b'Content-Disposition: form-data; name="%s"%s\r\n%s' % (name.encode(), filename, header)
    return b"--x\r\n%s\r\n%s\r\n" % (named, value)
