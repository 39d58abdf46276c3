"""An organiser sees when people signed, from where, and by which links they came; and only of signatures that count."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import event

from campaign import fake, feed, figures, once, tally
from campaign.extensions import db, write_transaction
from campaign.figures import Unit
from campaign.models import Campaign, SignatureState
from campaign.signing import insert_unless_signed
from tests.conftest import Publish, only_sqlite

NOW = datetime(2026, 7, 14, 10, 30, 20, tzinfo=UTC)

SignedAt = Callable[..., None]


@pytest.fixture
def signed(campaign: Campaign) -> SignedAt:
    """Sign the campaign, or the one given, at these times; what else is given is in each signature."""
    numbers = count()

    def signed(*times: datetime, under: Campaign = campaign, **changes: object) -> None:
        rows = [fake.signature(under.id, str(next(numbers)), time) | {"source": ""} | changes for time in times]
        with write_transaction() as session:
            session.connection().execute(insert_unless_signed(session.connection().dialect.name), rows)
            tally.add(session.connection(), under.id, len(rows))

    return signed


def shown(campaign: Campaign, unit: Unit, now: datetime = NOW) -> dict[str, int]:
    """Spans in which somebody signed."""
    spans = figures.series(db.session(), campaign, unit, now).spans
    return {span.since.isoformat(timespec="minutes"): span.signatures for span in spans if span.signatures}


def test_signatures_are_counted_by_minute_hour_and_day(campaign: Campaign, signed: SignedAt) -> None:
    ago = [timedelta(), timedelta(seconds=21), timedelta(minutes=59), timedelta(hours=2), timedelta(days=3)]
    signed(*(NOW - time for time in ago))
    assert shown(campaign, Unit.MINUTE) == {
        "2026-07-14T09:31+00:00": 1,
        "2026-07-14T10:29+00:00": 1,
        "2026-07-14T10:30+00:00": 1,
    }
    assert shown(campaign, Unit.HOUR) == {
        "2026-07-14T08:00+00:00": 1,
        "2026-07-14T09:00+00:00": 1,
        "2026-07-14T10:00+00:00": 2,
    }
    assert shown(campaign, Unit.DAY) == {"2026-07-11T00:00+00:00": 1, "2026-07-14T00:00+00:00": 4}
    lengths = [len(figures.series(db.session(), campaign, unit, NOW).spans) for unit in Unit]
    assert lengths == [60, 48, 4], "quiet ones too, without a gap"


def test_a_signature_belongs_to_the_span_that_it_begins(campaign: Campaign, signed: SignedAt) -> None:
    signed(datetime(2026, 7, 14, 10, tzinfo=UTC), datetime(2026, 7, 14, 9, 59, 59, 999999, tzinfo=UTC))
    assert shown(campaign, Unit.HOUR) == {"2026-07-14T09:00+00:00": 1, "2026-07-14T10:00+00:00": 1}


def test_a_campaign_that_nobody_has_signed_has_its_first_day(campaign: Campaign) -> None:
    (today,) = figures.series(db.session(), campaign, Unit.DAY, NOW).spans
    assert (today.since.isoformat(), today.signatures) == ("2026-07-14T00:00:00+00:00", 0)
    nothing = figures.breakdown(db.session(), campaign.id, NOW)
    assert (nothing.countries, nothing.states, nothing.sources) == ([], [], [])


def test_hours_and_days_are_those_of_the_campaigns_clock(publish: Publish, signed: SignedAt) -> None:
    kolkata = publish(slug="kolkata")
    kolkata.time_zone = "Asia/Kolkata"
    signed(datetime(2026, 7, 13, 18, 29, tzinfo=UTC), datetime(2026, 7, 13, 18, 30, tzinfo=UTC), under=kolkata)
    assert shown(kolkata, Unit.DAY) == {"2026-07-13T00:00+05:30": 1, "2026-07-14T00:00+05:30": 1}
    assert shown(kolkata, Unit.HOUR) == {"2026-07-13T23:00+05:30": 1, "2026-07-14T00:00+05:30": 1}


@pytest.mark.parametrize(
    ("first_day", "hours"), [("2026-03-28", [24, 23, 24]), ("2026-10-24", [24, 25, 24])], ids=["spring", "autumn"]
)
def test_days_are_as_long_as_the_clocks_make_them(
    publish: Publish, signed: SignedAt, first_day: str, hours: list[int]
) -> None:
    berlin = publish(slug="berlin")
    berlin.time_zone = "Europe/Berlin"
    first = datetime.fromisoformat(f"{first_day}T12:00+00:00")
    signed(*(first + timedelta(minutes=30 + 60 * hour) for hour in range(-24, 96)), under=berlin)
    spans = figures.series(db.session(), berlin, Unit.DAY, first + timedelta(days=3)).spans
    assert [span.signatures for span in spans[1:4]] == hours
    assert all(span.since.hour == 0 for span in spans)
    by_hour = figures.series(db.session(), berlin, Unit.HOUR, first + timedelta(days=1)).spans
    assert [span.signatures for span in by_hour[-36:]] == [1] * 36, "an hour that clocks go through twice is two"


@pytest.mark.parametrize("state", [state for state in SignatureState if state is not SignatureState.PUBLIC])
def test_only_what_counts_is_counted(campaign: Campaign, signed: SignedAt, state: SignatureState) -> None:
    signed(NOW, NOW - timedelta(minutes=5))
    signed(NOW, listed_at=None)
    signed(NOW - timedelta(days=9), NOW, NOW - timedelta(minutes=5), state=state, listed_at=None)
    assert shown(campaign, Unit.MINUTE) == {"2026-07-14T10:25+00:00": 1, "2026-07-14T10:30+00:00": 2}
    assert sum(shown(campaign, Unit.DAY).values()) == 3
    assert figures.at_a_glance(db.session(), [campaign], NOW + timedelta(seconds=1))[campaign.id].last_day == 3
    found = figures.breakdown(db.session(), campaign.id, NOW)
    assert [sum(n for _, n in part) for part in (found.countries, found.sources)] == [3, 3]


def test_other_campaigns_are_other_campaigns(publish: Publish, campaign: Campaign, signed: SignedAt) -> None:
    other = publish(slug="other")
    signed(NOW, NOW, under=other)
    signed(NOW)
    assert shown(campaign, Unit.MINUTE) == {"2026-07-14T10:30+00:00": 1}
    assert figures.breakdown(db.session(), other.id, NOW).sources == [("", 2)]


def test_countries_and_states_are_counted_most_first(campaign: Campaign, signed: SignedAt) -> None:
    signed(NOW, NOW, country="US", region="California")
    signed(NOW, country="US", region="Texas")
    signed(NOW, NOW, NOW, country="US", region="Nowhere, really")
    signed(NOW, country="US", region="")
    signed(NOW, country="FR", region="California")
    signed(NOW, NOW, country="DE", region="")
    found = figures.breakdown(db.session(), campaign.id, NOW)
    assert found.countries == [("US", 7), ("DE", 2), ("FR", 1)]
    assert found.states == [("", 4), ("CA", 2), ("TX", 1)]


def test_a_word_by_which_few_came_is_not_shown(campaign: Campaign, signed: SignedAt) -> None:
    signed(*[NOW] * 5, source="mail")
    signed(*[NOW] * 4, source="for-ada")
    signed(NOW, source="for-ben")
    signed(NOW, NOW, source="")
    found = figures.breakdown(db.session(), campaign.id, NOW)
    assert found.sources == [("mail", 5), ("", 2), (None, 5)]


@pytest.mark.parametrize(
    ("ago", "unit"),
    [
        (timedelta(minutes=5), Unit.MINUTE),
        (timedelta(hours=5), Unit.HOUR),
        (timedelta(days=5), Unit.DAY),
    ],
)
def test_the_unit_is_chosen_that_shows_most(campaign: Campaign, signed: SignedAt, ago: timedelta, unit: Unit) -> None:
    signed(NOW - ago)
    assert figures.read(db.session(), campaign, None, NOW).series.unit is unit
    assert figures.read(db.session(), campaign, Unit.HOUR, NOW).series.unit is Unit.HOUR


def test_an_open_page_asks_often_while_people_sign(campaign: Campaign, signed: SignedAt) -> None:
    signed(NOW - timedelta(minutes=4))
    assert figures.read(db.session(), campaign, None, NOW).interval == feed.BUSY_SECONDS


def test_an_open_page_asks_seldom_while_nobody_signs(campaign: Campaign, signed: SignedAt) -> None:
    signed(NOW - timedelta(minutes=6))
    assert figures.read(db.session(), campaign, None, NOW).interval == feed.QUIET_SECONDS


def test_the_list_shows_the_last_day_of_each_campaign(publish: Publish, campaign: Campaign, signed: SignedAt) -> None:
    signed(NOW - timedelta(minutes=59), NOW - timedelta(minutes=61), NOW - timedelta(hours=23, minutes=59))
    signed(NOW - timedelta(hours=24, minutes=1))
    quiet = publish(slug="quiet")
    glances = figures.at_a_glance(db.session(), [campaign, quiet], NOW)
    assert (glances[campaign.id].last_hour, glances[campaign.id].last_day) == (1, 3)
    assert list(glances[campaign.id].hours) == [1, *[0] * 21, 1, 1]
    assert (glances[quiet.id].last_hour, glances[quiet.id].last_day) == (0, 0)
    assert figures.at_a_glance(db.session(), [], NOW) == {}


def test_however_many_campaigns_are_listed_the_database_is_asked_twice(publish: Publish) -> None:
    many = [publish(slug=f"campaign-{number}") for number in range(20)]
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    figures.at_a_glance(db.session(), many, NOW)
    assert sum("FROM signature" in statement for statement in statements) == 2


@only_sqlite
def test_times_are_counted_in_the_index_and_what_does_not_count_is_found_by_the_list(campaign: Campaign) -> None:
    asked: list[tuple[str, Any]] = []
    event.listen(
        db.engine, "before_cursor_execute", lambda _c, _k, statement, given, *_: asked.append((statement, given))
    )
    figures.series(db.session(), campaign, Unit.HOUR, NOW)
    plans = [
        str(db.session().connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given).all())
        for statement, given in asked[-2:]
    ]
    assert "COVERING INDEX ix_signature_campaign_id_signed_at_id" in plans[0]
    assert "INDEX ix_signature_campaign_id_listed_at_id" in plans[1]


def test_what_takes_long_is_made_seldom_however_many_look(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    time = [1000.0]
    monkeypatch.setattr(once, "clock", lambda: time[0])
    made = count()

    def make() -> int:
        time[0] += 2
        return next(made)

    kept: once.Seldom[str, int] = once.Seldom(most=8, seconds=5)
    assert kept.get("a", make) == 0
    time[0] += 39
    assert kept.get("a", make) == 0, "it rests 20 times as long as it worked"
    assert kept.get("b", make) == 1, "but nobody waits who has seen nothing yet"
    time[0] += 39
    assert kept.get("a", make) == 0, "one rest for all that is kept"
    time[0] += 2
    assert kept.get("a", make) == 2


def test_what_could_not_be_made_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: once.Seldom[str, int] = once.Seldom(most=8, seconds=5)
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 // 0)
    assert kept.get("a", lambda: 1) == 1


def test_many_who_look_ask_the_database_once(campaign: Campaign, signed: SignedAt) -> None:
    signed(NOW)
    figures.read(db.session(), campaign, Unit.DAY, NOW)
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    for _ in range(5):
        figures.kept_breakdown(db.session(), campaign.id, NOW)
        figures.kept_series(db.session(), campaign, Unit.DAY, NOW)
    assert statements == []


def test_the_count_is_as_it_is(campaign: Campaign, signed: SignedAt) -> None:
    signed(NOW)
    assert figures.read(db.session(), campaign, None, NOW).progress.count == 1
    signed(NOW, NOW)
    db.session.rollback()
    found = figures.read(db.session(), campaign, None, NOW)
    assert (found.progress.count, found.progress.goal) == (3, 100)
