"""Joins the parts of a book from book.py into one tagged PDF, which a screen reader can read from start to end."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pikepdf
from pikepdf import Array, Dictionary, Name, Page, Pdf


class Part(NamedTuple):
    """A PDF file, and how many of its first pages belong to the book."""

    file: Path
    pages: int


def joined(parts: Sequence[Part], file: Path) -> Part:
    """Write the pages of these parts to one file, and delete their files."""
    with ExitStack() as opened, Pdf.new() as whole:
        for part in parts:
            whole.pages.extend(opened.enter_context(pikepdf.open(part.file)).pages[: part.pages])
        whole.save(file, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    for part in parts:
        part.file.unlink()
    return Part(file, sum(part.pages for part in parts))


def bind(front: Path, parts: Sequence[Part], marks: Sequence[Path], file: Path) -> None:
    """Write the book to `file`: the front, then the parts, with each page of `marks` drawn over the same page.

    The front is tagged. The parts aren't, so each of their pages becomes one paragraph. The metadata, such as title and
    language, comes from the front. The contents of pages are copied from file to file, not read into memory.
    """
    with ExitStack() as opened:
        book = opened.enter_context(pikepdf.open(front))
        drawn_over = [page for name in marks for page in opened.enter_context(pikepdf.open(name)).pages]
        tagged = len(book.pages)
        for part in parts:
            book.pages.extend(opened.enter_context(pikepdf.open(part.file)).pages[: part.pages])
        for index, (page, marked) in enumerate(zip(book.pages, drawn_over, strict=True)):
            if index < tagged:
                _wrap(page, b"q", b"Q")
            else:
                _wrap(page, b"q /P <</MCID 0>> BDC", b"EMC Q")
                _tag(book, page)
            drawn = page.add_resource(book.copy_foreign(marked.as_form_xobject()), Name.XObject)
            page.contents_add(f"/Artifact BMC q {drawn} Do Q EMC".encode())
        book.save(file, object_stream_mode=pikepdf.ObjectStreamMode.generate)


def _wrap(page: Page, before: bytes, after: bytes) -> None:
    page.contents_add(before, prepend=True)
    page.contents_add(after)


def _tag(book: Pdf, page: Page) -> None:
    """Add the page's marked content 0 to the structure tree, as a paragraph (ISO 32000-1, 14.7.4)."""
    tags = book.Root.StructTreeRoot
    whole, key = tags.K[0], int(tags.ParentTreeNextKey)
    paragraph = Dictionary(Type=Name.StructElem, S=Name.P, P=whole, Pg=page.obj, K=0)
    paragraph = book.make_indirect(paragraph)
    whole.K.append(paragraph)
    page.obj.StructParents = key
    tags.ParentTree.Nums.append(key)
    tags.ParentTree.Nums.append(Array([paragraph]))
    tags.ParentTreeNextKey = key + 1
