"""The worker's task that ends idle sittings at drafts, so that their changes are in the audit log."""

from datetime import UTC, datetime, timedelta

from campaign.campaigns.versions import sittings
from campaign.storage.transactions import write_transaction
from campaign.worker.task import NOW

LOOK_AGAIN = timedelta(minutes=1)
"""How often the worker looks for idle sittings."""


def end_sittings() -> timedelta:
    """Make some idle sittings entries of the audit log."""
    with write_transaction() as session:
        has_more = sittings.close_idle(session, datetime.now(UTC)) == sittings.MOST_CLOSED
    return NOW if has_more else LOOK_AGAIN
