"""Faults of the disk under SQLite: full, and read-only."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.models.campaign import Campaign
from campaign.storage.database import db
from tests.conftest import only_sqlite
from tests.faults.disk import Disk, small_disk
from tests.faults.load import Load
from tests.faults.people import Outcome
from tests.faults.site import Site

FILE = "campaign.sqlite"


@pytest.fixture
def disk() -> Iterator[Disk]:
    with small_disk(kilobytes=32 * 1024) as disk:
        yield disk


@pytest.fixture
def site(campaign: Campaign, environ: dict[str, str], tmp_path: Path, disk: Disk) -> Iterator[Site]:
    """Start a site whose database is on the small disk."""
    # Closing the last connection moves the write-ahead log into the database file.
    db.session.remove()
    db.engine.dispose()
    shutil.copy(tmp_path / FILE, disk.outside)
    site = Site(tmp_path, {"DATABASE_URL": f"sqlite:///{disk.path / FILE}", **environ}, disk.inside)
    site.start()
    yield site
    # All clients have left. A graceful stop takes longer; test_processes.py tests it.
    site.stop(signal.SIGKILL)


@pytest.fixture
def copy(disk: Disk, tmp_path: Path) -> Callable[[], None]:
    """Return a function that copies the database to where the test reads it. Nothing may write to it meanwhile."""

    def copy() -> None:
        db.session.remove()
        db.engine.dispose()
        for name in (FILE, f"{FILE}-wal"):
            shutil.copy(disk.outside / name, tmp_path)

    return copy


@only_sqlite
def test_full_disk_is_reported_to_signers_until_there_is_space(
    load: Load, campaign: Campaign, disk: Disk, copy: Callable[[], None]
) -> None:
    with load.fault(Outcome.REFUSED):
        disk.fill()
        load.await_outcome(Outcome.REFUSED)
        disk.make_room()
    load.finish(campaign.id, copy)


@only_sqlite
def test_read_only_disk_after_a_power_failure_is_reported_to_signers(
    site: Site, load: Load, campaign: Campaign, disk: Disk, copy: Callable[[], None]
) -> None:
    with load.fault(Outcome.UNREAD, Outcome.UNANSWERED, Outcome.REFUSED):
        # A disk with files open for writing can't be made read-only. So stop the site first, as a power failure would.
        site.stop(signal.SIGKILL)
        disk.protect()
        site.start()
        load.await_outcome(Outcome.REFUSED)
        disk.unprotect()
    load.finish(campaign.id, copy)
