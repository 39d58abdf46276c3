"""Statistics count signatures by time, place, source, and language, only those that count, and say how far they are."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import event

from campaign.models.campaign import Campaign
from campaign.models.signature import SignatureState
from campaign.signatures import fake, tally
from campaign.signatures.signing import insert_unless_signed
from campaign.signatures.sources import FEWEST_SIGNERS
from campaign.statistics import figures
from campaign.statistics.figures import Unit
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import Publish, only_sqlite
from tests.statistics.rolling import roll_up

NOW = datetime(2026, 7, 14, 10, 30, 20, tzinfo=UTC)

SignedAt = Callable[..., None]


@pytest.fixture
def signed(campaign: Campaign) -> SignedAt:
    """Return a function that stores and rolls up signatures with these values, for a campaign if one is given."""
    numbers = count()

    def signed(*times: datetime, under: Campaign = campaign, **changes: object) -> None:
        rows = [fake.signature(under.id, str(next(numbers)), time) | {"source": ""} | changes for time in times]
        with write_transaction() as session:
            session.connection().execute(insert_unless_signed(session.connection().dialect.name), rows)
            counted = [row for row in rows if row["state"] is SignatureState.PUBLIC]
            tally.add(session.connection(), under.id, len(counted))
        roll_up(NOW)

    return signed


def shown(campaign: Campaign, unit: Unit, now: datetime = NOW) -> dict[str, int]:
    """Return the number of signatures in each span that has any."""
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
    assert lengths == [60, 48, 4], "spans without signatures are included"


def test_signature_at_a_boundary_belongs_to_the_later_span(campaign: Campaign, signed: SignedAt) -> None:
    signed(datetime(2026, 7, 14, 10, tzinfo=UTC), datetime(2026, 7, 14, 9, 59, 59, 999999, tzinfo=UTC))
    assert shown(campaign, Unit.HOUR) == {"2026-07-14T09:00+00:00": 1, "2026-07-14T10:00+00:00": 1}


def test_campaign_without_signatures_has_one_empty_day(campaign: Campaign) -> None:
    (today,) = figures.series(db.session(), campaign, Unit.DAY, NOW).spans
    assert (today.since.isoformat(), today.signatures) == ("2026-07-14T00:00:00+00:00", 0)
    nothing = figures.breakdown(db.session(), campaign)
    assert (nothing.countries, nothing.states, nothing.sources, nothing.languages) == ([], [], [], [])


def test_hours_and_days_are_in_the_campaigns_time_zone(publish: Publish, signed: SignedAt) -> None:
    kolkata = publish(slug="kolkata")
    kolkata.time_zone = "Asia/Kolkata"
    signed(datetime(2026, 7, 13, 18, 29, tzinfo=UTC), datetime(2026, 7, 13, 18, 30, tzinfo=UTC), under=kolkata)
    assert shown(kolkata, Unit.DAY) == {"2026-07-13T00:00+05:30": 1, "2026-07-14T00:00+05:30": 1}
    assert shown(kolkata, Unit.HOUR) == {"2026-07-13T23:00+05:30": 1, "2026-07-14T00:00+05:30": 1}


@pytest.mark.parametrize(
    ("first_day", "hours"), [("2026-03-28", [24, 23, 24]), ("2026-10-24", [24, 25, 24])], ids=["spring", "autumn"]
)
def test_days_have_23_or_25_hours_when_clocks_change(
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
    assert [span.signatures for span in by_hour[-36:]] == [1] * 36, "an hour that occurs twice is two spans"


@pytest.mark.parametrize("state", [state for state in SignatureState if state is not SignatureState.PUBLIC])
def test_only_counted_signatures_are_included(campaign: Campaign, signed: SignedAt, state: SignatureState) -> None:
    signed(NOW, NOW - timedelta(minutes=5))
    signed(NOW, listed_at=None)
    signed(NOW - timedelta(days=9), NOW, NOW - timedelta(minutes=5), state=state, listed_at=None)
    assert shown(campaign, Unit.MINUTE) == {"2026-07-14T10:25+00:00": 1, "2026-07-14T10:30+00:00": 2}
    assert sum(shown(campaign, Unit.DAY).values()) == 3
    assert figures.at_a_glance(db.session(), {campaign.id: 3}, NOW)[campaign.id].last_day == 3
    found = figures.breakdown(db.session(), campaign)
    assert [sum(n for _, n in part) for part in (found.countries, found.sources, found.languages)] == [3, 3, 3]


def test_other_campaigns_signatures_are_not_included(publish: Publish, campaign: Campaign, signed: SignedAt) -> None:
    other = publish(slug="other")
    signed(NOW, NOW, under=other)
    signed(NOW)
    assert shown(campaign, Unit.MINUTE) == {"2026-07-14T10:30+00:00": 1}
    assert figures.breakdown(db.session(), other).sources == [("", 2)]


def test_countries_and_states_are_sorted_by_count(campaign: Campaign, signed: SignedAt) -> None:
    signed(NOW, NOW, country="US", region="California")
    signed(NOW, country="US", region="Texas")
    signed(NOW, NOW, NOW, country="US", region="Nowhere, really")
    signed(NOW, country="US", region="")
    signed(NOW, country="FR", region="California")
    signed(NOW, NOW, country="DE", region="")
    found = figures.breakdown(db.session(), campaign)
    assert found.countries == [("US", 7), ("DE", 2), ("FR", 1)]
    assert found.states == [("", 4), ("CA", 2), ("TX", 1)]


def test_places_with_equal_counts_are_sorted_by_name(campaign: Campaign, signed: SignedAt) -> None:
    # By code, the order would be AE, AX, CH, DE, and AK, AL, AR, AZ.
    for country in ("AE", "AX", "CH", "DE"):
        signed(NOW, country=country, region="")
    for state in ("Alaska", "Alabama", "Arkansas", "Arizona", "Puerto Rico", "Oregon"):
        signed(NOW, country="US", region=state)
    signed(NOW, country="US", region="Nowhere")
    found = figures.breakdown(db.session(), campaign)
    assert [code for code, _ in found.countries] == ["US", "AX", "DE", "CH", "AE"]
    assert [code for code, _ in found.states] == ["AL", "AK", "AZ", "AR", "OR", "PR", ""]


def test_sources_with_few_signers_are_combined(campaign: Campaign, signed: SignedAt) -> None:
    signed(*[NOW] * FEWEST_SIGNERS, source="mail")
    signed(*[NOW] * (FEWEST_SIGNERS - 1), source="for-ada")
    signed(NOW, source="for-ben")
    signed(NOW, NOW, source="")
    found = figures.breakdown(db.session(), campaign)
    assert found.sources == [("mail", 5), ("", 2), (None, 5)]


def test_languages_are_sorted_by_count_and_then_by_tag(campaign: Campaign, signed: SignedAt) -> None:
    for language in ("pt-BR", "fr", "es", "es", "de"):
        signed(NOW, language=language)
    signed(NOW, language="fr", state=SignatureState.REMOVED, listed_at=None)
    signed(NOW, language="es", listed_at=None)
    assert figures.breakdown(db.session(), campaign).languages == [("es", 3), ("de", 1), ("fr", 1), ("pt-BR", 1)]


def test_signatures_without_a_language_count_for_the_main_language(publish: Publish, signed: SignedAt) -> None:
    german, spanish = publish(slug="german", language="de"), publish(slug="spanish", language="es")
    for campaign in (german, spanish):
        signed(NOW, NOW, under=campaign, language="")
        signed(NOW, under=campaign, language="de")
    assert figures.breakdown(db.session(), german).languages == [("de", 3)]
    assert figures.breakdown(db.session(), spanish).languages == [("es", 2), ("de", 1)]


@pytest.mark.parametrize(
    ("ago", "unit"),
    [
        (timedelta(minutes=5), Unit.MINUTE),
        (timedelta(hours=5), Unit.HOUR),
        (timedelta(days=5), Unit.DAY),
    ],
)
def test_unit_fits_the_campaigns_age(campaign: Campaign, signed: SignedAt, ago: timedelta, unit: Unit) -> None:
    signed(NOW - ago)
    assert figures.read(db.session(), campaign, None, NOW).series.unit is unit
    assert figures.read(db.session(), campaign, Unit.HOUR, NOW).series.unit is Unit.HOUR


def test_page_refreshes_often_while_people_sign(campaign: Campaign, signed: SignedAt) -> None:
    signed(NOW - timedelta(minutes=4))
    assert figures.read(db.session(), campaign, None, NOW).interval == 5


def test_page_polls_rarely_without_new_signatures(campaign: Campaign, signed: SignedAt) -> None:
    signed(NOW - timedelta(minutes=6))
    assert figures.read(db.session(), campaign, None, NOW).interval == 15


def test_glance_counts_the_last_hour_and_day_of_each_campaign(
    publish: Publish, campaign: Campaign, signed: SignedAt
) -> None:
    signed(NOW - timedelta(minutes=59), NOW - timedelta(minutes=61), NOW - timedelta(hours=23, minutes=59))
    signed(NOW - timedelta(hours=24, minutes=1))
    quiet = publish(slug="quiet")
    glances = figures.at_a_glance(db.session(), {campaign.id: 4, quiet.id: 0}, NOW)
    assert (glances[campaign.id].last_hour, glances[campaign.id].last_day) == (1, 3)
    assert list(glances[campaign.id].hours) == [1, *[0] * 21, 1, 1]
    assert (glances[quiet.id].last_hour, glances[quiet.id].last_day) == (0, 0)
    assert figures.at_a_glance(db.session(), {}, NOW) == {}


def test_campaign_summaries_need_three_queries_for_any_number_of_campaigns(publish: Publish) -> None:
    many = [publish(slug=f"campaign-{number}") for number in range(20)]
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    figures.at_a_glance(db.session(), {campaign.id: 0 for campaign in many}, NOW)
    assert sum("SELECT" in statement for statement in statements) == 3


@only_sqlite
def test_statistics_are_read_by_their_indexes_and_never_from_all_signatures(campaign: Campaign) -> None:
    asked: list[tuple[str, Any]] = []
    event.listen(
        db.engine, "before_cursor_execute", lambda _c, _k, statement, given, *_: asked.append((statement, given))
    )
    for unit in Unit:
        figures.read(db.session(), campaign, unit, NOW)
    plans = [
        str(db.session().connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given).all())
        for statement, given in [*asked]
        if "SELECT" in statement
    ]
    assert not any(re.search(r"SCAN (signature|roll_up_)", plan) for plan in plans), plans
    assert any("INDEX ix_roll_up_group_common" in plan for plan in plans)
    assert [plan for plan in plans if "signature" in plan] == [
        plan for plan in plans if "COVERING INDEX ix_signature_campaign_id_signed_at_id" in plan
    ]


def test_count_is_never_stale(campaign: Campaign, signed: SignedAt) -> None:
    signed(NOW)
    assert figures.read(db.session(), campaign, None, NOW).progress.count == 1
    signed(NOW, NOW)
    db.session.rollback()
    found = figures.read(db.session(), campaign, None, NOW)
    assert (found.progress.count, found.progress.goal) == (3, 100)


def test_statistics_have_their_age_and_number_of_missing_signatures(campaign: Campaign, signed: SignedAt) -> None:
    def coverage(now: datetime) -> figures.Coverage:
        db.session.rollback()
        return figures.read(db.session(), campaign, None, now).coverage

    assert coverage(NOW) == figures.Coverage(0, 0, NOW)
    list(fake.sign(campaign.id, 2, NOW))
    assert coverage(NOW) == figures.Coverage(0, 2, None)
    signed(NOW)
    later = NOW + timedelta(hours=1)
    assert coverage(later) == figures.Coverage(3, 3, later)
    list(fake.sign(campaign.id, 4, later))
    assert coverage(later) == figures.Coverage(3, 7, NOW)
    assert coverage(later).missing == 4
