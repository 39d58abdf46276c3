"""A site under load, to be broken."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.models import Campaign
from campaign.settings import Settings
from tests.faults.load import Load
from tests.faults.site import Site


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            # One after the other, however many tests run at once: each is a load of its own.
            item.add_marker(pytest.mark.xdist_group("faults"))


@pytest.fixture
def environ() -> dict[str, str]:
    """The site's settings, but for its database: all signers here come from one address, and no limit may stop them."""
    return {"RATELIMIT_ENABLED": "false", "RATELIMIT_SIGN": "100000 per minute"}


@pytest.fixture
def site(campaign: Campaign, settings: Settings, environ: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    """A site on the test's own database."""
    site = Site(tmp_path, {"DATABASE_URL": settings.database_url, **environ})
    site.start()
    yield site
    # Nobody is there any more; a graceful stop takes longer, and test_processes.py has one.
    site.stop(signal.SIGKILL)


@pytest.fixture
def load(site: Site) -> Iterator[Load]:
    """People who sign and read there."""
    load = Load(site.address)
    load.start()
    yield load
    load.stop()
