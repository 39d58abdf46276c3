"""Undo changes to signatures. An undo is a change itself: it is in the audit log, and can be undone.

Each change is undone at most once, so a chain of changes always ends with one that can be undone. Signatures that were
changed again since are left unchanged, and so are those whose mailbox has signed again, or that don't exist anymore.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaign.accounts.audit_log import SIGNER, Actor
from campaign.models.audit_log import Record, Undone
from campaign.models.signature import Standing, mailbox
from campaign.moderation import changes, mailboxes
from campaign.moderation.actions import MOST, NotAllowedError
from campaign.moderation.changes import NOT_COUNTED, Done
from campaign.moderation.effects import Effects, by_id
from campaign.storage.database import STORAGE_ERRORS
from campaign.storage.transactions import write_transaction

MOST_LOOKED_UP = 2_000
"""The most signatures whose state is looked up for a page of the audit log."""
UNDO = "signature.undo"
"""The action of an undo's audit log entry."""


class NoSuchEntryError(Exception):
    """The audit log has no such change to this campaign's signatures."""


@dataclass(frozen=True)
class UndoneBy:
    """Who undid a change, and when."""

    actor: str
    at: datetime


@dataclass(frozen=True)
class Plan:
    """What undoing a change would do now."""

    effects: Effects
    at_most: bool
    """Whether it may do less, because the signatures were not looked up, and some may have changed since."""


def undone_by(session: Session, entry_ids: Collection[int]) -> dict[int, UndoneBy]:
    """Return who undid these entries and when, by the id of the entry. Entries that weren't undone are left out."""
    undo_of = select(Undone.entry_id, Record.actor, Record.at).join(Record, Record.id == Undone.undo_id)
    rows = session.execute(undo_of.where(Undone.entry_id.in_(entry_ids)))
    return {entry_id: UndoneBy(actor, at) for entry_id, actor, at in rows}


def can_undo(entry: Record, *, may_remove: bool) -> bool:
    """Return whether an audit log entry is a change to signatures that the caller may undo, if nobody has yet."""
    # What signers did themselves stays.
    changed = entry.action.startswith("signature.") and entry.actor != SIGNER.name and bool(entry.before)
    return changed and (may_remove or NOT_COUNTED.isdisjoint({*entry.before, *entry.after}))


def plan(session: Session, campaign_id: int, entry_ids: Collection[int], *, may_remove: bool) -> Effects:
    """Return what undoing these entries would do now. Entries that were undone already count for nothing.

    Raises:
        NoSuchEntryError, NotAllowedError: As in `undo`.
    """
    planned = Effects()
    undone = undone_by(session, entry_ids)
    for entry_id in _latest_first(entry_ids):
        if planned.total() >= MOST:
            break
        entry = _find(session, campaign_id, entry_id, may_remove)
        if entry_id not in undone:
            became = by_id(entry.after)
            planned.update(_planned(entry, became, _restorable(session, campaign_id, became)))
    return planned


def plans(session: Session, campaign_id: int, entries: Collection[Record]) -> dict[int, Plan]:
    """Return what undoing each of these changes would do now, by the id of the entry; nothing if all has changed since.

    MOST_LOOKED_UP signatures are looked up, those of the smallest changes first. For the other changes, the plan says
    what undoing them would do at most.
    """
    stated = {entry.id: Effects.of(entry).undone() for entry in entries}
    became: dict[int, dict[int, Standing]] = {}
    ids: set[int] = set()
    for entry in sorted(entries, key=lambda entry: stated[entry.id].total()):
        if len(ids) + stated[entry.id].total() > MOST_LOOKED_UP:
            break
        became[entry.id] = by_id(entry.after)
        ids |= became[entry.id].keys()
    is_now = _restorable(session, campaign_id, ids)
    return {
        entry.id: Plan(_planned(entry, became[entry.id], is_now), at_most=False)
        if entry.id in became
        else Plan(stated[entry.id], at_most=True)
        for entry in entries
    }


def _restorable(session: Session, campaign_id: int, ids: Collection[int]) -> dict[int, Standing]:
    """Return the states of these signatures, without those whose mailbox has signed again since."""
    found = changes.look_up(session, campaign_id, ids)
    removed = {id_: mailbox(each.email_key) for id_, each in found.items() if each.standing is Standing.REMOVED}
    taken = mailboxes.signed_again(session, campaign_id, set(removed.values()), pending_too=False)
    return {id_: each.standing for id_, each in found.items() if removed.get(id_) not in taken}


def _planned(entry: Record, became: Mapping[int, Standing], is_now: Mapping[int, Standing]) -> Effects:
    unchanged = {id_: state for id_, state in became.items() if is_now.get(id_) is state}
    return Effects.between(unchanged, by_id(entry.before))


def undo(session: Session, by: Actor, campaign_id: int, entry_id: int, now: datetime, *, may_remove: bool) -> Done:
    """Undo the change of an audit log entry, in the caller's write transaction, and record that as well.

    If the entry was undone before, nothing is changed.

    Raises:
        NoSuchEntryError: There is no such change to this campaign's signatures.
        NotAllowedError: The change concerns removed signatures, and the caller may not remove or restore those.
    """
    entry = _find(session, campaign_id, entry_id, may_remove)
    was, became = by_id(entry.before), by_id(entry.after)
    locked = changes.locked(session, campaign_id, was)
    # Look only after locking the signatures, because a concurrent request may be undoing the same entry.
    if session.get(Undone, entry_id):
        return Done(0, 0, ())
    # Each id is still that of the same signature: only pending signatures are deleted, and no change is about those.
    before = {id_: found for id_, found in locked.items() if found.standing is became[id_]}
    after = {id_: was[id_] for id_ in before}
    done = changes.change(session, by, campaign_id, UNDO, before, after, entry.reason, now, undoes=entry.id)
    if done.entries:
        session.add(Undone(entry_id=entry.id, undo_id=done.entries[0]))
        session.flush()
    return done + Done(0, len(was) - len(before), ())


def undo_all(by: Actor, campaign_id: int, entry_ids: Collection[int], now: datetime, *, may_remove: bool) -> Done:
    """Undo several audit log entries, the latest first, each in its own transaction, until MOST signatures are changed.

    If an entry can't be undone because of a storage error, stop and keep the entries undone before it.

    Raises:
        NoSuchEntryError, NotAllowedError: As in `undo`.
        STORAGE_ERRORS: The first entry could not be undone; nothing is changed.
    """
    done = Done(0, 0, ())
    try:
        for entry_id in _latest_first(entry_ids):
            if done.changed >= MOST:
                break
            with write_transaction() as session:
                undone = undo(session, by, campaign_id, entry_id, now, may_remove=may_remove)
            done += undone
    except STORAGE_ERRORS as error:
        done = done.ended_by(error)
    return done


def _latest_first(entry_ids: Collection[int]) -> list[int]:
    return sorted(set(entry_ids), reverse=True)


def _find(session: Session, campaign_id: int, entry_id: int, may_remove: bool) -> Record:
    entry = session.get(Record, entry_id)
    if entry is None or entry.campaign_id != campaign_id or not can_undo(entry, may_remove=True):
        raise NoSuchEntryError
    if not can_undo(entry, may_remove=may_remove):
        raise NotAllowedError
    return entry
