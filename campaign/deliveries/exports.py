"""Exports: files of signatures that organizers request. They stay in the database for a day, so every machine has them.

The desk requests exports, lists them, and serves the files. `start` starts a process that makes one (making.py).
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count
from threading import Thread
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, delete, or_, select, tuple_, update
from sqlalchemy.orm import Session

from campaign.accounts import audit_log
from campaign.accounts.audit_log import Actor
from campaign.deliveries import contents
from campaign.deliveries.contents import Order, Purpose, Sorting
from campaign.models.campaign import Campaign
from campaign.models.export import Export, ExportChunk, ExportState
from campaign.settings import ROOT, Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction

KEPT = timedelta(hours=24)
"""How long a file can be downloaded: overnight, but not longer, because it is a copy of signers' personal data."""
LAST_FETCH = timedelta(minutes=10)
"""How long after its expiration a file is deleted, so that a download that began at the last moment can finish."""
DEAD_AFTER = timedelta(seconds=60)
"""How long a process that makes a file may be silent before it counts as dead. It reports every second."""

PIECES = 4
"""How many chunks of files are deleted in one transaction. Each chunk is a megabyte (making.py)."""


class Kind(StrEnum):
    """The format of an export."""

    CSV = "csv"
    SPREADSHEET = "xlsx"
    BOOK = "pdf"


def ask(
    session: Session, by: Actor, campaign: Campaign, kind: Kind, order: Order, now: datetime
) -> tuple[Export, bool]:
    """Request an export, in the caller's write transaction, unless one of this format and purpose is being made.

    Returns:
        The new export and True, or the one that is being made and False. Call `start` for a new one after the commit.

    Raises:
        ValueError: A book was requested, but not for the addressees.
    """
    if kind is Kind.BOOK and order.purpose is not Purpose.HAND_OVER:
        raise ValueError("a book can only be made for the addressees")
    # Of two simultaneous requests, the second waits here, and then finds the export of the first.
    session.execute(select(Campaign.id).where(Campaign.id == campaign.id).with_for_update(key_share=True))
    clean(session, now)
    being_made = Export.state.in_([ExportState.WAITING, ExportState.MAKING])
    same = select(Export).where(Export.campaign_id == campaign.id, Export.kind == kind, being_made)
    for found in session.scalars(same):
        # An organizer who requests a file for delivery must never get the internal one.
        if order_of(found).purpose is order.purpose:
            return found, False
    # The audit log shows these options, so leave out those that mean nothing for this file.
    without = [] if kind is Kind.BOOK else ["sorting", "grouped"]
    without += ["names_hidden"] if order.purpose is Purpose.OURS else []
    options: dict[str, Any] = vars(order) | {"columns": list(order.columns)}
    options = {name: value for name, value in options.items() if name not in without}
    export = Export(
        campaign_id=campaign.id,
        account_id=by.account_id,
        kind=kind,
        options=options,
        state=ExportState.WAITING,
        asked_at=now,
        touched_at=now,
        expires_at=now + KEPT,
    )
    session.add(export)
    session.flush()
    what = {"export": export.id, "kind": kind} | options
    audit_log.write(session, by, "export.ask", now, campaign_id=campaign.id, after=what)
    return export, True


def file_name(campaign: Campaign, export: Export) -> str:
    """Return the name of an export's file: campaign, purpose, and the day of the request."""
    purpose = contents.IN_FILE_NAMES[order_of(export).purpose]
    return f"{campaign.slug}-{purpose}-{export.asked_at.date()}.{export.kind}"


def order_of(export: Export) -> Order:
    """Return the export's options."""
    # Other files than books have no order and groups. Earlier versions stored only the first three options.
    options = export.options
    return Order(
        Purpose(options["purpose"]),
        tuple(options["columns"]),
        options["only_updates"],
        options.get("names_hidden", False),
        Sorting(options.get("sorting", Sorting.TIME)),
        options.get("grouped", False),
    )


