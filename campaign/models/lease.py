"""The table of leases: which background worker runs which task, and until when."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from campaign.models.columns import UtcDateTime
from campaign.storage.database import Base

LEASE = timedelta(seconds=60)
"""How long a lease lasts. If a worker dies, its tasks wait this long for another worker. The clocks of several machines
may differ by this much, too."""


class Lease(Base):
    """A background worker's right to run a task. It ends unless the worker renews it, so a dead worker loses it."""

    __tablename__ = "lease"

    task: Mapped[str] = mapped_column(String(40), primary_key=True)
    """The name of the task."""
    holder: Mapped[str] = mapped_column(String(32))
    """The random name of the worker process."""
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the lease ends. It is in the past if the worker has died, or has given the lease back."""


def latest_end(now: datetime) -> datetime:
    """Return when a lease may end at the latest. One that ends later was taken while a clock was wrong."""
    return now + 2 * LEASE


def worker_seen_at(session: Session, now: datetime) -> datetime | None:
    """Return about when a worker last renewed its leases, or None if no worker has ever run.

    A running worker renews its leases every LEASE / 3.
    """
    # The function max() would return SQLite's text.
    until = session.scalar(select(Lease.until).where(_is_plausible(now)).order_by(Lease.until.desc()).limit(1))
    return until - LEASE if until else None


def is_worker_running(session: Session, now: datetime) -> bool:
    """Return whether a background worker runs. For a minute after a worker was killed, this returns True."""
    return session.scalar(select(Lease.task).where(Lease.until > now, _is_plausible(now)).limit(1)) is not None


def _is_plausible(now: datetime) -> ColumnElement[bool]:
    return Lease.until <= latest_end(now)
