"""Edit conflicts: an editor wants to change a campaign that has changed since they loaded it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign


class EditConflictError(Exception):
    """Another editor has changed the campaign since this editor loaded it. Nothing was stored."""

    def __init__(self, since: Sequence[Record]) -> None:
        """Store the other editor's audit log entries, oldest first."""
        super().__init__("another editor has changed the campaign in the meantime")
        self.since = since


def check_version(session: Session, campaign: Campaign, version: int | None) -> None:
    """Check that the campaign still has the version that an editor loaded; None skips the check.

    Raises:
        EditConflictError: The campaign has a later version. The error holds the audit log entries since `version`.
    """
    if version is None or version == campaign.version:
        return
    entries = select(Record).where(Record.campaign_id == campaign.id, Record.action.startswith("campaign."))
    since: list[Record] = []
    for entry in session.scalars(entries.order_by(Record.id.desc())):
        # Entries without a version didn't change the campaign itself, such as giving an account access to it.
        if "version" not in entry.after:
            continue
        if entry.after["version"] <= version:
            break
        session.expunge(entry)
        since.insert(0, entry)
    raise EditConflictError(since)


def recorded(value: object) -> object:
    """Return a column's value as the audit log stores it: times as ISO 8601 text."""
    return value.isoformat() if isinstance(value, datetime) else value
