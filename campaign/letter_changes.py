"""Changes of a letter that somebody had signed: written down with their reason, and shown to the public.

editing.py writes them, site/views.py shows them; the desk also shows by `difference` what two editors have done.
"""

import re
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from campaign import replica
from campaign.models import LetterChange, Signature

MOST_PARTS = 1000
"""Paragraphs of a text, or words of a paragraph, that are compared one by one: the time grows with their square."""


class Piece(NamedTuple):
    """A part of two texts: in both (same), only in the later one (ins) or only in the earlier one (del)."""

    kind: str
    text: str


def has_signatures(session: Session, campaign_id: int) -> bool:
    """Whether anybody has signed it, whatever has become of their signature."""
    return bool(session.scalar(select(exists().where(Signature.campaign_id == campaign_id))))


def of(campaign_id: int) -> list[LetterChange]:
    """The campaign's changes, newest first, for the public."""
    newest_first = select(LetterChange).where(LetterChange.campaign_id == campaign_id).order_by(LetterChange.id.desc())
    return replica.read(lambda session: list(session.scalars(newest_first)))


@lru_cache(maxsize=64)
def difference(before: str, after: str) -> tuple[Piece, ...]:
    """What was taken out and what was put in, word by word; same and del make up `before`, same and ins `after`."""
    together: list[Piece] = []
    for piece in _compare(_paragraphs(before), _paragraphs(after), _in_paragraphs):
        if together and together[-1].kind == piece.kind:
            piece = Piece(piece.kind, together.pop().text + piece.text)
        together.append(piece)
    return tuple(together)


_Finer = Callable[[list[str], list[str]], Iterator[Piece]]


def _compare(old: list[str], new: list[str], finer: _Finer) -> Iterator[Piece]:
    """The pieces of two lists of parts; of those that stand for each other, `finer` says what is different."""
    if max(len(old), len(new)) > MOST_PARTS:
        yield from _as_a_whole(old, new)
        return
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield Piece("same", "".join(old[a:b]))
        elif kind == "replace":
            yield from finer(old[a:b], new[c:d])
        else:
            yield from _as_a_whole(old[a:b], new[c:d])


def _in_paragraphs(old: list[str], new: list[str]) -> Iterator[Piece]:
    # As many as before: then each is most often the same one, mended.
    pairs = zip(old, new, strict=True) if len(old) == len(new) else [("".join(old), "".join(new))]
    for before, after in pairs:
        yield from _compare(_words(before), _words(after), _as_a_whole)


def _as_a_whole(old: list[str], new: list[str]) -> Iterator[Piece]:
    gone, come = "".join(old), "".join(new)
    # The end of a line is not struck out where another one takes its place.
    space = gone[len(gone.rstrip()) :]
    if come[len(come.rstrip()) :] != space:
        space = ""
    for kind, text in (("del", gone.removesuffix(space)), ("ins", come.removesuffix(space)), ("same", space)):
        if text:
            yield Piece(kind, text)


def _paragraphs(text: str) -> list[str]:
    """Paragraphs, each with the empty lines after it."""
    return re.findall(r".+?(?:\n\s*\n|\Z)", text, re.S)


def _words(text: str) -> list[str]:
    """Words, each with the white space after it."""
    return re.findall(r"^\s+|\S+\s*", text)
