"""Writes signatures to a spreadsheet (XLSX) row by row, for making.py."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xlsxwriter

from campaign.deliveries.contents import TITLES, Cell, Purpose

MOST_ROWS = 1_048_576
"""The most rows of a sheet (Excel specifications and limits)."""
_WIDTHS = {"email": 32, "signed_at": 17, "signed_on": 12}
"""Widths of columns, in characters."""
_OTHER_WIDTH = 24


def write(file: Path, header: Sequence[str], chunks: Iterable[Iterable[Sequence[Cell]]], purpose: Purpose) -> None:
    """Write a header and rows to a file. Times are in UTC, because a spreadsheet's times have no time zone.

    When a sheet is full, another one begins. Text stays text: no cell becomes a formula, a link, or a number. The
    sheets are named after the purpose, which is also printed on each page.
    """
    # Each row is written to a temporary file in the folder of `file`, which is deleted even if this process is killed.
    options = {
        "constant_memory": True,
        "tmpdir": str(file.parent),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(str(file), options) as book:
        book.set_properties({"title": TITLES[purpose]})
        day, moment = (book.add_format({"num_format": form}) for form in ("yyyy-mm-dd", "yyyy-mm-dd hh:mm"))
        sheet, number = _sheet(book, header, purpose), 1
        for row in (row for chunk in chunks for row in chunk):
            if number == MOST_ROWS:
                sheet, number = _sheet(book, header, purpose), 1
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(number, column, cell)
                elif isinstance(cell, datetime):
                    sheet.write_datetime(number, column, cell.astimezone(UTC).replace(tzinfo=None), moment)
                else:
                    sheet.write_datetime(number, column, cell, day)
            number += 1


def _sheet(book: xlsxwriter.Workbook, header: Sequence[str], purpose: Purpose) -> Any:
    number = len(book.worksheets()) + 1
    sheet = book.add_worksheet(TITLES[purpose] if number == 1 else f"{TITLES[purpose]} {number}")
    sheet.freeze_panes(1, 0)
    sheet.set_header(f"&C{TITLES[purpose]}")
    if purpose is Purpose.OURS:
        sheet.set_tab_color("red")
    bold = book.add_format({"bold": True})
    for column, name in enumerate(header):
        sheet.set_column(column, column, _WIDTHS.get(name, _OTHER_WIDTH))
    for column, name in enumerate(header):
        sheet.write_string(0, column, name, bold)
    return sheet
