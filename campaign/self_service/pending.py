"""Signatures that wait to be confirmed: how many there are, and the deletion of those that nobody confirmed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from campaign.models.campaign import Campaign
from campaign.models.signature import IS_PENDING, Signature
from campaign.self_service import confirming
from campaign.statistics import roll_ups

MOST_DELETED = 500
"""The most signatures that are deleted in one transaction, for which signers may wait on SQLite."""
MOST_COUNTED = 10_000
"""The highest number that is counted exactly."""


@dataclass(frozen=True)
class Waiting:
    """How many signatures wait: exactly `number`, or more than that."""

    number: int
    exact: bool


def waiting(session: Session, campaign_id: int) -> Waiting:
    """Return how many signatures of a campaign wait to be confirmed, after a bounded look."""
    some = select(Signature.id).where(Signature.campaign_id == campaign_id, IS_PENDING).limit(MOST_COUNTED + 1)
    number = session.scalar(select(func.count()).select_from(some.subquery())) or 0
    return Waiting(min(number, MOST_COUNTED), number <= MOST_COUNTED)


def expired(session: Session, now: datetime) -> list[int]:
    """Return the ids of some signatures that were not confirmed in time, MOST_DELETED at most."""
    limit, found = now - confirming.LIFETIME, list[int]()
    # By campaign, as the index is. It has pending signatures only, so this reads no others.
    oldest = select(func.min(Signature.signed_at)).where(Signature.campaign_id == Campaign.id, IS_PENDING)
    for campaign_id in session.scalars(select(Campaign.id).where(oldest.scalar_subquery() < limit)).all():
        old = select(Signature.id).where(Signature.campaign_id == campaign_id, IS_PENDING, Signature.signed_at < limit)
        found += session.scalars(old.order_by(Signature.signed_at).limit(MOST_DELETED - len(found)))
    return found


def delete_unconfirmed(session: Session, ids: list[int], now: datetime) -> None:
    """Delete signatures from `expired`, in the caller's write transaction. Some may have been confirmed since."""
    is_expired = IS_PENDING, Signature.signed_at < now - confirming.LIFETIME
    # All transactions lock rows in the same order, so that they can't deadlock.
    locked = select(Signature.id).where(Signature.id.in_(ids), *is_expired).order_by(Signature.id).with_for_update()
    session.execute(delete(Signature).where(Signature.id.in_(session.scalars(locked).all())))
    roll_ups.move_back(session)
