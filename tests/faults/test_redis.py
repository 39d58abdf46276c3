"""Redis, which the site's processes and machines share what may be lost through."""

import pytest

from campaign.models import Campaign
from tests.conftest import only_sqlite
from tests.faults.load import Load
from tests.services import Service


@pytest.fixture
def environ(environ: dict[str, str], redis: Service) -> dict[str, str]:
    """A site that counts requests in Redis, with limits that these signers don't reach."""
    return environ | {"REDIS_URL": redis.url, "RATELIMIT_ENABLED": "true", "RATELIMIT_TRUSTED": "192.0.2.0/24"}


@only_sqlite
def test_when_redis_is_killed_and_when_it_is_back_nobody_notices(
    load: Load, campaign: Campaign, redis: Service
) -> None:
    with load.trouble():
        redis.kill()
        # While it is away, too.
        load.await_thanks(30)
        load.await_thanks(30)
        redis.start()
    load.finish(campaign.id)
