"""The tally: a sharded counter of each campaign's signatures.

Each campaign has several counters, its slots, and its count is their sum. The transaction that stores a signature also
adds 1 to a random slot. So the count is exact at every commit, and a crowd doesn't queue for a lock on one row.

signing.py adds to the tally, and feed.py reads it. `flask campaigns check` compares it with the stored signatures and
can repair it.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Connection, Insert, func, select
from sqlalchemy.orm import Session

from campaign.models.campaign import Campaign
from campaign.models.signature import Signature, SignatureState, Tally
from campaign.signatures import equal_work
from campaign.storage.database import insert_into

SLOTS = 16
"""Slots per campaign: more than a machine commits at once, few enough to sum quickly."""


def add(connection: Connection, campaign_id: int, signatures: int) -> None:
    """Add `signatures` (can be negative) to the count, in the caller's transaction. Adding 0 costs as much as 1."""
    slot = random.randrange(SLOTS)  # noqa: S311 (not used for security)
    row = {"campaign_id": campaign_id, "slot": slot, "count": signatures}
    connection.execute(_add_to_slot(connection.dialect.name), row)


def add_batch(connection: Connection, new: Mapping[int, int], duplicates: int, mailboxes: Sequence[int] = ()) -> None:
    """Count a batch of signatures, and do equal work for its duplicates (see equal_work.py).

    The same statements run, no matter which signatures of the batch are duplicates.

    Args:
        connection: A connection in the caller's write transaction.
        new: The number of new signatures by campaign id; 0 for a campaign with duplicates only.
        duplicates: The number of duplicates in all campaigns.
        mailboxes: The slots of the mailboxes of the batch (`equal_work.slot_of`).
    """
    if connection.dialect.name == "sqlite":
        for campaign_id, signatures in new.items():
            add(connection, campaign_id, signatures)
        equal_work.rewrite_on_sqlite(connection, duplicates, list(mailboxes))
        return
    # Lock scratch rows last, always after tally slots, so that two batches can't deadlock.
    *others, last = new
    for campaign_id in others:
        add(connection, campaign_id, new[campaign_id])
    first, last_row = equal_work.rows(duplicates)
    row = {"campaign_id": last, "slot": random.randrange(SLOTS), "count": new[last]}  # noqa: S311
    connection.execute(_add_and_rewrite(), row | {"first": first, "last": last_row, "mailboxes": list(mailboxes)})


@cache
def _add_and_rewrite() -> Insert:
    rewrite = equal_work.ON_POSTGRESQL.columns().cte("rewrite")
    return _add_to_slot("postgresql").add_cte(rewrite)


# Cached: building the statement each time would make a signature take a tenth longer.
@cache
def _add_to_slot(dialect: str) -> Insert:
    insert = insert_into(dialect, Tally)
    statement: Insert = insert.on_conflict_do_update(
        index_elements=["campaign_id", "slot"], set_={"count": Tally.count + insert.excluded.count}
    )
    return statement


def touch(connection: Connection) -> None:
    """Write to the tally without changing any count, to check that signatures can be stored."""
    campaign_id = connection.scalar(select(func.min(Campaign.id)))
    if campaign_id is not None:
        add_batch(connection, {campaign_id: 0}, duplicates=1)


def count(session: Session, campaign_id: int) -> int:
    """Return the campaign's count from the tally, without reading signatures."""
    return int(session.scalar(select(func.sum(Tally.count)).where(Tally.campaign_id == campaign_id)) or 0)


@dataclass(frozen=True)
class Check:
    """The tally compared with the signatures that are stored."""

    tallied: int
    stored: int

    @property
    def is_correct(self) -> bool:
        """Whether the tally equals the number of stored signatures."""
        return self.tallied == self.stored


def check(session: Session, campaign_id: int) -> Check:
    """Compare the tally with the stored signatures, in one query. This reads every signature of the campaign."""
    tallied = select(func.sum(Tally.count)).where(Tally.campaign_id == campaign_id)
    stored = select(func.count()).where(Signature.campaign_id == campaign_id, Signature.state == SignatureState.PUBLIC)
    found = session.execute(select(tallied.scalar_subquery(), stored.scalar_subquery())).one()
    return Check(tallied=int(found[0] or 0), stored=found[1])


def repair(session: Session, campaign_id: int, found: Check) -> None:
    """Correct the count by the difference that a check has found, in the caller's transaction.

    Signatures that are added or changed after the check change the count and the stored signatures alike. So the
    difference stays the same. It must not be added twice.
    """
    add(session.connection(), campaign_id, found.stored - found.tallied)


def lock(session: Session, campaign_id: int) -> None:
    """Lock the campaign's count until the caller's write transaction ends; new signatures wait for it.

    This locks every slot. Missing slots are created first.
    """
    rows = [{"campaign_id": campaign_id, "slot": slot, "count": 0} for slot in range(SLOTS)]
    session.execute(_add_to_slot(session.connection().dialect.name), rows)
