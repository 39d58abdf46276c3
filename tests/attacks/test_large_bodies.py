"""Request bodies that are too large are refused before anything reads or parses them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any
from urllib.parse import quote_plus

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from campaign.accounts import sessions
from campaign.campaigns.letter.markdown import LETTER_LENGTH
from campaign.models.account import Role
from campaign.models.campaign import Campaign
from campaign.storage.database import db
from campaign.web.response_cache import CACHED_PATHS
from tests.attacks.bodies import MOST_BYTES, MULTIPART, URLENCODED, Body, part, send
from tests.conftest import DOMAIN, HTMX, PATH, SLUG, Server, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT, TYPED, shown
from tests.desk.people import browser, later
from tests.nginx import DyingNode, nginx

TEXT_BYTES = 12 * 50_000 + MOST_BYTES
"""The body limit for a campaign's text, which deploy/nginx.conf rounds up to 650k."""
UPLOAD_BYTES = 26 * 1024 * 1024
NEW, PREVIEW, PREVIEW_NEW = "/desk/campaigns/new", f"/desk{PATH}/preview", "/desk/campaigns/preview"
AUTOSAVE, AUTOSAVE_NEW = f"/desk{PATH}/autosave", "/desk/campaigns/autosave"
EDITORS, PREVIEWS = (NEW, EDIT), (PREVIEW, PREVIEW_NEW)
TEXT_ONLY = (*PREVIEWS, AUTOSAVE, AUTOSAVE_NEW)
"""The routes that accept a campaign's text, but no picture."""


def editor_form(token: str, picture: bytes, **fields: str) -> bytes:
    """Return the editor's form with a picture."""
    texts = {"csrf_token": token} | TYPED | fields
    parts = [part(name, value.encode()) for name, value in texts.items()]
    return b"".join([*parts, part("picture", picture, file="p.jpg")]) + b"--x--\r\n"


