"""The worker's task that reminds signers to confirm."""

from datetime import UTC, datetime, timedelta

from flask import current_app

from campaign.mail import reminders
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.worker.task import NOW

LOOK_AGAIN = timedelta(minutes=5)
"""How often the worker looks for signers to remind."""


def remind() -> timedelta:
    """Store some reminders, if mail is set up."""
    settings, now = current_app.config["SETTINGS"], datetime.now(UTC)
    if not settings.mail_url:
        return LOOK_AGAIN
    has_more = False
    for campaign_id in reminders.due(db.session(), now):
        with write_transaction() as session:
            has_more |= reminders.add_piece(session, campaign_id, now)
    return NOW if has_more else LOOK_AGAIN
