"""Pages are read from a database replica. Signers and visitors don't notice when it lags, stops, or is promoted."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, make_url

from campaign import create_app
from campaign.models.campaign import Campaign
from campaign.settings import Settings
from campaign.storage.database import db
from tests import services
from tests.conftest import PATH, Sign, dispose, migrate, run_on
from tests.services import Service


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[Service]:
    """The database in which signatures are stored."""
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
def recorded(bind: str | None) -> Iterator[list[str]]:
    """Record the statements that run on the replica ("read") or on the primary (None)."""
    statements: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(db.engines[bind], "before_cursor_execute", record)
    yield statements
    event.remove(db.engines[bind], "before_cursor_execute", record)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def read_in_the_replica(client: FlaskClient) -> bool:
    with recorded("read") as statements:
        assert client.get(PATH).status_code == 200
    return any("FROM signature" in statement for statement in statements)


def test_pages_are_read_only_from_the_replica(client: FlaskClient, sign: Sign) -> None:
    sign()
    wait_until(lambda: read_in_the_replica(client))
    with recorded(None) as statements:
        for view in ("", "/feed", "/signatures", ".json", ".atom"):
            assert "Ada Lovelace" in client.get(PATH + view).text
    assert {statement for statement in statements if "pg_current_wal_flush_lsn" not in statement} == set()


def test_signing_does_not_use_the_replica(sign: Sign, client: FlaskClient) -> None:
    wait_until(lambda: read_in_the_replica(client))
    with recorded("read") as statements:
        answer = sign()
        assert "Ada Lovelace" in client.get(answer.location).text
    assert [statement for statement in statements if "FROM signature" in statement or "FROM tally" in statement] == []
    with recorded("read") as statements:
        assert sign(htmx=True, email="grace@example.org").status_code == 200
    assert statements == []


def test_new_signature_is_listed_although_the_replica_lags(sign: Sign, client: FlaskClient, replica: Service) -> None:
    wait_until(lambda: read_in_the_replica(client))
    run_on(make_url(replica.url), "SELECT pg_wal_replay_pause()")
    sign()
    assert "Ada Lovelace" in client.get(PATH).text
    assert "Ada Lovelace" in client.get(f"{PATH}/feed").text
    run_on(make_url(replica.url), "SELECT pg_wal_replay_resume()")
    wait_until(lambda: read_in_the_replica(client))
    assert "Ada Lovelace" in client.get(PATH).text


def test_stopped_replica_is_bypassed_and_used_again_when_it_is_back(
    sign: Sign, client: FlaskClient, replica: Service, caplog: pytest.LogCaptureFixture
) -> None:
    wait_until(lambda: read_in_the_replica(client))
    replica.kill()
    sign()
    for _ in range(5):
        assert "Ada Lovelace" in client.get(PATH).text
    assert caplog.text.count("the replica is unavailable") <= 1, "one line a minute"
    replica.start()
    wait_until(lambda: read_in_the_replica(client))


def test_promoted_replica_is_not_read_while_the_primary_runs(sign: Sign, client: FlaskClient, replica: Service) -> None:
    wait_until(lambda: read_in_the_replica(client))
    run_on(make_url(replica.url), "SELECT pg_promote()")
    sign()
    assert "Ada Lovelace" in client.get(PATH).text
    assert not read_in_the_replica(client)


def test_pages_are_read_from_the_replica_and_signing_fails_while_the_primary_is_down(
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
        # The operator promotes the replica. Readers don't notice this either.
        run_on(make_url(replica.url), "SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote() END")
    primary.start()
    assert sign(email="grace@example.org").status_code == 303


def test_promoted_replica_works_as_the_new_primary(
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
