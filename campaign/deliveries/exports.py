"""Exports: files of signatures that organizers request. They stay in the database for a day, so every machine has them.

The desk requests exports, lists them, and serves the files. A request only adds a row. The background worker makes the
files, one after the other (making.py). A process that makes a file takes its row for as long as it lives (queue.py).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, delete, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session

from campaign.accounts import audit_log
from campaign.accounts.audit_log import Actor
from campaign.deliveries import contents
from campaign.deliveries.contents import Order, Purpose, Sorting
from campaign.models.campaign import Campaign
from campaign.models.export import Export, ExportChunk, ExportState

KEPT = timedelta(hours=24)
"""How long a file can be downloaded: overnight, but not longer, because it is a copy of signers' personal data."""
LAST_FETCH = timedelta(minutes=10)
"""How long after its expiration a file is deleted, so that a download that began at the last moment can finish."""
MOST_WAITING = 20
"""How many files of a campaign can wait at a time. A larger number is a mistake, or an attack."""
PIECES = 4
"""How many chunks of files are deleted in one transaction. Each chunk is a megabyte (making.py)."""

NOT_MADE = (ExportState.WAITING, ExportState.MAKING)


class QueueFullError(Exception):
    """MOST_WAITING files of the campaign are waiting already."""


class Kind(StrEnum):
    """The format of an export."""

    CSV = "csv"
    SPREADSHEET = "xlsx"
    BOOK = "pdf"


def ask(session: Session, by: Actor, campaign: Campaign, kind: Kind, order: Order, now: datetime) -> Export:
    """Request an export, in the caller's write transaction.

    Returns:
        The new export, or one with the same options that is waiting, because its file will be the same.

    Raises:
        ValueError: A book was requested, but not for the addressees.
        QueueFullError: Too many files are waiting.
    """
    if kind is Kind.BOOK and order.purpose is not Purpose.HAND_OVER:
        raise ValueError("a book can only be made for the addressees")
    # Of two simultaneous requests, the second waits here, and then finds the export of the first.
    session.execute(select(Campaign.id).where(Campaign.id == campaign.id).with_for_update(key_share=True))
    # The audit log shows these options, so leave out those that mean nothing for this file.
    without = [] if kind is Kind.BOOK else ["sorting", "grouped"]
    without += ["names_hidden"] if order.purpose is Purpose.OURS else []
    options: dict[str, Any] = vars(order) | {"columns": list(order.columns)}
    options = {name: value for name, value in options.items() if name not in without}
    own = select(Export).where(Export.campaign_id == campaign.id, Export.state == ExportState.WAITING)
    waiting = session.scalars(own.order_by(Export.id)).all()
    for found in waiting:
        if found.kind == kind and found.options == options:
            return found
    if len(waiting) >= MOST_WAITING:
        raise QueueFullError
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
    return export


def ahead(session: Session, export: Export) -> int:
    """Return how many files of all campaigns were requested before a waiting one, and are not ready yet."""
    earlier = select(func.count()).where(Export.id < export.id, Export.state.in_(NOT_MADE))
    return session.scalar(earlier) or 0


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


def _expired(now: datetime) -> ColumnElement[bool]:
    # A file that nobody has made yet doesn't expire.
    return and_(Export.expires_at <= now, Export.state.not_in(NOT_MADE))


def delete_unneeded_chunks(session: Session, now: datetime) -> bool:
    """Delete a few chunks of files that expired LAST_FETCH ago or have failed, in the caller's write transaction.

    Signers wait for the transaction. So call this again, in another one, until it returns False.
    """
    piece = ExportChunk.export_id, ExportChunk.number
    useless = or_(_expired(now - LAST_FETCH), Export.state == ExportState.FAILED)
    some = session.execute(select(*piece).join(Export).where(useless).limit(PIECES)).all()
    if some:
        session.execute(delete(ExportChunk).where(tuple_(*piece).in_([tuple(key) for key in some])))
    return bool(some)


def delete_expired(session: Session, now: datetime) -> int:
    """Delete exports that expired LAST_FETCH ago and have no chunks anymore, in the caller's write transaction.

    Returns:
        The number of deleted exports.
    """
    has_chunks = exists().where(ExportChunk.export_id == Export.id)
    deleted = session.execute(delete(Export).where(_expired(now - LAST_FETCH), ~has_chunks))
    return int(deleted.rowcount)  # type: ignore[attr-defined]


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
    what = {"export": export.id, "kind": export.kind, "asked_at": export.asked_at.isoformat()} | export.options
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
