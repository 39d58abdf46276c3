"""The background worker counts signatures for the statistics, and goes on where a killed worker stopped."""

import os
from datetime import UTC, datetime

import pytest

from campaign.models.campaign import Campaign
from campaign.statistics import roll_ups
from campaign.storage.database import db
from tests.conftest import StartWork, wait_for
from tests.statistics.rolling import counted, rolled_up
from tests.statistics.test_roll_ups import add_fake

NOW = datetime.now(UTC)


def is_counted(campaign: Campaign, number: int) -> bool:
    return sum(rolled_up(campaign, NOW)["country"].values()) == number


@pytest.mark.slow
@pytest.mark.server
def test_worker_counts_new_signatures_and_survives_a_kill(campaign: Campaign, start_work: StartWork) -> None:
    add_fake(campaign, 12_000)
    first = start_work()
    wait_for(lambda: is_counted(campaign, 12_000))
    add_fake(campaign, 1)
    wait_for(lambda: is_counted(campaign, 12_001))
    add_fake(campaign, 20_000)
    db.session.rollback()
    before = roll_ups.position(db.session())
    db.session.rollback()
    wait_for(lambda: sum(rolled_up(campaign, NOW)["country"].values()) > before)
    os.killpg(first.pid, 9)
    first.wait(timeout=30)
    while roll_ups.add_piece(NOW):
        pass
    assert is_counted(campaign, 32_001)
    assert rolled_up(campaign, NOW) == counted(campaign, NOW)
