"""A campaign's figures: its count, when people signed, from where, and by which links they came.

The desk's views show them (desk/figures.py). Only signatures that count are in them. Page views are nowhere, for nobody
tracks them.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

from sqlalchemy import Integer, case, column, func, select, true, values
from sqlalchemy.orm import Session

from campaign import campaigns, feed, tally
from campaign.campaigns import Progress
from campaign.models import Campaign, Signature, SignatureState, UtcDateTime
from campaign.once import Seldom
from campaign.places import US_STATES
from campaign.sources import FEWEST_TOGETHER

MOST_DAYS = 1000
"""How many days are counted; in a chart of more, none could be told from the next."""
MOST_SOURCES = 50
"""Words that are shown, those of most signers."""
LIVE_SECONDS = 1.0
"""How long the figures of the last hour are kept."""
KEPT_SECONDS = 5.0
"""How long those are kept at least for which all of a campaign's signatures are looked at."""


class Unit(StrEnum):
    """The length of time by which signatures are counted together."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


REACH = {Unit.MINUTE: 60, Unit.HOUR: 48}
"""How many of them are shown; days, all since the first signature."""


@dataclass(frozen=True)
class Span:
    """A minute, an hour or a day, and how many signed in it."""

    since: datetime
    """In the campaign's time zone."""
    signatures: int


@dataclass(frozen=True)
class Series:
    """When people signed."""

    unit: Unit
    spans: tuple[Span, ...]
    """One after the other without a gap; the last one is under way."""
    as_of: datetime


@dataclass(frozen=True)
class Breakdown:
    """Where they signed and how they came; most signers first."""

    countries: Sequence[tuple[str, int]]
    """By ISO 3166-1 alpha-2 code."""
    states: Sequence[tuple[str, int]]
    """By USPS code; empty for signers in the US whose state is not known."""
    sources: Sequence[tuple[str | None, int]]
    """By word; empty for those who came by a link without one, None for all whose words are not shown."""
    as_of: datetime


@dataclass(frozen=True)
class Figures:
    """All that the page shows of a campaign."""

    progress: Progress
    last_hour: Series
    series: Series
    breakdown: Breakdown

    @property
    def interval(self) -> int:
        """Seconds until an open page should ask again."""
        busy = sum(span.signatures for span in self.last_hour.spans[-5:])
        return feed.BUSY_SECONDS if busy else feed.QUIET_SECONDS


@dataclass(frozen=True)
class Glance:
    """A campaign's last day in a line of the list."""

    hours: Sequence[int]
    """Signatures in each of the last 24 hours, the last of which ends now."""

    @property
    def last_hour(self) -> int:
        """Signatures in the last hour."""
        return self.hours[-1]

    @property
    def last_day(self) -> int:
        """Signatures in the last 24 hours."""
        return sum(self.hours)


_live: Seldom[object, Series] = Seldom(256, LIVE_SECONDS)
_series: Seldom[object, Series] = Seldom(256, KEPT_SECONDS)
_breakdowns: Seldom[object, Breakdown] = Seldom(256, KEPT_SECONDS)


def read(session: Session, campaign: Campaign, unit: Unit | None, now: datetime) -> Figures:
    """The campaign's figures, by the unit, or by the one that shows most of it.

    Count and last hour are as they are; the rest is kept, and says as of when.
    """
    last_hour = kept_series(session, campaign, Unit.MINUTE, now)
    unit = unit or fitting(_began(session, campaign.id, now), now)
    return Figures(
        progress=campaigns.progress(campaign, tally.count(session, campaign.id)),
        last_hour=last_hour,
        series=last_hour if unit is Unit.MINUTE else kept_series(session, campaign, unit, now),
        breakdown=kept_breakdown(session, campaign.id, now),
    )


def kept_series(session: Session, campaign: Campaign, unit: Unit, now: datetime) -> Series:
    """When people signed, by a unit, as it is kept."""
    kept = _live if unit is Unit.MINUTE else _series
    key = session.get_bind(), campaign.id, campaign.time_zone, unit
    return kept.get(key, lambda: series(session, campaign, unit, now))


def kept_breakdown(session: Session, campaign_id: int, now: datetime) -> Breakdown:
    """Where people signed and how they came, as it is kept."""
    return _breakdowns.get((session.get_bind(), campaign_id), lambda: breakdown(session, campaign_id, now))


