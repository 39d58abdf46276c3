"""The desk reports an unavailable database, keeps input and sessions, and works again when the database returns."""

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, func, select, update
from werkzeug.test import TestResponse

from campaign.accounts import audit_log
from campaign.deliveries import contents, exports
from campaign.deliveries.contents import Purpose
from campaign.deliveries.exports import Kind
from campaign.models.account import Account, Role
from campaign.models.campaign import Campaign
from campaign.models.export import Export, ExportState
from campaign.moderation import actions
from campaign.settings import Settings
from campaign.storage import database
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.web import health
from campaign.web.errors import NOT_STORED, WORDS
from tests.conftest import HTMX, SLUG, dispose, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT, typed
from tests.desk.people import PASSWORD, is_in, later
from tests.desk.test_permissions import request_status, routes
from tests.desk.test_signatures import names, standings, undo
from tests.moderation.signatures import index_all, put
from tests.storage.test_storage import Break, trouble

__all__ = ["trouble"]


PAGE = f"/desk/campaigns/{SLUG}/signatures"
DELIVERIES = f"/desk/campaigns/{SLUG}/deliveries"
UNWRITABLE = pytest.mark.parametrize("trouble", ["full", "locked", "read-only"], indirect=True)


@pytest.fixture
def broken(app: Flask, at_desk: AtDeskAs, trouble: tuple[Break, Break]) -> Callable[[], AbstractContextManager[None]]:
    """Return a context manager that breaks the database for the site and the desk, each with its own connections."""

    @contextmanager
    def broken() -> Iterator[None]:
        break_it, mend_it = trouble
        dispose()
        with app.extensions["desk"].app.app_context():
            break_it()
        yield
        with app.extensions["desk"].app.app_context():
            mend_it()

    return broken


Broken = Callable[[], AbstractContextManager[None]]


@only_sqlite
@UNWRITABLE
@pytest.mark.slow
def test_search_finds_the_newest_signatures_while_the_database_is_not_writable(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, broken: Broken
) -> None:
    client = at_desk(Role.MODERATOR)
    put(campaign, {"name": "Ada Lovelace"})
    index_all()
    put(campaign, {"name": "Ada Byron", "email": "byron@example.org"})
    token = client.token()
    with broken():
        for headers in ({}, HTMX):
            form = {"csrf_token": token, "words": "ada"}
            answer = FlaskClient.post(client, f"{PAGE}/search", data=form, headers=headers)
            assert names(answer) == ["Ada Byron", "Ada Lovelace"]


@only_sqlite
@pytest.mark.slow
def test_requests_fail_instead_of_waiting_for_a_stuck_writer(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = at_desk(Role.MODERATOR)
    (one,) = put(campaign, {"name": "Ada"})
    form = {"csrf_token": client.token(), "id": [one], "reason": "spam"}
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.2)
    turn = os.open(f"{settings.instance}/campaign.sqlite-turn", os.O_CREAT | os.O_RDWR)
    fcntl.flock(turn, fcntl.LOCK_EX)
    with ThreadPoolExecutor(4) as crowd:
        answers = [crowd.submit(FlaskClient.post, client, f"{PAGE}/hide", data=form) for _ in range(4)]
        waited = wait(answers, timeout=30)
        os.close(turn)
    assert not waited.not_done
    assert {answer.result().status_code for answer in answers} == {503}
    assert standings() == ["listed"]
    assert client.post(f"{PAGE}/hide", data=form).status_code == 200
    assert standings() == ["hidden"]


@only_sqlite
@pytest.mark.parametrize("trouble", ["locked"], indirect=True)
def test_pages_wait_only_once_for_a_locked_database(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, broken: Broken
) -> None:
    client = at_desk(Role.MODERATOR)
    assert is_in(client)
    later(timedelta(minutes=2))
    attempts = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement == "BEGIN IMMEDIATE":
            attempts.append(statement)

    with broken():
        event.listen(Engine, "before_cursor_execute", record)
        assert [client.get(PAGE).status_code for _ in range(3)] == [200] * 3
        event.remove(Engine, "before_cursor_execute", record)
    assert len(attempts) == 1
    assert is_in(client)


def log_entries() -> int:
    """Return the number of entries in the audit log."""
    db.session.rollback()
    number = sum(map(len, audit_log.everything(db.session(), 100)))
    db.session.rollback()
    return number


