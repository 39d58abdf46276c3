"""The disk under SQLite: full, and read-only."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.extensions import db
from campaign.models import Campaign
from tests.conftest import only_sqlite
from tests.faults.disk import Disk, small_disk
from tests.faults.load import Load
from tests.faults.people import Told
from tests.faults.site import Site

FILE = "campaign.sqlite"


@pytest.fixture
def disk() -> Iterator[Disk]:
    with small_disk(kilobytes=32 * 1024) as disk:
        yield disk


@pytest.fixture
def site(campaign: Campaign, environ: dict[str, str], tmp_path: Path, disk: Disk) -> Iterator[Site]:
    """A site whose database stands on the small disk."""
    # Its last connection brings everything into the one file.
    db.session.remove()
    db.engine.dispose()
    shutil.copy(tmp_path / FILE, disk.outside)
    site = Site(tmp_path, {"DATABASE_URL": f"sqlite:///{disk.path / FILE}", **environ}, disk.inside)
    site.start()
    yield site
    # Nobody is there any more; a graceful stop takes longer, and test_processes.py has one.
    site.stop(signal.SIGKILL)


@pytest.fixture
def look(disk: Disk, tmp_path: Path) -> Callable[[], None]:
    """Copy the database to where the test reads it, while nobody writes."""

    def look() -> None:
        db.session.remove()
        db.engine.dispose()
        for name in (FILE, f"{FILE}-wal"):
            shutil.copy(disk.outside / name, tmp_path)

    return look


@only_sqlite
def test_while_the_disk_is_full_signers_are_told_so_and_with_room_they_can_sign_again(
    load: Load, campaign: Campaign, disk: Disk, look: Callable[[], None]
) -> None:
    with load.trouble(Told.REFUSED):
        disk.fill()
        load.await_word(Told.REFUSED)
        disk.make_room()
    load.finish(campaign.id, look)


@only_sqlite
def test_on_a_disk_that_is_read_only_after_a_power_cut_signers_are_told_so_and_can_sign_when_it_is_mended(
    site: Site, load: Load, campaign: Campaign, disk: Disk, look: Callable[[], None]
) -> None:
    with load.trouble(Told.UNREAD, Told.UNANSWERED, Told.REFUSED):
        # The kernel protects no disk while somebody may write to it; so it comes about as it does in life.
        site.stop(signal.SIGKILL)
        disk.protect()
        site.start()
        load.await_word(Told.REFUSED)
        disk.unprotect()
    load.finish(campaign.id, look)
