"""Comparison of two texts by paragraph and by word, with bounded work.

The algorithm is the greedy one from Eugene W. Myers, "An O(ND) Difference Algorithm and Its Variations", Algorithmica 1
(1986). Its cost depends on the number of differences. Python's difflib can take time cubic in the length. Other
libraries (diff-match-patch) stop after a time limit, so the result would depend on how busy the machine is.

This module counts steps instead. When the steps are used up, the rest is shown as a whole: the old text deleted, the
new text inserted.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

MOST_STEPS = 200_000
"""The most steps for one comparison, or for all comparisons of one page: 0.1 to 0.2 seconds. Correcting a letter takes
a few thousand steps; putting 300 paragraphs in random order takes about this many."""
CHARACTERS_PER_STEP = 10
"""Characters counted as one step: splitting ten characters into words takes about as long as comparing two words."""


class Piece(NamedTuple):
    """A piece of the comparison: in both texts (same), only in the new text (ins), or only in the old text (del)."""

    kind: str
    text: str


def with_context(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Return a comparison with only the paragraphs that changed and those next to them. "…" stands for the others."""
    shown = []
    for number, piece in enumerate(pieces):
        paragraphs = piece.text.split("\n\n")
        # Of the first piece, its end is next to a change; of the last one, its beginning.
        first = [] if number == 0 else paragraphs[:2]
        last = [] if number == len(pieces) - 1 else paragraphs[-2:]
        if piece.kind == "same" and len(first) + len(last) < len(paragraphs):
            piece = Piece("same", "\n\n".join([*first, "…", *last]))
        shown.append(piece)
    return tuple(shown)


class OutOfStepsError(Exception):
    """No steps are left for comparing."""


class Comparer:
    """Compares texts with one budget of steps for all of them. When it is used up, the rest is shown as a whole."""

    def __init__(self, steps: int = MOST_STEPS) -> None:
        """Start with this many steps."""
        self._left = steps

    def difference(self, before: str, after: str) -> tuple[Piece, ...]:
        """Return the differences: same and del pieces make up `before`, same and ins pieces make up `after`."""
        merged: list[Piece] = []
        for piece in self._by_paragraph(before, after):
            if merged and merged[-1].kind == piece.kind:
                piece = Piece(piece.kind, merged.pop().text + piece.text)
            merged.append(piece)
        return tuple(merged)

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise OutOfStepsError

    def _by_paragraph(self, before: str, after: str) -> Iterator[Piece]:
        try:
            self._spend((len(before) + len(after)) // CHARACTERS_PER_STEP)
        except OutOfStepsError:
            yield from _as_a_whole([before], [after])
            return
        for old, new in self._aligned(_paragraphs(before), _paragraphs(after)):
            if old == new:
                yield Piece("same", "".join(old))
            elif old and new:
                yield from self._by_word(old, new)
            else:
                yield from _as_a_whole(old, new)

    def _by_word(self, old: list[str], new: list[str]) -> Iterator[Piece]:
        # If the number of paragraphs is unchanged, each new one is most likely a corrected version of the old one.
        pairs = zip(old, new, strict=True) if len(old) == len(new) else [("".join(old), "".join(new))]
        for before, after in pairs:
            try:
                self._spend((len(before) + len(after)) // CHARACTERS_PER_STEP)
            except OutOfStepsError:
                yield from _as_a_whole([before], [after])
                continue
            for removed, added in self._aligned(_words(before), _words(after)):
                if removed == added:
                    yield Piece("same", "".join(removed))
                else:
                    yield from _as_a_whole(removed, added)

    def _aligned(self, old: list[str], new: list[str]) -> Iterator[tuple[list[str], list[str]]]:
        """Yield both lists in order as pairs of runs: equal parts, or old parts and the new parts that replace them."""
        ends = [(-1, -1), *self.matches(old, new), (len(old), len(new))]
        same: list[str] = []
        for (i, j), (next_i, next_j) in pairwise(ends):
            removed, added = old[i + 1 : next_i], new[j + 1 : next_j]
            if removed or added:
                if same:
                    yield same, same
                    same = []
                yield removed, added
            if next_i < len(old):
                same.append(old[next_i])
        if same:
            yield same, same

    def matches(self, old: list[str], new: list[str]) -> list[tuple[int, int]]:
        """Return the index pairs of parts that match in order, as many as the steps allow."""
        first = 0
        shorter = min(len(old), len(new))
        while first < shorter and old[first] == new[first]:
            first += 1
        last = 0
        while last < shorter - first and old[-1 - last] == new[-1 - last]:
            last += 1
        matches = [(index, index) for index in range(first)]
        matches += self._matches_between(old, new, range(first, len(old) - last), range(first, len(new) - last))
        return matches + [(len(old) - last + index, len(new) - last + index) for index in range(last)]

    def _matches_between(self, old: list[str], new: list[str], olds: range, news: range) -> list[tuple[int, int]]:
        # Leave out parts that are in only one text: they can't match. So texts with nothing in common cost nothing.
        shared = {old[i] for i in olds} & {new[j] for j in news}
        # Compare numbers instead of texts, so that a step takes the same time for long parts.
        numbers = {part: number for number, part in enumerate(shared)}
        left = [(i, numbers[old[i]]) for i in olds if old[i] in shared]
        right = [(j, numbers[new[j]]) for j in news if new[j] in shared]
        try:
            found = self._myers([number for _, number in left], [number for _, number in right])
        except OutOfStepsError:
            return []
        return [(left[a][0], right[b][0]) for a, b in found]

    def _myers(self, old: Sequence[int], new: Sequence[int]) -> list[tuple[int, int]]:
        """Return the matches of a shortest edit script.

        Raises:
            OutOfStepsError: The search takes more steps than are left.
        """
        # For each diagonal (index in `old` minus index in `new`): how far into `old` it can be followed with this many
        # edits.
        furthest = {1: 0}
        rounds: list[dict[int, int]] = []
        for edits in range(len(old) + len(new) + 1):
            self._spend(2 * edits + 1)
            rounds.append(furthest.copy())
            for diagonal in range(-edits, edits + 1, 2):
                a = _reached(furthest, diagonal, edits)
                begin = a
                while a < len(old) and a - diagonal < len(new) and old[a] == new[a - diagonal]:
                    a += 1
                self._spend(a - begin)
                furthest[diagonal] = a
                if a >= len(old) and a - diagonal >= len(new):
                    return _backtrack(rounds, len(old), len(new))
        raise AssertionError("deleting all old parts and inserting all new ones is always enough")


def _is_insertion(furthest: dict[int, int], diagonal: int, edits: int) -> bool:
    """Return whether the last edit on the way to a diagonal is an insertion; otherwise, it is a deletion."""
    return diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1])


