"""Statistics are right in every time zone, on days when clocks change, and after a change of the time zone."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from campaign.models.campaign import Campaign
from campaign.signatures import fake, tally
from campaign.signatures.signing import insert_unless_signed
from campaign.statistics import figures
from campaign.statistics.figures import Unit
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import stored
from tests.statistics.rolling import roll_up

ZONES = {
    "UTC": "2026-07-14",
    "Asia/Kathmandu": "2026-07-14",
    "Asia/Kolkata": "2026-07-14",
    "America/St_Johns": "2026-11-01",
    # Clocks change by half an hour.
    "Australia/Lord_Howe": "2026-10-04",
    "Pacific/Chatham": "2026-09-27",
    "America/Los_Angeles": "2026-03-08",
    "Pacific/Kiritimati": "2026-07-14",
}
"""Time zones, and a day on which their clocks change, if they do."""


def shown(campaign: Campaign, unit: Unit, now: datetime) -> dict[str, int]:
    return {span.since.isoformat(): span.signatures for span in figures.series(db.session(), campaign, unit, now).spans}


@pytest.mark.slow
def test_hours_and_days_are_right_in_every_time_zone_without_counting_again(campaign: Campaign) -> None:
    for zone, day in ZONES.items():
        now = datetime.fromisoformat(f"{day}T23:59:00+00:00") + timedelta(hours=12)
        times = [now - timedelta(minutes=23 * n) for n in range(180)]
        with write_transaction() as session:
            rows = [fake.signature(campaign.id, f"{zone}-{n}", time) for n, time in enumerate(times)]
            session.connection().execute(insert_unless_signed(session.connection().dialect.name), rows)
            tally.add(session.connection(), campaign.id, len(rows))
    roll_up()
    times = [each.signed_at for each in stored()]
    for zone, day in ZONES.items():
        with write_transaction() as session:
            session.execute(update(Campaign).values(time_zone=zone))
        changed = db.session.get_one(Campaign, campaign.id)
        now = datetime.fromisoformat(f"{day}T23:59:00+00:00") + timedelta(hours=12)
        local = [time.astimezone(ZoneInfo(zone)) for time in times if time <= now]
        days = Counter(time.date().isoformat() for time in local)
        by_day = {since[:10]: count for since, count in shown(changed, Unit.DAY, now).items() if count}
        assert by_day == {date: count for date, count in days.items() if date in by_day}, zone
        assert by_day[day] == days[day], zone
        by_hour = shown(changed, Unit.HOUR, now)
        for since, count in by_hour.items():
            began = datetime.fromisoformat(since)
            assert count == sum(began <= time < began + timedelta(hours=1) for time in local), (zone, since)
        assert sum(by_hour.values()) >= 120, zone
        db.session.rollback()


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25)], ids=["spring", "autumn"])
def test_day_on_which_clocks_change_has_all_its_hours(campaign: Campaign, day: str, hours: int) -> None:
    zone = ZoneInfo("America/St_Johns")
    midnight = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=zone).astimezone(UTC)
    with write_transaction() as session:
        session.execute(update(Campaign).values(time_zone=zone.key))
        times = [midnight + timedelta(minutes=15 * n) for n in range(-40, 4 * hours + 40)]
        rows = [fake.signature(campaign.id, str(n), time) for n, time in enumerate(times)]
        session.connection().execute(insert_unless_signed(session.connection().dialect.name), rows)
        tally.add(session.connection(), campaign.id, len(rows))
    roll_up()
    changed = db.session.get_one(Campaign, campaign.id)
    by_day = shown(changed, Unit.DAY, midnight + timedelta(hours=hours + 5))
    assert [count for since, count in by_day.items() if since.startswith(day)] == [4 * hours]


def test_hour_chart_has_the_newest_signature_when_clocks_go_back_by_half_an_hour(campaign: Campaign) -> None:
    # At 15:00 UTC, clocks on Lord Howe Island go back from 2:00 to 1:30.
    moments = [datetime(2026, 4, 4, 14, tzinfo=UTC) + timedelta(minutes=15 * n) for n in range(12)]
    with write_transaction() as session:
        session.execute(update(Campaign).values(time_zone="Australia/Lord_Howe"))
        rows = [fake.signature(campaign.id, str(n), moment) for n, moment in enumerate(moments)]
        session.connection().execute(insert_unless_signed(session.connection().dialect.name), rows)
        tally.add(session.connection(), campaign.id, len(rows))
    roll_up()
    changed = db.session.get_one(Campaign, campaign.id)
    for number, moment in enumerate(moments, 1):
        counts = shown(changed, Unit.HOUR, moment).values()
        assert len(counts) == 48
        # Later signatures are there, too: they fall into the current hour, or after it.
        assert sum(counts) >= number, moment
