"""Faults of the database: another process holds a lock that every signature needs."""

import subprocess
import sys

from sqlalchemy import make_url

from campaign.models.campaign import Campaign
from campaign.settings import Settings
from tests.faults.load import Load
from tests.faults.people import Outcome

HOLD = """
import sys, time
{connect}
print("held", flush=True)
time.sleep(10)
"""
SQLITE = """
import sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("BEGIN IMMEDIATE")
"""
POSTGRESQL = """
import psycopg
connection = psycopg.connect(sys.argv[1])
connection.execute("LOCK TABLE signature, tally")
"""


def test_lock_held_for_ten_seconds_is_reported_to_signers(load: Load, campaign: Campaign, settings: Settings) -> None:
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        program, database = HOLD.format(connect=SQLITE), str(url.database)
    else:
        program, database = HOLD.format(connect=POSTGRESQL), url.set(drivername="postgresql").render_as_string()
    with load.fault(Outcome.REFUSED):
        holder = subprocess.run([sys.executable, "-c", program, database], check=True, capture_output=True, timeout=60)
        assert holder.stdout == b"held\n"
    load.finish(campaign.id)
