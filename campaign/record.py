"""The record: who changed what and when, and how it was before; only added to, in the transaction of the change.

Everything that changes something at the desk, and every command, calls `write()`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaign.desk_models import Account, Record

PAGE = 50
"""Entries on a page."""

DONE = {
    "campaign.create": "wrote it",
    "campaign.edit": "changed it",
    "campaign.publish": "published it",
    "campaign.close": "closed it",
    "campaign.win": "declared it won",
    "campaign.reopen": "opened it again",
    "campaign.preview_link": "made a preview link",
    "campaign.organiser_add": "made it somebody’s own",
    "campaign.organiser_remove": "made it somebody’s own no more",
    "signature.hide": "hid signatures",
    "signature.remove": "removed signatures",
    "signature.restore": "restored signatures",
    "signature.undo": "put signatures back as they were",
    "signature.addresses": "saw email addresses",
    "export.ask": "had a file made",
    "export.download": "fetched a file",
}
"""What people read of each action that stands on a campaign's page, after the name of who did it."""


@dataclass(frozen=True)
class Actor:
    """Who does something."""

    account_id: int | None
    name: str
    """The account's address, or `command`."""


COMMAND = Actor(None, "command")
"""The operator, at the command line."""


def actor(account: Account) -> Actor:
    """The account as one who does something."""
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
    """Write down, in the caller's write transaction, what it changes; only what changed belongs into before and after.

    `action` is a kind of thing and what was done to it, such as `campaign.publish`. No password and no secret, and of
    signers no more than the ids of their signatures, for what is written here stays.
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
    """The campaign's newest PAGE entries, or those before the entry of that id; one more, if there are more."""
    entries = select(Record).where(Record.campaign_id == campaign_id).order_by(Record.id.desc()).limit(PAGE + 1)
    if before is not None:
        entries = entries.where(Record.id < before)
    return list(session.scalars(entries))


def everything(session: Session) -> Iterator[Record]:
    """The whole record, oldest first, a thousand entries in memory at once."""
    with session.scalars(select(Record).order_by(Record.id).execution_options(yield_per=1000)) as entries:
        yield from entries