def start(export_id: int, settings: Settings) -> "subprocess.Popen[bytes]":
    """Start a process that makes the export, and that continues if this process ends."""
    ours = {
        "DATABASE_URL": settings.database_url,
        "SECRET_KEY": settings.secret_key,
        "SITE_NAME": settings.site_name,
        "SITE_COUNTRY": settings.site_country,
    }
    command = [sys.executable, "-m", "campaign.deliveries.making", str(export_id)]
    maker = subprocess.Popen(  # noqa: S603 (the command contains no user input)
        command, cwd=ROOT, env=os.environ | ours, stdin=subprocess.DEVNULL, start_new_session=True
    )
    # A process that has ended stays a zombie until its parent has waited for it.
    Thread(target=maker.wait, daemon=True).start()
    return maker


def _expired(now: datetime) -> ColumnElement[bool]:
    return Export.expires_at <= now


def _over(now: datetime) -> ColumnElement[bool]:
    return _expired(now - LAST_FETCH)


def _dead(now: datetime) -> ColumnElement[bool]:
    being_made = Export.state.in_([ExportState.WAITING, ExportState.MAKING])
    return and_(being_made, Export.touched_at < now - DEAD_AFTER)


def is_dead(export: Export, now: datetime) -> bool:
    """Return whether the process that makes the export has died."""
    return export.state in (ExportState.WAITING, ExportState.MAKING) and export.touched_at < now - DEAD_AFTER


def needs_cleaning(session: Session, now: datetime) -> bool:
    """Return whether `clean` has anything to do."""
    return session.scalar(select(Export.id).where(or_(_over(now), _dead(now))).limit(1)) is not None


def sweep(now: datetime) -> None:
    """Delete the contents of files that expired LAST_FETCH ago, a few chunks at a time, so that signers don't wait.

    Call this before `clean` and outside of a transaction, so that `clean` has little left to delete.

    Raises:
        STORAGE_ERRORS: The database failed. Chunks may have been deleted before that.
    """
    piece = ExportChunk.export_id, ExportChunk.number
    # Nobody downloads these files anymore, and no process writes to them.
    some = select(*piece).join(Export).where(_over(now), Export.state == ExportState.READY).limit(PIECES)
    while db.session.scalar(select(some.exists())):
        with write_transaction() as session:
            session.execute(delete(ExportChunk).where(tuple_(*piece).in_(some)))


def clean(session: Session, now: datetime) -> int:
    """Delete exports that expired LAST_FETCH ago, and mark dead ones as failed, in the caller's write transaction.

    Returns:
        The number of deleted exports.
    """
    over = session.scalars(select(Export.id).where(_over(now))).all()
    dead = session.scalars(select(Export.id).where(_dead(now), ~_over(now))).all()
    session.execute(delete(ExportChunk).where(ExportChunk.export_id.in_([*over, *dead])))
    session.execute(delete(Export).where(Export.id.in_(over)))
    fault = "It stopped before it was finished, perhaps because the server was restarted. Please request it again."
    session.execute(update(Export).where(Export.id.in_(dead)).values(state=ExportState.FAILED, fault=fault))
    return len(over)


def of_campaign(session: Session, campaign: Campaign, now: datetime) -> Sequence[Export]:
    """Return the campaign's exports, newest first."""
    own = select(Export).where(Export.campaign_id == campaign.id, ~_expired(now))
    return session.scalars(own.order_by(Export.id.desc())).all()


def find(session: Session, campaign: Campaign, export_id: int, now: datetime) -> Export | None:
    """Return the campaign's export with this id, or None if there is none or it has expired."""
    return session.scalar(
        select(Export).where(Export.id == export_id, Export.campaign_id == campaign.id, ~_expired(now))
    )


def hand_out(session: Session, by: Actor, campaign: Campaign, export_id: int, now: datetime) -> Export | None:
    """Record a download in the audit log, in the caller's write transaction; `chunks` returns the file's contents.

    Returns:
        The export, or None if it can't be downloaded.
    """
    export = find(session, campaign, export_id, now)
    if export is None or export.state is not ExportState.READY:
        return None
    what = {"export": export.id, "kind": export.kind} | export.options
    audit_log.write(session, by, "export.download", now, campaign_id=campaign.id, after=what)
    return export


def chunks(engine: Engine, export_id: int) -> Iterator[bytes]:
    """Yield the contents of a file in chunks."""
    for number in count():
        # Read each chunk in its own transaction, so that a slow download holds up nothing else.
        with engine.connect() as connection:
            piece = select(ExportChunk.data).where(ExportChunk.export_id == export_id, ExportChunk.number == number)
            data = connection.scalar(piece)
        if data is None:
            return
        yield data
