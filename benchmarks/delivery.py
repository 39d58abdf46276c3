"""How long a delivery takes, and how much memory, in the process that makes it for the desk; bench.py asks."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from campaign import campaigns, create_app, delivery, exports
from campaign.delivery import Purpose
from campaign.desk_models import Account, Export, ExportState, Role
from campaign.exports import Kind
from campaign.extensions import db, write_transaction
from campaign.record import actor
from campaign.settings import ROOT, Settings

Row = Callable[[str, str, str, str, bool], None]
"""`Report.row` of bench.py."""


@dataclass(frozen=True)
class Made:
    """What it took to make a file of all of a site's signatures."""

    signatures: int
    seconds: float
    peak: float
    """Megabytes that the process had at most."""
    megabytes: float
    """Length of the file."""


def make(settings: Settings, kind: Kind) -> Made:
    """Have everything made that may be handed over, by a process of its own.

    Raises:
        SystemExit: it could not be made.
    """
    app = create_app(settings)
    with app.app_context():
        export_id = _asked(kind)
        command = [sys.executable, "-m", "campaign.exporting", str(export_id)]
        # A process between tells how much memory the one below it had.
        child = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        environ = os.environ | {"DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
        began = time.monotonic()
        said = subprocess.run(
            [sys.executable, "-c", child, *command], cwd=ROOT, env=environ, check=True, capture_output=True, text=True
        )
        seconds = time.monotonic() - began
        db.session.rollback()
        export = db.session.get_one(Export, export_id)
        if export.state is not ExportState.READY:
            raise SystemExit(f"the {kind} could not be made: {export.fault}")
        made = Made(export.done, seconds, int(said.stdout) / 1024, export.bytes / 1e6)
        with write_transaction() as session:
            exports.clean(session, export.expires_at)
        db.engine.dispose()
    return made


def _asked(kind: Kind) -> int:
    now = datetime.now(UTC)
    order = delivery.order(Purpose.HAND_OVER, delivery.COLUMNS[Purpose.HAND_OVER])
    [campaign, *_] = campaigns.every(db.session())
    with write_transaction() as session:
        account = session.query(Account).first()
        if account is None:
            account = Account(email="bench@example.org", role=Role.ADMIN, created_at=now, fs_uniquifier="bench")
            session.add(account)
            session.flush()
        export, _new = exports.ask(session, actor(account), campaign, kind, order, now)
        return export.id


def report(row: Row, hundred_thousand: Settings, million: Settings) -> None:
    """Add the rows: a book of the one site, CSV and spreadsheet of the other."""
    _add(row, "book (PDF)", make(hundred_thousand, Kind.BOOK), seconds=60, megabytes=500)
    _add(row, "CSV", make(million, Kind.CSV), seconds=60, megabytes=150)
    _add(row, "spreadsheet", make(million, Kind.SPREADSHEET), seconds=180, megabytes=150)


def _add(row: Row, what: str, made: Made, seconds: float, megabytes: float) -> None:
    reached = made.seconds < seconds and made.peak < megabytes
    figure, must = f"{made.seconds:.0f} s, {made.peak:.0f} MB", f"{seconds:.0f} s, {megabytes:.0f} MB"
    row(f"{what} of {made.signatures:,} signatures", figure, f"{made.megabytes:.0f} MB long", must, reached)
