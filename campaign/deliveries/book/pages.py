"""The pages of the book: paper, and how blocks of known height fill columns and pages, so that no page is nearly empty.

typesetting.py measures the blocks, and draws the pages. Measuring takes as long as drawing, so only the first and the
last pages of a long list are made here. Typst fills those between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

_LETTER = frozenset(["BZ", "CA", "CL", "CO", "CR", "GT", "MX", "NI", "PA", "PH", "PR", "SV", "US", "VE"])
COLUMNS = 3
GAP = 7.0
"""The usual space between two blocks, in points."""
_OTHER_GAPS = (6.5, 7.5, 6.0, 8.0, 5.5, 8.5, 5.0, 9.0, 10.0, 11.0, 12.0)
"""Spaces to try if the last page would be nearly empty, the least noticeable first."""
LEAST = 0.3
"""A page that is filled less than this is nearly empty."""
LEAST_ROOM = 120.0
"""Signatories begin below the letter if this much room is left there, in points, or if all of them fit."""


@dataclass(frozen=True)
class Paper:
    """A size of paper, and the margins of the book on it, in points."""

    name: str
    """As Typst names it."""
    width: float
    height: float
    margin: float = 51.0
    """At the left and the right."""
    top: float = 62.0
    bottom: float = 57.0

    @property
    def body(self) -> float:
        """The height of the text on a page."""
        return self.height - self.top - self.bottom


def paper_of(country: str) -> Paper:
    """Return the paper that people use in a country (ISO 3166-1 alpha-2): US Letter or A4. Without a country, A4.

    Source: CLDR 48, supplementalData, measurementData, `paperSize type="US-Letter"`.
    """
    return Paper("us-letter", 612.0, 792.0) if country in _LETTER else Paper("a4", 595.28, 841.89)


class Block(NamedTuple):
    """A signatory, or a heading above signatories."""

    content: dict[str, Any]
    """What the template draws: number, name, and place of a signatory, or the lines of a heading."""
    number: int
    """A signatory's number, or 0 for a heading."""
    groups: tuple[str, ...] = ()
    """The country and the state of the group that it belongs to."""
    height: float = 0.0
    """In points."""


Page = list[list[Block]]
"""The blocks of a page, column by column."""


class Pages(NamedTuple):
    """Pages, and the space between their blocks."""

    pages: list[Page]
    gap: float
    filled: float
    """How much of the last page is filled, from 0 to 1."""


def first_page(blocks: Sequence[Block], height: float) -> Page:
    """Return a full page of this height in points, with the first of these blocks."""
    return _page(blocks, 0, height, GAP)


def pages_of(blocks: Sequence[Block], ends: Sequence[int]) -> list[Page]:
    """Return the pages that end after these numbers of blocks, each with a single column."""
    return [[list(blocks[start:end])] for start, end in pairwise((0, *ends))]


def last_pages(blocks: Sequence[Block], first: float, body: float, above: float = 0.0) -> Pages:
    """Return pages with all blocks. The columns of the last page end at the same height.

    The space between the blocks is changed if the last page would be nearly empty otherwise.

    Args:
        blocks: The last blocks of the book.
        first: The height of the first page, in points.
        body: The height of the other pages.
        above: The height of what is above the blocks on the first page, which fills it too.
    """
    best = None
    for gap in (GAP, *_OTHER_GAPS):
        made = _with_gap(blocks, first, body, above, gap)
        if best is None or made.filled > best.filled:
            best = made
        if best.filled >= LEAST:
            break
    assert best  # noqa: S101 (there are gaps)
    return best


def _with_gap(blocks: Sequence[Block], first: float, body: float, above: float, gap: float) -> Pages:
    pages, used = list[Page](), 0
    while True:
        height = body if pages else first
        page = _page(blocks, used, height, gap, is_full=height == body)
        used += sum(map(len, page))
        if used == len(blocks):
            break
        pages.append(page)
    balanced, tall = _balanced([block for column in page for block in column], height, gap)
    filled = tall / body if pages else (tall + above) / (height + above)
    return Pages([*pages, balanced], gap, filled)


def _page(blocks: Sequence[Block], start: int, height: float, gap: float, *, is_full: bool = False) -> Page:
    page, begin = Page(), start
    for _ in range(COLUMNS):
        end = _column(blocks, begin, height, gap)
        page.append(list(blocks[begin:end]))
        begin = end
    # A block that is higher than a full page fits nowhere. It gets a page of its own, and is cut.
    return page if begin > start or not is_full else [list(blocks[start : start + 1]), *page[1:]]


def _column(blocks: Sequence[Block], start: int, height: float, gap: float) -> int:
    """Return the end of the column that begins with this block."""
    left, end = height, start
    while end < len(blocks) and blocks[end].height <= left:
        left -= blocks[end].height + gap
        end += 1
    # A heading stays with the signatory below it.
    while end < len(blocks) and end > start and not blocks[end - 1].number:
        end -= 1
    return end


def _balanced(blocks: Sequence[Block], height: float, gap: float) -> tuple[Page, float]:
    """Return a page with columns that are as short as possible, and the height of its highest column."""
    low, high = 0.0, height
    while high - low > 1:
        middle = (low + high) / 2
        if sum(map(len, _page(blocks, 0, middle, gap))) == len(blocks):
            high = middle
        else:
            low = middle
    page = _page(blocks, 0, high, gap, is_full=True)
    tall = [sum(block.height for block in column) + gap * (len(column) - 1) for column in page]
    return page, max(0.0, *tall)
