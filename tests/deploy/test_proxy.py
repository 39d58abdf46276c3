"""Reading and signing through nginx with deploy/nginx.conf, also while nodes are down or failing."""

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

from campaign.models.campaign import Campaign
from campaign.settings import ROOT
from campaign.signatures import tally
from campaign.storage.database import db
from campaign.web.static_files import hashed_name
from tests.campaigns.test_letter_changes import change
from tests.conftest import ADA, DOMAIN, HTMX, PATH, Publish, Serve, only_sqlite, stored
from tests.nginx import FORM, DyingNode, Proxy, nginx

STYLE = f"/static/{hashed_name(ROOT / 'static', 'site.css')}"
STALE = 3.5
"""Seconds after which nginx serves no cached copy while a node responds: s-maxage, stale-while-revalidate, and one more
because nginx counts in whole seconds."""

only_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


StartProxy = Callable[..., Proxy]


@pytest.fixture
def start_proxy(tmp_path: Path) -> Iterator[StartProxy]:
    """Return a function that starts nginx in front of nodes."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    with ExitStack() as running:
        yield lambda *nodes: running.enter_context(nginx(folder, *nodes))


def test_readers_get_cached_pages_and_signers_get_503_while_all_nodes_are_down(
    start_node: Serve, start_proxy: StartProxy
) -> None:
    node = start_node()
    proxy = start_proxy(node)
    read = ["/", PATH, f"{PATH}/feed", f"{PATH}.json", f"{PATH}.atom", f"{PATH}/signatures", STYLE]
    before = {path: proxy.ask(path) for path in read}
    node.stop()
    time.sleep(STALE)

    # Another reader has another browser and comes from another link.
    for path in read:
        answer = proxy.ask(f"{path}?utm_source=mail", headers={"Accept-Encoding": "br, gzip;q=0.5"})
        assert (answer.status, answer.text) == (before[path].status, before[path].text), path
    for headers in ({}, HTMX):
        answer = proxy.sign(headers=headers)
        assert answer.status == 503
        assert "nothing was signed" in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        # Because this header is missing, the page's script keeps the form and says that the site can't be reached.
        assert "Campaign-Answer" not in answer.headers
    assert "load the page again" in proxy.ask(f"{PATH}/thanks").text
    assert stored() == []

    node.start()
    proxy.until(lambda: proxy.sign().status == 200)
    proxy.until(lambda: "Ada Lovelace" in proxy.ask().text)


@only_sqlite
def test_crowd_of_readers_is_served_from_nginx_cache(start_node: Serve, start_proxy: StartProxy) -> None:
    proxy = start_proxy(start_node())
    for number in range(20):
        assert proxy.ask(f"{PATH}?fbclid=personal{number}", headers={"Accept-Encoding": f"br, x{number}"}).status == 200
    cache_statuses = [line[7] for line in proxy.logged(20)]
    assert cache_statuses.count("MISS") == 1
    assert "HIT" in cache_statuses


@only_sqlite
def test_new_signature_is_listed_when_the_signers_page_asks_again(start_node: Serve, start_proxy: StartProxy) -> None:
    proxy = start_proxy(start_node())
    pauses = re.search(r"AFTER_SIGNING = ([\d.]+) \* SECOND", (ROOT / "static/site.js").read_text())
    assert pauses
    proxy.ask()
    # Others request the feed all the time, and nobody requests the page.
    stop = threading.Event()

    def request_feed() -> None:
        while not stop.wait(0.05):
            proxy.ask(f"{PATH}/feed")

    with ThreadPoolExecutor(1) as others:
        polling = others.submit(request_feed)
        try:
            time.sleep(1)
            assert proxy.sign().status == 200
            time.sleep(float(pauses[1]))
            for path in (PATH, f"{PATH}/feed"):
                assert "Ada Lovelace" in proxy.ask(path).text
        finally:
            stop.set()
        polling.result()
    assert "STALE" in {line[7] for line in proxy.logged(3)}, "in a crowd, nobody waits for a node"


@only_sqlite
def test_personal_responses_are_never_cached(start_node: Serve, start_proxy: StartProxy) -> None:
    node = start_node()
    proxy = start_proxy(node)
    for name in ("Ada", "Grace"):
        responses = {
            f"{name} {kind}": proxy.sign(name=f"{name} {kind}", email=email, headers=headers)
            for kind, email, headers in (
                ("thanked", f"{name}@example.org", HTMX),
                ("refused", "nonsense", HTMX),
                ("unscripted", f"{name}@example.net", {}),
            )
        }
        assert [answer.status for answer in responses.values()] == [200, 422, 303]
        assert f"{name} thanked" in responses[f"{name} thanked"].text
        assert f"{name} refused" in responses[f"{name} refused"].text
        thanks = proxy.ask(f"{PATH}/thanks")
        assert (thanks.status, thanks.headers["Cache-Control"]) == (200, "no-store")
        assert f"{name} unscripted" in thanks.text
    assert {line[7] for line in proxy.logged(8)} == {"-"}
    node.stop()
    assert proxy.ask(f"{PATH}/thanks").status == 503


@only_sqlite
def test_unchanged_pages_get_304_without_a_body(start_node: Serve, start_proxy: StartProxy) -> None:
    proxy = start_proxy(start_node())
    paths = [PATH, f"{PATH}/feed", f"{PATH}.json", f"{PATH}/signatures", STYLE]
    requests = [(path, {"Accept-Encoding": encoding}) for path in paths for encoding in ("gzip", "identity")]
    etags = [proxy.ask(path, headers=headers).headers["ETag"] for path, headers in requests]
    for wait in (0, STALE):
        time.sleep(wait)
        for (path, headers), etag in zip(requests, etags, strict=True):
            again = proxy.ask(path, headers=headers | {"If-None-Match": etag})
            assert (again.status, again.text) == (304, ""), path


@only_sqlite
def test_slow_form_uploads_do_not_delay_other_signers(start_node: Serve, start_proxy: StartProxy) -> None:
    proxy = start_proxy(start_node())
    # More phones than a node has threads.
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


@pytest.mark.server
def test_form_sent_to_a_failing_node_is_never_sent_to_another(start_proxy: StartProxy) -> None:
    nodes = [DyingNode(), DyingNode()]
    proxy = start_proxy(*nodes)
    answer = proxy.sign(headers=HTMX | {"X-Forwarded-For": "192.0.2.1", "X-Request-ID": "forged"})
    assert answer.status == 503
    assert "Nobody is counted twice" in answer.text
    [got] = [request.decode() for node in nodes for request in node.got]
    assert urlencode(ADA) in got
    # nginx replaces forged headers: it sends the signer's real IP address, and the request ID of its own log.
    assert "X-Forwarded-For: 127.0.0.1\r\n" in got
    assert f"X-Request-ID: {proxy.logged(1)[0][1]}\r\n" in got
    assert f"Host: {DOMAIN}\r\n" in got

    # A page may be requested from every node.
    assert proxy.ask().status == 503
    assert sum(len(node.got) for node in nodes) == 3
    for node in nodes:
        node.stop()


@only_postgresql
def test_killing_one_of_two_nodes_fails_no_reader_and_loses_no_thanked_signature(
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
            # Signers on the killed node get an error page, and press the button again.
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
    assert tally.check(db.session(), campaign.id).is_correct


@only_sqlite
def test_nginx_logs_contain_no_ip_addresses_or_query_strings(start_node: Serve, start_proxy: StartProxy) -> None:
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


@pytest.mark.server
def test_http_redirects_to_https_and_browsers_get_http_2(start_proxy: StartProxy) -> None:
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


SECURITY_HEADERS = ("Content-Security-Policy", "X-Content-Type-Options", "Strict-Transport-Security")


@only_sqlite
def test_every_response_has_each_security_header_once(start_node: Serve, start_proxy: StartProxy) -> None:
    node = start_node()
    proxy = start_proxy(node)
    fresh, cached, refused = proxy.ask(), proxy.ask(), proxy.ask(data={"name": "x" * 70_000})
    connection = http.client.HTTPConnection("127.0.0.1", proxy.plain_port, timeout=30)
    connection.request("GET", PATH, headers={"Host": DOMAIN})
    redirected = connection.getresponse()
    connection.close()
    node.stop()
    unreachable = proxy.sign()
    assert [answer.status for answer in (fresh, cached, refused, unreachable)] == [200, 200, 413, 503]
    for answer in (fresh, cached, refused, unreachable):
        for name in SECURITY_HEADERS:
            assert len(answer.headers.get_all(name, [])) == 1, (answer.status, name)
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    # Browsers ignore Strict-Transport-Security on plain HTTP.
    assert "frame-ancestors 'none'" in redirected.headers["Content-Security-Policy"]
    assert redirected.headers["X-Content-Type-Options"] == "nosniff"


@only_sqlite
def test_front_page_is_cached_for_each_language(start_node: Serve, start_proxy: StartProxy) -> None:
    node = start_node(SITE_HOME="list")
    proxy = start_proxy(node)
    pages = {tag: proxy.ask("/", headers={"Accept-Language": tag}).text for tag in ("de", "ar,en;q=0.5", "")}
    for page, language in zip(pages.values(), ("de", "ar", "en"), strict=True):
        assert f'<html lang="{language}"' in page
    node.stop()
    assert {tag: proxy.ask("/", headers={"Accept-Language": tag}).text for tag in pages} == pages


@only_sqlite
def test_pages_of_a_translation_are_cached_without_the_query(
    start_node: Serve, start_proxy: StartProxy, publish: Publish
) -> None:
    publish(translations={"pt-BR": {"title": "Salve o parque"}})
    node = start_node()
    proxy = start_proxy(node)
    paths = [f"{PATH}/pt-BR{end}" for end in ("", "/feed", ".json", "/signatures")]
    for path in paths:
        for number in range(3):
            assert proxy.ask(f"{path}?ref=mail{number}").status == 200, path
    assert [line[7] for line in proxy.logged(len(paths) * 3)].count("MISS") == len(paths)
    moved = proxy.ask(f"{PATH}/PT-br?ref=mail")
    assert (moved.status, moved.headers["Location"]) == (308, f"{PATH}/pt-BR?ref=mail")
    node.stop()
    assert "Salve o parque" in proxy.ask(paths[0]).text


@only_sqlite
def test_query_parameters_neither_hide_the_list_nor_fill_the_cache(start_node: Serve, start_proxy: StartProxy) -> None:
    proxy = start_proxy(start_node())
    assert proxy.sign().status == 200
    # The parameter name is percent-encoded, so nginx doesn't recognize it and serves the first page.
    assert "Ada Lovelace" in proxy.ask(f"{PATH}/signatures?%62efore=1-1").text
    assert "Ada Lovelace" in proxy.ask(f"{PATH}/signatures").text
    assert "Ada Lovelace" not in proxy.ask(f"{PATH}/signatures?before=1-1&x=1").text
    assert "Ada Lovelace" in proxy.ask(f"{PATH}/signatures").text
    copies = [path for path in (proxy.log.parent / "cache").rglob("*") if path.is_file()]
    assert len(copies) == 2


@only_sqlite
def test_inexact_and_former_addresses_lead_to_the_page_with_their_query(
    start_node: Serve, start_proxy: StartProxy, campaign: Campaign
) -> None:
    change(campaign, slug="keep-the-park")
    new = "/campaigns/keep-the-park"
    proxy = start_proxy(start_node())
    inexact = [f"{new}{end}" for end in ("/", ".", ")", "%20", "%0A", "%E2%80%A6", ".html", "&x=1", "/index.html")]
    for path in (PATH, *inexact, new.upper(), "/keep-the-park", f"{PATH}.", f"{PATH.upper()}/"):
        for source in ("mail", "flyer"):
            answer = proxy.ask(f"{path}?ref={source}&email=ada@example.org")
            expected = f"{new}?{'x=1&' if '&x=1' in path else ''}ref={source}&email=ada@example.org"
            assert (answer.status, answer.headers["Location"]) == (308, expected), path
            assert answer.headers["Cache-Control"] == "no-cache"
    # nginx itself merges slashes.
    assert proxy.ask(f"/{new.replace('/k', '//k')}").status == 200
    assert proxy.ask(f"{PATH}/feed?ref=mail").headers["Location"] == f"{new}/feed?ref=mail"
    assert proxy.ask(f"{PATH}/signatures?before=1-1&x=1").headers["Location"] == f"{new}/signatures?before=1-1"
    assert [proxy.ask(f"/?ref={source}").headers["Location"] for source in "ab"] == [f"{new}?ref=a", f"{new}?ref=b"]
    signed = proxy.ask(f"{PATH}/signatures/", data=ADA)
    assert (signed.status, signed.headers["Location"]) == (308, f"{new}/signatures")
    for path in ("//evil.example/", "/%5Cevil.example", f"{new}//evil.example", "//evil.example/%2e%2e"):
        assert "evil" not in proxy.ask(path).headers.get("Location", ""), path


@only_sqlite
def test_crowd_at_a_former_slug_is_served_from_the_cache_and_everyone_keeps_their_query(
    start_node: Serve, start_proxy: StartProxy, campaign: Campaign
) -> None:
    change(campaign, slug="keep-the-park")
    proxy = start_proxy(start_node())
    # Without a cached redirect, each would wait half a second for the one before.
    with ThreadPoolExecutor(20) as crowd:
        answers = list(crowd.map(lambda number: proxy.ask(f"{PATH}?ref={number}"), range(20)))
    assert [answer.headers["Location"] for answer in answers] == [
        f"/campaigns/keep-the-park?ref={n}" for n in range(20)
    ]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-cache"}
    assert "X-Accel-Expires" not in answers[0].headers
    assert "HIT" in {line[7] for line in proxy.logged(20)}
