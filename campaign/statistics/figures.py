"""The numbers of a campaign's statistics: the count, and signatures by time, country, state, source, and language.

The desk shows them (`desk/statistics.py`). They include only signatures that count. The count is current. The other
numbers come from roll-ups (`roll_ups.py`), which the worker keeps a few seconds behind; `Coverage` says how far they
are. There are no page views, because nothing tracks them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Integer, TextualSelect, column, func, select, text, true
from sqlalchemy.orm import Session

from campaign.campaigns import stages
from campaign.campaigns.stages import Progress
from campaign.models.campaign import Campaign
from campaign.models.roll_up import IS_COMMON, GroupCount, Kind, MinuteCount, QuarterCount, RollUp
from campaign.models.signature import Signature
from campaign.signatures import feed, tally
from campaign.signatures.countries import countries as country_names
from campaign.signatures.places import US_STATES
from campaign.statistics import roll_ups

MOST_DAYS = 1000
"""The most days in a chart. With more, neighboring bars could not be told apart."""
MOST_SOURCES = 50
"""The most sources that are shown, those with the most signers first."""


class Unit(StrEnum):
    """The length of the time spans in which signatures are counted."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


REACH = {Unit.MINUTE: 60, Unit.HOUR: 48}
"""How many spans are shown. By day, all days since the first signature are shown, up to MOST_DAYS."""


@dataclass(frozen=True)
class Span:
    """A minute, an hour, or a day, and the number of signatures in it."""

    since: datetime
    """The start of the span, in the campaign's time zone."""
    signatures: int


@dataclass(frozen=True)
class Series:
    """Signatures over time."""

    unit: Unit
    spans: tuple[Span, ...]
    """Consecutive spans without gaps. The last one is not over yet."""


@dataclass(frozen=True)
class Breakdown:
    """Signatures by place, source, and language, each with the most signatures first.

    Equal counts are sorted by name, those of languages by tag.
    """

    countries: Sequence[tuple[str, int]]
    """By ISO 3166-1 alpha-2 code."""
    states: Sequence[tuple[str, int]]
    """By USPS code; empty for signers in the US with an unknown state."""
    sources: Sequence[tuple[str | None, int]]
    """By source; empty for links without one, None for all sources that are not shown."""
    languages: Sequence[tuple[str, int]]
    """By the BCP 47 tag of the language in which signers read the letter."""


@dataclass(frozen=True)
class Coverage:
    """Which of a campaign's signatures the numbers from roll-ups include: all that were stored until a moment."""

    included: int
    total: int
    """The campaign's count."""
    as_of: datetime | None
    """That moment; None if no signature of the site has been included yet."""

    @property
    def missing(self) -> int:
        """The number of signatures that are not included yet, the newest ones."""
        return max(self.total - self.included, 0)


@dataclass(frozen=True)
class Figures:
    """All numbers of a campaign's statistics page."""

    progress: Progress
    coverage: Coverage
    last_hour: Series
    series: Series
    breakdown: Breakdown

    @property
    def interval(self) -> int:
        """Seconds until an open page should refresh."""
        recent = sum(span.signatures for span in self.last_hour.spans[-5:])
        return feed.BUSY_SECONDS if recent or self.coverage.missing else feed.QUIET_SECONDS


@dataclass(frozen=True)
class Glance:
    """The last 24 hours of a campaign, for its row in the list of campaigns."""

    hours: Sequence[int]
    """Signatures in each of the last 24 hours; the last hour ends with the current minute."""
    coverage: Coverage

    @property
    def last_hour(self) -> int:
        """Signatures in the last hour."""
        return self.hours[-1]

    @property
    def last_day(self) -> int:
        """Signatures in the last 24 hours."""
        return sum(self.hours)


def read(session: Session, campaign: Campaign, unit: Unit | None, now: datetime) -> Figures:
    """Return a campaign's statistics. If `unit` is None, choose the unit that fits the campaign's age."""
    last_hour = series(session, campaign, Unit.MINUTE, now)
    unit = unit or fitting_unit(_first_signed_at(session, campaign.id, now), now)
    count = tally.count(session, campaign.id)
    return Figures(
        progress=stages.progress(campaign, count),
        coverage=coverages(session, {campaign.id: count}, now)[campaign.id],
        last_hour=last_hour,
        series=last_hour if unit is Unit.MINUTE else series(session, campaign, unit, now),
        breakdown=breakdown(session, campaign),
    )