def fitting(began: datetime, now: datetime) -> Unit:
    """The unit that shows most of a campaign that began then."""
    if now - began <= timedelta(hours=2):
        return Unit.MINUTE
    return Unit.HOUR if now - began <= timedelta(hours=REACH[Unit.HOUR]) else Unit.DAY


def series(session: Session, campaign: Campaign, unit: Unit, now: datetime) -> Series:
    """When people signed, by minutes, hours or days of the campaign's time zone."""
    zone = ZoneInfo(campaign.time_zone)
    edges = _days(_began(session, campaign.id, now), now, zone) if unit is Unit.DAY else _steps(unit, now, zone)
    counts = _counts(session, [campaign.id], edges)[campaign.id]
    return Series(unit, tuple(Span(since, count) for since, count in zip(edges[:-1], counts, strict=True)), now)


def at_a_glance(session: Session, shown: Sequence[Campaign], now: datetime) -> dict[int, Glance]:
    """The last 24 hours of each of these campaigns, by its id; one question to the database for all of them."""
    edges = [now - timedelta(hours=hours) for hours in range(24, -1, -1)]
    counts = _counts(session, [campaign.id for campaign in shown], edges)
    return {campaign_id: Glance(hours) for campaign_id, hours in counts.items()}


def _began(session: Session, campaign_id: int, now: datetime) -> datetime:
    first = select(func.min(Signature.signed_at)).where(Signature.campaign_id == campaign_id)
    return session.scalar(first) or now


def _days(began: datetime, now: datetime, zone: ZoneInfo) -> list[datetime]:
    """The midnights from before `began` to after `now`; days are as long as the zone's clocks make them."""
    today = now.astimezone(zone).date()
    days = min((today - began.astimezone(zone).date()).days, MOST_DAYS)
    return [datetime.combine(today - timedelta(ago), time.min, zone) for ago in range(days, -2, -1)]


def _steps(unit: Unit, now: datetime, zone: ZoneInfo) -> list[datetime]:
    """The full minutes or hours until after `now`, one more than spans."""
    step = timedelta(minutes=1) if unit is Unit.MINUTE else timedelta(hours=1)
    # Of the zone's clock: there are zones that are half an hour off.
    since = now.astimezone(zone).replace(second=0, microsecond=0)
    since = since if unit is Unit.MINUTE else since.replace(minute=0)
    # Added up in UTC, for an hour that clocks go through twice is two.
    return [(since.astimezone(UTC) + step * n).astimezone(zone) for n in range(1 - REACH[unit], 2)]


def _counts(session: Session, campaign_ids: Sequence[int], edges: Sequence[datetime]) -> dict[int, list[int]]:
    """For each campaign, how many counted signatures lie between each edge and the next.

    All signatures are counted in the index, which does not know whether they count. Those that don't are taken off
    again; they are few, and the index of the list finds them: no signature is listed that does not count.
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
    # Not the bare column, for the sake of which SQLite would take the index of times and look at every signature in it.
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
    """Where people signed and how they came; looks at all of the campaign's signatures."""
    counted = Signature.campaign_id == campaign_id, Signature.state == SignatureState.PUBLIC
    # What is no state was typed by somebody; there may be as many of them as signers.
    is_state = (Signature.country == "US") & Signature.region.in_(US_STATES.values())
    place = select(Signature.country, case((is_state, Signature.region), else_="").label("state")).where(*counted)
    places = place.subquery()
    by_place = session.execute(
        select(places.c.country, places.c.state, func.count()).group_by(places.c.country, places.c.state)
    ).all()
    several = (
        select(Signature.source, func.count())
        .where(*counted)
        .group_by(Signature.source)
        .having((func.count() >= FEWEST_TOGETHER) | (Signature.source == ""))
        .order_by(func.count().desc(), Signature.source)
        .limit(MOST_SOURCES)
    )
    sources: list[tuple[str | None, int]] = [(word, count) for word, count in session.execute(several)]
    code_of = {name: code for code, name in US_STATES.items()}
    countries: dict[str, int] = {}
    states: dict[str, int] = {}
    for country, state, count in by_place:
        countries[country] = countries.get(country, 0) + count
        if country == "US":
            states[code_of.get(state, "")] = count
    if rest := sum(countries.values()) - sum(count for _, count in sources):
        sources.append((None, rest))
    return Breakdown(_most_first(countries), _most_first(states), sources, now)


def _most_first(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
