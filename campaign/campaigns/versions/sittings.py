"""Sittings: the automatic saves of one person in one draft become one entry of the audit log.

A draft is saved every few seconds while its editor types, and entries of the audit log can't be changed later. So the
values from before the first save wait in the table `draft_sitting`. They become an entry when the person presses Save,
when something else happens to the campaign, or after half an hour without a change (`worker/drafts.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaign.accounts import audit_log
from campaign.accounts.audit_log import Actor
from campaign.campaigns import translations
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign, DraftSitting

IDLE = timedelta(minutes=30)
"""How long a person must change nothing until their next automatic save counts as a new sitting."""
MOST_CLOSED = 10
"""The most sittings that one call of `close_idle` closes."""


def recorded(value: object) -> object:
    """Return a column's value as the audit log stores it: times as ISO 8601 text."""
    return value.isoformat() if isinstance(value, datetime) else value


def add(session: Session, by: Actor, campaign: Campaign, before: dict[str, Any], now: datetime) -> None:
    """Add an automatic save as this person's sitting, after `take` has ended the one before.

    Args:
        session: With the caller's write transaction.
        by: The person who types.
        campaign: The draft, with its new values and its new version.
        before: The values that changed, and the version, as they were before.
        now: The current time.
    """
    session.add(
        DraftSitting(
            campaign_id=campaign.id,
            account_id=by.account_id,
            actor=by.name,
            saved_at=now,
            before={key: recorded(value) for key, value in before.items()},
        )
    )


def take(session: Session, by: Actor, campaign: Campaign, now: datetime, changing: Collection[str]) -> dict[str, Any]:
    """End this person's sitting, and return its values from before, unless it is idle.

    The caller adds them to its own sitting or entry. An idle sitting becomes an entry, and so do those of other people
    who have changed one of the columns that are `changing`. People who translate the same draft at the same time have
    sittings of their own. Call this before changing the campaign.
    """
    earlier: dict[str, Any] = {}
    for sitting in _all(session, campaign):
        if sitting.account_id == by.account_id and now - sitting.saved_at < IDLE:
            session.delete(sitting)
            earlier = sitting.before
        elif sitting.account_id == by.account_id or sitting.before.keys() & changing:
            _close(session, campaign, sitting)
    session.flush()
    return earlier


def close(session: Session, campaign: Campaign) -> None:
    """Make the campaign's sittings entries of the audit log. Call this before changing the campaign."""
    for sitting in _all(session, campaign):
        _close(session, campaign, sitting)
    session.flush()


def _close(session: Session, campaign: Campaign, sitting: DraftSitting) -> None:
    if entry := _entry(campaign, sitting):
        by = Actor(sitting.account_id, sitting.actor)
        audit_log.write(
            session, by, entry.action, entry.at, campaign_id=campaign.id, before=entry.before, after=entry.after
        )
    session.delete(sitting)


def close_idle(session: Session, now: datetime) -> int:
    """Make idle sittings entries of the audit log, at most MOST_CLOSED, and return how many."""
    idle = select(DraftSitting.campaign_id, DraftSitting.account_id).where(DraftSitting.saved_at <= now - IDLE)
    found = session.execute(idle.order_by(DraftSitting.saved_at).limit(MOST_CLOSED)).all()
    for campaign_id, account_id in found:
        # Lock the campaign first, in the order in which saving does.
        locked = select(Campaign).where(Campaign.id == campaign_id).with_for_update(key_share=True)
        campaign = session.scalars(locked.execution_options(populate_existing=True)).one()
        # The person may have gone on meanwhile.
        sitting = session.get(DraftSitting, (campaign_id, account_id), populate_existing=True)
        if sitting and sitting.saved_at <= now - IDLE:
            _close(session, campaign, sitting)
    session.flush()
    return len(found)


def entries_of(session: Session, campaign: Campaign) -> list[Record]:
    """Return the entries that the campaign's sittings will become. They are not stored yet, and have no id."""
    found = (_entry(campaign, sitting) for sitting in _all(session, campaign))
    return [entry for entry in found if entry]


def _all(session: Session, campaign: Campaign) -> Sequence[DraftSitting]:
    """Return the sittings at a campaign, oldest first."""
    of = select(DraftSitting).where(DraftSitting.campaign_id == campaign.id)
    return session.scalars(of.order_by(DraftSitting.saved_at).execution_options(populate_existing=True)).all()


def changes(campaign: Campaign, before: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Return both sides of an audit log entry: what the campaign's columns were, and what they are now.

    A text that was changed and changed back is not a change. If only the version differs, both sides are empty.

    Args:
        campaign: The campaign with its new values.
        before: The earlier values of some columns. Times may be as the audit log stores them.
    """
    old = {key: recorded(value) for key, value in before.items()}
    new = {key: recorded(translations.get(campaign, key)) for key in before}
    changed = [key for key in old if old[key] != new[key]]
    if not set(changed) - {"version"}:
        return {}, {}
    return {key: old[key] for key in changed}, {key: new[key] for key in changed}


def _entry(campaign: Campaign, sitting: DraftSitting) -> Record | None:
    before, after = changes(campaign, sitting.before)
    if not before:
        return None
    return Record(
        at=sitting.saved_at,
        account_id=sitting.account_id,
        actor=sitting.actor,
        action="campaign.edit",
        campaign_id=campaign.id,
        reason="",
        before=before,
        after=after,
    )
