"""A database that can't be used while somebody is at the desk: they are told so, and go on when it is back."""

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

from campaign import delivery, exports, extensions, moderation, record, search
from campaign.delivery import Purpose
from campaign.desk_models import Account, Export, ExportState, Role
from campaign.exports import LAST_FETCH, Kind
from campaign.extensions import db, write_transaction
from campaign.models import Campaign
from campaign.settings import Settings
from tests.conftest import HTMX, SLUG, dispose, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.people import PASSWORD, is_in, later
from tests.desk.test_campaigns import EDIT, typed
from tests.desk.test_door import knock, routes
from tests.desk.test_signatures import names, standings, undo
from tests.test_signature_table import put
from tests.test_storage import Break, trouble

__all__ = ["trouble"]


PAGE = f"/desk/campaigns/{SLUG}/signatures"
DELIVERIES = f"/desk/campaigns/{SLUG}/deliveries"
UNWRITABLE = pytest.mark.parametrize("trouble", ["full", "locked", "read-only"], indirect=True)


@pytest.fixture
def broken(app: Flask, at_desk: AtDeskAs, trouble: tuple[Break, Break]) -> Callable[[], AbstractContextManager[None]]:
    """Break the database for a while, for the desk as well, which has connections of its own."""

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
def test_while_nothing_can_be_written_the_search_finds_who_was_there_at_the_search_before(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, broken: Broken
) -> None:
    client = at_desk(Role.MODERATOR)
    put(campaign, {"name": "Ada Lovelace"})
    search.catch_up()
    put(campaign, *({"name": f"Ada {number}"} for number in range(500)))
    token = client.token()
    with broken():
        for headers in ({}, HTMX):
            form = {"csrf_token": token, "words": "ada"}
            answer = FlaskClient.post(client, f"{PAGE}/search", data=form, headers=headers)
            assert names(answer) == ["Ada Lovelace"]
            assert "the newest signatures can’t be found" in answer.text
    answer = client.post(f"{PAGE}/search", data={"words": "ada"})
    assert "At least 500 match" in answer.text
    assert "can’t be found" not in answer.text


