"""Three-way merge of a text that two editors changed: by paragraph, and within paragraphs that both changed, by line.

The algorithm is diff3 (Khanna, Kunal, and Pierce, "A Formal Investigation of Diff3", 2007), with the matches of
`comparison.py`, whose work is bounded. The library merge3 does the same, but its license (GPL) doesn't fit ours, and it
compares with difflib, whose work is not bounded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from campaign.campaigns.letter.comparison import Comparer

Lines = list[str]
Units = Sequence[Lines]
"""Paragraphs, or single lines."""


class Part(NamedTuple):
    """A run of lines in all three versions. If `is_conflict`, both editors changed it differently."""

    base: Lines
    theirs: Lines
    mine: Lines
    is_conflict: bool = False

    @property
    def merged(self) -> Lines:
        """The lines with the changes of both; those of `mine` in a conflict."""
        if self.mine == self.base:
            return self.theirs
        # Keep changed empty lines, but not instead of changed text.
        return self.theirs if _text(self.mine) == _text(self.base) and self.theirs != self.base else self.mine


@dataclass(frozen=True)
class TextConflict:
    """Lines that both editors changed differently, with the paragraphs around them."""

    start: int
    """The number of lines before the conflict in the other editor's version."""
    end: int
    """The same, for the end of the conflict."""
    base: str
    theirs: str
    mine: str
    before: str
    """The last paragraph before the conflict, as merged; empty if there is none."""
    after: str


def merge(base: str, theirs: str, mine: str, comparer: Comparer) -> tuple[str, list[TextConflict]]:
    """Merge two changed versions of a text.

    Returns:
        The text with the changes of both editors, and their conflicts. In a conflict, the text has the lines of `mine`.
    """
    parts = list(_parts(base, theirs, mine, comparer))
    merged = "\n".join(line for part in parts for line in part.merged)
    conflicts, start = [], 0
    for number, part in enumerate(parts):
        end = start + len(part.theirs)
        if part.is_conflict:
            before = [line for each in parts[:number] for line in each.merged]
            after = [line for each in parts[number + 1 :] for line in each.merged]
            sides = (_text(part.base), _text(part.theirs), _text(part.mine))
            conflicts.append(TextConflict(start, end, *sides, _last_paragraph(before), _first_paragraph(after)))
        start = end
    return merged.strip("\n"), conflicts


def choose(text: str, theirs: str, start: int, end: int, comparer: Comparer, *, keep_both: bool = False) -> str:
    """Put lines of the other editor's version back into a text.

    Args:
        text: The text as this editor submitted it.
        theirs: The other editor's version.
        start: The number of lines before those to take from `theirs`.
        end: The same, for the end of these lines.
        comparer: Finds the place of these lines in `text`.
        keep_both: Whether to keep the lines of `text` as well, after those of `theirs`.
    """
    ours, others = text.split("\n"), theirs.split("\n")
    matches = comparer.matches(others, ours)
    begin = max((j + 1 for i, j in matches if i < start), default=0)
    stop = min((j for i, j in matches if i >= end), default=len(ours))
    taken, own = others[start:end], ours[begin:stop]
    if keep_both:
        taken = [*taken, *([""] if _text(taken) and own and own[0].strip() else []), *own]
    return "\n".join([*ours[:begin], *taken, *ours[stop:]]).strip("\n")


def _parts(base: str, theirs: str, mine: str, comparer: Comparer) -> Iterator[Part]:
    """Yield the parts of all three texts in order."""
    by_paragraph = (_paragraphs(text.split("\n")) for text in (base, theirs, mine))
    for paragraphs in _diff3(comparer, *by_paragraph):
        part = _part(*paragraphs)
        if part.is_conflict:
            for lines in _diff3(comparer, *([[line] for line in side] for side in part[:3])):
                yield _part(*lines)
        else:
            yield part


def _part(*sides: Units) -> Part:
    base, theirs, mine = ([line for unit in side for line in unit] for side in sides)
    return Part(base, theirs, mine, _is_conflict(base, theirs, mine))


def _is_conflict(base: Lines, theirs: Lines, mine: Lines) -> bool:
    of_base, of_theirs, of_mine = _text(base), _text(theirs), _text(mine)
    return of_theirs not in (of_base, of_mine) and of_mine != of_base


def _diff3(comparer: Comparer, base: Units, theirs: Units, mine: Units) -> Iterator[tuple[Units, Units, Units]]:
    """Yield runs of units in all three versions: runs that are the same in all, and what lies between them.

    Between them, if all versions have the same number of units, each unit is most likely a corrected version of the
    unit at its place in the base. So each is a run of its own, and changes to neighboring units aren't a conflict.
    """
    keys = [[_text(unit) for unit in side] for side in (base, theirs, mine)]
    in_theirs, in_mine = dict(comparer.matches(keys[0], keys[1])), dict(comparer.matches(keys[0], keys[2]))
    at = (0, 0, 0)
    for index in range(len(base)):
        if index in in_theirs and index in in_mine:
            i, j, k = index, in_theirs[index], in_mine[index]
            yield from _between(base[at[0] : i], theirs[at[1] : j], mine[at[2] : k])
            yield base[i : i + 1], theirs[j : j + 1], mine[k : k + 1]
            at = (i + 1, j + 1, k + 1)
    yield from _between(base[at[0] :], theirs[at[1] :], mine[at[2] :])


def _between(base: Units, theirs: Units, mine: Units) -> Iterator[tuple[Units, Units, Units]]:
    if len(base) == len(theirs) == len(mine):
        for index in range(len(base)):
            yield base[index : index + 1], theirs[index : index + 1], mine[index : index + 1]
    else:
        yield base, theirs, mine


def _paragraphs(lines: Lines) -> list[Lines]:
    """Group lines into paragraphs, each with the empty lines before it."""
    found: list[Lines] = []
    in_text = True
    for line in lines:
        is_text = bool(line.strip())
        if not found or (in_text and not is_text):
            found.append([])
        found[-1].append(line)
        in_text = is_text
    return found


def _text(lines: Sequence[str]) -> str:
    """Return lines as text, without the empty lines around it, which don't make a difference."""
    return "\n".join(lines).strip("\n")


def _last_paragraph(lines: Lines) -> str:
    return _text(_paragraphs(_text(lines).split("\n"))[-1])


def _first_paragraph(lines: Lines) -> str:
    return _text(_paragraphs(_text(lines).split("\n"))[0])
