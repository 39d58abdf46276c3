"""How many signatures were withdrawn, for organizers who have delivered files with them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaign.models.audit_log import IS_DOWNLOAD, Record
from campaign.models.signature import IS_WITHDRAWN, Signature

MOST_COUNTED = 1000
"""The highest number that is counted exactly."""
MOST_DOWNLOADS = 10
"""The most downloads that are shown."""


def since(session: Session, campaign_id: int, at: datetime) -> int:
    """Return how many signatures of a campaign were withdrawn since a time, MOST_COUNTED at most."""
    some = select(Signature.id).where(Signature.campaign_id == campaign_id, IS_WITHDRAWN, Signature.signed_at >= at)
    return session.scalar(select(func.count()).select_from(some.limit(MOST_COUNTED).subquery())) or 0


@dataclass(frozen=True)
class Download:
    """A file that somebody has downloaded, from the audit log."""

    at: datetime
    actor: str
    kind: str
    """As in `exports.Kind`."""
    purpose: str
    """As in `contents.Purpose`."""
    withdrawn: int
    """How many signatures were withdrawn since the file was requested, MOST_COUNTED at most."""


def downloads(session: Session, campaign_id: int) -> list[Download]:
    """Return the campaign's last downloads since which signatures were withdrawn, newest first."""
    newest = select(Record).where(Record.campaign_id == campaign_id, IS_DOWNLOAD).order_by(Record.id.desc())
    entries = session.scalars(newest.limit(MOST_DOWNLOADS)).all()
    found = [
        Download(
            entry.at,
            entry.actor,
            str(entry.after.get("kind", "")),
            str(entry.after.get("purpose", "")),
            # Entries of earlier versions don't say when the file was requested.
            since(session, campaign_id, datetime.fromisoformat(entry.after.get("asked_at") or entry.at.isoformat())),
        )
        for entry in entries
    ]
    return [download for download in found if download.withdrawn]
