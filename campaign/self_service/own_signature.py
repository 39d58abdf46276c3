"""A signer's own signature: find it by a token, correct it, and withdraw it."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import and_, delete, select, update
from sqlalchemy.orm import Session

from campaign.accounts import audit_log
from campaign.models.message import HAS_MAILBOX, Message, MessageState
from campaign.models.signature import (
    RELEASED,
    Signature,
    SignatureState,
    Standing,
    mailbox,
    removed_ones,
    standing,
)
from campaign.self_service import mailbox_records, tokens
from campaign.self_service.tokens import Claim, Purpose
from campaign.signatures import pseudonyms, tally
from campaign.signatures.signing import CONFIRMED
from campaign.statistics import roll_ups


def find(session: Session, campaign_id: int, claim: Claim, secret: str) -> Signature | None:
    """Return the signature that a token is for, or None if it was deleted. It may be withdrawn."""
    own = select(Signature).where(Signature.id == claim.signature_id, Signature.campaign_id == campaign_id)
    signature = session.scalar(own)
    if signature is None or signature.state is SignatureState.WITHDRAWN:
        return signature
    # SQLite uses the id of a deleted signature again.
    return signature if pseudonym(signature, secret) == claim.mailbox else None


def pseudonym(signature: Signature, secret: str) -> str:
    """Return the pseudonym of a signature's mailbox."""
    return pseudonyms.of(secret, signature.campaign_id, mailbox(signature.email_key))


def entry(signature: Signature) -> str:
    """Return a fingerprint of what a signer confirms.

    It changes if somebody else signs with the mailbox and different data meanwhile. So nobody confirms what they
    haven't seen.
    """
    return sha256(repr([getattr(signature, column) for column in CONFIRMED]).encode()).hexdigest()[:16]


def claim_of(signature: Signature, secret: str) -> Claim:
    """Return what tokens for a signature that isn't withdrawn say now."""
    return Claim(signature.id, pseudonym(signature, secret), entry(signature))


def token(signature: Signature, purpose: Purpose, secret: str) -> str:
    """Return a token for a signature that isn't withdrawn."""
    return tokens.make(secret, purpose, signature.campaign_id, claim_of(signature, secret))


def code(signature: Signature, secret: str) -> str:
    """Return the code that confirms a signature."""
    return tokens.code(secret, signature.campaign_id, claim_of(signature, secret))


def standing_of(signature: Signature) -> Standing:
    """Return a signature's state as organizers see it."""
    return standing(signature.state, signature.listed_at, signature.email_key)


def correct(session: Session, signature_id: int, values: Mapping[str, Any], now: datetime) -> bool:
    """Change what a signer may change, in the caller's write transaction. Return whether anything changed.

    The audit log gets the names of the columns, not the values.

    Args:
        session: With the caller's write transaction.
        signature_id: A signature that is pending or counts. Others stay as they are.
        values: New values of columns in CONFIRMED, valid and clean. Signers can't change their email address: they
            sign again with another one.
        now: The current time.
    """
    signature = _locked(session, signature_id)
    if signature is None or signature.state not in (SignatureState.PENDING, SignatureState.PUBLIC):
        return False
    changed = [column for column in CONFIRMED if column in values and values[column] != getattr(signature, column)]
    if not changed:
        return False
    counted = [signature_id] if signature.state is SignatureState.PUBLIC else []
    # The statistics group by place: take the signature out, and count it again where it is now.
    roll_ups.correct(session, signature.campaign_id, [], counted, now)
    for column in changed:
        setattr(signature, column, values[column])
    session.flush()
    roll_ups.correct(session, signature.campaign_id, counted, [], now)
    what = {"corrected": [signature_id], "fields": changed}
    audit_log.write(session, audit_log.SIGNER, "signature.correct", now, campaign_id=signature.campaign_id, after=what)
    return True


def can_withdraw(signature: Signature) -> bool:
    """Return whether a signer can withdraw a signature.

    A blocked signature can't be withdrawn, because its signer could then sign again.
    """
    return standing_of(signature) not in (Standing.WITHDRAWN, Standing.BLOCKED)


