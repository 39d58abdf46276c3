"""Hiding, removing and restoring signatures, with a reason, on the record, and back again.

Hidden is counted but not listed; removed is neither. What a signer has withdrawn or not confirmed is never touched.
The desk's pages call it; nobody else changes the state of a signature.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import null, select, update
from sqlalchemy.orm import Session

from campaign import record, search, signature_table, tally
from campaign.desk_models import Record
from campaign.extensions import STORAGE_ERRORS, db, write_transaction
from campaign.models import Signature, SignatureState, Standing, standing
from campaign.record import Actor
from campaign.signature_table import Filter

BATCH = 1000
"""Signatures in one transaction: signers get in between."""
MOST = 50_000
"""Signatures that one press of a button changes: its answer must come before the proxy gives up."""


class Action(StrEnum):
    """What can be done to a signature."""

    HIDE = "hide"
    REMOVE = "remove"
    RESTORE = "restore"


_BECOMES = {Action.HIDE: Standing.HIDDEN, Action.REMOVE: Standing.REMOVED, Action.RESTORE: Standing.LISTED}
_FROM = {
    Action.HIDE: {Standing.LISTED},
    Action.REMOVE: {Standing.LISTED, Standing.HIDDEN},
    Action.RESTORE: {Standing.HIDDEN, Standing.REMOVED},
}
_STATES = {
    Standing.LISTED: SignatureState.PUBLIC,
    Standing.HIDDEN: SignatureState.PUBLIC,
    Standing.REMOVED: SignatureState.REMOVED,
}


class NoReasonError(Exception):
    """No reason was given."""


class NotAllowedError(Exception):
    """It would remove signatures, or take removed ones back in, and who asks for it may not."""


class NoSuchEntryError(Exception):
    """The record has no such change of this campaign's signatures."""


@dataclass(frozen=True)
class Done:
    """What came of it."""

    changed: int
    """Signatures that are now what was asked for, and were not before."""
    left: int
    """Signatures that were left alone: they were so before, or they are not to be touched."""
    entries: tuple[int, ...]
    """The record's entries of it, by id; what `undo` takes."""
    fault: Exception | None = None
    """One of the STORAGE_ERRORS, after which the rest could not be done."""

    def __add__(self, other: "Done") -> "Done":
        """What came of both."""
        return Done(self.changed + other.changed, self.left + other.left, self.entries + other.entries)


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
    """Do it to those of the campaign's signatures, in the caller's write transaction, and write it down.

    Who `may_remove` may also restore what was removed; for others it is left alone. Only what changes is counted and
    written down, by id and by what it was before.

    Raises:
        NoReasonError: the reason is empty.
        NotAllowedError: it is to remove, by who may not.
    """
    _check(action, reason, may_remove)
    allowed = _FROM[action] - (set() if may_remove else {Standing.REMOVED})
    before = {one: is_now for one, is_now in _locked(session, campaign_id, ids).items() if is_now in allowed}
    after = dict.fromkeys(before, _BECOMES[action])
    entries = _change(session, by, campaign_id, f"signature.{action}", before, after, reason, now)
    return Done(len(before), len(set(ids)) - len(before), entries)


def act_on_all(
    by: Actor, campaign_id: int, action: Action, wanted: Filter, reason: str, now: datetime, *, may_remove: bool
) -> Done:
    """Do it to all of the campaign's signatures that match, from the newest on, until MOST are changed.

    In transactions of its own, BATCH at a time; each is an entry in the record. Where one can't be stored any more, it
    ends with those before it.

    Raises:
        NoReasonError, NotAllowedError: as `act` does; nothing is changed.
        STORAGE_ERRORS: not even the first could be stored; nothing is changed.
    """
    _check(action, reason, may_remove)
    if wanted.searches:
        search.catch_up()
    done, before = Done(0, 0, ()), None
    try:
        while done.changed < MOST:
            # Looked for before it is our turn to write: it takes longer than the change, and signers would wait for it.
            size = min(BATCH, MOST - done.changed)
            page = signature_table.page(db.session(), campaign_id, wanted, before, size=size)
            ids = [entry.id for entry in page.entries if entry.standing in _FROM[action]]
            if ids:
                with write_transaction() as session:
                    batch = act(session, by, campaign_id, action, ids, reason, now, may_remove=may_remove)
                done += batch
            done += Done(0, len(page.entries) - len(ids), ())
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
    """Put what an entry of the record says back as it was, in the caller's write transaction, and write that down too.

    What something else has changed since is left alone.

    Raises:
        NoSuchEntryError: there is no such entry of this campaign's signatures.
        NotAllowedError: it is about removed signatures, and who asks may not.
    """
    entry = session.get(Record, entry_id)
    if entry is None or entry.campaign_id != campaign_id or not can_undo(entry, may_remove=True):
        raise NoSuchEntryError
    if not can_undo(entry, may_remove=may_remove):
        raise NotAllowedError
    was, became = _by_id(entry.before), _by_id(entry.after)
    before = {one: is_now for one, is_now in _locked(session, campaign_id, was).items() if is_now is became[one]}
    after = {one: was[one] for one in before}
    entries = _change(session, by, campaign_id, "signature.undo", before, after, entry.reason, now, undoes=entry.id)
    return Done(len(before), len(was) - len(before), entries)


