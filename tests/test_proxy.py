"""What readers and signers get through nginx, with the very file of deploy/, also while nodes are down or dying."""

import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

import pytest

from campaign import tally
from campaign.extensions import db
from campaign.models import Campaign
from campaign.settings import ROOT
from campaign.static import hashed_name
from tests.conftest import ADA, DOMAIN, HTMX, PATH, Serve, only_sqlite, stored
from tests.nginx import FORM, DyingNode, Proxy, nginx

STYLE = f"/static/{hashed_name(ROOT / 'static', 'site.css')}"
STALE = 3.5
"""Seconds after which no copy is shown any more while a node answers: s-maxage, stale-while-revalidate, and as nginx
counts in whole seconds, one more."""

only_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


StartProxy = Callable[..., Proxy]


@pytest.fixture
def start_proxy(tmp_path: Path) -> Iterator[StartProxy]:
    """Start nginx in front of the nodes."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    with ExitStack() as running:
        yield lambda *nodes: running.enter_context(nginx(folder, *nodes))


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