def coverage(session: Session, campaign: Campaign, now: datetime) -> Coverage:
    """Return which signatures the roll-ups of a campaign include."""
    return coverages(session, {campaign.id: tally.count(session, campaign.id)}, now)[campaign.id]


def coverages(session: Session, counts: Mapping[int, int], now: datetime) -> dict[int, Coverage]:
    """Return which signatures the roll-ups of these campaigns include.

    Args:
        session: A session.
        counts: The count of each campaign by its id.
        now: The current time. The numbers are as of now if they include all signatures, however old they are.
    """
    by_country = select(GroupCount.campaign_id, func.sum(GroupCount.count)).where(
        GroupCount.campaign_id.in_(counts), GroupCount.kind == Kind.COUNTRY
    )
    included = {campaign_id: int(n) for campaign_id, n in session.execute(by_country.group_by(GroupCount.campaign_id))}
    as_of = session.scalar(select(RollUp.as_of))
    each = ((campaign_id, included.get(campaign_id, 0), count) for campaign_id, count in counts.items())
    return {campaign_id: Coverage(some, count, as_of if some < count else now) for campaign_id, some, count in each}


def fitting_unit(began: datetime, now: datetime) -> Unit:
    """Return the unit that best shows a campaign with its first signature at `began`."""
    if now - began <= timedelta(hours=2):
        return Unit.MINUTE
    return Unit.HOUR if now - began <= timedelta(hours=REACH[Unit.HOUR]) else Unit.DAY


def series(session: Session, campaign: Campaign, unit: Unit, now: datetime) -> Series:
    """Return signatures over time, by minutes, hours, or days of the campaign's time zone."""
    zone = ZoneInfo(campaign.time_zone)
    edges = (
        _days(_first_signed_at(session, campaign.id, now), now, zone) if unit is Unit.DAY else _steps(unit, now, zone)
    )
    table: roll_ups.Times = MinuteCount if unit is Unit.MINUTE else QuarterCount
    counts = _counts(session, table, [campaign.id], edges)[campaign.id]
    return Series(unit, tuple(Span(since, count) for since, count in zip(edges[:-1], counts, strict=True)))


def at_a_glance(session: Session, tallied: Mapping[int, int], now: datetime) -> dict[int, Glance]:
    """Return the last 24 hours of campaigns by their ids, with three queries for all of them.

    Args:
        session: A session.
        tallied: The count of each campaign by its id.
        now: The current time.
    """
    end = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    edges = [end - timedelta(hours=hours) for hours in range(24, -1, -1)]
    coverage = coverages(session, tallied, now)
    counts = _counts(session, MinuteCount, [*tallied], edges)
    return {campaign_id: Glance(hours, coverage[campaign_id]) for campaign_id, hours in counts.items()}


def _first_signed_at(session: Session, campaign_id: int, now: datetime) -> datetime:
    first = select(func.min(Signature.signed_at)).where(Signature.campaign_id == campaign_id)
    return session.scalar(first) or now


