"""The PDF book of signatures for the addressees: cover, letter, count, and the signatories in columns.

templates/book.typ defines the layout, and pdf.py joins the parts into one file. The signatories are laid out in parts,
so that more of them don't need more memory. making.py makes the book in a separate process.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count as count_from
from itertools import islice
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
from campaign.deliveries import book_words
from campaign.deliveries.pdf import Part, bind
from campaign.models.campaign import Campaign
from campaign.settings import ROOT

TEMPLATE = ROOT / "templates" / "book.typ"
PART = 1000
"""Signatories in one part, which is more than fit on a page. Larger parts need more memory. Smaller parts make a larger
file, because each part embeds its own fonts."""
_FIRST_FONT = "Libertinus Serif"
"""It is included in Typst, so Latin, Greek, and Cyrillic look the same on every machine."""
_HAN = {"ja": "JP", "ko": "KR", "zh_Hant": "TC", "zh_TW": "TC", "zh_HK": "HK"}
"""Regional variants of Han characters by language. Noto has a font for each; SC is the default."""


Entry = tuple[str, str]
"""A signatory's name and place, as printed."""


@dataclass(frozen=True)
class Book:
    """Facts about a finished book."""

    pages: int
    signatories: int
    spelled_out: int
    """Signatories with characters that no font on this machine has. The book prints their code points."""


def make(
    campaign: Campaign,
    entries: Iterable[Entry],
    file: Path,
    *,
    site_name: str,
    period: tuple[datetime, datetime] | None,
    now: datetime,
    progress: Callable[[int], None] = lambda _done: None,
    fonts: typst.Fonts | None = None,
) -> Book:
    """Write the book to a file, using a temporary folder beside it.

    Args:
        campaign: The campaign. The book has its letter, and is in its language.
        entries: The signatories.
        file: The PDF to write.
        site_name: The organization's name.
        period: When the first and the last signatory signed; None if there are none.
        now: The date on the cover.
        progress: Called with the number of signatories laid out so far.
        fonts: The fonts to use; by default, those of this machine.
    """
    maker = _Maker(campaign, site_name, now, fonts or typst.Fonts())
    with TemporaryDirectory(dir=file.parent) as name:
        folder, parts, count = Path(name), list[Part](), 0
        for part, signatories_of_part in maker.parts(iter(entries), folder):
            parts.append(part)
            count += signatories_of_part
            progress(count)
        front = maker.front(count, period, folder)
        pages = front.pages + sum(part.pages for part in parts)
        bind(front.file, parts, maker.feet(pages, folder), file)
    return Book(pages, count, maker.spelled_out)