def _reached(furthest: dict[int, int], diagonal: int, edits: int) -> int:
    """Return how far a diagonal is reached with one more edit, before following its matches."""
    insertion = _is_insertion(furthest, diagonal, edits)
    return furthest[diagonal + 1] if insertion else furthest[diagonal - 1] + 1


def _backtrack(rounds: list[dict[int, int]], a: int, b: int) -> list[tuple[int, int]]:
    """Follow the rounds back from the ends of both texts (a and b parts long), and return the matches on that path."""
    matches: list[tuple[int, int]] = []
    for edits in range(len(rounds) - 1, -1, -1):
        furthest, diagonal = rounds[edits], a - b
        begin = _reached(furthest, diagonal, edits)
        while a > begin:
            a, b = a - 1, b - 1
            matches.append((a, b))
        if _is_insertion(furthest, diagonal, edits):
            b -= 1
        else:
            a -= 1
    return matches[::-1]


def _as_a_whole(old: list[str], new: list[str]) -> Iterator[Piece]:
    removed, added = "".join(old), "".join(new)
    # Don't mark trailing white space as changed if both texts end with it.
    space = removed[len(removed.rstrip()) :]
    if added[len(added.rstrip()) :] != space:
        space = ""
    for kind, text in (("del", removed.removesuffix(space)), ("ins", added.removesuffix(space)), ("same", space)):
        if text:
            yield Piece(kind, text)


def _paragraphs(text: str) -> list[str]:
    """Split text into paragraphs, each with the empty lines after it."""
    return re.findall(r".+?(?:\n\s*\n|\Z)", text, re.S)


def _words(text: str) -> list[str]:
    """Split text into words, each with the white space after it."""
    return re.findall(r"^\s+|\S+\s*", text)
