"""Reminders: one message to signers who haven't confirmed, if the campaign's organizers want that."""

from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from campaign.mail import outbox
from campaign.models.campaign import Campaign
from campaign.models.message import Queue
from campaign.models.signature import IS_PENDING, Signature
from campaign.self_service import confirming

AFTER = timedelta(days=2)
"""How long after signing a signer is reminded."""
PIECE = 200
"""How many reminders are stored in one transaction, for which signers may wait on SQLite."""


def due(session: Session, now: datetime) -> list[int]:
    """Return the ids of the campaigns that have reminders to send."""
    not_reminded = or_(Campaign.reminded_to.is_(None), Signature.signed_at > Campaign.reminded_to)
    oldest = select(func.min(Signature.signed_at)).where(
        Signature.campaign_id == Campaign.id,
        IS_PENDING,
        Signature.signed_at > now - confirming.LIFETIME,
        not_reminded,
    )
    wanted = select(Campaign.id).where(Campaign.remind, oldest.scalar_subquery() <= now - AFTER)
    return list(session.scalars(wanted))


def add_piece(session: Session, campaign_id: int, now: datetime) -> bool:
    """Store the next reminders of a campaign, in the caller's write transaction. Return whether there may be more.

    Each signer gets one: the campaign's `reminded_to` says who was reminded already.
    """
    campaign = session.get_one(Campaign, campaign_id, with_for_update={"key_share": True})
    since = max(now - confirming.LIFETIME, campaign.reminded_to or now - confirming.LIFETIME)
    wanted = select(Signature).where(
        Signature.campaign_id == campaign_id,
        IS_PENDING,
        Signature.signed_at > since,
        Signature.signed_at <= now - AFTER,
    )
    wanted = wanted.order_by(Signature.signed_at)
    last = session.scalars(wanted.offset(PIECE - 1).limit(1)).first()
    # Those who signed at the same moment as the last one, too.
    found = session.scalars(wanted.where(Signature.signed_at <= last.signed_at) if last else wanted).all()
    for signature in found:
        outbox.add(
            session,
            Queue.REMINDER,
            signature.email,
            signature.language or campaign.language,
            now,
            campaign_id=campaign_id,
        )
    # A worker that was suspended after it read the time must not move `reminded_to` back.
    campaign.reminded_to = last.signed_at if last else max(since, now - AFTER)
    return last is not None
