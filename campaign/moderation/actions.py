"""Hide, remove, and restore signatures, and undo such changes. Every change has a reason and is in the audit log.

A hidden signature is counted but not listed; a removed signature is neither. A removed signature releases its mailbox,
so that the owner of the email address can sign, unless the mailbox is blocked (mailboxes.py). If the mailbox has signed
again since, the removed signature can't be restored. Withdrawn and pending signatures are never changed. Only this
module, by changes.py, and signing change the state of a signature.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from campaign.accounts.audit_log import Actor
from campaign.models.audit_log import Record
from campaign.models.signature import Standing
from campaign.moderation import changes
from campaign.moderation import table as signature_table
from campaign.moderation.changes import NOT_COUNTED, Done, by_id
from campaign.moderation.table import Filter
from campaign.storage.database import STORAGE_ERRORS, db
from campaign.storage.transactions import write_transaction

BATCH = 1000
"""Signatures changed in one transaction. Between two batches, waiting signers get their turn."""
MOST = 50_000
"""The most signatures that one request changes, so that it ends before the proxy's timeout."""


class Action(StrEnum):
    """A moderation action."""

    HIDE = "hide"
    REMOVE = "remove"
    """Remove signatures. Their mailboxes can sign again."""
    BLOCK = "block"
    """Remove signatures, and don't accept another signature from their mailboxes."""
    RESTORE = "restore"


_BECOMES = {
    Action.HIDE: Standing.HIDDEN,
    Action.REMOVE: Standing.REMOVED,
    Action.BLOCK: Standing.BLOCKED,
    Action.RESTORE: Standing.LISTED,
}
_FROM = {
    Action.HIDE: {Standing.LISTED},
    Action.REMOVE: {Standing.LISTED, Standing.HIDDEN},
    Action.BLOCK: {Standing.LISTED, Standing.HIDDEN, Standing.REMOVED},
    Action.RESTORE: {Standing.HIDDEN, Standing.REMOVED, Standing.BLOCKED},
}


class NoReasonError(Exception):
    """The reason is empty."""


class NotAllowedError(Exception):
    """The caller may not remove signatures or restore removed ones."""


class NoSuchEntryError(Exception):
    """The audit log has no such change to this campaign's signatures."""


def act(
    session: Session,
    by: Actor,
    campaign_id: int,
    action: Action,
    ids: Collection[int],
    reason: str,
    now: datetime,
    *,
    may_remove: bool,
) -> Done:
    """Apply an action to these signatures of the campaign, in the caller's write transaction, and record it.

    The audit log gets the ids of the changed signatures and their previous states. Signatures that the action doesn't
    change are counted in `left`, and not recorded.

    Args:
        may_remove: Whether the caller may remove signatures. Only then are removed signatures restored.

    Raises:
        NoReasonError: The reason is empty.
        NotAllowedError: The action removes signatures, and the caller may not.
    """
    _check(action, reason, may_remove)
    allowed = _FROM[action] - (set() if may_remove else NOT_COUNTED)
    before = {
        id_: found for id_, found in changes.locked(session, campaign_id, ids).items() if found.standing in allowed
    }
    after = dict.fromkeys(before, _BECOMES[action])
    done = changes.change(session, by, campaign_id, f"signature.{action}", before, after, reason, now)
    return done + Done(0, len(set(ids)) - len(before), ())


def act_on_all(
    by: Actor, campaign_id: int, action: Action, wanted: Filter, reason: str, now: datetime, *, may_remove: bool
) -> Done:
    """Apply an action to all matching signatures of the campaign, newest first, until MOST are changed.

    Each batch of BATCH signatures has its own transaction and its own audit log entry. If a batch can't be stored, stop
    and keep the batches before it.

    Raises:
        NoReasonError, NotAllowedError: As in `act`; nothing is changed.
        STORAGE_ERRORS: The first batch could not be stored; nothing is changed.
    """
    _check(action, reason, may_remove)
    done, before = Done(0, 0, ()), None
    try:
        while done.changed < MOST:
            # Search outside the write transaction: it takes longer than the change, and signers would wait for it.
            size = min(BATCH, MOST - done.changed)
            page = signature_table.page(db.session(), campaign_id, wanted, before, size=size)
            ids = [entry.id for entry in page.entries if entry.standing in _FROM[action]]
            if ids:
                with write_transaction() as session:
                    batch = act(session, by, campaign_id, action, ids, reason, now, may_remove=may_remove)
                done += batch
            done += Done(0, len(page.entries) - len(ids), (), missed=page.missed)
            before = page.next
            if before is None:
                break
    except STORAGE_ERRORS as error:
        done = _ended(done, error)
    return done


def _ended(done: Done, error: Exception) -> Done:
    if not done.changed:
        raise error
    return replace(done, fault=error)


def undo(session: Session, by: Actor, campaign_id: int, entry_id: int, now: datetime, *, may_remove: bool) -> Done:
    """Undo the change of an audit log entry, in the caller's write transaction, and record that as well.

    Signatures that were changed again since then are left unchanged, and so are those whose mailbox has signed again.

    Raises:
        NoSuchEntryError: There is no such change to this campaign's signatures.
        NotAllowedError: The change concerns removed signatures, and the caller may not remove or restore those.
    """
    entry = session.get(Record, entry_id)
    if entry is None or entry.campaign_id != campaign_id or not can_undo(entry, may_remove=True):
        raise NoSuchEntryError
    if not can_undo(entry, may_remove=may_remove):
        raise NotAllowedError
    was, became = by_id(entry.before), by_id(entry.after)
    locked = changes.locked(session, campaign_id, was)
    before = {id_: found for id_, found in locked.items() if found.standing is became[id_]}
    after = {id_: was[id_] for id_ in before}
    done = changes.change(session, by, campaign_id, "signature.undo", before, after, entry.reason, now, undoes=entry.id)
    return done + Done(0, len(was) - len(before), ())


def can_undo(entry: Record, *, may_remove: bool) -> bool:
    """Return whether an audit log entry is a change to signatures that the caller may undo."""
    changed = entry.action.startswith("signature.") and bool(entry.before)
    return changed and (may_remove or NOT_COUNTED.isdisjoint({*entry.before, *entry.after}))


def undo_all(by: Actor, campaign_id: int, entry_ids: Collection[int], now: datetime, *, may_remove: bool) -> Done:
    """Undo several audit log entries, the latest first, each in its own transaction.

    If an entry can't be undone because of a storage error, stop and keep the entries undone before it.

    Raises:
        NoSuchEntryError, NotAllowedError: As in `undo`.
        STORAGE_ERRORS: The first entry could not be undone; nothing is changed.
    """
    done = Done(0, 0, ())
    try:
        for entry_id in sorted(set(entry_ids), reverse=True):
            with write_transaction() as session:
                undone = undo(session, by, campaign_id, entry_id, now, may_remove=may_remove)
            done += undone
    except STORAGE_ERRORS as error:
        done = _ended(done, error)
    return done


def _check(action: Action, reason: str, may_remove: bool) -> None:
    if not reason.strip():
        raise NoReasonError
    if _BECOMES[action] in NOT_COUNTED and not may_remove:
        raise NotAllowedError
