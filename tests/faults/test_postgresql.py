"""PostgreSQL: killed, read-only, and on a full disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from campaign.models import Campaign
from campaign.settings import Settings
from tests import services
from tests.conftest import migrate, run_on
from tests.faults.disk import Disk, small_disk
from tests.faults.load import SIGNERS, Load
from tests.faults.people import Told


@pytest.fixture
def server() -> Iterator[services.Service]:
    """A PostgreSQL of the test's own; all other tests share one."""
    with services.postgresql() as server:
        yield server


@pytest.fixture
def database(server: services.Service, tmp_path: Path) -> str:
    migrate(Settings.from_environ({"DATABASE_URL": server.url}, tmp_path))
    return server.url


def test_while_postgresql_is_killed_signers_are_told_so_and_can_sign_when_it_is_back(
    load: Load, campaign: Campaign, server: services.Service
) -> None:
    with load.trouble(Told.REFUSED):
        server.kill()
        load.await_word(Told.REFUSED)
        server.start()
    # It may have died between a commit and its word about it, once for each signer at work.
    load.finish(campaign.id, in_doubt=SIGNERS)


def test_while_postgresql_is_read_only_signers_are_told_so_and_can_sign_afterwards(
    load: Load, campaign: Campaign, server: services.Service
) -> None:
    with load.trouble(Told.REFUSED):
        for statement in ("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"):
            run_on(make_url(server.url), statement)
        load.await_word(Told.REFUSED)
        for statement in ("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"):
            run_on(make_url(server.url), statement)
    load.finish(campaign.id)


class TestFullDisk:
    """On a small disk. With large segments of its journal PostgreSQL stays, and can't grow a table; with small ones it
    soon has no room for the next, and ends.
    """

    @pytest.fixture
    def disk(self) -> Iterator[Disk]:
        with small_disk(megabytes=120) as disk:
            yield disk

    @pytest.fixture(params=[16, 1])
    def server(self, request: pytest.FixtureRequest, disk: Disk) -> Iterator[services.Service]:
        # In a mount namespace of our own we are root, as whom PostgreSQL does not run.
        inside = [*disk.inside, "unshare", "--user", "--map-user=1000"] if disk.inside else []
        services.make_postgresql_data(disk.path, f"--wal-segsize={request.param}", inside=inside)
        server = services.postgresql_at(disk.path)
        server.command, server.folder = [*inside, *server.command], disk.outside
        server.start()
        yield server
        server.stop()

    def test_while_the_disk_is_full_signers_are_told_so_and_with_room_they_can_sign_again(
        self, load: Load, campaign: Campaign, disk: Disk, server: services.Service
    ) -> None:
        with load.trouble(Told.REFUSED):
            disk.fill()
            load.await_word(Told.REFUSED)
            disk.make_room()
            # Who makes room also starts a server that has ended.
            while not server.listens():
                assert server.process
                if server.process.poll() is not None:
                    server.start()
        load.finish(campaign.id, in_doubt=SIGNERS)