def addresses(app: Flask) -> Iterator[tuple[str, str]]:
    """Yield every method and path of the site and the desk, and paths that don't exist."""
    values = {"slug": SLUG, "filename": "site.css", "digest": "0" * 64, "step": "publish", "token": "x"}

    def path(of: Flask, rule: Rule) -> str:
        given = {name: values.get(name, 1) for name in rule.arguments}
        return of.url_map.bind("").build(rule.endpoint, given, append_unknown=False)

    for prefix, of in (("", app), ("/desk", app.extensions["desk"].app)):
        for rule in of.url_map.iter_rules():
            for method in rule.methods or ():
                yield method, prefix + path(of, rule)
        yield from ((method, f"{prefix}/nothing/here") for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"))


@only_sqlite
@pytest.mark.slow
def test_body_longer_than_its_routes_limit_is_not_read(
    app: Flask, campaign: Campaign, at_desk: AtDeskAs, parsed: list[str]
) -> None:
    senders = [(browser(app), URLENCODED), (at_desk(Role.ADMIN), MULTIPART)]
    parsed.clear()
    tried = 0
    for method, path in addresses(app):
        for client, kind in senders:
            signed_in = client is not senders[0][0]
            limit = MOST_BYTES
            if signed_in and path in (*EDITORS, *TEXT_ONLY):
                limit = UPLOAD_BYTES if path in EDITORS else TEXT_BYTES
            sent = send(client, path, b"a=1&b=2", kind, method=method, announced=limit + 1)
            assert sent.read == 0, (method, path)
            # The cache serves the public pages, and no app sees the request.
            if method != "GET" or not CACHED_PATHS.fullmatch(path):
                assert sent.answer.status_code == 413, (method, path)
            tried += 1
    assert tried > 200
    assert parsed == []


@pytest.mark.parametrize(
    "path", [f"{PATH}/signatures", "/places", "/desk/sign-in", "/desk/sign-in/code", "/desk/account/password", "/x"]
)
@only_sqlite
def test_chunked_body_is_read_only_up_to_the_limit(
    client: FlaskClient, campaign: Campaign, parsed: list[str], path: str
) -> None:
    for kind in (URLENCODED, MULTIPART, "application/json", "text/plain", ""):
        sent = send(client, path, b"a=1&" * 50_000, kind, chunked=True)
        assert sent.read <= MOST_BYTES
        assert sent.answer.status_code in {400, 404, 413, 415}
    assert parsed == []


@only_sqlite
@pytest.mark.slow
def test_strangers_chunked_form_is_limited_on_the_editors_routes(client: FlaskClient, campaign: Campaign) -> None:
    for path in (*EDITORS, *TEXT_ONLY):
        for kind in (URLENCODED, MULTIPART):
            sent = send(client, path, part("letter", b"a" * UPLOAD_BYTES), kind, chunked=True)
            assert sent.read <= MOST_BYTES
            assert sent.answer.status_code == 413


@pytest.mark.parametrize("path", EDITORS)
@pytest.mark.slow
def test_organizer_can_upload_a_large_picture(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    organizer = at_desk(Role.ORGANIZER, own=[campaign])
    form = editor_form(organizer.token(), b"\xff" * (5 * 1024 * 1024), title="Kept title")
    with app.extensions["desk"].app.app_context():
        pool: Any = db.engine.pool
    open_connections: set[int] = set()
    monkeypatch.setattr(Body, "before_read", staticmethod(lambda: open_connections.add(pool.checkedout())))
    for chunked in (False, True):
        sent = send(organizer, path, form, MULTIPART, chunked=chunked)
        assert sent.read == len(form)
        assert sent.answer.status_code == 422
        assert "The picture must be an undamaged JPEG" in sent.answer.text
        assert "Kept title" in sent.answer.text
    assert open_connections == {0}, "a slow upload holds no database connection"


@pytest.mark.slow
@pytest.mark.parametrize("path", EDITORS)
def test_large_picture_from_a_stranger_is_not_read(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, path: str
) -> None:
    form = editor_form("", b"\xff" * (5 * 1024 * 1024))
    sent = send(browser(app), path, form, MULTIPART)
    assert (sent.answer.status_code, sent.read) == (413, 0)
    assert "been signed out" in sent.answer.text
    assert "sign in again in a new tab" in sent.answer.text
    for role in (Role.OBSERVER, Role.MODERATOR):
        sent = send(at_desk(role), path, form, MULTIPART)
        assert (sent.answer.status_code, sent.read) == (403, 0)


@only_sqlite
def test_organizers_large_form_is_read_only_on_the_editors_routes(at_desk: AtDeskAs, campaign: Campaign) -> None:
    organizer = at_desk(Role.ADMIN)
    for path, kind in (
        (EDIT, URLENCODED),
        (EDIT, "text/plain"),
        (PREVIEW, MULTIPART),
        ("/desk/account/password", MULTIPART),
    ):
        sent = send(organizer, path, b"a" * (TEXT_BYTES + 1), kind)
        assert (sent.answer.status_code, sent.read) == (413, 0)
        assert "Your form is too large" in sent.answer.text


@pytest.mark.parametrize("path", EDITORS)
@pytest.mark.parametrize("urlencoded", [False, True])
def test_text_of_an_organizer_whose_session_has_ended_is_kept(
    at_desk: AtDeskAs, campaign: Campaign, path: str, *, urlencoded: bool
) -> None:
    letter = "\U0001f333" * LETTER_LENGTH
    client = at_desk(Role.ADMIN)
    token = client.token()
    later(sessions.LONGEST)
    body = f"csrf_token={token}&letter={quote_plus(letter)}".encode()
    form = editor_form(token, b"", letter=letter)
    sent = send(client, path, *((body, URLENCODED) if urlencoded else (form, MULTIPART)))
    assert sent.answer.status_code == 401
    assert letter in sent.answer.text


@pytest.mark.slow
def test_live_preview_accepts_the_longest_letter(at_desk: AtDeskAs, campaign: Campaign) -> None:
    organizer = at_desk(Role.ORGANIZER, own=[campaign])
    tree = "\U0001f333"
    form = TYPED | {"letter": tree * LETTER_LENGTH, "csrf_token": organizer.token()}
    for path in PREVIEWS:
        answer = FlaskClient.post(organizer, path, data=form, headers=HTMX)
        assert answer.status_code == 200
        assert shown(answer.text).count(tree) >= LETTER_LENGTH
        sent = send(organizer, path, b"a" * (TEXT_BYTES + 1), URLENCODED, headers=HTMX)
        assert (sent.answer.status_code, sent.read) == (413, 0)
        assert "Your form is too large" in sent.answer.text
        assert "HX-Retarget" not in sent.answer.headers


@pytest.mark.slow
def test_too_large_body_gets_an_error_page(client: FlaskClient, campaign: Campaign) -> None:
    for path, title in (
        (f"{PATH}/signatures", "Your form is too large"),
        ("/desk/sign-in", "Your form is too large"),
        ("/nothing", "Your form is too large"),
    ):
        page = send(client, path, b"a" * (MOST_BYTES + 1), URLENCODED).answer
        assert page.status_code == 413
        assert title in page.text
        assert page.headers["Cache-Control"] == "no-store"
        assert "Content-Security-Policy" in page.headers


@only_sqlite
@pytest.mark.settings(WEB_CONCURRENCY="1")
def test_gunicorn_refuses_a_large_body_without_waiting_for_it(server: Server) -> None:
    framings = "Content-Length: 100000000", "Transfer-Encoding: chunked"
    for path, framing in product([f"{PATH}/signatures", "/desk/sign-in", EDIT, "/nothing"], framings):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: {URLENCODED}\r\n"
            connection.sendall(f"{head}{framing}\r\n\r\n".encode())
            if "chunked" in framing:
                connection.sendall((b"%x\r\n" % TEXT_BYTES + b"a" * TEXT_BYTES + b"\r\n") * 2)
            answer = connection.makefile("rb").readline().decode()
        # gunicorn refuses chunked bodies itself (411).
        assert answer.split()[1] == ("411" if "chunked" in framing else "413"), answer


@contextmanager
def behind_nginx(folder: Any) -> Iterator[tuple[Any, DyingNode]]:
    node = DyingNode()
    folder.mkdir()
    try:
        with nginx(folder, node) as proxy:
            yield proxy, node
    finally:
        node.stop()


@pytest.mark.server
def test_nginx_refuses_every_body_that_the_site_would_refuse(tmp_path: Any) -> None:
    def post(proxy: Any, path: str, size: int) -> tuple[int, str]:
        with proxy.connect() as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: {DOMAIN}\r\nContent-Type: {MULTIPART}\r\nConnection: close\r\n"
            connection.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode())
            if size <= UPLOAD_BYTES:
                connection.sendall(b"a" * size)
            answer = connection.makefile("rb").read().decode()
        return int(answer.split()[1]), answer

    limits: dict[str, int] = dict.fromkeys(
        (f"{PATH}/signatures", "/desk/sign-in", f"/desk{PATH}/signatures"), MOST_BYTES
    )
    limits |= dict.fromkeys(TEXT_ONLY, TEXT_BYTES) | dict.fromkeys(EDITORS, UPLOAD_BYTES)
    with behind_nginx(tmp_path / "nginx") as (proxy, node):
        for path, limit in limits.items():
            node.got.clear()
            status, page = post(proxy, path, limit + 1024)
            assert (status, node.got) == (413, []), path
            assert "Your form is too large" in page
            # The node closes the connection, so nginx responds 503; what counts is that the node got the request.
            assert post(proxy, path, limit)[0] == 503, path
            assert len(node.got) == 1, path
