"""Handing the signatures over: as CSV, read row by row, safe to open in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaign.models import Signature, SignatureState

COLUMNS = (
    "name",
    "email",
    "country",
    "region",
    "city",
    "postal_code",
    "anonymous",
    "wants_updates",
    "signed_at",
)
FORMULA_SIGNS = "=+-@＝＋－＠"
"""With these a spreadsheet takes a cell for a formula."""
_FORMULA = re.compile(rf"^(?=\s*[{re.escape(FORMULA_SIGNS)}]|[\t\r\n])|(?<=[;\t])(?=\s*[{re.escape(FORMULA_SIGNS)}])")

CHUNK = 1000
"""Rows held in memory at once."""


def csv_chunks(session: Session, campaign_id: int) -> Iterator[str]:
    """The campaign's counted signatures as CSV, oldest first, a row each under a row of names (RFC 4180).

    Those who wished to be shown as anonymous are marked, so that whoever delivers the list can keep their wish.

    Yields:
        CHUNK rows at a time.
    """
    chunk = io.StringIO(newline="")
    writer = csv.writer(chunk)
    writer.writerow(COLUMNS)
    rows = session.execute(
        select(*(getattr(Signature, column) for column in COLUMNS))
        .where(Signature.campaign_id == campaign_id, Signature.state == SignatureState.PUBLIC)
        .order_by(Signature.id)
        .execution_options(yield_per=CHUNK)
    )
    for part in rows.partitions():
        for *words, anonymous, wants_updates, signed_at in part:
            yes_no = ("yes" if answer else "no" for answer in (anonymous, wants_updates))
            writer.writerow([*(neutral(word) for word in words), *yes_no, signed_at.isoformat()])
        yield chunk.getvalue()
        chunk.seek(0)
        chunk.truncate()
    yield chunk.getvalue()


def neutral(cell: str) -> str:
    """The cell, with an apostrophe before what a spreadsheet would run as a formula (OWASP, "CSV Injection").

    Also after a semicolon or a tab, where spreadsheets of many languages begin a new cell.
    """
    return _FORMULA.sub("'", cell)
