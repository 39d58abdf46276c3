"""Faults of Redis, which holds only data that the site can afford to lose."""

import pytest

from campaign.models.campaign import Campaign
from tests.conftest import only_sqlite
from tests.faults.load import Load
from tests.services import Service


@pytest.fixture
def environ(environ: dict[str, str], redis: Service) -> dict[str, str]:
    """Return settings of a site that counts requests in Redis, with rate limits that these signers don't reach."""
    return environ | {"REDIS_URL": redis.url, "RATELIMIT_ENABLED": "true", "RATELIMIT_TRUSTED": "192.0.2.0/24"}


@only_sqlite
def test_killed_and_restarted_redis_affects_no_request(load: Load, campaign: Campaign, redis: Service) -> None:
    with load.fault():
        redis.kill()
        # Redis stays down while clients are served twice.
        load.await_thanks(30)
        load.await_thanks(30)
        redis.start()
    load.finish(campaign.id)
