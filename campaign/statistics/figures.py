"""The numbers of a campaign's statistics: the count, signatures over time, countries, states, and sources.

The desk shows them (`desk/statistics.py`). They include only signatures that count. There are no page views, because
nothing tracks them.
"""

from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

from sqlalchemy import Integer, case, column, func, select, true, values
from sqlalchemy.orm import Session

from campaign.campaigns import stages
from campaign.campaigns.stages import Progress
from campaign.models.campaign import Campaign
from campaign.models.columns import UtcDateTime
from campaign.models.signature import Signature, SignatureState
from campaign.signatures import feed, tally
from campaign.signatures.countries import countries as country_names
from campaign.signatures.places import US_STATES
from campaign.signatures.sources import FEWEST_SIGNERS
from campaign.storage.single_flight import RestingCache

MOST_DAYS = 1000
"""The most days in a chart. With more, neighboring bars could not be told apart."""
MOST_SOURCES = 50
"""The most sources that are shown, those with the most signers first."""
LIVE_SECONDS = 1.0
"""The cache time, in seconds, for the numbers of the last hour."""
CACHE_SECONDS = 5.0
"""The shortest cache time, in seconds, for numbers that need a scan of all of a campaign's signatures."""


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
    as_of: datetime


@dataclass(frozen=True)
class Breakdown:
    """Signatures by place and by source, each with the most signatures first. Equal counts are sorted by name."""

    countries: Sequence[tuple[str, int]]
    """By ISO 3166-1 alpha-2 code."""
    states: Sequence[tuple[str, int]]
    """By USPS code; empty for signers in the US with an unknown state."""
    sources: Sequence[tuple[str | None, int]]
    """By source; empty for links without one, None for all sources that are not shown."""
    as_of: datetime


@dataclass(frozen=True)
class Figures:
    """All numbers of a campaign's statistics page."""

    progress: Progress
    last_hour: Series
    series: Series
    breakdown: Breakdown

    @property
    def interval(self) -> int:
        """Seconds until an open page should refresh."""
        recent = sum(span.signatures for span in self.last_hour.spans[-5:])
        return feed.BUSY_SECONDS if recent else feed.QUIET_SECONDS


@dataclass(frozen=True)
class Glance:
    """The last 24 hours of a campaign, for its row in the list of campaigns."""

    hours: Sequence[int]
    """Signatures in each of the last 24 hours; the last hour ends now."""

    @property
    def last_hour(self) -> int:
        """Signatures in the last hour."""
        return self.hours[-1]

    @property
    def last_day(self) -> int:
        """Signatures in the last 24 hours."""
        return sum(self.hours)


_live: RestingCache[object, Series] = RestingCache(256, LIVE_SECONDS)
_series: RestingCache[object, Series] = RestingCache(256, CACHE_SECONDS)
_breakdowns: RestingCache[object, Breakdown] = RestingCache(256, CACHE_SECONDS)


def read(session: Session, campaign: Campaign, unit: Unit | None, now: datetime) -> Figures:
    """Return a campaign's statistics. If `unit` is None, choose the unit that fits the campaign's age.

    The count is current. The series and the breakdown come from a cache, and have the time they were made (`as_of`).
    """
    last_hour = cached_series(session, campaign, Unit.MINUTE, now)
    unit = unit or fitting_unit(_first_signed_at(session, campaign.id, now), now)
    return Figures(
        progress=stages.progress(campaign, tally.count(session, campaign.id)),
        last_hour=last_hour,
        series=last_hour if unit is Unit.MINUTE else cached_series(session, campaign, unit, now),
        breakdown=cached_breakdown(session, campaign.id, now),
    )


def cached_series(session: Session, campaign: Campaign, unit: Unit, now: datetime) -> Series:
    """Return signatures over time, from the cache."""
    cache = _live if unit is Unit.MINUTE else _series
    key = session.get_bind(), campaign.id, campaign.time_zone, unit
    return cache.get(key, lambda: series(session, campaign, unit, now))


def cached_breakdown(session: Session, campaign_id: int, now: datetime) -> Breakdown:
    """Return signatures by place and source, from the cache."""
    return _breakdowns.get((session.get_bind(), campaign_id), lambda: breakdown(session, campaign_id, now))


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
    counts = _counts(session, [campaign.id], edges)[campaign.id]
    return Series(unit, tuple(Span(since, count) for since, count in zip(edges[:-1], counts, strict=True)), now)