class _Maker:
    """Lays out the parts of one book."""

    def __init__(self, campaign: Campaign, site_name: str, now: datetime, fonts: typst.Fonts) -> None:
        self._campaign, self._now, self._fonts = campaign, now, fonts
        self._locale = Locale.parse(campaign.language, sep="-")
        self._zone = ZoneInfo(campaign.time_zone)
        names = self._font_names()
        self._coverage = _Coverage(fonts, names)
        self._common = {
            "title": self._coverage.spelled(campaign.title),
            "site": self._coverage.spelled(site_name),
            "language": self._locale.language,
            "region": self._locale.territory,
            "direction": self._locale.text_direction,
            "fonts": names,
        }
        self.spelled_out = 0

    def _font_names(self) -> list[str]:
        """Return the preferred fonts. For characters that they lack, Typst finds another font of this machine."""
        han = f"Noto Sans CJK {_HAN.get(str(self._locale)) or _HAN.get(self._locale.language, 'SC')}"
        installed = self._fonts.families()
        return [name for name in (_FIRST_FONT, han, "Noto Sans Arabic") if name in installed]

    def parts(self, entries: Iterator[Entry], folder: Path) -> Iterator[tuple[Part, int]]:
        """Lay the signatories out, and yield each part with the number of signatories on its pages."""
        waiting: list[Entry] = []
        for number in count_from(1):
            waiting += [self._readable(entry) for entry in islice(entries, PART - len(waiting))]
            if not waiting:
                return
            file = folder / f"{number}.pdf"
            compiler = self._compiler({"signatories": waiting})
            rows: list[int] = json.loads(compiler.query("<rows>", field="value"))
            self._write(compiler, file, tagged=False)
            # The last page may not be full. Unless it is the end of the book, its signatories go into the next part.
            pages = len(rows) if len(waiting) < PART or len(rows) == 1 else len(rows) - 1
            yield Part(file, pages), rows[pages - 1]
            waiting = waiting[rows[pages - 1] :]

    def _readable(self, entry: Entry) -> Entry:
        name, place = (self._coverage.spelled(text) for text in entry)
        self.spelled_out += (name, place) != entry
        return name, place

    def front(self, count: int, period: tuple[datetime, datetime] | None, folder: Path) -> Part:
        """Lay out the cover, the letter, and the count."""
        campaign, spelled = self._campaign, self._coverage.spelled
        content = {
            "purpose": spelled(book_words.for_delivery(campaign.language)),
            "addressees": [spelled(line) for line in campaign.addressees.splitlines()],
            "count": spelled(self._number(count)),
            "signatures": spelled(book_words.signatures(count, campaign.language)),
            "period": spelled(self._period(period)),
            "date": spelled(self._date(self._now)),
            "letter": [self._node(node) for node in tree.parse(campaign.letter)],
        }
        file = folder / "front.pdf"
        self._write(self._compiler(content), file, tagged=True)
        with pikepdf.open(file) as pdf:
            return Part(file, len(pdf.pages))

    def _node(self, node: Node) -> dict[str, Any]:
        """Return a node of the letter's tree, with the nodes in it, for the template."""
        inner = [self._node(child) for child in node.inner]
        return {"kind": node.kind, "text": self._coverage.spelled(node.text), "number": node.number, "inner": inner}

    def feet(self, pages: int, folder: Path) -> Path:
        """Lay out the page numbers: one empty page for each page of the book, with a footer from the second page on."""
        all_pages = self._number(pages)
        numbers = [f"{self._number(page)} / {all_pages}" for page in range(2, pages + 1)]
        file = folder / "feet.pdf"
        self._write(self._compiler({"feet": ["", *map(self._coverage.spelled, numbers)]}), file, tagged=False)
        return file

    def _compiler(self, content: dict[str, Any]) -> typst.Compiler:
        return typst.Compiler(
            str(TEMPLATE), font_paths=self._fonts, sys_inputs={"part": json.dumps(self._common | content)}
        )

    def _write(self, compiler: typst.Compiler, file: Path, *, tagged: bool) -> None:
        compiler.compile(output=str(file), timestamp=self._now.replace(microsecond=0), pdf_tags=tagged)

    def _number(self, value: int) -> str:
        return format_decimal(value, locale=self._locale)

    def _period(self, period: tuple[datetime, datetime] | None) -> str:
        """Return the days of the first and the last signature: both, only one if they are the same, or nothing."""
        days = list(dict.fromkeys(self._date(moment) for moment in period or ()))
        return str(self._locale.interval_formats[None]).format(*days) if len(days) == 2 else "".join(days)

    def _date(self, moment: datetime) -> str:
        return format_date(moment.astimezone(self._zone), "long", locale=self._locale)


class _Coverage:
    """Knows which characters the fonts have, so that the book has no empty boxes. To find out, it draws each once."""

    def __init__(self, fonts: typst.Fonts, names: list[str]) -> None:
        self._fonts, self._names = fonts, names
        # The first font has all of ASCII.
        self._drawn: dict[str, bool] = {chr(code): True for code in range(0x20, 0x7F)}

    def spelled(self, text: str) -> str:
        """Return the text with code points in place of characters that no font has, as ‹U+0E44 U+0E21›."""
        self._learn(set(text) - self._drawn.keys())
        if all(self._drawn[character] for character in text):
            return text
        spelled, run = "", []
        for character in [*text, ""]:
            if character and not self._drawn[character]:
                run.append(f"U+{ord(character):04X}")
                continue
            spelled += f"‹{' '.join(run)}›{character}" if run else character
            run = []
        return spelled

    def _learn(self, characters: set[str]) -> None:
        if not characters:
            return
        in_order = sorted(characters)
        template = b"""#set page(width: auto, height: auto)
            #set text(font: json(bytes(sys.inputs.fonts)))
            #for character in json(bytes(sys.inputs.characters)) { page(text(character)) }"""
        inputs = {"characters": json.dumps(in_order), "fonts": json.dumps(self._names)}
        made = typst.Compiler(template, font_paths=self._fonts, sys_inputs=inputs).compile(pdf_tags=False)
        assert isinstance(made, bytes)  # noqa: S101 (one file)
        with pikepdf.open(io.BytesIO(made)) as pdf:
            for character, page in zip(in_order, pdf.pages, strict=True):
                self._drawn[character] = not _has_empty_box(page)


def _has_empty_box(page: pikepdf.Page) -> bool:
    """Return whether the page has glyph 0, which every font shows for missing characters (OpenType, "cmap")."""
    for instruction in pikepdf.parse_content_stream(page, "Tj TJ"):
        shown = instruction.operands[0]
        strings = shown if isinstance(shown, pikepdf.Array) else [shown]
        for string in strings:
            if isinstance(string, pikepdf.String):
                codes = bytes(string)
                # Each glyph has two bytes, except a picture, such as an emoji, which has one.
                if b"\0\0" in (codes[at : at + 2] for at in range(0, len(codes), 2)):
                    return True
    return False
