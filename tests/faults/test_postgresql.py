"""PostgreSQL: killed, read-only, and on a full disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

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


@pytest.fixture
def disk() -> Iterator[Disk]:
    with small_disk(kilobytes=120 * 1024) as disk:
        yield disk


class TestFullDisk:
    """PostgreSQL on a small disk that gets full."""

    @pytest.fixture
    def server(self, disk: Disk) -> Iterator[services.Service]:
        # In a mount namespace of our own we are root, as whom PostgreSQL does not run.
        inside = [*disk.inside, "unshare", "--user", "--map-user=1000"] if disk.inside else []
        services.make_postgresql_data(disk.path, "--wal-segsize=1", inside=inside)
        server = services.postgresql_at(disk.path)
        server.command, server.folder = [*inside, *server.command], disk.outside
        server.start()
        yield server
        server.stop()

    def test_while_no_table_can_grow_signers_are_told_so_and_with_room_they_can_sign_again(
        self, load: Load, campaign: Campaign, disk: Disk
    ) -> None:
        with load.trouble(Told.REFUSED):
            disk.fill()
            load.await_word(Told.REFUSED)
            disk.make_room()
        load.finish(campaign.id, in_doubt=SIGNERS)

    def test_when_its_journal_has_no_room_and_it_ends_signers_are_told_so_and_can_sign_when_it_is_back(
        self, load: Load, campaign: Campaign, disk: Disk, server: services.Service
    ) -> None:
        with load.trouble(Told.REFUSED):
            disk.fill()
            _fill_journal(server)
            load.await_word(Told.REFUSED)
            # It ends at the next change that it can't write down; who makes room also starts it again.
            assert server.process
            server.process.wait(timeout=60)
            disk.make_room()
            server.start()
        load.finish(campaign.id, in_doubt=SIGNERS)


def _fill_journal(server: services.Service) -> None:
    """Write much into the server's journal, as another database on it may do."""
    much = "SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000)) FROM generate_series(1, 200)"
    with pytest.raises(OperationalError, match=r"No space left|closed the connection"):
        run_on(make_url(server.url), much)