@pytest.mark.parametrize(
    ("database", "trouble", "fault"),
    [
        ("sqlite", "full", health.FULL),
        ("sqlite", "locked", health.LOCKED),
        ("sqlite", "read-only", health.READ_ONLY),
        ("postgresql", "read-only", health.READ_ONLY),
    ],
    indirect=["database", "trouble"],
)
@pytest.mark.slow
def test_failed_write_is_explained_keeps_the_form_and_changes_nothing(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, broken: Broken, fault: str
) -> None:
    why = NOT_STORED[fault].text
    client = at_desk(Role.ADMIN)
    (one,) = put(campaign, {"name": "Ada", "email": "ada@example.org"})
    token, editor = client.token(), typed(client.get(EDIT).text)
    with broken():
        # On a full disk, some database pages still have room for a few rows. Fill them first.
        while FlaskClient.post(client, f"{PAGE}/addresses", data={"csrf_token": token}).status_code == 200:
            pass
        entries_before = log_entries()
        page = client.post(EDIT, data=editor | {"reason": "mend", "letter": "Much anew. " * 2000})
        seen = re.search(r'name="seen" value="([^"]+)"', page.text)
        assert seen, page.text
        for path, form in (
            (EDIT, editor | {"reason": "mend", "letter": "Much anew. " * 2000, "seen": seen[1]}),
            (f"{PAGE}/hide", {"id": str(one), "reason": "spam " * 100}),
            (f"{PAGE}/remove", {"everyone": "y", "reason": "spam " * 100, "sure": "all"}),
            (f"{PAGE}/addresses", {"country": ""}),
        ):
            sent = form | {"csrf_token": token}
            page = FlaskClient.post(client, path, data=sent)
            assert (page.status_code, why in page.text) == (503, True), f"{path} {page.status} {page.text}"
            assert NOT_STORED[fault].title in page.text
            kept = re.findall(r'<textarea name="([^"]+)" hidden>\n(.*?)</textarea>', page.text, re.S)
            assert {name: unescape(value) for name, value in kept} == sent
            notice = FlaskClient.post(client, path, data=sent, headers=HTMX)
            assert (notice.status_code, why in notice.text) == (503, True)
            assert notice.headers["HX-Retarget"] == "#notice"
        assert client.get(EDIT).status_code == 200
    assert standings()[0] == "listed"
    assert log_entries() == entries_before
    assert client.post(f"{PAGE}/hide", data={"id": one, "reason": "spam"}).status_code == 200
    assert standings()[0] == "hidden"


@only_sqlite
@pytest.mark.parametrize("trouble", ["locked", "read-only"], indirect=True)
def test_files_are_listed_while_the_database_is_not_writable(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, broken: Broken
) -> None:
    client, now = at_desk(Role.ADMIN), datetime.now(UTC)
    with write_transaction() as session:
        grace = audit_log.actor(session.scalars(select(Account)).one())
        order = contents.order(Purpose.HAND_OVER, ["name"])
        for kind in (Kind.CSV, Kind.SPREADSHEET):
            exports.ask(session, grace, campaign, kind, order, now).state = ExportState.READY
        session.execute(update(Export).where(Export.kind == "csv").values(expires_at=now - timedelta(minutes=10)))
    token = client.token()
    with broken():
        page = client.get(DELIVERIES)
        assert page.status_code == 200
        assert page.text.count("/file") == 1
        form = {"csrf_token": token, "purpose": "hand-over", "columns": "name", "kind": "csv"}
        asked = FlaskClient.post(client, DELIVERIES, data=form)
        assert asked.status_code == 503
        assert NOT_STORED[health.LOCKED].title in asked.text
    assert db.session.scalar(select(func.count()).select_from(Export)) == 2


@pytest.mark.slow
def test_partial_change_after_a_storage_error_is_reported_and_can_be_undone(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 2)
    client = at_desk(Role.MODERATOR)
    ids = put(campaign, *({"name": f"Ada {number}", "email": f"ada{number}@example.org"} for number in range(6)))

    def hide_all() -> TestResponse:
        return client.post(f"{PAGE}/hide", data={"everyone": "y", "reason": "spam"})

    # The newest signatures come first, two per batch. The third batch can't be stored.
    mend = _stop_at(settings, ids[0])
    answer = hide_all()
    assert answer.status_code == 503
    assert "4 signatures hidden. The rest couldn’t be saved" in answer.text
    assert 'value="spam"' in answer.text, "the form keeps the reason for another try"
    assert "Continue with older signatures?" in answer.text
    assert standings() == ["listed"] * 2 + ["hidden"] * 4
    assert undo(client, answer).status_code == 200
    assert standings() == ["listed"] * 6
    mend()
    answer = hide_all()
    assert (answer.status_code, standings()) == (200, ["hidden"] * 6)
    mend = _stop_at(settings, ids[3])
    answer = undo(client, answer)
    assert answer.status_code == 503
    assert "2 signatures restored. The rest couldn’t be saved" in answer.text
    assert "Undo: restore 4 signatures" in answer.text
    assert standings() == ["listed"] * 2 + ["hidden"] * 4
    mend()
    assert undo(client, answer).status_code == 200
    assert standings() == ["listed"] * 6


