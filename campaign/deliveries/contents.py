"""The contents of deliveries: which signatures and columns they have, read in chunks; also as CSV.

spreadsheet.py writes the same rows, signatories.py makes the entries of the book, and exports.py stores the files that
organizers request.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Engine, Row, and_, func, select, tuple_
from sqlalchemy.orm import Session

from campaign.models.campaign import Campaign
from campaign.models.signature import Signature, SignatureState
from campaign.signatures import sources

CHUNK = 5000
"""Rows held in memory at once: 10 MB. Not fewer, because PostgreSQL scans the whole table for each chunk until it has
analyzed the table."""


class Purpose(StrEnum):
    """Who a delivery is for."""

    HAND_OVER = "hand-over"
    """The addressees of the letter. They get only what the public sign form says."""
    OURS = "ours"
    """The organization itself, for example to write to signers who want updates."""


TITLES = {Purpose.HAND_OVER: "For the recipient", Purpose.OURS: "Internal use only"}
"""The purpose as people read it in a file."""
IN_FILE_NAMES = {Purpose.HAND_OVER: "for-the-recipient", Purpose.OURS: "internal-use-only"}
"""The purpose in the names of files, so that nobody hands over the wrong one."""
ANONYMOUS = "Anonymous"
"""Takes the place of a name that isn't delivered."""
BOM = "\ufeff"
"""Begins each CSV file for people: Excel reads a file without a byte-order mark in an outdated encoding."""


COLUMNS = {
    Purpose.HAND_OVER: ("name", "city", "region", "country", "signed_on"),
    Purpose.OURS: (
        "name",
        "email",
        "country",
        "region",
        "city",
        "postal_code",
        "wants_updates",
        "source",
        "language",
        "signed_at",
    ),
}
"""The columns to choose from. A delivery that names anonymous signers always has the column `anonymous` too."""


class Sorting(StrEnum):
    """The order of the signatories in the book."""

    TIME = "time"
    """Oldest signature first."""
    NAME = "name"
    """By the alphabet of the campaign's language."""


@dataclass(frozen=True)
class Order:
    """The options of a delivery; `order()` checks and creates them."""

    purpose: Purpose
    columns: tuple[str, ...]
    only_updates: bool
    """Whether to include only signers who want updates."""
    names_hidden: bool = False
    """Whether to name hidden signatures to the addressees. Internal files always have them."""
    sorting: Sorting = Sorting.TIME
    """The order of the book. Other files are in the order of time."""
    grouped: bool = False
    """Whether the book groups its signatories by country, and by state in the US."""

    @property
    def has_hidden(self) -> bool:
        """Whether the delivery names hidden signatures."""
        return self.names_hidden or self.purpose is Purpose.OURS


def order(
    purpose: Purpose,
    columns: Iterable[str],
    *,
    only_updates: bool = False,
    names_hidden: bool = False,
    sorting: Sorting = Sorting.TIME,
    grouped: bool = False,
) -> Order:
    """Return the options of a delivery, with the columns sorted as in COLUMNS.

    Raises:
        ValueError: There are no columns, or the purpose doesn't allow one of them.
    """
    chosen = set(columns)
    if not chosen or not chosen <= set(COLUMNS[purpose]):
        raise ValueError(f"a delivery for {purpose} can't have these columns: {sorted(chosen)}")
    in_order = tuple(column for column in COLUMNS[purpose] if column in chosen)
    ours = purpose is Purpose.OURS
    return Order(purpose, in_order, only_updates and ours, names_hidden and not ours, sorting, grouped)


def names_everybody(campaign: Campaign, purpose: Purpose) -> bool:
    """Return whether a delivery also names anonymous signers."""
    return purpose is Purpose.OURS or campaign.deliver_anonymous


def header(campaign: Campaign, order: Order) -> tuple[str, ...]:
    """Return the names of a delivery's columns."""
    return (*order.columns, "anonymous") if names_everybody(campaign, order.purpose) else order.columns


@dataclass(frozen=True)
class Snapshot:
    """The signatures of a campaign at one moment, so that a file excludes those that arrive while it is made."""

    campaign_id: int
    newest: int
    """The highest id of a signature."""
    only_updates: bool
    only_listed: bool
    count: int = 0
    first: datetime | None = None
    """When the first of them signed."""
    last: datetime | None = None

    def has(self) -> ColumnElement[bool]:
        """Return the condition for signatures in the snapshot: those that are counted, with its limits."""
        s = Signature
        counted = and_(s.campaign_id == self.campaign_id, s.state == SignatureState.PUBLIC, s.id <= self.newest)
        if self.only_updates:
            counted = and_(counted, s.wants_updates.is_(True))
        return and_(counted, s.listed_at.is_not(None)) if self.only_listed else counted