def _days(began: datetime, now: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the midnights from before `began` to after `now`. Days may have 23 or 25 hours."""
    today = now.astimezone(zone).date()
    days = min((today - began.astimezone(zone).date()).days, MOST_DAYS)
    return [datetime.combine(today - timedelta(ago), time.min, zone) for ago in range(days, -2, -1)]


def _steps(unit: Unit, now: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the starts of the last minutes or hours, and the end of the current one."""
    step = timedelta(minutes=1) if unit is Unit.MINUTE else timedelta(hours=1)
    # Round in local time, because some time zones differ from UTC by half an hour.
    since = now.astimezone(zone).replace(second=0, microsecond=0)
    since = since if unit is Unit.MINUTE else since.replace(minute=0)
    # Add in UTC, because an hour that occurs twice when clocks are set back is two hours.
    edges = [since.astimezone(UTC) + step * n for n in range(1 - REACH[unit], 2)]
    # Where clocks go back by half an hour, the rounded time may be more than an hour ago.
    while edges[-1] <= now:
        edges.append(edges[-1] + step)
    return [edge.astimezone(zone) for edge in edges[-REACH[unit] - 1 :]]


def _counts(
    session: Session,
    table: roll_ups.Times,
    campaign_ids: Sequence[int],
    edges: Sequence[datetime],
) -> dict[int, list[int]]:
    """Return, for each campaign, the number of counted signatures between each edge and the next."""
    spans = json.dumps([*pairwise(roll_ups.bucket_of(table, edge) for edge in edges)])
    # One parameter, because SQLAlchemy needs a tenth of a second for a statement with a thousand pairs of them.
    span = _SPANS[session.get_bind().dialect.name].cte("span")
    signed = select(func.sum(table.count)).where(
        table.campaign_id == Campaign.id, table.bucket >= span.c.since, table.bucket < span.c.until
    )
    counts = {campaign_id: [0] * (len(edges) - 1) for campaign_id in campaign_ids}
    query = select(Campaign.id, span.c.n, signed.scalar_subquery()).join_from(Campaign, span, true())
    for campaign_id, n, count in session.execute(query.where(Campaign.id.in_(campaign_ids)), {"spans": spans}):
        counts[campaign_id][n] = int(count or 0)
    return counts


def _spans(query: str) -> TextualSelect:
    return text(query).columns(column("n", Integer), column("since", BigInteger), column("until", BigInteger))


_SPANS = {
    "sqlite": _spans(
        "SELECT key AS n, json_extract(value, '$[0]') AS since, json_extract(value, '$[1]') AS until "
        "FROM json_each(:spans)"
    ),
    "postgresql": _spans(
        "SELECT number - 1 AS n, CAST(pair ->> 0 AS bigint) AS since, CAST(pair ->> 1 AS bigint) AS until "
        "FROM json_array_elements(CAST(:spans AS json)) WITH ORDINALITY AS span (pair, number)"
    ),
}
"""Queries for spans of time, from a JSON array of their first buckets and the first buckets after them."""


def breakdown(session: Session, campaign: Campaign) -> Breakdown:
    """Return signatures by place, source, and language.

    Signatures of earlier versions have no language. They count for the main language, the only one of the letter then.
    """
    counted = select(GroupCount.name, GroupCount.count).where(GroupCount.campaign_id == campaign.id)

    def by(kind: Kind) -> dict[str, int]:
        return {name: count for name, count in session.execute(counted.where(GroupCount.kind == kind)) if count}

    countries, named_states = by(Kind.COUNTRY), by(Kind.STATE)
    code_of = {name: code for code, name in US_STATES.items()}
    states = {code_of.get(name, ""): count for name, count in named_states.items()}
    sources = _sources(session, campaign.id)
    if rest := sum(countries.values()) - sum(count for _, count in sources):
        sources.append((None, rest))
    languages = by(Kind.LANGUAGE)
    if without := languages.pop("", 0):
        languages[campaign.language] = languages.get(campaign.language, 0) + without
    sorted_states = sorted(US_STATES, key=US_STATES.__getitem__)
    return Breakdown(
        countries=_sorted_by_count(countries, country_names("en")),
        states=_sorted_by_count(states, sorted_states),
        sources=sources,
        languages=_sorted_by_count(languages, sorted(languages)),
    )


def _sources(session: Session, campaign_id: int) -> list[tuple[str | None, int]]:
    """Return the sources with the most signatures, and links without a source, highest counts first."""
    sources = select(GroupCount.name, GroupCount.count).where(GroupCount.campaign_id == campaign_id)
    # In the order of the index, in which sources with equal counts are from Z to A.
    common = sources.where(IS_COMMON, GroupCount.name != "")
    common = common.order_by(GroupCount.count.desc(), GroupCount.name.desc()).limit(MOST_SOURCES)
    without = sources.where(GroupCount.kind == Kind.SOURCE, GroupCount.name == "")
    found = [(name, count) for query in (common, without) for name, count in session.execute(query) if count]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def _sorted_by_count(counts: dict[str, int], by_name: Iterable[str]) -> list[tuple[str, int]]:
    """Return codes and counts, highest counts first. Equal counts are in the order of `by_name`, with others last."""
    positions = {code: position for position, code in enumerate(by_name)}
    return sorted(counts.items(), key=lambda pair: (-pair[1], positions.get(pair[0], len(positions))))
