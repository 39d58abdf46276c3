"""Measures signing in a campaign whose signers must confirm, beside signing in one that lists signatures at once."""

import statistics
from pathlib import Path

from sqlalchemy import update

from benchmarks import measure
from benchmarks.desk import Row
from benchmarks.measure import SIGN, Rate, Target
from campaign import create_app
from campaign.models.campaign import Campaign
from campaign.settings import Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction

TURNS = 7
"""Runs of each site. They take turns. There are more than elsewhere, because the limit is narrow."""
CONNECTIONS = 16
LIMIT = 1.05
MAIL = {"MAIL_URL": "smtp://127.0.0.1:9", "MAIL_FROM": "info@example.org"}
"""No request speaks to the mail server, so none runs."""


def report(row: Row, database: str, without: Settings, folder: Path) -> None:
    """Measure how many signatures a second are stored together with a message, and without one.

    Args:
        row: Adds a row to the results.
        database: Its name in the results.
        without: The settings of a site without mail, on SQLite.
        folder: Where to create the site with mail.
    """
    confirming = Settings.from_environ(MAIL, folder)
    measure.prepare(confirming)
    with create_app(confirming).app_context():
        with write_transaction() as session:
            session.execute(update(Campaign).values(confirm=True))
        db.engine.dispose()
    alone, asked = list[Rate](), list[Rate]()
    with measure.serve_site(without) as (url, _), measure.serve_site(confirming, **MAIL) as (url_confirming, _):
        targets = [Target(each + SIGN, sign=True) for each in (url, url_confirming)]
        for _ in range(TURNS):
            one, other = measure.load(*targets, connections=CONNECTIONS, runs=1)
            alone.append(one)
            asked.append(other)
    if any(rate.errors for rate in alone + asked):
        raise SystemExit("a signature was not stored")
    before, rate = (statistics.median(run.per_second for run in runs) for runs in (alone, asked))
    times = before / rate
    what = f"sign with confirmation by mail, {database}"
    row(what, f"{rate:,.0f}/s", f"{times:.2f} × the time without mail", f"{LIMIT} ×", times <= LIMIT)