def snapshot(session: Session, campaign_id: int, *, only_updates: bool = False, only_listed: bool = False) -> Snapshot:
    """Return a snapshot of the campaign's signatures now.

    Args:
        session: The database.
        campaign_id: The campaign.
        only_updates: Whether to leave out signers who don't want updates.
        only_listed: Whether to leave out hidden signatures.
    """
    newest = session.scalar(select(func.max(Signature.id)).where(Signature.campaign_id == campaign_id))
    empty = Snapshot(campaign_id, newest or 0, only_updates, only_listed)
    signed = Signature.signed_at
    about = select(func.count().label("count"), func.min(signed).label("first"), func.max(signed).label("last")).where(
        empty.has()
    )
    return replace(empty, **session.execute(about).one()._asdict())


def signatures(engine: Engine, of: Snapshot) -> Iterator[Sequence[Row[Any]]]:
    """Yield all signatures of a snapshot, oldest first, CHUNK at a time. No transaction stays open between chunks."""
    s = Signature
    wanted = select(*s.__table__.columns).where(of.has()).order_by(s.signed_at, s.id).limit(CHUNK)
    page = wanted
    while True:
        with engine.connect() as connection:
            found = connection.execute(page).all()
        if not found:
            return
        yield found
        page = wanted.where(tuple_(s.signed_at, s.id) > tuple_(found[-1].signed_at, found[-1].id))


Cell = str | date | datetime


def rows(engine: Engine, campaign: Campaign, order: Order, of: Snapshot) -> Iterator[list[list[Cell]]]:
    """Yield the rows of a delivery, CHUNK at a time. Times are aware; dates are in the campaign's time zone."""
    columns, everybody = header(campaign, order), names_everybody(campaign, order.purpose)
    zone = ZoneInfo(campaign.time_zone)
    with Session(engine) as session:
        shown = sources.all_common_words(session, campaign.id) if "source" in columns else set()
    for chunk in signatures(engine, of):
        yield [_cells(row, columns, campaign, zone, shown, named=everybody or not row.anonymous) for row in chunk]


def _cells(
    row: Row[Any], columns: Sequence[str], campaign: Campaign, zone: ZoneInfo, shown: set[str], *, named: bool
) -> list[Cell]:
    values = row._asdict() | {
        "signed_on": row.signed_at.astimezone(zone).date(),
        # In earlier versions, campaigns had only their main language.
        "language": row.language or campaign.language,
    }
    if row.source not in shown:
        values |= {"source": ""}
    if not named:
        values |= {"name": ANONYMOUS, "city": "", "region": ""}
    return [_yes_or_no(values[column]) for column in columns]


def _yes_or_no(value: Cell | bool) -> Cell:
    return ("no", "yes")[value] if isinstance(value, bool) else value


def marked(
    purpose: Purpose, header: Sequence[str], chunks: Iterable[list[list[Cell]]]
) -> tuple[Sequence[str], Iterable[list[list[Cell]]]]:
    """Return the header and rows of a file for people: in an internal file, each row says so in the last column.

    A note above the header would stop other programs from reading the columns.
    """
    if purpose is not Purpose.OURS:
        return header, chunks
    mark = TITLES[purpose].lower()
    return (*header, "use"), ([[*row, mark] for row in chunk] for chunk in chunks)


def csv_chunks(header: Sequence[str], chunks: Iterable[Iterable[Iterable[Cell]]]) -> Iterator[str]:
    """Yield the header and the rows as CSV (RFC 4180), one chunk of text for each chunk of rows."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    for chunk in chunks:
        writer.writerows(
            [neutral(cell) if isinstance(cell, str) else cell.isoformat() for cell in row] for row in chunk
        )
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


FORMULA_SIGNS = "=+-@＝＋－＠"
"""Characters that begin a formula in a spreadsheet."""
_BEGINS = f"[{re.escape(FORMULA_SIGNS)}]"
_FORMULA = re.compile(rf"^(?=\s*{_BEGINS}|[\t\r\n])|(?<=[;\t\r\n])(?=[\s\"]*{_BEGINS})")


def neutral(cell: str) -> str:
    """Return the cell with an apostrophe before anything that a spreadsheet would run as a formula.

    See OWASP, "CSV Injection". This includes text after a semicolon or a tab, where spreadsheets in many languages
    begin a new cell. Such a spreadsheet doesn't recognize the quotation marks around our cell. So for it, a formula may
    also follow a line break in the cell, and further quotation marks.
    """
    return _FORMULA.sub("'", cell)
