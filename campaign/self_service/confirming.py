"""Confirming: a pending signature counts, and is listed, once its signer has shown that the mailbox is theirs.

They do so by the link in the message, which leads to a page with a button, or by the code in it. Opening the link
changes nothing, because mail scanners open every link.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from campaign.campaigns import stages
from campaign.models.campaign import Campaign
from campaign.models.signature import Signature, SignatureState
from campaign.self_service import mailbox_records, own_signature, tokens
from campaign.signatures import pseudonyms, tally
from campaign.signatures.signing import CONFIRMED
from campaign.statistics import roll_ups

LIFETIME = tokens.LIFETIME
"""How long a signature waits to be confirmed. Then it is deleted (`pending.py`)."""


class Outcome(StrEnum):
    """What came of an attempt to confirm."""

    CONFIRMED = "confirmed"
    ALREADY = "already"
    """It had been confirmed before, or needed no confirmation."""
    GONE = "gone"
    """There is no such signature anymore: it has expired, or was withdrawn or removed."""
    CHANGED = "changed"
    """Somebody has changed what is to be confirmed since the link was opened."""
    TOO_LATE = "too late"
    """The campaign has ended, and so has the time to confirm."""
    WRONG_CODE = "wrong code"
    """The code is wrong, or the mailbox has nothing to confirm: nobody is told which."""
    TOO_MANY_TRIES = "too many tries"


def why_not(campaign: Campaign, signature: Signature | None, now: datetime) -> Outcome | None:
    """Return why a signature can't be confirmed now; None if it can be."""
    if signature is None or signature.state in (SignatureState.REMOVED, SignatureState.WITHDRAWN):
        return Outcome.GONE
    if signature.state is SignatureState.PUBLIC:
        return Outcome.ALREADY
    if now >= signature.signed_at + LIFETIME:
        return Outcome.GONE
    return Outcome.TOO_LATE if now >= until(campaign, signature, now) else None


def until(campaign: Campaign, signature: Signature, now: datetime) -> datetime:
    """Return until when a pending signature can be confirmed."""
    end = stages.confirms_until(campaign, now)
    return min(end or datetime.max.replace(tzinfo=UTC), signature.signed_at + LIFETIME)


def confirm(
    session: Session, campaign: Campaign, signature_id: int, now: datetime, *, entry: str | None = None
) -> Outcome:
    """List and count a pending signature, in the caller's write transaction.

    If `entry` is given, the fingerprint of what the signer has seen, what is confirmed must still be the same.
    """
    # All transactions lock signatures first, then the statistics, then the tally, so that they can't deadlock.
    own = select(Signature).where(Signature.id == signature_id, Signature.campaign_id == campaign.id)
    # What the session has read before may be outdated.
    signature = session.scalar(own.with_for_update().execution_options(populate_existing=True))
    if reason := why_not(campaign, signature, now):
        return reason
    if entry is not None and signature and own_signature.entry(signature) != entry:
        return Outcome.CHANGED
    listed = update(Signature).where(Signature.id == signature_id)
    session.execute(listed.values(state=SignatureState.PUBLIC, listed_at=now))
    roll_ups.correct(session, campaign.id, [signature_id], [], now)
    tally.add(session.connection(), campaign.id, 1)
    return Outcome.CONFIRMED


def confirm_by_code(
    session: Session, campaign: Campaign, email_key: str, typed: str, now: datetime, secret: str
) -> Outcome:
    """Confirm the pending signature of a mailbox by the code in its message, in the caller's write transaction.

    For mailboxes that have never signed, the same statements run, and the outcome is that of a wrong code.

    Args:
        session: With the caller's write transaction.
        campaign: The campaign.
        email_key: The mailbox, from `signing.email_key`.
        typed: The code that somebody has entered.
        now: The current time.
        secret: The site's secret key.
    """
    mailbox = pseudonyms.of(secret, campaign.id, email_key)
    is_allowed = mailbox_records.count_try(session, campaign.id, mailbox, now)
    of_mailbox = Signature.campaign_id == campaign.id, Signature.email_key == email_key
    signature = session.scalar(select(Signature).where(*of_mailbox))
    if not is_allowed:
        return Outcome.TOO_MANY_TRIES
    right = own_signature.code(signature, secret) if signature else ""
    if not hmac.compare_digest(right.encode(), typed.encode()) or signature is None:
        return Outcome.WRONG_CODE
    # Otherwise, strangers could find out by wrong codes that somebody has entered a right one.
    mailbox_records.take_back_try(session, campaign.id, mailbox, now)
    return confirm(session, campaign, signature.id, now, entry=own_signature.entry(signature))


def renew(session: Session, signature_id: int, details: Mapping[str, Any], language: str, at: datetime) -> None:
    """Let a pending signature have what was typed later for its mailbox, at the time `at`, in a write transaction.

    The worker does this, when it sends the message that asks to confirm it. So the message, its link, and its code are
    about what was typed last, and signing does the same work as for a new mailbox.
    """
    own = select(Signature).where(Signature.id == signature_id, Signature.state == SignatureState.PENDING)
    signature = session.scalar(own.with_for_update().execution_options(populate_existing=True))
    if signature and signature.signed_at < at:
        for column in CONFIRMED:
            setattr(signature, column, details.get(column, getattr(signature, column)))
        signature.language, signature.signed_at = language, at
        session.flush()
