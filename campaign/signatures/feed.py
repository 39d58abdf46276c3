"""Public view of a campaign's signatures: the feed (count and newest signatories) and the full list, page by page.

Feeds and first pages are cached for a second, so a crowd costs one query per second. Only this module reads signatures
for the public; `models/signature.py` decides which parts of a signature are public. The site's views render the result.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, Row, Select, select, tuple_
from sqlalchemy.orm import Session

from campaign.languages.speaking import gettext
from campaign.models.signature import Signature, display_name, display_place
from campaign.monitoring import metrics
from campaign.signatures import tally
from campaign.storage import pagination, replica
from campaign.storage.database import db
from campaign.storage.single_flight import SingleFlightCache

RECENT = 10
"""The most signatories in the feed."""
PAGE = 50
"""The most signatories on a page of the full list."""
BUSY_SECONDS = 5
"""Seconds between the requests of an open tab while signatures arrive."""
QUIET_SECONDS = 15
"""Seconds between the requests of an open tab when no signature has arrived for QUIET_AFTER."""
QUIET_AFTER = timedelta(minutes=5)


@dataclass(frozen=True)
class Signatory:
    """The public part of a signature: what its signer agreed to publish."""

    id: int | None
    """None in the entry shown to signers right after signing (`own_entry`)."""
    name: str | None
    """None if the signer is anonymous."""
    place: str
    listed_at: datetime

    @property
    def shown_name(self) -> str:
        """The name, or "Anonymous" in the language of the page."""
        return self.name or gettext("Anonymous")


@dataclass(frozen=True)
class Feed:
    """A campaign's count and its newest signatories, newest first."""

    count: int
    recent: Sequence[Signatory]
    read_at: float
    """When the feed was read from the database, in seconds since 1970."""

    def interval(self, now: datetime) -> int:
        """Return the seconds until an open tab should poll again."""
        is_busy = self.recent and now - self.recent[0].listed_at < QUIET_AFTER
        return BUSY_SECONDS if is_busy else QUIET_SECONDS


@dataclass(frozen=True)
class Page:
    """One page of the full list of signatories, newest first."""

    signatories: Sequence[Signatory]
    next: str | None
    """Cursor of the next (older) page; None on the last page."""


_first_pages: SingleFlightCache[tuple[Engine, int], Page] = SingleFlightCache(most=256)
_feeds: SingleFlightCache[tuple[Engine, int], Feed] = SingleFlightCache(most=256)


def read(campaign_id: int, *, fresh: bool = False) -> Feed:
    """Return the campaign's feed, cached for up to a second; with `fresh`, read it from the database now."""

    def read_feed(session: Session) -> Feed:
        now = time.time()
        newest = session.execute(_listed(campaign_id).limit(RECENT)).all()
        return Feed(tally.count(session, campaign_id), [_signatory(row) for row in newest], now)

    feed = _feeds.get((db.engine, campaign_id), lambda: replica.read(read_feed, fresh=fresh), fresh=fresh)
    metrics.feed_used(time.time() - feed.read_at)
    return feed


def page(campaign_id: int, before: str | None = None) -> Page:
    """Return a page of signatories: the newest ones, or those older than the cursor `before`.

    Raises:
        ValueError: `before` is not a valid cursor.
    """
    # Read one row more than the page shows, to know whether there is a next page.
    listed = _listed(campaign_id).limit(PAGE + 1)
    if before is None:
        return _first_pages.get((db.engine, campaign_id), lambda: _page(listed))
    return _page(listed.where(tuple_(Signature.listed_at, Signature.id) < tuple_(*pagination.position(before))))


def _page(listed: Select[int, str, str, str, str, bool, datetime | None]) -> Page:
    rows = replica.read(lambda session: session.execute(listed).all())
    signatories = [_signatory(row) for row in rows[:PAGE]]
    return Page(
        signatories, pagination.after(signatories[-1].listed_at, rows[PAGE - 1].id) if len(rows) > PAGE else None
    )


def own_entry(name: str, city: str, region: str, country: str, anonymous: bool, now: datetime) -> Signatory:
    """Return the entry that signers see right after signing, made from their input."""
    return Signatory(None, display_name(name, anonymous), display_place(city, region, country, anonymous), now)


def entry_of(signature: Signature, now: datetime) -> Signatory:
    """Return the entry of a stored signature, as its signer sees it right after confirming."""
    s = signature
    return own_entry(s.name, s.city, s.region, s.country, s.anonymous, now)


def _listed(campaign_id: int) -> Select[int, str, str, str, str, bool, datetime | None]:
    s = Signature
    return (
        select(s.id, s.name, s.city, s.region, s.country, s.anonymous, s.listed_at)
        .where(s.campaign_id == campaign_id, s.listed_at.is_not(None))
        .order_by(s.listed_at.desc(), s.id.desc())
    )


def _signatory(row: Row[int, str, str, str, str, bool, datetime | None]) -> Signatory:
    signature_id, name, city, region, country, anonymous, listed_at = row
    assert listed_at is not None  # noqa: S101 (_listed selects only listed signatures)
    return Signatory(
        signature_id, display_name(name, anonymous), display_place(city, region, country, anonymous), listed_at
    )
