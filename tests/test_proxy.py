"""What readers and signers get through nginx, with the very file of deploy/, also while nodes are down or dying."""

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
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from campaign import tally
from campaign.extensions import db
from campaign.models import Campaign
from campaign.settings import ROOT
from campaign.static import hashed_name
from tests.conftest import ADA, DOMAIN, HTMX, PATH, Serve, only_sqlite, stored
from tests.services import Node, free_port, program

STYLE = f"/static/{hashed_name(ROOT / 'static', 'site.css')}"
NODE = "server 127.0.0.1:8000 "
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
STALE = 3.5
"""Seconds after which no copy is shown any more while a node answers: s-maxage, stale-while-revalidate, and as nginx
counts in whole seconds, one more."""

only_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


class DyingNode:
    """A node that dies whenever it has got a request whole: it closes the connection and answers nothing."""

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
    """What came through nginx."""

    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Proxy:
    """An nginx that runs with deploy/nginx.conf."""

    port: int
    plain_port: int
    log: Path
    trusted: ssl.SSLContext

    def connect(self) -> ssl.SSLSocket:
        """A TLS connection, as a browser makes one."""
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
        """Sign as Ada, but for what is given, as a browser with the page's script does."""
        return self.ask(f"{PATH}/signatures", data=ADA | fields, headers=HTMX if headers is None else headers)

    def until(self, what: Callable[[], bool]) -> None:
        """Wait until it is so."""
        deadline = time.monotonic() + 20
        while not what():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def logged(self, number: int) -> list[list[str]]:
        """The lines of the log, which nginx writes after it has answered, once there are so many; as their fields."""
        self.until(lambda: len(self.log.read_text().splitlines()) >= number)
        return [line.split() for line in self.log.read_text().splitlines()]


