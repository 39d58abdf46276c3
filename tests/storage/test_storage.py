"""Database failures: signers get an error and keep what they typed, and can sign once the database is back."""

import fcntl
import os
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Event

import pytest
from flask import Flask, current_app
from flask.testing import FlaskClient
from sqlalchemy import URL, NullPool, create_engine, event, make_url, select, text
from sqlalchemy.exc import OperationalError

from campaign.models.campaign import Campaign
from campaign.settings import Settings
from campaign.signatures import signing, tally
from campaign.signatures.signing import Details
from campaign.storage import single_flight
from campaign.storage.database import STORAGE_ERRORS, db
from campaign.storage.transactions import write_transaction
from campaign.web.errors import WORDS
from tests.conftest import ADA, HTMX, PATH, only_sqlite, run_on, stored

Break = Callable[[], None]


@pytest.fixture(params=["away", "full", "locked", "read-only"])
def trouble(request: pytest.FixtureRequest, campaign: Campaign, settings: Settings) -> tuple[Break, Break]:
    """A function that breaks the database in one way, and a function that repairs it."""
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        file = Path(str(url.database))
        return {"away": _away, "full": _full, "locked": _locked, "read-only": _read_only}[request.param](file)
    server = request.getfixturevalue("postgresql")
    if request.param == "locked":
        return _locked_table(url)
    word, opposite = {
        "away": ("ALLOW_CONNECTIONS false", "ALLOW_CONNECTIONS true"),
        "read-only": ("SET default_transaction_read_only = on", "RESET default_transaction_read_only"),
    }[request.param]
    return _altered(server, url, word), _altered(server, url, opposite)


def _altered(server: URL, url: URL, word: str) -> Break:
    def alter() -> None:
        db.session.remove()
        run_on(server, f"ALTER DATABASE {url.database} {word}")
        run_on(server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.database}'")

    return alter


def _locked_table(url: URL) -> tuple[Break, Break]:
    other = create_engine(url, poolclass=NullPool).connect()

    def lock() -> None:
        db.session.remove()
        other.execute(text("LOCK TABLE tally"))

    return lock, other.close


def _away(file: Path) -> tuple[Break, Break]:
    hidden = file.with_suffix(".away")

    def leave() -> None:
        db.session.remove()
        db.engine.dispose()
        file.rename(hidden)
        file.mkdir()

    def come_back() -> None:
        file.rmdir()
        hidden.rename(file)

    return leave, come_back


def _limit_pages(connection: sqlite3.Connection, *_: object) -> None:
    # SQLite's page limit raises its own error, "database or disk is full".
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages}")


def _full(_file: Path) -> tuple[Break, Break]:
    def fill() -> None:
        db.session.remove()
        db.engine.dispose()
        event.listen(db.engine, "connect", _limit_pages)
        # Fill the room that the existing pages still have. These signatures are smaller than Ada's.
        campaign, refused = db.session.scalars(select(Campaign)).one(), 0
        settings = current_app.config["SETTINGS"]
        for number in count():
            details = Details("B", f"{number}@b.org", "FR")
            try:
                signing.sign(db.engine, campaign, details, datetime.now(UTC), settings)
                refused = 0
            except STORAGE_ERRORS:
                refused += 1
            if refused == 5:
                return

    def make_room() -> None:
        event.remove(db.engine, "connect", _limit_pages)
        db.engine.dispose()

    return fill, make_room


def _locked(file: Path) -> tuple[Break, Break]:
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)

    def hurry(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA busy_timeout=50")

    def lock() -> None:
        db.session.remove()
        db.engine.dispose()
        event.listen(db.engine, "connect", hurry)
        other.execute("BEGIN IMMEDIATE")

    return lock, other.close


def _read_only(_file: Path) -> tuple[Break, Break]:
    def forbid(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA query_only=ON")

    def turn() -> None:
        db.session.remove()
        db.engine.dispose()
        event.listen(db.engine, "connect", forbid)

    def turn_back() -> None:
        event.remove(db.engine, "connect", forbid)
        db.engine.dispose()

    return turn, turn_back


TROUBLES = [
    *(("sqlite", trouble) for trouble in ("away", "full", "locked", "read-only")),
    # A connection can't simulate a full disk on PostgreSQL; tests/faults/test_postgresql.py fills a real one.
    *(("postgresql", trouble) for trouble in ("away", "locked", "read-only")),
]


@pytest.mark.parametrize(("database", "trouble"), TROUBLES, indirect=True)
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["no script", "htmx"])
def test_failed_signature_gets_no_thanks_and_can_be_sent_again(
    client: FlaskClient, trouble: tuple[Break, Break], headers: dict[str, str]
) -> None:
    break_it, mend_it = trouble
    break_it()
    answer = client.post(f"{PATH}/signatures", data=ADA | {"city": "Köln"}, headers=headers)
    assert answer.status_code == 503
    assert 'role="alert"' in answer.text
    assert "Thank You" not in answer.text
    for typed in ("Ada Lovelace", "ada@example.org", "90012", "Köln"):
        assert f'value="{typed}"' in answer.text
    assert '<option value="US" selected>' in answer.text
    assert "Traceback" not in answer.text
    assert re.search(rf'<form id="sign-form" action="{PATH}/signatures" method="post"', answer.text), (
        "the same button sends it again"
    )

    mend_it()
    assert client.post(f"{PATH}/signatures", data=ADA, headers=headers).status_code in (200, 303)
    assert [signature.name for signature in stored()].count("Ada Lovelace") == 1


SAID = {
    "away": "database: away\n",
    "locked": "database: not writable: locked\n",
    "read-only": "database: not writable: read-only\n",
}


@pytest.mark.parametrize("trouble", SAID, indirect=True)
def test_readyz_reports_why_the_database_is_not_writable(
    client: FlaskClient, trouble: tuple[Break, Break], request: pytest.FixtureRequest
) -> None:
    break_it, mend_it = trouble
    break_it()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, SAID[request.node.callspec.params["trouble"]])
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.get("/healthz").status_code == 200
    mend_it()
    assert client.get("/readyz").status_code == 200


