"""Handing the signatures over: whose they are, what of them is in it, and all of it as CSV; read a chunk at a time.

spreadsheet.py and book.py make files of the same rows; exports.py keeps what organisers have asked for.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Engine, Row, and_, func, select, tuple_
from sqlalchemy.orm import Session

from campaign import book_words, sources
from campaign.models import Campaign, Signature, SignatureState, display_name
from campaign.places import countries

CHUNK = 5000
"""Rows held in memory at once: 10 MB. A PostgreSQL that has not looked at its table yet goes through it for each."""


class Purpose(StrEnum):
    """Whom it is for."""

    HAND_OVER = "hand-over"
    """Those the letter is addressed to: what the public form says that they are shown."""
    OURS = "ours"
    """The organisation itself, such as to write to those who asked for it."""


COLUMNS = {
    Purpose.HAND_OVER: ("name", "city", "region", "country", "signed_on"),
    Purpose.OURS: ("name", "email", "country", "region", "city", "postal_code", "wants_updates", "source", "signed_at"),
}
"""What can be chosen. `anonymous` is there by itself where those who ticked it are named: nobody can leave it out."""


@dataclass(frozen=True)
class Order:
    """What somebody wants to have; `order()` makes it."""

    purpose: Purpose
    columns: tuple[str, ...]
    only_updates: bool
    """Only those who want updates."""


def order(purpose: Purpose, columns: Iterable[str], *, only_updates: bool = False) -> Order:
    """An order of some columns, put into the order of COLUMNS.

    Raises:
        ValueError: there is no column, or one that is not for this purpose.
    """
    chosen = set(columns)
    if not chosen or not chosen <= set(COLUMNS[purpose]):
        raise ValueError(f"these can't be the columns for {purpose}: {sorted(chosen)}")
    in_order = tuple(column for column in COLUMNS[purpose] if column in chosen)
    return Order(purpose, in_order, only_updates and purpose is Purpose.OURS)


def names_everybody(campaign: Campaign, purpose: Purpose) -> bool:
    """Whether those too are named who wished to be anonymous."""
    return purpose is Purpose.OURS or campaign.deliver_anonymous


def header(campaign: Campaign, order: Order) -> tuple[str, ...]:
    """The names of the columns that come of it."""
    return (*order.columns, "anonymous") if names_everybody(campaign, order.purpose) else order.columns


@dataclass(frozen=True)
class Snapshot:
    """The signatures that a campaign had at one moment; who signs while a file of them is made is not in it."""

    campaign_id: int
    newest: int
    """The highest id."""
    only_updates: bool
    count: int = 0
    first: datetime | None = None
    """When the first of them signed."""
    last: datetime | None = None

    def has(self) -> ColumnElement[bool]:
        """What is true of each: it is counted, as are those that are hidden from the list."""
        s = Signature
        counted = and_(s.campaign_id == self.campaign_id, s.state == SignatureState.PUBLIC, s.id <= self.newest)
        return and_(counted, s.wants_updates.is_(True)) if self.only_updates else counted


def snapshot(session: Session, campaign_id: int, *, only_updates: bool = False) -> Snapshot:
    """The signatures there are now."""
    newest = session.scalar(select(func.max(Signature.id)).where(Signature.campaign_id == campaign_id))
    empty = Snapshot(campaign_id, newest or 0, only_updates)
    signed = Signature.signed_at
    about = select(func.count(), func.min(signed), func.max(signed)).where(empty.has())
    return Snapshot(campaign_id, empty.newest, only_updates, *session.execute(about).one())


def signatures(engine: Engine, of: Snapshot) -> Iterator[Sequence[Row[Any]]]:
    """They all, oldest first, CHUNK at a time; in between no transaction is open that others would have to wait for."""
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
    """The cells under `header`, CHUNK rows at a time; times are aware, days are those of the campaign's time zone."""
    columns, everybody = header(campaign, order), names_everybody(campaign, order.purpose)
    zone = ZoneInfo(campaign.time_zone)
    with Session(engine) as session:
        shown = sources.all_several(session, campaign.id) if "source" in columns else set()
    for chunk in signatures(engine, of):
        yield [_cells(row, columns, zone, shown, named=everybody or not row.anonymous) for row in chunk]


def _cells(row: Row[Any], columns: Sequence[str], zone: ZoneInfo, shown: set[str], *, named: bool) -> list[Cell]:
    values = row._asdict() | {"signed_on": row.signed_at.astimezone(zone).date()}
    if row.source not in shown:
        values |= {"source": ""}
    if not named:
        values |= {"name": display_name(row.name, anonymous=True), "city": "", "region": ""}
    return [_word(values[column]) for column in columns]


def _word(value: Cell | bool) -> Cell:
    return ("no", "yes")[value] if isinstance(value, bool) else value


def entries(engine: Engine, campaign: Campaign, of: Snapshot) -> Iterator[tuple[str, str]]:
    """Name and place of each for the book, the country as the campaign's language calls it."""
    everybody, names = names_everybody(campaign, Purpose.HAND_OVER), countries(campaign.language)
    anonymous = book_words.anonymous(campaign.language)
    for chunk in signatures(engine, of):
        for row in chunk:
            country = names.get(row.country, row.country)
            if row.anonymous and not everybody:
                yield anonymous, country
                continue
            mark = f" ({anonymous})" if row.anonymous else ""
            yield row.name + mark, ", ".join(part for part in (row.city, row.region, country) if part)


def csv_chunks(header: Sequence[str], chunks: Iterable[Iterable[Iterable[Cell]]]) -> Iterator[str]:
    """The rows as CSV under one of names (RFC 4180), a chunk for each of theirs."""
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
"""With these a spreadsheet takes a cell for a formula."""
_BEGINS = f"[{re.escape(FORMULA_SIGNS)}]"
_FORMULA = re.compile(rf"^(?=\s*{_BEGINS}|[\t\r\n])|(?<=[;\t\r\n])(?=[\s\"]*{_BEGINS})")


def neutral(cell: str) -> str:
    """The cell, with an apostrophe before what a spreadsheet would run as a formula (OWASP, "CSV Injection").

    Also after a semicolon or a tab, where spreadsheets of many languages begin a new cell, and after the end of a line,
    which for those is not inside quotes; nor is what then begins with a quote.
    """
    return _FORMULA.sub("'", cell)
