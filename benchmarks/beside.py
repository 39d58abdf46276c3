"""Measure signing while the background worker works, and without it."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from benchmarks import measure
from benchmarks.desk import Row
from benchmarks.measure import Rate
from benchmarks.site import Site
from campaign import create_app
from campaign.models.lease import is_worker_running
from campaign.settings import ROOT, Settings
from campaign.statistics import roll_ups
from campaign.storage.database import db

TURNS = 7
"""Runs with and without the worker. They take turns. There are more than elsewhere, because the limit is narrow."""
CONNECTIONS = 16
LIMIT = 1.05


def report(row: Row, database: str, settings: Settings) -> None:
    """Measure how many signatures a second are stored beside a working worker, and without one.

    The worker indexes and counts the signatures of the run before, and then those of its own run.

    Args:
        row: Adds a row to the results.
        database: Its name in the results.
        settings: The settings of the site.
    """
    without, beside = list[Rate](), list[Rate]()
    before = _counted(settings)
    with measure.serve_site(settings) as (url, _):
        site = Site(settings, url)
        for _ in range(TURNS):
            without += measure.load(site.sign, connections=CONNECTIONS, runs=1)
            with _worker(settings):
                beside += measure.load(site.sign, connections=CONNECTIONS, runs=1)
        for each in without + beside:
            site.signed(each, CONNECTIONS, runs=1)
        site.proof()
    alone, rate = (statistics.median(run.per_second for run in runs) for runs in (without, beside))
    times = alone / rate
    compared = f"{times:.2f} × the time without; the worker counted {_counted(settings) - before:,} signatures"
    row(f"sign beside the background worker, {database}", f"{rate:,.0f}/s", compared, f"{LIMIT} ×", times <= LIMIT)


@contextmanager
def _worker(settings: Settings) -> Iterator[None]:
    """Run a background worker as an operator does, from when it works."""
    environ = {**os.environ, "DATABASE_URL": settings.database_url}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "work"]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)
    try:
        with create_app(settings).app_context():
            while not is_worker_running(db.session(), datetime.now(UTC)):
                if process.poll() is not None:
                    raise RuntimeError("the background worker does not start")
                db.session.remove()
                time.sleep(0.1)
            db.session.remove()
            db.engine.dispose()
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _counted(settings: Settings) -> int:
    """Return how many signatures the worker has counted so far."""
    with create_app(settings).app_context():
        position = roll_ups.position(db.session())
        db.session.remove()
        db.engine.dispose()
    return position