def can_undo(entry: Record, *, may_remove: bool) -> bool:
    """Whether an entry of the record is a change of signatures that may be undone by who `may_remove`, or not."""
    changed = entry.action.startswith("signature.") and bool(entry.before)
    return changed and (may_remove or Standing.REMOVED not in {*entry.before, *entry.after})


def undo_all(by: Actor, campaign_id: int, entry_ids: Collection[int], now: datetime, *, may_remove: bool) -> Done:
    """Do so with several entries, the last first, each in a transaction of its own; as `act_on_all`, as far as it can.

    Raises:
        NoSuchEntryError, NotAllowedError: as `undo` does.
        STORAGE_ERRORS: not even the first could be stored; nothing is changed.
    """
    done = Done(0, 0, ())
    try:
        for entry_id in sorted(set(entry_ids), reverse=True):
            with write_transaction() as session:
                one = undo(session, by, campaign_id, entry_id, now, may_remove=may_remove)
            done += one
    except STORAGE_ERRORS as error:
        done = _ended(done, error)
    return done


def _check(action: Action, reason: str, may_remove: bool) -> None:
    if not reason.strip():
        raise NoReasonError
    if action is Action.REMOVE and not may_remove:
        raise NotAllowedError


def _locked(session: Session, campaign_id: int, ids: Collection[int]) -> dict[int, Standing]:
    """What each is; nobody else changes it until the end of the transaction."""
    # In the same order for everybody, so that no two can wait for each other.
    found = session.execute(
        select(Signature.id, Signature.campaign_id, Signature.state, Signature.listed_at)
        .where(Signature.id.in_(ids))
        .order_by(Signature.id)
        .with_for_update()
    )
    return {one: standing(state, listed_at) for one, whose, state, listed_at in found if whose == campaign_id}


def _change(
    session: Session,
    by: Actor,
    campaign_id: int,
    name: str,
    before: Mapping[int, Standing],
    after: Mapping[int, Standing],
    reason: str,
    now: datetime,
    **more: int,
) -> tuple[int, ...]:
    if not before:
        return ()
    for becomes, ids in _by_standing(after).items():
        # Back on the list, it stands where it stood before.
        listed_at = Signature.signed_at if becomes == Standing.LISTED else null()
        values = {"state": _STATES[Standing(becomes)], "listed_at": listed_at}
        changed = update(Signature).where(Signature.id.in_(ids)).values(values)
        session.execute(changed, execution_options={"synchronize_session": False})
    taken_out = sum(is_now is Standing.REMOVED for is_now in after.values())
    were_out = sum(was is Standing.REMOVED for was in before.values())
    if taken_out != were_out:
        tally.add(session.connection(), campaign_id, were_out - taken_out)
    entry = record.write(
        session,
        by,
        name,
        now,
        campaign_id=campaign_id,
        reason=reason.strip(),
        before=_by_standing(before),
        after=_by_standing(after) | more,
    )
    return (entry.id,)


def _by_standing(standings: Mapping[int, Standing]) -> dict[str, list[int]]:
    ids: dict[str, list[int]] = {}
    for one, is_now in standings.items():
        ids.setdefault(is_now.value, []).append(one)
    return ids


def _by_id(written: Mapping[str, object]) -> dict[int, Standing]:
    """What the record says of each signature."""
    return {one: Standing(was) for was, ids in written.items() if isinstance(ids, list) for one in ids}
