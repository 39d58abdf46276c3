"""Signatures as a spreadsheet (XLSX), written row by row; exporting.py calls it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xlsxwriter

from campaign.delivery import Cell

MOST_ROWS = 1_048_576
"""Rows that a sheet can have (Excel specifications and limits)."""
_WIDTHS = {"email": 32, "signed_at": 17, "signed_on": 12}
"""Of columns, in characters."""
_OTHER_WIDTH = 24


def write(file: Path, header: Sequence[str], chunks: Iterable[Iterable[Sequence[Cell]]]) -> None:
    """Write the rows under one of names to `file`; times in UTC, for a spreadsheet's times have no zone.

    Where a sheet is full, the next begins. Text is only ever text: no cell becomes a formula, a link or a number.
    """
    # A row goes to the disk when the next one begins; beside `file`, for the system's own folder may be in memory.
    options = {
        "constant_memory": True,
        "tmpdir": str(file.parent),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(str(file), options) as book:
        day, moment = (book.add_format({"num_format": form}) for form in ("yyyy-mm-dd", "yyyy-mm-dd hh:mm"))
        sheet, number = _sheet(book, header), 1
        for row in (row for chunk in chunks for row in chunk):
            if number == MOST_ROWS:
                sheet, number = _sheet(book, header), 1
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(number, column, cell)
                elif isinstance(cell, datetime):
                    sheet.write_datetime(number, column, cell.astimezone(UTC).replace(tzinfo=None), moment)
                else:
                    sheet.write_datetime(number, column, cell, day)
            number += 1


def _sheet(book: xlsxwriter.Workbook, header: Sequence[str]) -> Any:
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    bold = book.add_format({"bold": True})
    for column, name in enumerate(header):
        sheet.set_column(column, column, _WIDTHS.get(name, _OTHER_WIDTH))
    for column, name in enumerate(header):
        sheet.write_string(0, column, name, bold)
    return sheet
