"""Rolling up in tests, and a straightforward count to compare with."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace

import pytest
from sqlalchemy import Engine, event, select

from campaign.models.campaign import Campaign
from campaign.models.roll_up import GroupCount, MinuteCount, QuarterCount
from campaign.models.signature import SignatureState
from campaign.signatures.places import US_STATES
from campaign.statistics import roll_ups
from campaign.storage.database import db
from tests.conftest import stored

Counts = dict[str, Counter[int | str]]


def roll_up(now: datetime | None = None) -> None:
    """Add all signatures to the roll-ups, as the worker does."""
    db.session.rollback()
    while roll_ups.add_piece(now or datetime.now(UTC)):
        pass


def rolled_up(campaign: Campaign, now: datetime) -> Counts:
    """Return the counts in the roll-ups, without zeros. Of the counts by minute, only those of a day are compared."""
    db.session.rollback()
    counts: Counts = {kind: Counter() for kind in ("minute", "quarter", "country", "state", "source", "language")}
    first = int((now - timedelta(days=1)).timestamp()) // 60
    for table, kind, since in ((MinuteCount, "minute", first), (QuarterCount, "quarter", 0)):
        rows = select(table.bucket, table.count).where(table.campaign_id == campaign.id, table.bucket >= since)
        counts[kind] = Counter({bucket: count for bucket, count in db.session.execute(rows) if count})
    groups = select(GroupCount.kind, GroupCount.name, GroupCount.count).where(GroupCount.campaign_id == campaign.id)
    for group, name, count in db.session.execute(groups):
        if count:
            counts[group][name] = count
    return counts


def counted(campaign: Campaign, now: datetime) -> Counts:
    """Return what the roll-ups must contain, by counting each signature that they include."""
    counts: Counts = {kind: Counter() for kind in ("minute", "quarter", "country", "state", "source", "language")}
    first, end = int((now - timedelta(days=1)).timestamp()) // 60, roll_ups.position(db.session())
    for each in stored():
        if each.campaign_id != campaign.id or each.state is not SignatureState.PUBLIC or each.id > end:
            continue
        seconds = int(each.signed_at.timestamp())
        if seconds // 60 >= first:
            counts["minute"][seconds // 60] += 1
        counts["quarter"][seconds // 900] += 1
        counts["country"][each.country] += 1
        counts["source"][each.source] += 1
        counts["language"][each.language] += 1
        if each.country == "US":
            counts["state"][each.region if each.region in US_STATES.values() else ""] += 1
    return counts


@contextmanager
def slow_steps(module: ModuleType, seconds: Mapping[str, float], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let steps on the database take these times on the clock that a module reads, which stands still otherwise.

    Args:
        module: A module that reads `time.monotonic()`.
        seconds: How long each step takes: the beginnings of statements, and COMMIT for a commit.
        monkeypatch: The test's own.
    """
    clock = SimpleNamespace(now=1000.0)

    def execute(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        clock.now += sum(each for start, each in seconds.items() if statement.startswith(start))

    def commit(_connection: object) -> None:
        clock.now += seconds.get("COMMIT", 0)

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    event.listen(Engine, "before_cursor_execute", execute)
    event.listen(Engine, "commit", commit)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", execute)
        event.remove(Engine, "commit", commit)
