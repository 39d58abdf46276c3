"""The PDF book of signatures for the addressees: cover, letter, and the numbered signatories in columns.

signatories.py selects and sorts the entries, pages.py fills columns and pages, typesetting.py draws them, and pdf.py
joins the parts into one file. The signatories are laid out in parts, so that more of them don't need more memory.
making.py makes the book in a separate process.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pikepdf
import typst
from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal

from campaign.campaigns.letter import tree
from campaign.campaigns.letter.tree import Node
from campaign.deliveries.book.pages import (
    GAP,
    LEAST,
    LEAST_ROOM,
    Block,
    Page,
    Pages,
    Paper,
    first_page,
    last_pages,
    pages_of,
)
from campaign.deliveries.book.pdf import Part, bind, joined
from campaign.deliveries.book.signatories import Entry
from campaign.deliveries.book.typesetting import Marks, Typesetter, contents
from campaign.languages import speaking
from campaign.languages.speaking import gettext, ngettext
from campaign.models.campaign import Campaign

PART = 600
"""Blocks that are drawn at once, which is more than fit on a page. Larger parts need more memory. Smaller parts make a
larger file, because each part embeds its own fonts."""
_RESERVE = 400
"""The fewest blocks left for the last pages, and the most blocks measured for the first page."""
_JOINED = 50
"""Parts that are joined into one, because a process can have only so many files open."""
_SIZES = (11.5, 11.0, 12.0, 10.5, 12.5, 10.0, 13.0)
"""Sizes of the letter's type in points: the usual one, and those to try if the last page would be nearly empty."""
_BELOW_HEADING = 12.0
"""The space between the heading of the list and the signatories, in points, as in the template."""
_LONGEST_TITLE = 80
"""The most characters of the title at the top of a page."""


@dataclass(frozen=True)
class Book:
    """Facts about a finished book."""

    pages: int
    signatories: int
    """Signatories named in it."""
    spelled_out: int
    """Signatories with characters that no font on this machine has. The book prints their code points."""


@dataclass(frozen=True)
class Cover:
    """What is on the cover, besides the campaign's own texts."""

    site_name: str
    """The organization's name."""
    period: tuple[datetime, datetime] | None
    """When the first and the last signatory signed; None if there are none."""
    picture: bytes | None = None
    """The campaign's picture, a JPEG."""


def make(
    campaign: Campaign,
    entries: Iterable[Entry | None],
    file: Path,
    *,
    cover: Cover,
    paper: Paper,
    now: datetime,
    progress: Callable[[int], None] = lambda _done: None,
    fonts: typst.Fonts | None = None,
) -> Book:
    """Write the book to a file, using a temporary folder beside it.

    Args:
        campaign: The campaign. The book has its letter, and is in its language. Without a complete catalog for that
            language, the book's own words are in English.
        entries: The signatories; None for each signature that counts, but isn't named.
        file: The PDF to write.
        cover: What is on the cover.
        paper: The size of the pages.
        now: The date on the cover.
        progress: Called with the number of signatures laid out so far.
        fonts: The fonts to use; by default, those of this machine.
    """
    with speaking.use(campaign.language), TemporaryDirectory(dir=file.parent) as name:
        maker = _Maker(campaign, cover, paper, now, Path(name), fonts or typst.Fonts())
        maker.lay_out(maker.blocks(entries), progress)
        return maker.bind(file)


