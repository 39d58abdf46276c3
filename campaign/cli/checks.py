"""Checks of a campaign's tally and statistics, for `flask campaigns check`."""

from datetime import UTC, datetime

import click

from campaign.models.campaign import Campaign
from campaign.signatures import tally
from campaign.statistics import roll_up_checks
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction


def check(campaign: Campaign, *, repair: bool) -> bool:
    """Compare the tally and the statistics with the stored signatures, and print the results.

    Return whether both were right. If not, and with `repair`, they are right afterward.
    """
    # PostgreSQL ends a transaction that is idle while the signatures are counted.
    db.session.close()
    # Both are checked, even if the first is wrong.
    return all([_check_tally(campaign, repair), _check_statistics(campaign, repair)])


def _check_tally(campaign: Campaign, repair: bool) -> bool:
    if repair:
        with write_transaction() as session:
            found = tally.repair(session, campaign.id)
    else:
        found = tally.check(db.session(), campaign.id)
        db.session.close()
    verdict = "right" if found.is_correct else "repaired" if repair else "WRONG"
    click.echo(f"{campaign.slug}: tally {found.tallied}, signatures {found.stored}: {verdict}")
    return found.is_correct


def _check_statistics(campaign: Campaign, repair: bool) -> bool:
    compare = roll_up_checks.repair if repair else roll_up_checks.check
    found = compare(db.engine, campaign.id, datetime.now(UTC))
    verdict = f"{found.wrong} counts {'repaired' if repair else 'WRONG'}" if found.wrong else "right"
    click.echo(f"{campaign.slug}: statistics of {found.included} signatures: {verdict}")
    return not found.wrong
