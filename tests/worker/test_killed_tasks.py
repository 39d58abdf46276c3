"""A worker may be killed at any step of a task: the next one finds everything as it must be, and goes on."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from campaign.models.campaign import Campaign
from campaign.moderation import indexing
from campaign.statistics import roll_ups
from campaign.storage.database import db
from tests.conftest import only_sqlite, stored
from tests.moderation.signatures import index_all
from tests.statistics.rolling import counted, roll_up, rolled_up
from tests.statistics.test_roll_ups import add_fake
from tests.worker.kills import Killed, killed_before_step

NEW = 5
"""New signatures before each kill: three pieces of at most two."""


def indexed(campaign: Campaign) -> list[int]:
    """Return the ids in the search index of a campaign's signatures."""
    match = "SELECT rowid FROM signature_search WHERE signature_search MATCH :campaign ORDER BY rowid"
    db.session.rollback()
    return list(db.session.scalars(text(match), {"campaign": f'"\ue000{campaign.id}"'}))


@only_sqlite
def test_index_is_complete_after_kills_at_every_step(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BATCH", 2)
    step, was_killed = 0, True
    while was_killed:
        add_fake(campaign, NEW)
        try:
            with killed_before_step(step, statements=True):
                index_all()
            was_killed = False
        except Killed:
            db.session.rollback()
        index_all()
        assert indexed(campaign) == [signature.id for signature in stored()], step
        step += 1
    assert step > 15, "three pieces have more steps"


@pytest.mark.slow
def test_statistics_are_exact_after_kills_at_every_step(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll_ups, "PIECE", 2)
    step, was_killed, now = 0, True, datetime.now(UTC)
    while was_killed:
        add_fake(campaign, NEW)
        try:
            with killed_before_step(step, statements=True):
                roll_up(now)
            was_killed = False
        except Killed:
            db.session.rollback()
        roll_up(now)
        assert rolled_up(campaign, now) == counted(campaign, now), step
        assert sum(rolled_up(campaign, now)["country"].values()) == NEW * (step + 1), step
        step += 1
    assert step > 15, "three pieces have more steps"
