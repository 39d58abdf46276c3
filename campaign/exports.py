"""Exports: files of signatures that organisers have asked for, kept in the database for a day, for every machine.

The desk asks, shows and hands out. exporting.py makes them, in a process of its own that `start` begins.
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

from campaign import record
from campaign.delivery import Order, Purpose
from campaign.desk_models import Export, ExportChunk, ExportState
from campaign.extensions import db, write_transaction
from campaign.models import Campaign
from campaign.record import Actor
from campaign.settings import ROOT, Settings

KEPT = timedelta(hours=24)
"""How long a file can be fetched: over a night, and no longer, for it is a copy of what signers trusted us with."""
LAST_FETCH = timedelta(minutes=10)
"""How much later it is deleted: who has begun to fetch it in the last moment gets it whole."""
DEAD_AFTER = timedelta(seconds=60)
"""A maker that has given no sign of life for so long is none; it gives one every second."""

PIECES = 4
"""Pieces of a file that are deleted in one transaction; each is a megabyte (exporting.py)."""


class Kind(StrEnum):
    """What a file is."""

    CSV = "csv"
    SPREADSHEET = "xlsx"
    BOOK = "pdf"


def ask(
    session: Session, by: Actor, campaign: Campaign, kind: Kind, order: Order, now: datetime
) -> tuple[Export, bool]:
    """Ask for a file, in the caller's write transaction; where one of that kind is being made, it is that one.

    Returns:
        The export, and whether it is new, so that the caller must `start` it after the commit.

    Raises:
        ValueError: it is a book, and not to be handed over.
    """
    if kind is Kind.BOOK and order.purpose is not Purpose.HAND_OVER:
        raise ValueError("a book is made to be handed over")
    # Two who ask at once: the second waits here, and then finds what the first has asked for.
    session.execute(select(Campaign.id).where(Campaign.id == campaign.id).with_for_update(key_share=True))
    clean(session, now)
    being_made = Export.state.in_([ExportState.WAITING, ExportState.MAKING])
    same = select(Export).where(Export.campaign_id == campaign.id, Export.kind == kind, being_made)
    if found := session.scalars(same).first():
        return found, False
    options: dict[str, Any] = vars(order) | {"columns": list(order.columns)}
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
    record.write(session, by, "export.ask", now, campaign_id=campaign.id, after=what)
    return export, True


def order_of(export: Export) -> Order:
    """What it was asked to hold."""
    options = export.options
    return Order(Purpose(options["purpose"]), tuple(options["columns"]), options["only_updates"])


def start(export_id: int, settings: Settings) -> "subprocess.Popen[bytes]":
    """Have it made, by a process of its own that goes on when this one ends."""
    ours = {
        "DATABASE_URL": settings.database_url,
        "SECRET_KEY": settings.secret_key,
        "SITE_NAME": settings.site_name,
    }
    command = [sys.executable, "-m", "campaign.exporting", str(export_id)]
    maker = subprocess.Popen(  # noqa: S603 (nothing of it was typed by anybody)
        command, cwd=ROOT, env=os.environ | ours, stdin=subprocess.DEVNULL, start_new_session=True
    )
    # The system keeps a process that has ended until somebody has waited for it.
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
    """Whether whoever should make it does not any more."""
    return export.state in (ExportState.WAITING, ExportState.MAKING) and export.touched_at < now - DEAD_AFTER


def needs_cleaning(session: Session, now: datetime) -> bool:
    """Whether `clean` would find something to do."""
    return session.scalar(select(Export.id).where(or_(_over(now), _dead(now))).limit(1)) is not None


def sweep(now: datetime) -> None:
    """Delete what is in files that have expired LAST_FETCH ago, a few pieces in a transaction: signers get in between.

    To be called before `clean`, in no transaction; what that finds left of them is little.

    Raises:
        STORAGE_ERRORS: some could not be deleted; those before them are.
    """
    piece = ExportChunk.export_id, ExportChunk.number
    # Nobody fetches these any more, and nobody makes them.
    some = select(*piece).join(Export).where(_over(now), Export.state == ExportState.READY).limit(PIECES)
    while db.session.scalar(select(some.exists())):
        with write_transaction() as session:
            session.execute(delete(ExportChunk).where(tuple_(*piece).in_(some)))


def clean(session: Session, now: datetime) -> int:
    """Delete what has expired LAST_FETCH ago, and say of what died that it has failed, in the caller's transaction.

    Returns:
        How many exports it deleted.
    """
    over = session.scalars(select(Export.id).where(_over(now))).all()
    dead = session.scalars(select(Export.id).where(_dead(now), ~_over(now))).all()
    session.execute(delete(ExportChunk).where(ExportChunk.export_id.in_([*over, *dead])))
    session.execute(delete(Export).where(Export.id.in_(over)))
    fault = "It stopped in the middle, as when a machine is restarted. Nothing is lost: it can be made again."
    session.execute(update(Export).where(Export.id.in_(dead)).values(state=ExportState.FAILED, fault=fault))
    return len(over)


def of_campaign(session: Session, campaign: Campaign, now: datetime) -> Sequence[Export]:
    """The campaign's exports, newest first."""
    own = select(Export).where(Export.campaign_id == campaign.id, ~_expired(now))
    return session.scalars(own.order_by(Export.id.desc())).all()


def find(session: Session, campaign: Campaign, export_id: int, now: datetime) -> Export | None:
    """One of the campaign's exports; None if it has none of that id, or has it no more."""
    return session.scalar(
        select(Export).where(Export.id == export_id, Export.campaign_id == campaign.id, ~_expired(now))
    )


def hand_out(session: Session, by: Actor, campaign: Campaign, export_id: int, now: datetime) -> Export | None:
    """Write down, in the caller's write transaction, that somebody fetches a file; `chunks` has what is in it.

    Returns:
        None if it is not there to be fetched.
    """
    export = find(session, campaign, export_id, now)
    if export is None or export.state is not ExportState.READY:
        return None
    what = {"export": export.id, "kind": export.kind} | export.options
    record.write(session, by, "export.download", now, campaign_id=campaign.id, after=what)
    return export


def chunks(engine: Engine, export_id: int) -> Iterator[bytes]:
    """What is in a file, a piece at a time."""
    for number in count():
        # One transaction for each: who fetches it slowly must hold up nobody.
        with engine.connect() as connection:
            piece = select(ExportChunk.data).where(ExportChunk.export_id == export_id, ExportChunk.number == number)
            data = connection.scalar(piece)
        if data is None:
            return
        yield data
