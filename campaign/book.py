"""The book in which signatures are handed over, as PDF: cover, letter, count, and the signatories in columns.

What it looks like is in templates/book.typ, how its parts become one file in binding.py. It is laid out in parts, so
that it needs no more memory for more signatories. exports.py has it made, by a process of its own.
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
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from campaign import book_words
from campaign.binding import Part, bind
from campaign.models import Campaign
from campaign.settings import ROOT

TEMPLATE = ROOT / "templates" / "book.typ"
PART = 1000
"""Signatories laid out at once, more than a page can have: many need more memory, few a longer file, for each part has
its own fonts."""
_FIRST = "Libertinus Serif"
"""It comes with Typst, so that Latin, Greek and Cyrillic look the same on every machine."""
_HAN = {"ja": "JP", "ko": "KR", "zh_Hant": "TC", "zh_TW": "TC", "zh_HK": "HK"}
"""Whose way of writing the same character is meant: Noto has a font for each."""


Entry = tuple[str, str]
"""A signatory's name and place, as they are to be read."""


@dataclass(frozen=True)
class Book:
    """What was made."""

    pages: int
    signatories: int
    spelled_out: int
    """Signatories who have characters that no font of this machine has; the book gives the numbers of these."""


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
    """Write the book to `file`, and beside it for a while what it is made of.

    `period` is when the first and the last of them signed. `progress` is told how many of them are laid out. `fonts`
    are those to use; by default, those of this machine.
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
        """Where a character is looked for first; Typst then finds another font of this machine by itself."""
        han = f"Noto Sans CJK {_HAN.get(str(self._locale)) or _HAN.get(self._locale.language, 'SC')}"
        there = self._fonts.families()
        return [name for name in (_FIRST, han, "Noto Sans Arabic") if name in there]

    def parts(self, entries: Iterator[Entry], folder: Path) -> Iterator[tuple[Part, int]]:
        """Lay signatories out; each part with the number of those who are on its pages."""
        waiting: list[Entry] = []
        for number in count_from(1):
            waiting += [self._readable(entry) for entry in islice(entries, PART - len(waiting))]
            if not waiting:
                return
            file = folder / f"{number}.pdf"
            compiler = self._compiler({"signatories": waiting})
            rows: list[int] = json.loads(compiler.query("<rows>", field="value"))
            self._write(compiler, file, tagged=False)
            # The last page is full only where nobody comes after it; else who is on it waits for the next part.
            pages = len(rows) if len(waiting) < PART or len(rows) == 1 else len(rows) - 1
            yield Part(file, pages), rows[pages - 1]
            waiting = waiting[rows[pages - 1] :]

    def _readable(self, entry: Entry) -> Entry:
        name, place = (self._coverage.spelled(text) for text in entry)
        self.spelled_out += (name, place) != entry
        return name, place

    def front(self, count: int, period: tuple[datetime, datetime] | None, folder: Path) -> Part:
        """Cover, letter and count."""
        campaign, spelled = self._campaign, self._coverage.spelled
        letter = SyntaxTreeNode(MarkdownIt("commonmark", {"html": False}).parse(campaign.letter))
        days = dict.fromkeys(self._date(moment) for moment in period or ())
        content = {
            "addressees": [spelled(line) for line in campaign.addressees.splitlines()],
            "count": spelled(self._number(count)),
            "signatures": spelled(book_words.signatures(count, campaign.language)),
            "period": spelled(" – ".join(days)),
            "date": spelled(self._date(self._now)),
            "letter": [self._node(node) for node in letter.children],
        }
        file = folder / "front.pdf"
        self._write(self._compiler(content), file, tagged=True)
        with pikepdf.open(file) as pdf:
            return Part(file, len(pdf.pages))

    def _node(self, node: SyntaxTreeNode) -> dict[str, Any]:
        """A piece of the letter, and the pieces in it."""
        words = str(node.attrs.get("href", "")) if node.type == "link" else "" if node.children else node.content
        number = int(node.tag[1]) if node.type == "heading" else int(node.attrs.get("start", 1))
        inner = [self._node(child) for child in node.children]
        return {"kind": node.type, "text": self._coverage.spelled(words), "number": number, "inner": inner}

    def feet(self, pages: int, folder: Path) -> Path:
        """As many pages with nothing on them but, from the second on, which of how many they are."""
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

    def _date(self, moment: datetime) -> str:
        return format_date(moment.astimezone(self._zone), "long", locale=self._locale)


class _Coverage:
    """Which characters the fonts have. Each is drawn to find out, so that nobody finds an empty box in the book."""

    def __init__(self, fonts: typst.Fonts, names: list[str]) -> None:
        self._fonts, self._names = fonts, names
        # These are in the first font.
        self._drawn: dict[str, bool] = {chr(code): True for code in range(0x20, 0x7F)}

    def spelled(self, text: str) -> str:
        """The text, with the numbers in Unicode of those characters that can't be drawn: ‹U+0E44 U+0E21›."""
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
            #for one in json(bytes(sys.inputs.characters)) { page(text(one)) }"""
        inputs = {"characters": json.dumps(in_order), "fonts": json.dumps(self._names)}
        made = typst.Compiler(template, font_paths=self._fonts, sys_inputs=inputs).compile(pdf_tags=False)
        assert isinstance(made, bytes)  # noqa: S101 (one file)
        with pikepdf.open(io.BytesIO(made)) as pdf:
            for character, page in zip(in_order, pdf.pages, strict=True):
                self._drawn[character] = not _has_empty_box(page)


def _has_empty_box(page: pikepdf.Page) -> bool:
    """Whether a glyph on it is number 0, which is the box of every font for what it has not (OpenType, "cmap")."""
    for instruction in pikepdf.parse_content_stream(page, "Tj TJ"):
        shown = instruction.operands[0]
        strings = shown if isinstance(shown, pikepdf.Array) else [shown]
        for string in strings:
            if isinstance(string, pikepdf.String):
                codes = bytes(string)
                # Two bytes for each glyph; a picture such as an emoji has one.
                if b"\0\0" in (codes[at : at + 2] for at in range(0, len(codes), 2)):
                    return True
    return False