def at_a_glance(session: Session, shown: Sequence[Campaign], now: datetime) -> dict[int, Glance]:
    """Return the last 24 hours of each of these campaigns by its id, with two queries for all of them."""
    edges = [now - timedelta(hours=hours) for hours in range(24, -1, -1)]
    counts = _counts(session, [campaign.id for campaign in shown], edges)
    return {campaign_id: Glance(hours) for campaign_id, hours in counts.items()}


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
    return [(since.astimezone(UTC) + step * n).astimezone(zone) for n in range(1 - REACH[unit], 2)]


def _counts(session: Session, campaign_ids: Sequence[int], edges: Sequence[datetime]) -> dict[int, list[int]]:
    """Return, for each campaign, the number of counted signatures between each edge and the next.

    The first query counts all signatures in an index that doesn't store whether a signature counts. The second query
    finds the few that don't count, to subtract them. It uses the index of the public list, because only counted
    signatures are listed.
    """
    span = (
        values(column("n", Integer), column("since", UtcDateTime), column("until", UtcDateTime), name="span")
        .data([(n, since, until) for n, (since, until) in enumerate(pairwise(edges))])
        .cte("span")
    )
    signed = select(func.count()).where(
        Signature.campaign_id == Campaign.id,
        Signature.signed_at >= span.c.since,
        Signature.signed_at < span.c.until,
    )
    counts = {campaign_id: [0] * (len(edges) - 1) for campaign_id in campaign_ids}
    spans = select(Campaign.id, span.c.n, signed.scalar_subquery()).join_from(Campaign, span, true())
    for campaign_id, n, count in session.execute(spans.where(Campaign.id.in_(campaign_ids))):
        counts[campaign_id][n] = count
    # With the bare column, SQLite would use the index of times and read every signature in it.
    signed_at = func.coalesce(Signature.signed_at, Signature.signed_at)
    uncounted = select(Signature.campaign_id, Signature.signed_at).where(
        Signature.campaign_id.in_(campaign_ids),
        Signature.listed_at.is_(None),
        Signature.state != SignatureState.PUBLIC,
        signed_at >= edges[0],
        signed_at < edges[-1],
    )
    for campaign_id, at in session.execute(uncounted):
        counts[campaign_id][bisect(edges, at) - 1] -= 1
    return counts


def breakdown(session: Session, campaign_id: int, now: datetime) -> Breakdown:
    """Return signatures by place and source. This reads all of the campaign's signatures."""
    counted = Signature.campaign_id == campaign_id, Signature.state == SignatureState.PUBLIC
    # Other regions were typed freely; there may be as many of them as signers.
    is_state = (Signature.country == "US") & Signature.region.in_(US_STATES.values())
    place = select(Signature.country, case((is_state, Signature.region), else_="").label("state")).where(*counted)
    places = place.subquery()
    by_place = session.execute(
        select(places.c.country, places.c.state, func.count()).group_by(places.c.country, places.c.state)
    ).all()
    common = (
        select(Signature.source, func.count())
        .where(*counted)
        .group_by(Signature.source)
        .having((func.count() >= FEWEST_SIGNERS) | (Signature.source == ""))
        .order_by(func.count().desc(), Signature.source)
        .limit(MOST_SOURCES)
    )
    sources: list[tuple[str | None, int]] = [(source, count) for source, count in session.execute(common)]
    code_of = {name: code for code, name in US_STATES.items()}
    countries: dict[str, int] = {}
    states: dict[str, int] = {}
    for country, state, count in by_place:
        countries[country] = countries.get(country, 0) + count
        if country == "US":
            states[code_of.get(state, "")] = count
    if rest := sum(countries.values()) - sum(count for _, count in sources):
        sources.append((None, rest))
    sorted_states = sorted(US_STATES, key=US_STATES.__getitem__)
    return Breakdown(
        _sorted_by_count(countries, country_names("en")), _sorted_by_count(states, sorted_states), sources, now
    )


def _sorted_by_count(counts: dict[str, int], by_name: Iterable[str]) -> list[tuple[str, int]]:
    """Return codes and counts, highest counts first. Equal counts are in the order of `by_name`, with others last."""
    positions = {code: position for position, code in enumerate(by_name)}
    return sorted(counts.items(), key=lambda pair: (-pair[1], positions.get(pair[0], len(positions))))
