"""Leases: each task belongs to one worker at a time, which renews its lease as long as it lives.

The clocks of several machines may differ by less than a lease lasts. If they differ by more, two workers may run the
same task, which costs time and does no harm (task.py).
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from campaign.models.lease import LEASE, Lease, latest_end
from campaign.storage.database import insert_into


def take(session: Session, tasks: Iterable[str], holder: str, now: datetime) -> set[str]:
    """Take or renew the leases of tasks, in the caller's write transaction.

    Returns:
        The tasks whose leases `holder` has now. Other workers have the others.
    """
    insert = insert_into(session.get_bind().dialect.name, Lease)
    free = or_(Lease.holder == holder, Lease.until <= now, Lease.until > latest_end(now))
    renewed = {"holder": insert.excluded.holder, "until": insert.excluded.until}
    insert = insert.on_conflict_do_update(index_elements=["task"], set_=renewed, where=free).returning(Lease.task)
    # All workers lock the rows in the same order, so that they can't deadlock.
    rows = [{"task": task, "holder": holder, "until": now + LEASE} for task in sorted(tasks)]
    return set(session.scalars(insert, rows)) if rows else set()


def give_back(session: Session, holder: str, now: datetime) -> None:
    """End all leases of a worker, in the caller's write transaction, so that another one can take them at once."""
    own = update(Lease).where(Lease.holder == holder, Lease.until > now).values(until=now)
    session.execute(own, execution_options={"synchronize_session": False})
