"""Change the states of signatures, with everything that depends on them, in one transaction.

`actions.py` has the rules. This module locks the signatures, lets them release or claim their mailboxes, corrects the
tally and the statistics, and writes the audit log.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Select, null, select, update
from sqlalchemy.orm import Session

from campaign.accounts import audit_log
from campaign.accounts.audit_log import Actor
from campaign.models.signature import Signature, SignatureState, Standing, mailbox, standing
from campaign.moderation import mailboxes, unindexed
from campaign.moderation.effects import Effects
from campaign.signatures import tally
from campaign.statistics import roll_ups
from campaign.storage.database import is_one_of

NOT_COUNTED = {Standing.REMOVED, Standing.BLOCKED}
"""The states that need the right to remove signatures."""
_STATES = {
    Standing.LISTED: SignatureState.PUBLIC,
    Standing.HIDDEN: SignatureState.PUBLIC,
    Standing.REMOVED: SignatureState.REMOVED,
    Standing.BLOCKED: SignatureState.REMOVED,
}


@dataclass(frozen=True)
class Done:
    """The result of a change."""

    changed: int
    """How many signatures were changed."""
    left: int
    """How many signatures were left unchanged, because they had that state already or must not be changed."""
    entries: tuple[int, ...]
    """The ids of the change's audit log entries, for `undo`."""
    signed_again: int = 0
    """How many signatures were left unchanged, because their mailbox has signed again since. `left` excludes them."""
    fault: Exception | None = None
    """One of STORAGE_ERRORS if it prevented the rest of the change, otherwise None."""
    missed: int = 0
    """How many signatures aren't indexed yet if they were not all searched, as `unindexed.missed` returns it; or 0."""
    effects: Effects = field(default_factory=Effects)
    """What has happened to the signatures that were changed."""
    rest: str | None = None
    """The cursor from which a change of all matching signatures goes on; None if it has looked at all of them."""

    def __add__(self, other: "Done") -> "Done":
        """Return the combined result of two changes."""
        entries, again = self.entries + other.entries, self.signed_again + other.signed_again
        missed, effects = max(self.missed, other.missed), Effects(self.effects + other.effects)
        changed, left = self.changed + other.changed, self.left + other.left
        return Done(changed, left, entries, again, missed=missed, effects=effects)

    def ended_by(self, error: Exception) -> "Done":
        """Return this result of the first part of a change whose rest failed with this storage error.

        Raises:
            STORAGE_ERRORS: Nothing was changed before the error.
        """
        if not self.changed:
            raise error
        return replace(self, fault=error)


@dataclass(frozen=True)
class Found:
    """A signature before a change."""

    standing: Standing
    email_key: str


_Wanted = Select[int, int, SignatureState, datetime | None, str]


def look_up(session: Session, campaign_id: int, ids: Collection[int]) -> dict[int, Found]:
    """Return the state and `email_key` of each of these signatures of the campaign, without a lock."""
    return _found(session, campaign_id, _with_ids(session, ids))


def locked(session: Session, campaign_id: int, ids: Collection[int]) -> dict[int, Found]:
    """Return each signature's state and `email_key`, and lock its row until the end of the transaction."""
    # All transactions lock rows in the same order, so that they can't deadlock.
    return _found(session, campaign_id, _with_ids(session, ids).order_by(Signature.id).with_for_update())


def _with_ids(session: Session, ids: Collection[int]) -> _Wanted:
    s = Signature
    # With a condition on the campaign, SQLite would read all of its signatures.
    return select(s.id, s.campaign_id, s.state, s.listed_at, s.email_key).where(is_one_of(session, s.id, ids))


def _found(session: Session, campaign_id: int, wanted: _Wanted) -> dict[int, Found]:
    return {
        id_: Found(standing(state, listed_at, key), key)
        for id_, owner, state, listed_at, key in session.execute(wanted)
        if owner == campaign_id
    }


def change(
    session: Session,
    by: Actor,
    campaign_id: int,
    name: str,
    found: Mapping[int, Found],
    after: Mapping[int, Standing],
    reason: str,
    now: datetime,
    **more: int,
) -> Done:
    """Give the signatures the states `after`, and record that, except for those whose mailbox has signed again."""
    claiming = {id_: each.email_key for id_, each in found.items() if each.standing is Standing.REMOVED}
    again = mailboxes.claim(session, campaign_id, claiming) if claiming else set()
    before = {id_: each.standing for id_, each in found.items() if id_ not in again}
    after = {id_: becomes for id_, becomes in after.items() if id_ not in again}
    if not before:
        return Done(0, 0, (), len(again))
    for becomes, ids in _by_standing(after).items():
        _store(session, Standing(becomes), ids)
    unindexed.note_change(campaign_id)
    counted, counts = ({id_ for id_, state in each.items() if state not in NOT_COUNTED} for each in (before, after))
    if counted != counts:
        roll_ups.correct(session, campaign_id, counts - counted, counted - counts, now)
        tally.add(session.connection(), campaign_id, len(counts) - len(counted))
    # Signing locks the tally first, and then the rows that count attempts.
    mailboxes.unblock(session, campaign_id, _mailboxes(found, before, Standing.BLOCKED))
    mailboxes.block(session, campaign_id, _mailboxes(found, after, Standing.BLOCKED))
    entry = audit_log.write(
        session,
        by,
        name,
        now,
        campaign_id=campaign_id,
        reason=reason.strip(),
        before=_by_standing(before),
        after=_by_standing(after) | more,
    )
    return Done(len(before), 0, (entry.id,), len(again), effects=Effects.between(before, after))


def _store(session: Session, becomes: Standing, ids: Collection[int]) -> None:
    # A restored signature returns to its former place on the list.
    listed_at = Signature.signed_at if becomes is Standing.LISTED else null()
    values: dict[str, object] = {"state": _STATES[becomes], "listed_at": listed_at}
    if becomes is Standing.REMOVED:
        values["email_key"] = mailboxes.released()
    changed = update(Signature).where(is_one_of(session, Signature.id, ids)).values(values)
    session.execute(changed, execution_options={"synchronize_session": False})


def _mailboxes(found: Mapping[int, Found], standings: Mapping[int, Standing], wanted: Standing) -> list[str]:
    """Return the mailboxes of the signatures that have the state `wanted` in `standings`."""
    return [mailbox(found[id_].email_key) for id_, state in standings.items() if state is wanted]


def _by_standing(standings: Mapping[int, Standing]) -> dict[str, list[int]]:
    ids: dict[str, list[int]] = {}
    for id_, state in standings.items():
        ids.setdefault(state.value, []).append(id_)
    return ids
