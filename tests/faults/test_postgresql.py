"""Faults of PostgreSQL: killed, read-only, and on a full disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from campaign.models.campaign import Campaign
from campaign.settings import Settings
from tests import services
from tests.conftest import migrate, run_on
from tests.faults.disk import Disk, small_disk
from tests.faults.load import SIGNERS, Load
from tests.faults.people import Outcome


@pytest.fixture
def server() -> Iterator[services.Service]:
    """Start a PostgreSQL server for this test alone; all other tests share one."""
    with services.postgresql() as server:
        yield server


@pytest.fixture
def database(server: services.Service, tmp_path: Path) -> str:
    migrate(Settings.from_environ({"DATABASE_URL": server.url}, tmp_path))
    return server.url


def test_killed_postgresql_is_reported_to_signers_until_it_is_back(
    load: Load, campaign: Campaign, server: services.Service
) -> None:
    with load.fault(Outcome.REFUSED):
        server.kill()
        load.await_outcome(Outcome.REFUSED)
        server.start()
    # The server may have died between a commit and its confirmation, once for each signer.
    load.finish(campaign.id, in_doubt=SIGNERS)


def test_read_only_postgresql_is_reported_to_signers(load: Load, campaign: Campaign, server: services.Service) -> None:
    with load.fault(Outcome.REFUSED):
        for statement in ("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"):
            run_on(make_url(server.url), statement)
        load.await_outcome(Outcome.REFUSED)
        for statement in ("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"):
            run_on(make_url(server.url), statement)
    load.finish(campaign.id)


@pytest.fixture
def disk() -> Iterator[Disk]:
    with small_disk(kilobytes=120 * 1024) as disk:
        yield disk


class TestFullDisk:
    """PostgreSQL on a small disk that fills up."""

    @pytest.fixture
    def server(self, disk: Disk) -> Iterator[services.Service]:
        # In our own mount namespace we are root, and PostgreSQL refuses to run as root.
        inside = [*disk.inside, "unshare", "--user", "--map-user=1000"] if disk.inside else []
        services.make_postgresql_data(disk.path, "--wal-segsize=1", inside=inside)
        server = services.postgresql_at(disk.path)
        server.command, server.folder = [*inside, *server.command], disk.outside
        server.start()
        yield server
        server.stop()

    def test_full_disk_is_reported_to_signers_until_there_is_space(
        self, load: Load, campaign: Campaign, disk: Disk
    ) -> None:
        with load.fault(Outcome.REFUSED):
            disk.fill()
            load.await_outcome(Outcome.REFUSED)
            disk.make_room()
        load.finish(campaign.id, in_doubt=SIGNERS)

    def test_shutdown_for_lack_of_wal_space_is_reported_to_signers_until_the_restart(
        self, load: Load, campaign: Campaign, disk: Disk, server: services.Service
    ) -> None:
        with load.fault(Outcome.REFUSED):
            disk.fill()
            _fill_wal(server)
            load.await_outcome(Outcome.REFUSED)
            # PostgreSQL shuts down when it can't write its write-ahead log. An operator who frees space restarts it.
            assert server.process
            server.process.wait(timeout=60)
            disk.make_room()
            server.start()
        load.finish(campaign.id, in_doubt=SIGNERS)


def _fill_wal(server: services.Service) -> None:
    """Fill the server's write-ahead log, as another database on the server may do."""
    statement = "SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000)) FROM generate_series(1, 200)"
    with pytest.raises(OperationalError, match=r"No space left|closed the connection"):
        run_on(make_url(server.url), statement)