def main_file(folder: Path, nodes: list[int], port: int, plain_port: int) -> Path:
    """The file for nginx's -c: deploy/nginx.conf with a test's folders, ports and nodes, in as little as it needs."""
    text = (ROOT / "deploy/nginx.conf").read_text()
    line = next(line for line in text.splitlines() if NODE in line)
    for old, new in {
        line: "\n".join(line.replace(NODE, f"server 127.0.0.1:{node} ") for node in nodes),
        "listen 80;": f"listen 127.0.0.1:{plain_port};",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        # Not every machine that runs tests has IPv6.
        "listen [::]:80;": "",
        "listen [::]:443 ssl http2;": "",
        f"/etc/letsencrypt/live/{DOMAIN}/": f"{folder}/",
        "/var/cache/nginx-campaign": f"{folder}/cache",
        "/var/log/nginx/": f"{folder}/",
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
    # As root it would give its workers to a user who may not look into a test's folder.
    user = "" if os.geteuid() else "user root;"
    main = folder / "main.conf"
    main.write_text(
        f"{user} worker_processes 2; pid {folder}/pid; daemon off; error_log {folder}/error.log;"
        f"events {{ worker_connections 768; }} http {{ {temporary} access_log off; include {folder}/site.conf; }}"
    )
    return main


StartProxy = Callable[..., Proxy]


@pytest.fixture
def start_proxy(tmp_path: Path) -> Iterator[StartProxy]:
    """Start nginx in front of the nodes."""
    with ExitStack() as running:

        def start(*nodes: Node | DyingNode) -> Proxy:
            folder = tmp_path / "nginx"
            folder.mkdir()
            port, plain_port = free_port(), free_port()
            main = main_file(folder, [node.port for node in nodes], port, plain_port)
            process = subprocess.Popen([program("nginx"), "-p", str(folder), "-c", str(main)], stderr=subprocess.PIPE)
            assert process.stderr
            running.callback(process.stderr.close)
            running.callback(process.wait, timeout=30)
            running.callback(process.terminate)
            proxy = Proxy(
                port, plain_port, folder / "campaign.log", ssl.create_default_context(cafile=folder / "fullchain.pem")
            )
            deadline = time.monotonic() + 30
            while True:
                with suppress(OSError):
                    proxy.connect().close()
                    return proxy
                assert process.poll() is None, process.stderr.read().decode()
                assert time.monotonic() < deadline, "nginx does not answer"
                time.sleep(0.05)

        yield start


def test_while_every_node_is_down_everyone_can_read_and_signers_are_told_the_truth(
    start_node: Serve, start_proxy: StartProxy
) -> None:
    node = start_node()
    proxy = start_proxy(node)
    read = ["/", PATH, f"{PATH}/feed", f"{PATH}.json", f"{PATH}.atom", f"{PATH}/signatures", STYLE]
    before = {path: proxy.ask(path) for path in read}
    node.stop()
    time.sleep(STALE)

    # Another reader, with another browser, from another link.
    for path in read:
        answer = proxy.ask(f"{path}?utm_source=mail", headers={"Accept-Encoding": "br, gzip;q=0.5"})
        assert (answer.status, answer.text) == (before[path].status, before[path].text), path
    for headers in ({}, HTMX):
        answer = proxy.sign(headers=headers)
        assert answer.status == 503
        assert "nothing was signed" in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        # By its absence the page's script knows to keep the form as it is, and says that the site can't be reached.
        assert "Campaign-Answer" not in answer.headers
    assert "load the page again" in proxy.ask(f"{PATH}/thanks").text
    assert stored() == []

    node.start()
    proxy.until(lambda: proxy.sign().status == 200)
    proxy.until(lambda: "Ada Lovelace" in proxy.ask().text)


@only_sqlite
def test_a_crowd_of_readers_gets_nginxs_copy(start_node: Serve, start_proxy: StartProxy) -> None:
    proxy = start_proxy(start_node())
    for number in range(20):
        assert proxy.ask(f"{PATH}?fbclid=personal{number}", headers={"Accept-Encoding": f"br, x{number}"}).status == 200
    asked = [line[7] for line in proxy.logged(20)]
    assert asked.count("MISS") == 1
    assert "HIT" in asked


@only_sqlite
def test_a_signers_page_finds_them_on_the_list_in_a_crowd_and_after_a_quiet_while(
    start_node: Serve, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(start_node())
    pauses = re.search(r"AFTER_SIGNING = ([\d.]+) \* SECOND", (ROOT / "static/site.js").read_text())
    assert pauses
    proxy.ask()
    # Others look at the feed all the time, and nobody at the page.
    gone = threading.Event()

    def look() -> None:
        while not gone.wait(0.05):
            proxy.ask(f"{PATH}/feed")

    with ThreadPoolExecutor(1) as others:
        looking = others.submit(look)
        try:
            time.sleep(1)
            assert proxy.sign().status == 200
            time.sleep(float(pauses[1]))
            for path in (PATH, f"{PATH}/feed"):
                assert "Ada Lovelace" in proxy.ask(path).text
        finally:
            gone.set()
        looking.result()
    assert "STALE" in {line[7] for line in proxy.logged(3)}, "in a crowd nobody waits for a node"


@only_sqlite
def test_what_is_somebodys_own_is_never_kept_for_another(start_node: Serve, start_proxy: StartProxy) -> None:
    node = start_node()
    proxy = start_proxy(node)
    for name in ("Ada", "Grace"):
        mine = {
            f"{name} {kind}": proxy.sign(name=f"{name} {kind}", email=email, headers=headers)
            for kind, email, headers in (
                ("thanked", f"{name}@example.org", HTMX),
                ("refused", "nonsense", HTMX),
                ("unscripted", f"{name}@example.net", {}),
            )
        }
        assert [answer.status for answer in mine.values()] == [200, 422, 303]
        assert f"{name} thanked" in mine[f"{name} thanked"].text
        assert f"{name} refused" in mine[f"{name} refused"].text
        thanks = proxy.ask(f"{PATH}/thanks")
        assert (thanks.status, thanks.headers["Cache-Control"]) == (200, "no-store")
        assert f"{name} unscripted" in thanks.text
    assert {line[7] for line in proxy.logged(8)} == {"-"}
    node.stop()
    assert proxy.ask(f"{PATH}/thanks").status == 503


@only_sqlite
def test_a_tab_that_has_the_newest_list_is_told_so_in_a_few_bytes(start_node: Serve, start_proxy: StartProxy) -> None:
    proxy = start_proxy(start_node())
    paths = [PATH, f"{PATH}/feed", f"{PATH}.json", f"{PATH}/signatures", STYLE]
    asked = [(path, {"Accept-Encoding": encoding}) for path in paths for encoding in ("gzip", "identity")]
    has = [proxy.ask(path, headers=headers).headers["ETag"] for path, headers in asked]
    for wait in (0, STALE):
        time.sleep(wait)
        for (path, headers), etag in zip(asked, has, strict=True):
            again = proxy.ask(path, headers=headers | {"If-None-Match": etag})
            assert (again.status, again.text) == (304, ""), path


@only_sqlite
def test_phones_that_send_their_form_a_byte_at_a_time_hold_up_nobody(
    start_node: Serve, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(start_node())
    # More than a node has threads.
    phones = [proxy.connect() for _ in range(40)]
    signed = threading.Event()

    def trickle() -> None:
        head = f"POST {PATH}/signatures HTTP/1.1\r\nHost: {DOMAIN}\r\nContent-Length: 5000\r\n"
        for phone in phones:
            phone.sendall(f"{head}Content-Type: {FORM['Content-Type']}\r\n\r\nname=".encode())
        while not signed.wait(0.2):
            for phone in phones:
                phone.sendall(b"a")

    with ThreadPoolExecutor(1) as slow:
        sending = slow.submit(trickle)
        try:
            time.sleep(1)
            assert [proxy.sign(email=f"{n}@example.org").status for n in range(5)] == [200] * 5
        finally:
            signed.set()
        sending.result()
    for phone in phones:
        phone.close()


def test_a_signature_that_a_dying_node_has_got_is_given_to_no_other(start_proxy: StartProxy) -> None:
    nodes = [DyingNode(), DyingNode()]
    proxy = start_proxy(*nodes)
    answer = proxy.sign(headers=HTMX | {"X-Forwarded-For": "192.0.2.1", "X-Request-ID": "forged"})
    assert answer.status == 503
    assert "Nobody is counted twice" in answer.text
    [got] = [request.decode() for node in nodes for request in node.got]
    assert urlencode(ADA) in got
    # It names the signer's address, not one that they made up, and the request as nginx's log names it.
    assert "X-Forwarded-For: 127.0.0.1\r\n" in got
    assert f"X-Request-ID: {proxy.logged(1)[0][1]}\r\n" in got
    assert f"X-Forwarded-Proto: https\r\nX-Forwarded-Host: {DOMAIN}\r\n" in got

    # A page may be asked for as often as it takes.
    assert proxy.ask().status == 503
    assert sum(len(node.got) for node in nodes) == 3
    for node in nodes:
        node.stop()


@only_postgresql
def test_with_one_of_two_nodes_killed_no_reader_fails_and_no_thanked_signature_is_lost(
    start_node: Serve, start_proxy: StartProxy, campaign: Campaign
) -> None:
    nodes = [start_node(), start_node()]
    proxy = start_proxy(*nodes)
    reading, killed = threading.Event(), threading.Event()

    def read(path: str) -> list[int]:
        statuses = []
        while not reading.wait(0.05):
            statuses.append(proxy.ask(path).status)
        return statuses

    def sign(crowd: int) -> list[str]:
        thanked = []
        for number in range(30):
            email = f"{crowd}.{number}@example.org"
            answer = proxy.sign(email=email)
            # Who was being served by the node that was killed is told so; they press the button again.
            assert answer.status == 200 or "nothing was signed" in answer.text
            if answer.status == 200:
                thanked.append(email)
            if number == 10:
                killed.wait(30)
        return thanked

    with ThreadPoolExecutor(8) as people:
        readers = [people.submit(read, path) for path in (PATH, f"{PATH}/feed", f"{PATH}/thanks")]
        signers = [people.submit(sign, crowd) for crowd in range(3)]
        try:
            time.sleep(1)
            nodes[0].kill()
            killed.set()
            thanked = [email for signer in signers for email in signer.result()]
        finally:
            reading.set()
        for reader in readers:
            assert set(reader.result()) == {200}
    served = {address for line in proxy.logged(90) for address in line[8].split(",")}
    assert {f"127.0.0.1:{node.port}" for node in nodes} <= served
    assert len(thanked) > 75
    assert set(thanked) <= {signature.email for signature in stored()}
    assert tally.check(db.session(), campaign.id).right


@only_sqlite
def test_no_log_of_nginx_says_who_read_or_signed(start_node: Serve, start_proxy: StartProxy) -> None:
    node = start_node()
    proxy = start_proxy(node)
    proxy.ask(f"{PATH}?email=leaked@example.org")
    proxy.sign(email="leaked@example.org")
    node.stop()
    proxy.sign(email="leaked@example.org")
    proxy.logged(3)
    for log in proxy.log.parent.glob("*.log"):
        assert "leaked" not in log.read_text()
        assert "127.0.0.1" not in log.read_text().replace(f"127.0.0.1:{node.port}", "")


def test_everyone_comes_to_https_and_browsers_speak_http_2(start_proxy: StartProxy) -> None:
    proxy = start_proxy(node := DyingNode())
    connection = http.client.HTTPConnection("127.0.0.1", proxy.plain_port, timeout=30)
    connection.request("GET", f"{PATH}?before=1", headers={"Host": DOMAIN})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, f"https://{DOMAIN}{PATH}?before=1")
    connection.close()
    proxy.trusted.set_alpn_protocols(["h2"])
    with proxy.connect() as browser:
        assert browser.selected_alpn_protocol() == "h2"
    node.stop()


@only_sqlite
def test_a_query_can_neither_hide_the_list_nor_fill_the_cache(start_node: Serve, start_proxy: StartProxy) -> None:
    proxy = start_proxy(start_node())
    assert proxy.sign().status == 200
    # Written so that nginx does not see the name that the site would read: the first page, not an older one.
    assert "Ada Lovelace" in proxy.ask(f"{PATH}/signatures?%62efore=1-1").text
    assert "Ada Lovelace" in proxy.ask(f"{PATH}/signatures").text
    assert "Ada Lovelace" not in proxy.ask(f"{PATH}/signatures?before=1-1&x=1").text
    assert "Ada Lovelace" in proxy.ask(f"{PATH}/signatures").text
    copies = [path for path in (proxy.log.parent / "cache").rglob("*") if path.is_file()]
    assert len(copies) == 2
