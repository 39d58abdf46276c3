"""What the crowd sees: the count and the recent signatories, read once a second however many look; and the whole list.

Views render it. What is shown of one signatory is decided in models.py, and here is the only place that reads
signatures for the public.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, Row, Select, select, tuple_
from sqlalchemy.orm import Session

from campaign import cursor, metrics, replica, tally
from campaign.extensions import db
from campaign.models import Signature, display_name, display_place
from campaign.once import Once

RECENT = 10
"""Signatories in the feed."""
PAGE = 50
"""Signatories on a page of the whole list."""
BUSY_SECONDS = 5
"""How long an open tab waits before it asks again, while signatures arrive."""
QUIET_SECONDS = 15
"""The same, when none has come for QUIET_AFTER."""
QUIET_AFTER = timedelta(minutes=5)


@dataclass(frozen=True)
class Signatory:
    """Of a signature, what its signer agreed to publish, and no more."""

    id: int | None
    """None for a signer's own entry, which is shown to them before the list is read again."""
    name: str
    place: str
    listed_at: datetime


@dataclass(frozen=True)
class Feed:
    """A campaign's count and its newest signatories, newest first."""

    count: int
    recent: Sequence[Signatory]
    read_at: float
    """In seconds since 1970."""

    def interval(self, now: datetime) -> int:
        """Seconds until an open tab should ask again."""
        busy = self.recent and now - self.recent[0].listed_at < QUIET_AFTER
        return BUSY_SECONDS if busy else QUIET_SECONDS


@dataclass(frozen=True)
class Page:
    """A page of all signatories, newest first."""

    signatories: Sequence[Signatory]
    next: str | None
    """The cursor of the page of older ones; None on the last page."""


_first_pages: Once[tuple[Engine, int], Page] = Once(most=256)
_feeds: Once[tuple[Engine, int], Feed] = Once(most=256)


def read(campaign_id: int, *, fresh: bool = False) -> Feed:
    """The campaign's feed, of this tick; `fresh`, as it is in the database at this moment."""

    def made(session: Session) -> Feed:
        now = time.time()
        newest = session.execute(_listed(campaign_id).limit(RECENT)).all()
        return Feed(tally.count(session, campaign_id), [_signatory(row) for row in newest], now)

    feed = _feeds.get((db.engine, campaign_id), lambda: replica.read(made, fresh=fresh), fresh=fresh)
    metrics.feed_used(time.time() - feed.read_at)
    return feed


def page(campaign_id: int, before: str | None = None) -> Page:
    """A page of all signatories: the newest, or those before the cursor that the page before gave.

    Raises:
        ValueError: `before` is no cursor.
    """
    # One more than is shown tells whether there is a next page.
    listed = _listed(campaign_id).limit(PAGE + 1)
    if before is None:
        return _first_pages.get((db.engine, campaign_id), lambda: _page(listed))
    return _page(listed.where(tuple_(Signature.listed_at, Signature.id) < tuple_(*cursor.position(before))))


def _page(listed: Select[int, str, str, str, str, bool, datetime | None]) -> Page:
    rows = replica.read(lambda session: session.execute(listed).all())
    signatories = [_signatory(row) for row in rows[:PAGE]]
    return Page(signatories, cursor.after(signatories[-1].listed_at, rows[PAGE - 1].id) if len(rows) > PAGE else None)


def own_entry(name: str, city: str, region: str, country: str, anonymous: bool, now: datetime) -> Signatory:
    """The entry that a signer sees at once, made of what they typed."""
    return Signatory(None, display_name(name, anonymous), display_place(city, region, country, anonymous), now)


def _listed(campaign_id: int) -> Select[int, str, str, str, str, bool, datetime | None]:
    s = Signature
    return (
        select(s.id, s.name, s.city, s.region, s.country, s.anonymous, s.listed_at)
        .where(s.campaign_id == campaign_id, s.listed_at.is_not(None))
        .order_by(s.listed_at.desc(), s.id.desc())
    )


def _signatory(row: Row[int, str, str, str, str, bool, datetime | None]) -> Signatory:
    signature_id, name, city, region, country, anonymous, listed_at = row
    assert listed_at is not None  # noqa: S101 (_listed asks for no others)
    return Signatory(
        signature_id, display_name(name, anonymous), display_place(city, region, country, anonymous), listed_at
    )