@only_sqlite
def test_a_process_that_stops_while_it_writes_makes_nobody_at_the_desk_wait_for_ever(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = at_desk(Role.MODERATOR)
    (one,) = put(campaign, {"name": "Ada"})
    form = {"csrf_token": client.token(), "id": [one], "reason": "spam"}
    monkeypatch.setattr(extensions, "WAIT_SECONDS", 0.2)
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
def test_who_only_reads_waits_once_for_a_locked_database_and_not_at_each_page(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, broken: Broken
) -> None:
    client = at_desk(Role.MODERATOR)
    assert is_in(client)
    later(timedelta(minutes=2))
    tried = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement == "BEGIN IMMEDIATE":
            tried.append(statement)

    with broken():
        event.listen(Engine, "before_cursor_execute", note)
        assert [client.get(PAGE).status_code for _ in range(3)] == [200] * 3
        event.remove(Engine, "before_cursor_execute", note)
    assert len(tried) == 1
    assert is_in(client)


def recorded() -> int:
    db.session.rollback()
    number = len(list(record.everything(db.session())))
    db.session.rollback()
    return number


@pytest.mark.parametrize(
    ("database", "trouble", "why"),
    [
        ("sqlite", "full", "The disk under our records is full"),
        ("sqlite", "locked", "Something else is busy with our records"),
        ("sqlite", "read-only", "Our records can only be read"),
        ("postgresql", "read-only", "Our records can only be read"),
    ],
    indirect=["database", "trouble"],
)
def test_what_could_not_be_stored_is_said_so_and_why_and_changes_nothing(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, broken: Broken, why: str
) -> None:
    client = at_desk(Role.ADMIN)
    (one,) = put(campaign, {"name": "Ada", "email": "ada@example.org"})
    token, editor = client.token(), typed(client.get(EDIT).text)
    with broken():
        # On a full disk some pages have room for a little more.
        while FlaskClient.post(client, f"{PAGE}/addresses", data={"csrf_token": token}).status_code == 200:
            pass
        known = recorded()
        page = client.post(EDIT, data=editor | {"reason": "mend", "letter": "Much anew. " * 2000})
        seen = re.search(r'name="seen" value="([^"]+)"', page.text)
        assert seen, page.text
        for path, form in (
            (EDIT, editor | {"reason": "mend", "letter": "Much anew. " * 2000, "seen": seen[1]}),
            (f"{PAGE}/hide", {"id": str(one), "reason": "spam " * 100}),
            (f"{PAGE}/remove", {"everyone": "y", "reason": "spam " * 100}),
            (f"{PAGE}/addresses", {"country": ""}),
        ):
            sent = form | {"csrf_token": token}
            page = FlaskClient.post(client, path, data=sent)
            assert (page.status_code, why in page.text) == (503, True), f"{path} {page.status} {page.text}"
            assert "Nothing has changed in our records" in page.text
            kept = re.findall(r'<textarea name="([^"]+)" hidden>\n(.*?)</textarea>', page.text, re.S)
            assert {name: unescape(value) for name, value in kept} == sent
            notice = FlaskClient.post(client, path, data=sent, headers=HTMX)
            assert (notice.status_code, why in notice.text) == (503, True)
            assert notice.headers["HX-Retarget"] == "#notice"
        assert client.get(EDIT).status_code == 200
    assert standings()[0] == "listed"
    assert recorded() == known
    assert client.post(f"{PAGE}/hide", data={"id": one, "reason": "spam"}).status_code == 200
    assert standings()[0] == "hidden"


@only_sqlite
@pytest.mark.parametrize("trouble", ["locked", "read-only"], indirect=True)
def test_files_are_listed_also_while_old_ones_cant_be_deleted_and_none_is_asked_for(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, broken: Broken
) -> None:
    client, now = at_desk(Role.ADMIN), datetime.now(UTC)
    with write_transaction() as session:
        grace = record.actor(session.scalars(select(Account)).one())
        order = delivery.order(Purpose.HAND_OVER, ["name"])
        for kind in (Kind.CSV, Kind.SPREADSHEET):
            exports.ask(session, grace, campaign, kind, order, now)[0].state = ExportState.READY
        session.execute(update(Export).where(Export.kind == "csv").values(expires_at=now - LAST_FETCH))
    token = client.token()
    with broken():
        page = client.get(DELIVERIES)
        assert page.status_code == 200
        assert page.text.count("/file") == 1
        form = {"csrf_token": token, "purpose": "hand-over", "columns": "name", "kind": "csv"}
        asked = FlaskClient.post(client, DELIVERIES, data=form)
        assert asked.status_code == 503
        assert "Nothing has changed in our records" in asked.text
    assert db.session.scalar(select(func.count()).select_from(Export)) == 2
    assert client.get(DELIVERIES).status_code == 200
    db.session.rollback()
    assert db.session.scalar(select(func.count()).select_from(Export)) == 1


def test_where_the_database_stops_in_the_middle_it_is_said_how_much_is_done_and_can_be_undone(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moderation, "BATCH", 2)
    client = at_desk(Role.MODERATOR)
    ids = put(campaign, *({"name": f"Ada {number}", "email": f"ada{number}@example.org"} for number in range(6)))

    def hide_all() -> TestResponse:
        return client.post(f"{PAGE}/hide", data={"everyone": "y", "reason": "spam"})

    # From the newest on, two at a time; the third batch can't be stored.
    mend = _stop_at(settings, ids[0])
    answer = hide_all()
    assert answer.status_code == 503
    assert "4 signatures hidden. The rest could not be stored" in answer.text
    assert 'value="spam"' in answer.text, "to do it again"
    assert standings() == ["listed"] * 2 + ["hidden"] * 4
    assert undo(client, answer).status_code == 200
    assert standings() == ["listed"] * 6
    mend()
    answer = hide_all()
    assert (answer.status_code, standings()) == (200, ["hidden"] * 6)
    mend = _stop_at(settings, ids[3])
    answer = undo(client, answer)
    assert answer.status_code == 503
    assert "2 signatures put back. The rest could not be stored" in answer.text
    assert standings() == ["listed"] * 2 + ["hidden"] * 4
    mend()
    assert undo(client, answer).status_code == 200
    assert standings() == ["listed"] * 6


def _stop_at(settings: Settings, one: int) -> Callable[[], None]:
    """Let nobody change a signature; gives back what lets them again."""
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


def _leave(app: Flask, leave: Break) -> None:
    # The desk has connections of its own, which would go on reading a file that was moved.
    with app.extensions["desk"].app.app_context():
        dispose()
    leave()


@pytest.mark.parametrize("trouble", ["away"], indirect=True)
def test_every_page_says_in_words_that_the_database_is_away_and_nobody_is_signed_out(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, trouble: tuple[Break, Break]
) -> None:
    client, (leave, come_back) = at_desk(Role.ADMIN), trouble
    token = client.token()
    _leave(app, leave)
    try:
        for method, address, _ in routes(app):
            data = {"csrf_token": token} if method == "POST" else None
            page = FlaskClient.open(client, address, method=method, data=data)
            assert page.status_code == 503, f"{method} {address}"
            assert method == "HEAD" or "We can’t reach our records" in page.text, f"{method} {address}"
            partial = FlaskClient.open(client, address, method=method, data=data, headers=HTMX)
            assert partial.status_code == 503, f"{method} {address}"
            assert "We can’t reach our records" in partial.text or method == "HEAD", f"{method} {address}"
            # A preview comes while somebody types, whom it must leave at it.
            where = None if address.endswith("/preview") else "#notice"
            assert partial.headers.get("HX-Retarget") == where, f"{method} {address}"
    finally:
        come_back()
    assert knock(client, "GET", "/desk/account") == 200


@pytest.mark.parametrize("trouble", ["away"], indirect=True)
def test_what_was_typed_can_be_sent_again_when_the_database_is_back(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, trouble: tuple[Break, Break]
) -> None:
    client, (leave, come_back) = at_desk(Role.ADMIN), trouble
    form = typed(client.get(EDIT).text) | {"letter": "\r\nAll of it,\r\n<b>written</b> anew"}
    _leave(app, leave)
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
def test_a_password_is_never_on_a_page(app: Flask, at_desk: AtDeskAs, trouble: tuple[Break, Break]) -> None:
    client, (leave, come_back) = at_desk(Role.ADMIN), trouble
    token = client.token()
    _leave(app, leave)
    try:
        form = {"csrf_token": token, "password": PASSWORD, "new_password": PASSWORD, "new_password_confirm": PASSWORD}
        page = FlaskClient.post(client, "/desk/account/password", data=form)
    finally:
        come_back()
    assert page.status_code == 503
    assert PASSWORD not in page.text