def test_readyz_reports_a_full_disk(client: FlaskClient, campaign: Campaign, settings: Settings) -> None:
    # Make each write to the tally need more space than the disk has.
    fill = [
        "CREATE TABLE ballast (kilogram BLOB)",
        "CREATE TRIGGER filled BEFORE INSERT ON tally BEGIN INSERT INTO ballast VALUES (zeroblob(1000000)); END",
    ]
    if not settings.database_url.startswith("sqlite"):
        body = "$$ BEGIN RAISE EXCEPTION 'as PostgreSQL does' USING ERRCODE = 'disk_full'; END $$"
        fill = [
            f"CREATE FUNCTION filled() RETURNS trigger LANGUAGE plpgsql AS {body}",
            "CREATE TRIGGER filled BEFORE INSERT ON tally EXECUTE FUNCTION filled()",
        ]
    with write_transaction() as session:
        for statement in fill:
            session.connection().exec_driver_sql(statement)
    db.engine.dispose()
    if settings.database_url.startswith("sqlite"):
        event.listen(db.engine, "connect", _limit_pages)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "database: not writable: full\n")


@only_sqlite
def test_unreachable_database_shows_an_error_page_and_polls_swap_nothing(
    client: FlaskClient, campaign: Campaign, settings: Settings
) -> None:
    leave, _ = _away(settings.instance / "campaign.sqlite")
    leave()
    page = client.get(PATH)
    assert page.status_code == 503
    assert WORDS[503].title in page.text
    assert "Traceback" not in page.text
    poll = client.get(f"{PATH}/feed", headers=HTMX)
    assert (poll.status_code, poll.headers["HX-Reswap"], poll.text) == (503, "none", "")


@only_sqlite
@pytest.mark.slow
def test_writers_time_out_if_another_process_keeps_the_turn(
    client: FlaskClient, campaign: Campaign, settings: Settings
) -> None:
    turn = os.open(f"{settings.instance}/campaign.sqlite-turn", os.O_CREAT | os.O_RDWR)
    fcntl.flock(turn, fcntl.LOCK_EX)
    answer = client.post(f"{PATH}/signatures", data=ADA)
    assert answer.status_code == 503
    assert 'value="ada@example.org"' in answer.text
    assert client.get("/readyz").text == "database: not writable: locked\n"
    os.close(turn)
    assert client.post(f"{PATH}/signatures", data=ADA).status_code == 303
    assert len(stored()) == 1


@pytest.mark.slow
def test_hanging_database_fails_all_waiting_readers_at_once(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_flight, "tick", lambda: 0.0)
    statements, hang = [], Event()

    def look(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)
        hang.wait(30)
        raise OperationalError(statement, {}, TimeoutError())

    event.listen(db.engine, "before_cursor_execute", look)
    with ThreadPoolExecutor(16) as crowd:
        answers = [crowd.submit(lambda: app.test_client().get(PATH)) for _ in range(16)]
        wait(answers, timeout=1)
        hang.set()
        assert {answer.result().status_code for answer in answers} == {503}
    assert len(statements) == 1


def test_unexpected_exception_shows_visitors_no_details(client: FlaskClient, campaign: Campaign) -> None:
    app = client.application

    def broken(slug: str) -> str:
        raise RuntimeError(f"secret of {slug}")

    app.view_functions["site.campaign_page"] = broken
    answer = client.get(PATH)
    assert answer.status_code == 500
    assert WORDS[500].title in answer.text
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.slow
def test_invalid_signature_in_a_batch_does_not_fail_the_others(campaign: Campaign, settings: Settings) -> None:
    engine = db.engine

    def sign(number: int) -> None:
        details = Details("\ud800" if number == 3 else "Ada", f"{number}@example.org", "FR")
        signing.sign(engine, campaign, details, datetime.now(UTC), settings)

    with ThreadPoolExecutor(16) as crowd:
        with write_transaction() as session:
            tally.lock(session, campaign.id)
            # The first batch waits for the tally. Signatures that arrive in the meantime form the next batch.
            signed = [crowd.submit(sign, number) for number in range(16)]
            assert not wait(signed, timeout=0.5).done
        assert [number for number, future in enumerate(signed) if future.exception()] == [3]
    assert isinstance(signed[3].exception(), UnicodeEncodeError)
    assert tally.check(db.session(), campaign.id) == tally.Check(tallied=15, stored=15)