class _Maker:
    """Lays out one book."""

    def __init__(
        self, campaign: Campaign, cover: Cover, paper: Paper, now: datetime, folder: Path, fonts: typst.Fonts
    ) -> None:
        self._campaign, self._cover, self._paper, self._now = campaign, cover, paper, now
        self._locale = Locale.parse(campaign.language, sep="-")
        common = {"title": campaign.title, "site": cover.site_name}
        self._folder = folder
        self._setter = Typesetter(folder, self._locale, paper, fonts, now, **common)
        self._spelled = self._setter.coverage.spelled
        if cover.picture:
            (folder / "picture.jpg").write_bytes(cover.picture)
        self._named = self._unnamed = self._spelled_out = 0
        self._size = _SIZES[0]
        self._first: Pages | None = None
        """The page of the list that the front has."""
        self._apart = False
        """Whether this page begins a new page, because the letter leaves too little room."""
        self._parts, self._new_parts = list[Part](), list[Part]()
        """Pages of the list: joined parts, and the parts after them, which aren't joined yet."""
        self._marks = list[Marks]()
        """The marks of each page of the list."""

    def blocks(self, entries: Iterable[Entry | None]) -> Iterator[Block]:
        """Yield a block for each named entry, in front of it a block with the headings that change there, if any."""
        groups: tuple[str, ...] = ()
        for entry in entries:
            if entry is None:
                self._unnamed += 1
                continue
            if entry.groups != groups:
                changed = entry.groups[:1] != groups[:1]
                lines = [
                    (level, self._spelled(words))
                    for level, words in enumerate(entry.groups, 1)
                    if changed or level == len(entry.groups)
                ]
                yield Block({"lines": lines}, 0, entry.groups)
                groups = entry.groups
            self._named += 1
            name, place = self._spelled(entry.name), self._spelled(entry.place)
            self._spelled_out += (name, place) != entry[:2]
            content = {"number": self._spelled(self._number(self._named)), "name": name, "place": place}
            yield Block(content, self._named, groups)

    def lay_out(self, blocks: Iterator[Block], progress: Callable[[int], None]) -> None:
        """Lay out all blocks: those that fill pages in parts, and at the end the last pages together."""
        waiting = list[Block]()
        while batch := list(islice(blocks, PART)):
            waiting += batch
            progress(self._named + self._unnamed)
            while len(waiting) > PART + _RESERVE:
                self._take_part(waiting)
        measured = self._setter.measured(waiting)
        if self._first:
            self._take(last_pages(measured, self._paper.body, self._paper.body))
        else:
            self._take_all(measured)
        progress(self._named + self._unnamed)

    def _take_part(self, waiting: list[Block]) -> None:
        """Lay out full pages of PART blocks, and first the page below the letter. Remove their blocks from the list."""
        if self._first is None:
            page = first_page(self._setter.measured(waiting[:_RESERVE]), self._first_height())
            self._take(Pages([page], GAP, 1.0))
            del waiting[: sum(map(len, page))]
        file, ends = self._setter.flow(waiting[:PART], f"part-{len(self._marks)}.pdf")
        # The last page may not be full. Its signatories go into the next part.
        full = ends[:-1] or ends
        self._marks += [self._mark(page) for page in pages_of(waiting, full)]
        del waiting[: full[-1]]
        self._add(Part(file, len(full)))

    def _take_all(self, blocks: list[Block]) -> None:
        """Lay out a small book: in the first size of the letter with which no page is nearly empty."""
        body, best = self._paper.body, None
        for size, apart in product(_SIZES, (False, True)):
            height = self._room(size, apart=apart, has_list=bool(blocks))
            pages = last_pages(blocks, height, body, body - height)
            if not apart and height < LEAST_ROOM and len(pages.pages) > 1:
                continue
            if best is None or pages.filled > best[0].filled:
                best = pages, size, apart
            if pages.filled >= LEAST:
                break
        assert best  # noqa: S101 (a list on a page of its own always fits)
        pages, self._size, self._apart = best
        if blocks:
            self._take(pages)

    def _first_height(self) -> float:
        """Return the height of the first page of a long list, and decide whether it begins below the letter."""
        height = self._room(self._size, apart=False)
        self._apart = height < LEAST_ROOM
        return self._room(self._size, apart=True) if self._apart else height

    def _room(self, size: float, *, apart: bool, has_list: bool = True) -> float:
        """Return how much room the signatories have below the letter, or `apart` from it, on a page of their own."""
        end = self._setter.end_of_front(self._front(size, apart=apart, has_list=has_list))
        return self._paper.height - self._paper.bottom - (_BELOW_HEADING if has_list else 0) - end

    def _take(self, pages: Pages) -> None:
        """Put the first page of the list into the front, and draw the others."""
        self._marks += [self._mark(page) for page in pages.pages]
        if self._first is None:
            self._first, pages = pages._replace(pages=pages.pages[:1]), pages._replace(pages=pages.pages[1:])
        if pages.pages:
            self._add(Part(self._setter.draw_pages(pages, "last.pdf"), len(pages.pages)))

    def _add(self, part: Part) -> None:
        self._new_parts.append(part)
        if len(self._new_parts) == _JOINED:
            self._parts.append(joined(self._new_parts, self._folder / f"joined-{len(self._parts)}.pdf"))
            self._new_parts.clear()

    def _mark(self, page: Page) -> Marks:
        """Return the heading of a page of the list: the group in which it begins, and its first and last number."""
        blocks = [block for column in page for block in column]
        numbers = [block.number for block in blocks if block.number]
        ends = [self._number(number) for number in dict.fromkeys((numbers[0], numbers[-1]))] if numbers else []
        parts = [*(blocks[0].groups if blocks else ()), self._interval(ends)]
        return Marks(self._short_title(), " · ".join(filter(None, parts)), "")

    def bind(self, file: Path) -> Book:
        """Draw the front and the marks, and write the book to `file`."""
        front = self._setter.draw_front(
            self._front(self._size, apart=self._apart, has_list=self._first is not None), "front.pdf"
        )
        with pikepdf.open(front) as pdf:
            fronts = len(pdf.pages)
        # The cover has no marks, and the letter begins with its title.
        marks = [Marks(self._short_title() if page > 2 else "", "", "") for page in range(1, fronts + 1)]
        if self._marks:
            marks[-1] = self._marks[0]._replace(title=marks[-1].title)
        marks += self._marks[1:]
        pages = len(marks)
        number = self._number
        marks[1:] = [mark._replace(number=f"{number(at)} / {number(pages)}") for at, mark in enumerate(marks[1:], 2)]
        bind(front, self._parts + self._new_parts, self._setter.draw_marks(marks, "marks"), file)
        return Book(pages, self._named, self._spelled_out)

    def _front(self, size: float, *, apart: bool, has_list: bool) -> dict[str, Any]:
        """Return the content of the cover, the letter, and the first page of the list."""
        campaign, spelled, count = self._campaign, self._spelled, self._named + self._unnamed
        page = self._first or Pages([[]], GAP, 0)
        listed = {
            # translators: The heading of the list of everyone who signed, in the PDF book of signatures.
            "heading": spelled(gettext("Signatories")),
            "apart": apart,
            "page": contents(page.pages[0]),
            "gap": page.gap,
        }
        return {
            # translators: On the cover of the book, which is handed over to the people the letter is addressed to.
            "purpose": spelled(gettext("For delivery")),
            # translators: On the cover of the book, above the names of the people the letter is addressed to.
            "to": spelled(gettext("To:")),
            "addressees": [spelled(line) for line in campaign.addressees.splitlines()],
            "picture": spelled(campaign.picture_text) if self._cover.picture else None,
            "count": spelled(self._number(count)),
            # translators: On the cover of the book, below the number, which is in large type.
            "signatures": spelled(ngettext("signature", "signatures", count)),
            "unnamed": spelled(self._not_named()) if self._unnamed else "",
            "period": spelled(self._period(self._cover.period)),
            "date": spelled(self._date(self._now)),
            "letter": [self._node(node) for node in tree.parse(campaign.letter)],
            "size": size,
            "list": listed if has_list else None,
        }

    def _not_named(self) -> str:
        # translators: On the cover of the book: the number of signatures that count, but aren’t in the list of names.
        return gettext("Not named in this book: %(number)s", number=self._number(self._unnamed))

    def _node(self, node: Node) -> dict[str, Any]:
        """Return a node of the letter's tree, with the nodes in it, for the template."""
        inner = [self._node(child) for child in node.inner]
        return {"kind": node.kind, "text": self._spelled(node.text), "number": node.number, "inner": inner}

    def _short_title(self) -> str:
        title = self._campaign.title
        return title if len(title) <= _LONGEST_TITLE else f"{title[:_LONGEST_TITLE].rstrip()}…"

    def _number(self, value: int) -> str:
        return format_decimal(value, locale=self._locale)

    def _period(self, period: tuple[datetime, datetime] | None) -> str:
        """Return the days of the first and the last signature: both, only one if they are the same, or nothing."""
        return self._interval(list(dict.fromkeys(self._date(moment) for moment in period or ())))

    def _interval(self, ends: list[str]) -> str:
        return str(self._locale.interval_formats[None]).format(*ends) if len(ends) == 2 else "".join(ends)

    def _date(self, moment: datetime) -> str:
        return format_date(moment.astimezone(ZoneInfo(self._campaign.time_zone)), "long", locale=self._locale)