def withdraw(session: Session, signature_id: int, now: datetime, secret: str, *, stop_mail: bool = False) -> bool:
    """Withdraw a signature and all others of its mailbox, in the caller's write transaction.

    A signature that was never confirmed is deleted. Of others, a row remains that says only that a signature of the
    campaign was withdrawn, and when. The mailbox can sign again. The others are those that organizers have removed, and
    one with which the mailbox has signed again since.

    Args:
        session: With the caller's write transaction.
        signature_id: The signature.
        now: The current time.
        secret: The site's secret key.
        stop_mail: Whether to send no more mail about the campaign to the mailbox, because its owner never signed.

    Returns:
        Whether that was possible.
    """
    signature = session.get(Signature, signature_id)
    if signature is None or signature.state is SignatureState.WITHDRAWN:
        return False
    own_mailbox, campaign_id = pseudonym(signature, secret), signature.campaign_id
    if stop_mail:
        # Before the signature is locked, as in `confirming.confirm_by_code`, so that both can't deadlock.
        mailbox_records.stop_mail(session, campaign_id, own_mailbox, now)
    of_mailbox = Signature.campaign_id == campaign_id, Signature.email_key == mailbox(signature.email_key)
    claiming = session.scalars(select(Signature.id).where(*of_mailbox)).all()
    removed = removed_ones(session, campaign_id, mailbox(signature.email_key))
    locked = [_locked(session, id_) for id_ in sorted({signature_id, *claiming, *removed})]
    own = [each for each in locked if each and can_withdraw(each)]
    if signature_id not in [each.id for each in own]:
        return False
    _forget_messages(session, own_mailbox)
    for each in own:
        _erase(session, each, now)
    return True


def _erase(session: Session, signature: Signature, now: datetime) -> None:
    """Withdraw a signature that the transaction has locked."""
    signature_id, campaign_id = signature.id, signature.campaign_id
    if signature.state is SignatureState.PENDING:
        session.execute(delete(Signature).where(Signature.id == signature_id))
        roll_ups.move_back(session)
        return
    before = {standing_of(signature).value: [signature_id]}
    if signature.state is SignatureState.PUBLIC:
        roll_ups.correct(session, campaign_id, [], [signature_id], now)
        tally.add(session.connection(), campaign_id, -1)
    erased = dict.fromkeys(("name", "email", "country", "region", "city", "postal_code", "source", "language"), "")
    values = erased | {"anonymous": False, "wants_updates": False, "email_key": f"{RELEASED}{signature_id}"}
    values |= {"state": SignatureState.WITHDRAWN, "signed_at": now, "listed_at": None}
    session.execute(update(Signature).where(Signature.id == signature_id).values(values))
    after = {Standing.WITHDRAWN.value: [signature_id]}
    audit_log.write(
        session,
        audit_log.SIGNER,
        "signature.withdraw",
        now,
        campaign_id=campaign_id,
        before=before,
        after=after,
    )


def _locked(session: Session, signature_id: int) -> Signature | None:
    own = select(Signature).where(Signature.id == signature_id).with_for_update()
    return session.scalar(own.execution_options(populate_existing=True))


def _forget_messages(session: Session, own_mailbox: str) -> None:
    """Delete the messages to a mailbox that were tried in vain, and the address of those that were sent.

    Those stay, because they limit how many more it gets. Messages that no worker has leased yet aren't found here. Once
    one does, it finds nothing to say to the mailbox, and deletes the address.
    """
    of_mailbox = and_(HAS_MAILBOX, Message.mailbox == own_mailbox)
    failed = Message.state.in_((MessageState.WAITING, MessageState.REFUSED, MessageState.EXPIRED))
    session.execute(delete(Message).where(of_mailbox, failed))
    sent = of_mailbox, Message.state == MessageState.SENT, Message.recipient != ""
    session.execute(update(Message).where(*sent).values(recipient="", answer=""))
