"""Fixtures for tests that break a site under load."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.models.campaign import Campaign
from campaign.settings import Settings
from tests.faults.load import Load
from tests.faults.site import Site


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            # Run these tests one at a time, because each puts its own load on the machine.
            item.add_marker(pytest.mark.xdist_group("faults"))


@pytest.fixture
def environ() -> dict[str, str]:
    """Return the site's settings, except for its database. All signers share one IP address, so rate limits are off."""
    return {"RATELIMIT_ENABLED": "false", "RATELIMIT_SIGN": "100000 per minute"}


@pytest.fixture
def site(campaign: Campaign, settings: Settings, environ: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    """Start a site that uses the test's own database."""
    site = Site(tmp_path, {"DATABASE_URL": settings.database_url, **environ})
    site.start()
    yield site
    # All clients have left. A graceful stop takes longer; test_processes.py tests it.
    site.stop(signal.SIGKILL)


@pytest.fixture
def load(site: Site) -> Iterator[Load]:
    """Start signers and readers."""
    load = Load(site.address)
    load.start()
    yield load
    load.stop()
