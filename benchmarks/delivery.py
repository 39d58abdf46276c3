"""Measure the time and memory that making a delivery takes, in the process that makes it for the desk."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from campaign import create_app
from campaign.accounts.audit_log import actor
from campaign.campaigns import lookup
from campaign.deliveries import contents, exports
from campaign.deliveries.contents import Purpose
from campaign.deliveries.exports import Kind
from campaign.models.account import Account, Role
from campaign.models.export import Export, ExportState
from campaign.settings import ROOT, Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction

Row = Callable[[str, str, str, str, bool], None]
"""`Report.row` of bench.py."""


@dataclass(frozen=True)
class Made:
    """The cost of making a file of all signatures."""

    signatures: int
    seconds: float
    peak: float
    """Peak memory of the process, in megabytes."""
    megabytes: float
    """Size of the file."""


def make(settings: Settings, kind: Kind) -> Made:
    """Make a file with all columns that may be delivered, in a separate process, and measure its cost.

    Raises:
        SystemExit: The file could not be made.
    """
    app = create_app(settings)
    with app.app_context():
        export_id = _request_export(kind)
        command = [sys.executable, "-m", "campaign.deliveries.making"]
        # A process in between reports the peak memory of its child.
        child = (
            "import os, resource, subprocess, sys\n"
            "subprocess.run([*sys.argv[1:], str(os.getpid()), 'bench'], check=True)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        environ = os.environ | {"DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", child, *command], cwd=ROOT, env=environ, check=True, capture_output=True, text=True
        )
        seconds = time.monotonic() - began
        db.session.rollback()
        export = db.session.get_one(Export, export_id)
        if export.state is not ExportState.READY:
            raise SystemExit(f"the {kind} could not be made: {export.fault}")
        made = Made(export.done, seconds, int(done.stdout) / 1024, export.bytes / 1e6)
        with write_transaction() as session:
            while exports.delete_unneeded_chunks(session, export.expires_at + exports.LAST_FETCH):
                pass
            exports.delete_expired(session, export.expires_at + exports.LAST_FETCH)
        db.engine.dispose()
    return made


def _request_export(kind: Kind) -> int:
    now = datetime.now(UTC)
    order = contents.order(Purpose.HAND_OVER, contents.COLUMNS[Purpose.HAND_OVER])
    [campaign, *_] = lookup.all_campaigns(db.session())
    with write_transaction() as session:
        account = session.query(Account).first()
        if account is None:
            account = Account(email="bench@example.org", role=Role.ADMIN, created_at=now, fs_uniquifier="bench")
            session.add(account)
            session.flush()
        return exports.ask(session, actor(account), campaign, kind, order, now).id


def report(row: Row, hundred_thousand: Settings, million: Settings) -> None:
    """Add the rows: a book of 100,000 signatures, and a CSV file and a spreadsheet of a million."""
    _add(row, "book (PDF)", make(hundred_thousand, Kind.BOOK), seconds=60, megabytes=500)
    _add(row, "CSV", make(million, Kind.CSV), seconds=60, megabytes=150)
    _add(row, "spreadsheet", make(million, Kind.SPREADSHEET), seconds=180, megabytes=150)


def _add(row: Row, what: str, made: Made, seconds: float, megabytes: float) -> None:
    reached = made.seconds < seconds and made.peak < megabytes
    figure, must = f"{made.seconds:.0f} s, {made.peak:.0f} MB", f"{seconds:.0f} s, {megabytes:.0f} MB"
    row(f"{what} of {made.signatures:,} signatures", figure, f"{made.megabytes:.0f} MB file", must, reached)
