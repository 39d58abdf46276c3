"""Mailboxes of removed signatures: released, claimed again, or blocked.

A removed signature releases its mailbox, so that the owner of the email address can sign. If an organizer blocks the
mailbox instead, the removed signature keeps it, and attempts to sign with it are counted. `models/signature.py`
explains how a signature claims a mailbox, and `signatures/equal_work.py` counts the attempts.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Text, bindparam, cast, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from campaign.models.signature import IS_PENDING, RELEASED, Signature, SignatureState, mailbox
from campaign.signatures.equal_work import FILLER, scratch, slot_of
from campaign.statistics import roll_ups


def released() -> ColumnElement[str]:
    """Return the new `email_key` of a signature that releases its mailbox. Only for signatures that claim it."""
    return Signature.email_key + RELEASED + cast(Signature.id, Text)


def claim(session: Session, campaign_id: int, keys: Mapping[int, str]) -> set[int]:
    """Let signatures claim their mailboxes again, in the caller's write transaction.

    Args:
        session: A session in a write transaction, which has locked the signatures.
        campaign_id: The campaign's id.
        keys: The `email_key` of each signature by its id.

    Returns:
        The ids of the signatures whose mailbox has signed again since. They stay as they are. Of several signatures
        from one mailbox, this includes all except the newest.
    """
    newest = {mailbox(key): id_ for id_, key in sorted(keys.items())}
    # What nobody has confirmed doesn't keep organizers from restoring or blocking.
    pending = Signature.campaign_id == campaign_id, Signature.email_key.in_(newest), IS_PENDING
    if session.scalars(select(Signature.id).where(*pending).order_by(Signature.id).with_for_update()).all():
        session.execute(delete(Signature).where(*pending))
        roll_ups.move_back(session)
    while True:
        taken = signed_again(session, campaign_id, newest)
        # One at a time and in the order in which signing stores them, so that both can't deadlock.
        rows = [{"of": newest[key], "key": key} for key in sorted(newest.keys() - taken)]
        try:
            with session.begin_nested():
                if rows:
                    session.connection().execute(_CLAIM, rows)
        except IntegrityError:
            # On PostgreSQL, somebody has signed with one of the mailboxes just now. So look again.
            continue
        return keys.keys() - {row["of"] for row in rows}


_CLAIM = update(Signature).where(Signature.id == bindparam("of")).values(email_key=bindparam("key"))


def signed_again(
    session: Session, campaign_id: int, mailboxes: Collection[str], *, pending_too: bool = True
) -> set[str]:
    """Return those of the mailboxes that a signature of the campaign claims, with or without pending ones."""
    if not mailboxes:
        return set()
    claimed = select(Signature.email_key).where(Signature.campaign_id == campaign_id)
    if not pending_too:
        claimed = claimed.where(Signature.state != SignatureState.PENDING)
    return set(session.scalars(claimed.where(Signature.email_key.in_(mailboxes))))


@dataclass(frozen=True)
class Attempts:
    """Attempts to sign with a blocked mailbox."""

    number: int
    last: datetime | None
    """When the last attempt was; None if there was none."""


def block(session: Session, campaign_id: int, mailboxes: Collection[str]) -> None:
    """Begin to count attempts to sign with these mailboxes, in the caller's write transaction."""
    unblock(session, campaign_id, mailboxes)
    values = FILLER | {"attempts": 0, "signed_at": _NEVER, "listed_at": _NEVER}
    if rows := [values | {"slot": slot} for slot in _slots(campaign_id, mailboxes)]:
        session.connection().execute(insert(scratch), rows)


def unblock(session: Session, campaign_id: int, mailboxes: Collection[str]) -> None:
    """Stop counting attempts to sign with these mailboxes, and forget them, in the caller's write transaction."""
    if rows := [{"of": slot} for slot in _slots(campaign_id, mailboxes)]:
        session.connection().execute(delete(scratch).where(scratch.c.slot == bindparam("of")), rows)


def attempts(session: Session, campaign_id: int, mailboxes: Collection[str]) -> dict[str, Attempts]:
    """Return the attempts to sign with these blocked mailboxes, by mailbox."""
    by_slot = {slot_of(campaign_id, each): each for each in mailboxes}
    if not by_slot:
        return {}
    rows = session.execute(
        select(scratch.c.slot, scratch.c.attempts, scratch.c.signed_at).where(scratch.c.slot.in_(by_slot))
    )
    return {by_slot[slot]: Attempts(number, last if number else None) for slot, number, last in rows}


_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def _slots(campaign_id: int, mailboxes: Collection[str]) -> list[int]:
    """Return the slots in the order in which signing locks them, so that both can't deadlock."""
    return sorted(slot_of(campaign_id, each) for each in mailboxes)
