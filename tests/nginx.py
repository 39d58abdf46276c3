"""A real nginx for tests, with the configuration file of deploy/."""

import gzip
import http.client
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from campaign.settings import ROOT
from tests.conftest import ADA, DOMAIN, HTMX, PATH
from tests.services import Node, free_port, program

NODE = "server 127.0.0.1:8000 "
HTTP2_CHANGES = {"443 ssl http2;": "443 ssl;", "# http2 on;": "http2 on;"}
"""Replacements in deploy/nginx.conf for nginx 1.25.1 and newer, as docs/operate.md describes."""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class DyingNode:
    """A node that reads each request completely, and then closes the connection without a response."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.got: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    connection.settimeout(10)
                    head, _, body = _read_until(connection, b"\r\n\r\n").partition(b"\r\n\r\n")
                    length = next((line for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), b":0")
                    while len(body) < int(length.partition(b":")[2]):
                        body += connection.recv(65536)
                    self.got.append(head + b"\r\n\r\n" + body)

    def stop(self) -> None:
        self._listener.close()


def _read_until(connection: socket.socket, end: bytes) -> bytes:
    read = b""
    while end not in read:
        read += connection.recv(65536)
    return read


@dataclass(frozen=True)
class Answer:
    """A response that came through nginx."""

    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Proxy:
    """A running nginx with deploy/nginx.conf."""

    port: int
    plain_port: int
    log: Path
    trusted: ssl.SSLContext

    def connect(self) -> ssl.SSLSocket:
        """Return a TLS connection, opened as a browser opens it."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        return self.trusted.wrap_socket(plain, server_hostname=DOMAIN)

    def ask(
        self, path: str = PATH, *, data: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Get the path, or post the form `data` to it."""
        connection = http.client.HTTPSConnection(DOMAIN, timeout=30, context=self.trusted)
        connection.sock = self.connect()
        body = None if data is None else urlencode(data)
        method, kind = ("GET", {}) if data is None else ("POST", FORM)
        try:
            connection.request(method, path, body, {"Host": DOMAIN} | kind | (headers or {}))
            answer = connection.getresponse()
            whole = answer.read()
            compressed = answer.headers["Content-Encoding"] == "gzip" and whole
            return Answer(answer.status, answer.headers, (gzip.decompress(whole) if compressed else whole).decode())
        finally:
            connection.close()

    def sign(self, *, headers: dict[str, str] | None = None, **fields: str) -> Answer:
        """Sign as Ada, with htmx's header unless `headers` says otherwise; `fields` override her data."""
        return self.ask(f"{PATH}/signatures", data=ADA | fields, headers=HTMX if headers is None else headers)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition is true."""
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def await_start(self, process: subprocess.Popen[bytes]) -> None:
        """Return when nginx accepts connections."""
        deadline = time.monotonic() + 30
        while True:
            with suppress(OSError):
                self.connect().close()
                return
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            assert time.monotonic() < deadline, "nginx does not respond"
            time.sleep(0.05)

    def logged(self, number: int) -> list[list[str]]:
        """Return the fields of each log line, after waiting for this number of lines.

        nginx writes a line after it has sent the response.
        """
        self.until(lambda: len(self.log.read_text().splitlines()) >= number)
        return [line.split() for line in self.log.read_text().splitlines()]


def version() -> tuple[int, ...]:
    """Return the version of the nginx that the tests run, such as (1, 22, 1)."""
    done = subprocess.run([program("nginx"), "-v"], capture_output=True, text=True, check=True, timeout=30)
    [numbers] = re.findall(r"nginx/([\d.]+)", done.stderr)
    return tuple(int(number) for number in numbers.split("."))


def main_file(
    folder: Path, nodes: list[int], port: int, plain_port: int, changes: dict[str, str] | None = None
) -> Path:
    """Write and return the main configuration file for nginx's option -c.

    It includes deploy/nginx.conf with a test's folders, ports, nodes, and other changes.
    """
    text = (ROOT / "deploy/nginx.conf").read_text()
    # Not every machine that runs tests has IPv6.
    text = text.replace("listen [::]:80;", "").replace("listen [::]:443 ssl http2;", "")
    if version() >= (1, 25, 1):
        for old, new in HTTP2_CHANGES.items():
            assert old in text
            text = text.replace(old, new)
    line = next(line for line in text.splitlines() if NODE in line)
    for old, new in {
        line: "\n".join(line.replace(NODE, f"server 127.0.0.1:{node} ") for node in nodes),
        "listen 80;": f"listen 127.0.0.1:{plain_port};",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        f"/etc/letsencrypt/live/{DOMAIN}/": f"{folder}/",
        "/var/cache/nginx-campaign": f"{folder}/cache",
        "/var/log/nginx/": f"{folder}/",
        **(changes or {}),
    }.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "site.conf").write_text(text)
    certificate = ["-keyout", "privkey.pem", "-out", "fullchain.pem", "-days", "2", "-nodes"]
    names = ["-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN}"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(["openssl", "req", "-x509", *key, *certificate, *names], cwd=folder, check=True, capture_output=True)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # As root, nginx would run its workers as a user who may not read a test's folder.
    user = "" if os.geteuid() else "user root;"
    main = folder / "main.conf"
    main.write_text(
        f"{user} worker_processes 2; pid {folder}/pid; daemon off; error_log {folder}/error.log;"
        f"events {{ worker_connections 768; }} http {{ {temporary} access_log off; include {folder}/site.conf; }}"
    )
    return main


@contextmanager
def nginx(folder: Path, *nodes: Node | DyingNode, changes: dict[str, str] | None = None) -> Iterator[Proxy]:
    """An nginx before the nodes, with its files in the folder, and with replacements in deploy/nginx.conf."""
    port, plain_port = free_port(), free_port()
    main = main_file(folder, [node.port for node in nodes], port, plain_port, changes)
    with subprocess.Popen([program("nginx"), "-p", str(folder), "-c", str(main)], stderr=subprocess.PIPE) as process:
        trusted = ssl.create_default_context(cafile=folder / "fullchain.pem")
        proxy = Proxy(port, plain_port, folder / "campaign.log", trusted)
        try:
            proxy.await_start(process)
            yield proxy
        finally:
            process.terminate()