def _stop_at(settings: Settings, one: int) -> Callable[[], None]:
    """Prevent changes to one signature, and return a function that allows them again."""
    if settings.database_url.startswith("sqlite"):
        when = f"BEFORE UPDATE ON signature WHEN OLD.id = {one}"
        do = [f"CREATE TRIGGER stop {when} BEGIN SELECT RAISE(ABORT, 'as on a full disk'); END"]
        undo = ["DROP TRIGGER stop"]
    else:
        body = "$$ BEGIN RAISE EXCEPTION 'as PostgreSQL does' USING ERRCODE = 'disk_full'; END $$"
        when = f"BEFORE UPDATE ON signature FOR EACH ROW WHEN (OLD.id = {one})"
        do = [
            f"CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS {body}",
            f"CREATE TRIGGER stop {when} EXECUTE FUNCTION stop()",
        ]
        undo = ["DROP FUNCTION stop CASCADE"]

    def run(statements: list[str]) -> None:
        with write_transaction() as session:
            for statement in statements:
                session.connection().exec_driver_sql(statement)

    run(do)
    return lambda: run(undo)


def _take_away(app: Flask, leave: Break) -> None:
    # The desk's own connections would still read a database file that was moved.
    with app.extensions["desk"].app.app_context():
        dispose()
    leave()


@pytest.mark.parametrize("trouble", ["away"], indirect=True)
@pytest.mark.slow
def test_every_page_reports_an_unavailable_database_and_keeps_the_session(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, trouble: tuple[Break, Break]
) -> None:
    client, (leave, come_back) = at_desk(Role.ADMIN), trouble
    token = client.token()
    _take_away(app, leave)
    try:
        for method, address in routes(app):
            data = {"csrf_token": token} if method == "POST" else None
            page = FlaskClient.open(client, address, method=method, data=data)
            assert page.status_code == 503, f"{method} {address}"
            assert method == "HEAD" or WORDS[503].title in page.text, f"{method} {address}"
            partial = FlaskClient.open(client, address, method=method, data=data, headers=HTMX)
            assert partial.status_code == 503, f"{method} {address}"
            assert WORDS[503].title in partial.text or method == "HEAD", f"{method} {address}"
            # These requests are sent while the user types, so their errors must not move the focus to a notice.
            where = None if address.removesuffix("/es").endswith(("/preview", "/autosave")) else "#notice"
            assert partial.headers.get("HX-Retarget") == where, f"{method} {address}"
    finally:
        come_back()
    assert request_status(client, "GET", "/desk/account") == 200


@pytest.mark.parametrize("trouble", ["away"], indirect=True)
@pytest.mark.slow
def test_input_can_be_sent_again_after_the_database_returns(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, trouble: tuple[Break, Break]
) -> None:
    client, (leave, come_back) = at_desk(Role.ADMIN), trouble
    form = typed(client.get(EDIT).text) | {"letter": "\r\nAll of it,\r\n<b>written</b> anew"}
    _take_away(app, leave)
    try:
        page = FlaskClient.post(client, EDIT, data=form)
    finally:
        come_back()
    assert page.status_code == 503
    kept = re.findall(r'<textarea name="([^"]+)" hidden>\n(.*?)</textarea>', page.text, re.S)
    again = {name: unescape(value) for name, value in kept}
    assert again == form
    assert "written" in client.post(EDIT, data=again).text


@pytest.mark.parametrize("trouble", ["away"], indirect=True)
def test_error_page_never_contains_a_password(app: Flask, at_desk: AtDeskAs, trouble: tuple[Break, Break]) -> None:
    client, (leave, come_back) = at_desk(Role.ADMIN), trouble
    token = client.token()
    _take_away(app, leave)
    try:
        form = {"csrf_token": token, "password": PASSWORD, "new_password": PASSWORD, "new_password_confirm": PASSWORD}
        page = FlaskClient.post(client, "/desk/account/password", data=form)
    finally:
        come_back()
    assert page.status_code == 503
    assert PASSWORD not in page.text
