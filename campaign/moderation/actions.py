"""Hide, remove, and restore signatures. Every change has a reason, is in the audit log, and can be undone (undo.py).

A hidden signature is counted but not listed; a removed signature is neither. A removed signature releases its mailbox,
so that the owner of the email address can sign, unless the mailbox is blocked (mailboxes.py). If the mailbox has signed
again since, the removed signature can't be restored. Withdrawn and pending signatures are never changed. Only this
module, by changes.py, and signing change the state of a signature.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from campaign.accounts.audit_log import Actor
from campaign.models.signature import Standing
from campaign.moderation import changes
from campaign.moderation import table as signature_table
from campaign.moderation.changes import NOT_COUNTED, Done
from campaign.moderation.table import Filter
from campaign.storage.database import STORAGE_ERRORS, db
from campaign.storage.transactions import write_transaction

BATCH = 1000
"""Signatures changed in one transaction. Between two batches, waiting signers get their turn."""
MOST = 50_000
"""The most signatures that one request changes, so that it ends before the proxy's timeout."""
MOST_PAGES = 100
"""The most pages of BATCH matching signatures that one request looks at, for the same reason.

Each page adds at most one audit log entry, and a form must have room for all of them to be undone: it has at most 200
fields (MOST_FIELDS in web/limits/body_limits.py), among them fifty checkboxes."""
ASK_ABOVE = 25
"""The most matching signatures that are changed together without a question."""


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
    allowed = _allowed(action, may_remove)
    before = {
        id_: found for id_, found in changes.locked(session, campaign_id, ids).items() if found.standing in allowed
    }
    after = dict.fromkeys(before, _BECOMES[action])
    done = changes.change(session, by, campaign_id, f"signature.{action}", before, after, reason, now)
    return done + Done(0, len(set(ids)) - len(before), ())


@dataclass(frozen=True)
class Matching:
    """The signatures that an action on all matching signatures would change, as far as they are counted."""

    ids: Sequence[int]
    """The newest ones, at most MOST_COUNTED."""
    exact: bool
    """Whether there are no others."""


def matching(
    session: Session, campaign_id: int, action: Action, wanted: Filter, first: str, *, may_remove: bool
) -> Matching:
    """Return the signatures that `act_on_all` would change now, after a bounded search that starts at `first`.

    Raises:
        ValueError: `first` is not a cursor.
    """
    page = signature_table.page(session, campaign_id, wanted, first, size=signature_table.MOST_COUNTED)
    ids = [entry.id for entry in page.entries if entry.standing in _allowed(action, may_remove)]
    return Matching(ids, page.next is None and not page.missed)


def act_on_all(
    by: Actor,
    campaign_id: int,
    action: Action,
    wanted: Filter,
    reason: str,
    now: datetime,
    *,
    may_remove: bool,
    first: str | None = None,
) -> Done:
    """Apply an action to all matching signatures of the campaign, newest first.

    Stop once MOST are changed, or after MOST_PAGES. Each batch of BATCH signatures has its own transaction and its own
    audit log entry. If a batch can't be stored, stop and keep the batches before it. `rest` of the result says where to
    go on.

    Args:
        first: The cursor to start from: `table.start`, or `rest` of the previous result; None to start with the newest
            signature.

    Raises:
        NoReasonError, NotAllowedError: As in `act`; nothing is changed.
        ValueError: `first` is not a cursor.
        STORAGE_ERRORS: The first batch could not be stored; nothing is changed.
    """
    _check(action, reason, may_remove)
    done, before = Done(0, 0, ()), first
    try:
        for _ in range(MOST_PAGES):
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
            if before is None or done.changed >= MOST:
                break
    except STORAGE_ERRORS as error:
        done = done.ended_by(error)
    return replace(done, rest=before)


def _allowed(action: Action, may_remove: bool) -> set[Standing]:
    """Return the states from which the action changes a signature."""
    return _FROM[action] - (set() if may_remove else NOT_COUNTED)


def _check(action: Action, reason: str, may_remove: bool) -> None:
    if not reason.strip():
        raise NoReasonError
    if _BECOMES[action] in NOT_COUNTED and not may_remove:
        raise NotAllowedError
