"""The audit log: who changed what and when, and the values before and after.

Entries are only ever added, in the transaction of the change that they describe. Every change at the desk and by a
command calls `write()`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaign.models.account import Account
from campaign.models.audit_log import Record

PAGE = 50
"""Entries per page."""

DONE = {
    "campaign.create": "created the campaign",
    "campaign.edit": "edited the campaign",
    "campaign.publish": "published the campaign",
    "campaign.close": "closed the campaign",
    "campaign.win": "declared victory",
    "campaign.reopen": "reopened the campaign",
    "campaign.unpublish": "made the campaign a draft again",
    "campaign.archive": "archived the campaign",
    "campaign.unarchive": "unarchived the campaign",
    "campaign.delete": "deleted the draft",
    "campaign.preview_link": "created a preview link",
    "campaign.organiser_add": "assigned an organizer",
    "campaign.organiser_remove": "unassigned an organizer",
    "signature.hide": "hid signatures",
    "signature.remove": "removed signatures",
    "signature.block": "removed signatures and blocked their email addresses",
    "signature.restore": "restored signatures",
    "signature.undo": "undid a change to signatures",
    "signature.addresses": "viewed email addresses",
    "signature.correct": "corrected their own signature",
    "signature.withdraw": "withdrew their own signature",
    "export.ask": "requested a file",
    "export.download": "downloaded a file",
}
"""The wording of each action on a campaign's audit log page, which puts the actor before it."""


@dataclass(frozen=True)
class Actor:
    """The account, or the command line, that makes a change."""

    account_id: int | None
    name: str
    """The account's email address, `command`, `signer`, or `unknown account`."""


COMMAND = Actor(None, "command")
"""The operator, at the command line."""
SIGNER = Actor(None, "signer")
"""A signer. The entry has the signature's id, not the signer's name."""


def actor(account: Account) -> Actor:
    """Return the actor for an account."""
    return Actor(account.id, account.email)


def write(
    session: Session,
    by: Actor,
    action: str,
    now: datetime,
    *,
    campaign_id: int | None = None,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> Record:
    """Add an entry to the audit log, in the caller's write transaction, and return it.

    Entries can't be deleted, so they must not contain passwords or other secrets. About signers, they may contain
    only the ids of their signatures.

    Args:
        action: The kind of object and what was done to it, such as `campaign.publish`.
        before: The values that changed, as they were.
        after: The same values as they are now.
    """
    entry = Record(
        at=now,
        account_id=by.account_id,
        actor=by.name,
        action=action,
        campaign_id=campaign_id,
        reason=reason,
        before=before or {},
        after=after or {},
    )
    session.add(entry)
    session.flush()
    return entry


def page(session: Session, campaign_id: int, before: int | None = None) -> list[Record]:
    """Return a page of the campaign's audit log, newest entries first.

    The result has PAGE entries, and one more if there is another page.

    Args:
        before: If given, return only entries with an id below this one.
    """
    entries = select(Record).where(Record.campaign_id == campaign_id).order_by(Record.id.desc()).limit(PAGE + 1)
    if before is not None:
        entries = entries.where(Record.id < before)
    return list(session.scalars(entries))


def everything(session: Session, at_once: int) -> Iterator[Sequence[Record]]:
    """Yield the whole audit log, oldest entries first, in lists of `at_once` entries.

    The caller may end the session's transaction between two lists.
    """
    last = 0
    while entries := session.scalars(select(Record).where(Record.id > last).order_by(Record.id).limit(at_once)).all():
        last = entries[-1].id
        yield entries
