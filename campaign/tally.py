"""Where a campaign's signatures are counted: the tally, and the proof that it is right.

signing.py adds to it, feed.py reads it, `flask campaigns check` proves and repairs it.

A campaign's count is the sum over its slots. A signature adds to one slot chosen at random, in the transaction that
stores it, so that the count is exact at every commit and a crowd does not queue for one row.
"""

import random
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Connection, Insert, case, func, select, update
from sqlalchemy.orm import Session

from campaign.extensions import insert_into
from campaign.models import Campaign, Signature, SignatureState, Tally

SLOTS = 16
"""Rows to spread a crowd over; more than the transactions a machine commits at once, few enough to sum in no time."""


def add(connection: Connection, campaign_id: int, signatures: int) -> None:
    """Add `signatures` to the count, in the caller's transaction; below 0, take them off. 0 costs what 1 costs."""
    slot = random.randrange(SLOTS)  # noqa: S311 (no secret hangs on it)
    row = {"campaign_id": campaign_id, "slot": slot, "count": signatures}
    connection.execute(_add_to_slot(connection.dialect.name), row)


# Statements that don't change are made once; a signature would take a tenth longer.
@cache
def _add_to_slot(dialect: str) -> Insert:
    insert = insert_into(dialect, Tally)
    statement: Insert = insert.on_conflict_do_update(
        index_elements=["campaign_id", "slot"], set_={"count": Tally.count + insert.excluded.count}
    )
    return statement


def touch(connection: Connection) -> None:
    """Write without changing anything, to find out whether a signature could be stored."""
    campaign_id = connection.scalar(select(func.min(Campaign.id)))
    if campaign_id is not None:
        add(connection, campaign_id, 0)


def count(session: Session, campaign_id: int) -> int:
    """Signatures counted for the campaign, without touching a signature."""
    return int(session.scalar(select(func.sum(Tally.count)).where(Tally.campaign_id == campaign_id)) or 0)


@dataclass(frozen=True)
class Check:
    """What the tally says beside what there is."""

    tallied: int
    stored: int

    @property
    def right(self) -> bool:
        """Whether the two agree."""
        return self.tallied == self.stored


def check(session: Session, campaign_id: int) -> Check:
    """Count the signatures themselves and compare; reads them all, and the tally of the same moment."""
    tallied = select(func.sum(Tally.count)).where(Tally.campaign_id == campaign_id)
    stored = select(func.count()).where(Signature.campaign_id == campaign_id, Signature.state == SignatureState.PUBLIC)
    found = session.execute(select(tallied.scalar_subquery(), stored.scalar_subquery())).one()
    return Check(tallied=int(found[0] or 0), stored=found[1])


def repair(session: Session, campaign_id: int) -> Check:
    """Set the tally to what is stored, in the caller's write transaction; give back what was found."""
    of_campaign = Tally.campaign_id == campaign_id
    lock(session, campaign_id)
    found = check(session, campaign_id)
    session.execute(update(Tally).where(of_campaign).values(count=case((Tally.slot == 0, found.stored), else_=0)))
    return found


def lock(session: Session, campaign_id: int) -> None:
    """Let signatures that are being stored wait for the end of the caller's write transaction, to add themselves then.

    Every slot is locked, those too that are not there yet.
    """
    rows = [{"campaign_id": campaign_id, "slot": slot, "count": 0} for slot in range(SLOTS)]
    session.execute(_add_to_slot(session.connection().dialect.name), rows)
