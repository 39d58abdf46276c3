"""Edit conflicts: an editor wants to change a campaign that has changed since they loaded it."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaign.campaigns import translations
from campaign.campaigns.versions import sittings
from campaign.campaigns.versions.sittings import recorded
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign

MOST_ENTRIES = 100
"""The most entries of the audit log that are read for a conflict."""


class EditConflictError(Exception):
    """Another editor has changed the campaign since this editor loaded it. Nothing was stored."""

    def __init__(self, since: Sequence[Record]) -> None:
        """Store the other editor's audit log entries, oldest first."""
        super().__init__("another editor has changed the campaign in the meantime")
        self.since = since


def check_version(session: Session, campaign: Campaign, version: int | None) -> None:
    """Check that the campaign still has the version that an editor loaded; None skips the check.

    Raises:
        EditConflictError: The campaign has a later version. The error holds the entries since `version`.
    """
    if version is not None and version != campaign.version:
        raise EditConflictError(entries_since(session, campaign, version))


def entries_since(session: Session, campaign: Campaign, version: int) -> list[Record]:
    """Return the entries of the audit log since a version of a campaign, oldest first, but at most MOST_ENTRIES."""
    entries = select(Record).where(Record.campaign_id == campaign.id, Record.action.startswith("campaign."))
    since = sittings.entries_of(session, campaign)
    for entry in session.scalars(entries.order_by(Record.id.desc()).limit(MOST_ENTRIES)):
        # Entries without a version didn't change the campaign itself, such as giving an account access to it.
        if "version" not in entry.after:
            continue
        if entry.after["version"] <= version:
            break
        session.expunge(entry)
        since.insert(0, entry)
    return since


def columns_since(campaign: Campaign, keys: Sequence[str], since: Sequence[Record]) -> dict[str, object]:
    """Return the columns as they were before these entries of the audit log, as the log stores them.

    The desk's form carries the columns that its editor started from. This function replaces them if the form has none.
    If an automatic save is the first of the entries, the result is from the beginning of its sitting.
    """
    found = {key: recorded(translations.get(campaign, key)) for key in keys}
    for entry in reversed(since):
        found |= {key: value for key, value in entry.before.items() if key in found}
    return found
