"""What a campaign remembers about mailboxes, by their pseudonyms: how many codes were tried, and if mail is stopped.

A record says nothing about whether the mailbox has signed: anybody can try codes for any address.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.orm import Session

from campaign.models.message import MailboxRecord
from campaign.storage.database import insert_into

MOST_TRIES = 10
"""The most codes that anybody can try for a mailbox, while its record is kept. So guessing one of a million codes
succeeds in one of a hundred thousand cases. The link in the message still works."""
KEPT = timedelta(days=14)
"""How long a record is kept after it last changed, unless mail is stopped: as long as a signature can be confirmed."""
MOST_DELETED = 1000
"""The most records that are deleted at once."""


def count_try(session: Session, campaign_id: int, mailbox: str, now: datetime) -> bool:
    """Count a code that is tried for a mailbox, in the caller's write transaction. Return whether it is allowed."""
    _touch(session, campaign_id, mailbox, now, code_tries=1)
    tries = select(MailboxRecord.code_tries).where(_of(campaign_id, mailbox))
    return session.scalars(tries).one() <= MOST_TRIES


def take_back_try(session: Session, campaign_id: int, mailbox: str, now: datetime) -> None:
    """Don't count the last try, because its code was right, in the caller's write transaction."""
    _touch(session, campaign_id, mailbox, now, code_tries=-1)


def stop_mail(session: Session, campaign_id: int, mailbox: str, now: datetime) -> None:
    """Send no more mail about the campaign to a mailbox, in the caller's write transaction."""
    _touch(session, campaign_id, mailbox, now)
    record = session.scalars(select(MailboxRecord).where(_of(campaign_id, mailbox))).one()
    record.stopped_at = record.stopped_at or now


def allow_mail(session: Session, campaign_id: int, mailbox: str, now: datetime) -> None:
    """Send mail about the campaign to a mailbox again, in the caller's write transaction."""
    allowed = update(MailboxRecord).where(_of(campaign_id, mailbox)).values(stopped_at=None, touched_at=now)
    session.execute(allowed)


def wants_no_mail(session: Session, campaign_id: int, mailbox: str) -> bool:
    """Return whether the owner of a mailbox asked us to send no more mail about the campaign."""
    stopped = select(MailboxRecord.stopped_at).where(_of(campaign_id, mailbox))
    return session.scalar(stopped) is not None


def stopped(session: Session, mailboxes: Collection[str]) -> set[str]:
    """Return those of the mailboxes whose owners asked us to send no more mail about the campaign."""
    wanted = MailboxRecord.mailbox.in_(mailboxes), MailboxRecord.stopped_at.is_not(None)
    return set(session.scalars(select(MailboxRecord.mailbox).where(*wanted)))


def _of(campaign_id: int, mailbox: str) -> ColumnElement[bool]:
    return and_(MailboxRecord.campaign_id == campaign_id, MailboxRecord.mailbox == mailbox)


def _touch(session: Session, campaign_id: int, mailbox: str, now: datetime, *, code_tries: int = 0) -> None:
    """Lock the record of a mailbox, which is created if there is none, and add to its tries."""
    insert = insert_into(session.connection().dialect.name, MailboxRecord)
    statement = insert.on_conflict_do_update(
        index_elements=["campaign_id", "mailbox"],
        set_={"code_tries": MailboxRecord.code_tries + insert.excluded.code_tries, "touched_at": now},
    )
    row = {"campaign_id": campaign_id, "mailbox": mailbox, "code_tries": code_tries, "touched_at": now}
    session.execute(statement, row)


def delete_old(session: Session, now: datetime) -> bool:
    """Delete records that are no longer needed, in the caller's write transaction. Return whether there are more."""
    is_old = and_(MailboxRecord.touched_at < now - KEPT, MailboxRecord.stopped_at.is_(None))
    old = select(MailboxRecord.campaign_id, MailboxRecord.mailbox).where(is_old)
    found = session.execute(old.limit(MOST_DELETED)).all()
    for campaign_id, mailbox in found:
        # It may have changed since.
        session.execute(delete(MailboxRecord).where(_of(campaign_id, mailbox), is_old))
    return len(found) == MOST_DELETED
