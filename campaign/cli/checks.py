"""Checks of a campaign's tally and statistics, for `flask campaigns check`."""

from datetime import UTC, datetime

import click

from campaign.models.campaign import Campaign
from campaign.signatures import tally
from campaign.statistics import roll_up_checks, roll_ups
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
    while True:
        repairs = roll_ups.repairs(db.session())
        found = tally.check(db.session(), campaign.id)
        db.session.close()
        if found.is_correct or not repair or _repair_tally(campaign, found, repairs):
            break
    verdict = "right" if found.is_correct else "repaired" if repair else "WRONG"
    click.echo(f"{campaign.slug}: tally {found.tallied}, signatures {found.stored}: {verdict}")
    return found.is_correct


def _repair_tally(campaign: Campaign, found: tally.Check, repairs: int) -> bool:
    """Correct the tally. Return False if another command has repaired something since the check."""
    with write_transaction() as session:
        is_first = roll_ups.begin_repair(session, repairs)
        if is_first:
            tally.repair(session, campaign.id, found)
    return is_first


def _check_statistics(campaign: Campaign, repair: bool) -> bool:
    compare = roll_up_checks.repair if repair else roll_up_checks.check
    found = compare(db.engine, campaign.id, datetime.now(UTC))
    verdict = f"{found.wrong} counts {'repaired' if repair else 'WRONG'}" if found.wrong else "right"
    click.echo(f"{campaign.slug}: statistics of {found.included} signatures: {verdict}")
    return not found.wrong
