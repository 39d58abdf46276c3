"""Sets the book with Typst: measures blocks, and draws the front, pages of signatories, and the marks on each page.

templates/book.typ defines the layout. Nothing that people typed is interpreted as Typst: it arrives as data.
"""

import json
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import typst
from babel import Locale

from campaign.deliveries.book.coverage import Coverage
from campaign.deliveries.book.pages import COLUMNS, GAP, Block, Page, Pages, Paper
from campaign.settings import ROOT

TEMPLATE = ROOT / "templates" / "book.typ"
_GUTTER = 14.0
"""The space between two columns, in points."""
_MARKS = 100
"""Pages whose marks are drawn at once. More of them need more memory."""
_FIRST_FONT = "Libertinus Serif"
"""It is included in Typst, so Latin, Greek, and Cyrillic look the same on every machine."""
_HAN = {"ja": "JP", "ko": "KR", "zh_Hant": "TC", "zh_TW": "TC", "zh_HK": "HK"}
"""Regional variants of Han characters by language. Noto has a font for each; SC is the default."""


class Marks(NamedTuple):
    """The heading and the number of a page."""

    title: str
    about: str
    """Which signatories are on the page."""
    number: str


class Typesetter:
    """Sets the parts of one book."""

    def __init__(
        self, folder: Path, locale: Locale, paper: Paper, fonts: typst.Fonts, now: datetime, **common: str
    ) -> None:
        """Prepare the parts.

        Args:
            folder: The folder of the files. The picture is in it, if the book has one.
            locale: The language of the book.
            paper: The size of the pages.
            fonts: The fonts to use.
            now: When the book is made.
            common: The title of the book, and the name of the site.
        """
        self._folder, self._fonts, self._now = folder, fonts, now
        names = _font_names(locale, fonts)
        self.coverage = Coverage(fonts, names)
        # Typst reads files only in the folder of the template, and the picture must be beside it.
        self._template = shutil.copy(TEMPLATE, folder)
        self._common: dict[str, Any] = {name: self.coverage.spelled(text) for name, text in common.items()} | {
            "language": locale.language,
            "region": locale.territory,
            "direction": locale.text_direction,
            "fonts": names,
            "paper": paper.name,
            "margin": paper.margin,
            "top": paper.top,
            "bottom": paper.bottom,
            "columns": COLUMNS,
            "gutter": _GUTTER,
        }

    def measured(self, blocks: Sequence[Block]) -> list[Block]:
        """Return the blocks with their heights."""
        if not blocks:
            return []
        compiler = self._compiler({"blocks": [block.content for block in blocks]})
        (heights,) = json.loads(compiler.query("<heights>", field="value"))
        return [block._replace(height=height) for block, height in zip(blocks, heights, strict=True)]

    def end_of_front(self, front: dict[str, Any]) -> float:
        """Return where the letter and the heading of the list below it end, in points from the top of the page."""
        (end,) = json.loads(self._compiler(front).query("<end>", field="value"))
        return float(end)

    def draw_front(self, front: dict[str, Any], name: str) -> Path:
        """Draw the cover, the letter, and the first signatories, with tags for screen readers."""
        return self._drawn(front, name, tagged=True)

    def flow(self, blocks: Sequence[Block], name: str) -> tuple[Path, list[int]]:
        """Draw blocks on as many pages as they need. Return the file, and how many blocks there are up to each page."""
        compiler = self._compiler({"flow": [block.content for block in blocks], "gap": GAP})
        ends: list[int] = json.loads(compiler.query("<ends>", field="value"))
        return self._written(compiler, name), ends

    def draw_pages(self, pages: Pages, name: str) -> Path:
        """Draw pages of signatories."""
        return self._drawn({"pages": [contents(page) for page in pages.pages], "gap": pages.gap}, name)

    def draw_marks(self, marks: Sequence[Marks], name: str) -> list[Path]:
        """Draw the marks of all pages, each on a page of its own, _MARKS pages in each file."""
        spelled = [{key: self.coverage.spelled(text) for key, text in mark._asdict().items()} for mark in marks]
        starts = range(0, len(spelled), _MARKS)
        return [self._drawn({"marks": spelled[at : at + _MARKS]}, f"{name}-{at}.pdf") for at in starts]

    def _drawn(self, content: dict[str, Any], name: str, *, tagged: bool = False) -> Path:
        return self._written(self._compiler(content), name, tagged=tagged)

    def _written(self, compiler: typst.Compiler, name: str, *, tagged: bool = False) -> Path:
        file = self._folder / name
        compiler.compile(output=str(file), timestamp=self._now.replace(microsecond=0), pdf_tags=tagged)
        return file

    def _compiler(self, content: dict[str, Any]) -> typst.Compiler:
        return typst.Compiler(
            str(self._template),
            font_paths=self._fonts,
            sys_inputs={"part": json.dumps(self._common | content)},
        )


def contents(page: Page) -> list[list[dict[str, Any]]]:
    """Return the contents of a page's blocks for the template."""
    return [[block.content for block in column] for column in page]


def _font_names(locale: Locale, fonts: typst.Fonts) -> list[str]:
    """Return the preferred fonts. For characters that they lack, Typst finds another font of this machine."""
    han = f"Noto Sans CJK {_HAN.get(str(locale)) or _HAN.get(locale.language, 'SC')}"
    installed = fonts.families()
    return [name for name in (_FIRST_FONT, han, "Noto Sans Arabic") if name in installed]
