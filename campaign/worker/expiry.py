"""The worker's task that deletes expired data."""

from datetime import UTC, datetime, timedelta

from campaign.accounts import known_networks, sessions
from campaign.deliveries import expired_files
from campaign.mail import outbox
from campaign.self_service import mailbox_records, pending
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.worker.task import NOW

LOOK_AGAIN = timedelta(minutes=1)
"""How often the worker looks for what has expired."""


def delete_expired() -> timedelta:
    """Delete a piece of what has expired: files, unconfirmed signatures, sessions, sent mail, and more.

    What has expired is refused everywhere, whether or not it has been deleted. Only the mailbox of an unconfirmed
    signature can't sign again until then.
    """
    now = datetime.now(UTC)
    # Outside the transaction, for which signers may wait.
    unconfirmed = pending.expired(db.session(), now)
    if unconfirmed:
        with write_transaction() as session:
            pending.delete_unconfirmed(session, unconfirmed, now)
    with write_transaction() as session:
        # First, because signers who withdraw lock these rows first, too.
        has_more = mailbox_records.delete_old(session, now) or len(unconfirmed) == pending.MOST_DELETED
        has_more |= expired_files.delete_piece(session, now).has_more | outbox.delete_ended(session, now)
        outbox.correct_times(session, now)
        sessions.delete_expired(session, now)
        known_networks.delete_expired(session, now)
    return NOW if has_more else LOOK_AGAIN
