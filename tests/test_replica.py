"""Pages may be read in a replica of the database; nobody who signs or looks notices, whatever becomes of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, make_url

from campaign import create_app
from campaign.extensions import db
from campaign.models import Campaign
from campaign.settings import Settings
from tests import services
from tests.conftest import PATH, Sign, dispose, migrate, run_on
from tests.services import Service


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[Service]:
    """Where signatures are stored."""
    with services.postgresql() as service:
        migrate(Settings.from_environ({"DATABASE_URL": service.url}, tmp_path))
        yield service


@pytest.fixture
def replica(primary: Service) -> Iterator[Service]:
    with services.replica_of(primary) as service:
        yield service


@pytest.fixture
def settings(primary: Service, replica: Service, tmp_path: Path) -> Settings:
    environ = {"DATABASE_URL": primary.url, "DATABASE_READ_URL": replica.url}
    return Settings.from_environ(environ, tmp_path)


@contextmanager
def asked(bind: str | None) -> Iterator[list[str]]:
    """What is asked meanwhile of the replica, "read", or of the database that signatures are stored in, None."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(db.engines[bind], "before_cursor_execute", note)
    yield statements
    event.remove(db.engines[bind], "before_cursor_execute", note)


def wait_until(it_is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not it_is_so():
        assert time.monotonic() < deadline, "never"
        time.sleep(0.1)


def read_in_the_replica(client: FlaskClient) -> bool:
    with asked("read") as statements:
        assert client.get(PATH).status_code == 200
    return any("FROM signature" in statement for statement in statements)


def test_readers_are_served_by_the_replica_alone(client: FlaskClient, sign: Sign) -> None:
    sign()
    wait_until(lambda: read_in_the_replica(client))
    with asked(None) as statements:
        for view in ("", "/feed", "/signatures", ".json", ".atom"):
            assert "Ada Lovelace" in client.get(PATH + view).text
    assert {statement for statement in statements if "pg_current_wal_flush_lsn" not in statement} == set()


def test_signing_never_asks_the_replica(sign: Sign, client: FlaskClient) -> None:
    wait_until(lambda: read_in_the_replica(client))
    with asked("read") as statements:
        answer = sign()
        assert "Ada Lovelace" in client.get(answer.location).text
    assert [statement for statement in statements if "FROM signature" in statement or "FROM tally" in statement] == []
    with asked("read") as statements:
        assert sign(htmx=True, email="grace@example.org").status_code == 200
    assert statements == []


def test_who_has_just_signed_is_in_the_list_though_the_replica_lags(
    sign: Sign, client: FlaskClient, replica: Service
) -> None:
    wait_until(lambda: read_in_the_replica(client))
    run_on(make_url(replica.url), "SELECT pg_wal_replay_pause()")
    sign()
    assert "Ada Lovelace" in client.get(PATH).text
    assert "Ada Lovelace" in client.get(f"{PATH}/feed").text
    run_on(make_url(replica.url), "SELECT pg_wal_replay_resume()")
    wait_until(lambda: read_in_the_replica(client))
    assert "Ada Lovelace" in client.get(PATH).text


def test_a_replica_that_stops_is_missed_by_nobody_and_taken_again_when_it_is_back(
    sign: Sign, client: FlaskClient, replica: Service, caplog: pytest.LogCaptureFixture
) -> None:
    wait_until(lambda: read_in_the_replica(client))
    replica.kill()
    sign()
    for _ in range(5):
        assert "Ada Lovelace" in client.get(PATH).text
    assert caplog.text.count("the replica can't be read") <= 1, "one line a minute"
    replica.start()
    wait_until(lambda: read_in_the_replica(client))


def test_a_replica_that_was_promoted_is_not_read_while_signatures_are_stored_elsewhere(
    sign: Sign, client: FlaskClient, replica: Service
) -> None:
    wait_until(lambda: read_in_the_replica(client))
    run_on(make_url(replica.url), "SELECT pg_promote()")
    sign()
    assert "Ada Lovelace" in client.get(PATH).text
    assert not read_in_the_replica(client)


def test_while_the_database_is_away_pages_are_read_in_the_replica_and_signers_are_told(
    sign: Sign, client: FlaskClient, primary: Service, replica: Service
) -> None:
    sign()
    wait_until(lambda: read_in_the_replica(client))
    primary.kill()
    for _ in range(2):
        assert "Ada Lovelace" in client.get(PATH).text
        assert "Ada Lovelace" in client.get(f"{PATH}/signatures").text
        answer = sign(email="grace@example.org")
        assert answer.status_code == 503
        assert 'value="grace@example.org"' in answer.text
        # The operator makes the replica the database; readers notice nothing of that either.
        run_on(make_url(replica.url), "SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote() END")
    primary.start()
    assert sign(email="grace@example.org").status_code == 303


def test_a_promoted_replica_takes_signatures_as_the_new_database(
    sign: Sign, primary: Service, replica: Service, settings: Settings, campaign: Campaign
) -> None:
    sign()
    primary.kill()
    run_on(make_url(replica.url), "SELECT pg_promote()")
    moved = create_app(replace(settings, database_url=settings.database_read_url, database_read_url=""))
    form = {"name": "Grace Hopper", "email": "grace@example.org", "country": "US"}
    answer = moved.test_client().post(f"{PATH}/signatures", data=form)
    page = moved.test_client().get(answer.location).text
    assert "Ada Lovelace" in page
    assert "Grace Hopper" in page
    with moved.app_context():
        dispose()
