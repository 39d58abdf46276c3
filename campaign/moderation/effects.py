"""The effects of changes to signatures, in words: what a change did, and what undoing it would do.

An effect is counted by the states of the signatures before and after the change, so that the words are true for every
change: a restored signature may have been hidden or removed, and a blocked one may have been removed before.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Self

from campaign.models.audit_log import Record
from campaign.models.signature import Standing

_LEAST_PUBLIC_LAST = (Standing.LISTED, Standing.HIDDEN, Standing.REMOVED, Standing.BLOCKED)


class _Verb(Enum):
    """What happens to signatures: as an order, as a report about an organizer, and as a result."""

    RESTORE = ("restore {n}", "restored {n}", "{n} restored")
    RESTORE_HIDDEN = (
        "restore {n}, but not to the list",
        "restored {n}, but not to the list",
        "{n} restored, but not to the list",
    )
    HIDE = ("hide {n}", "hid {n}", "{n} hidden")
    REMOVE = ("remove {n}", "removed {n}", "{n} removed")
    BLOCK = (
        "remove {n} and block {their}",
        "removed {n} and blocked {their}",
        "{n} removed and blocked",
    )
    BLOCK_REMOVED = (
        "block the email address of {removed}",
        "blocked the email address of {removed}",
        "{removed} blocked",
    )
    UNBLOCK = (
        "unblock the email address of {removed}",
        "unblocked the email address of {removed}",
        "{removed} unblocked",
    )

    def order(self, number: int, *, at_most: bool) -> str:
        """Return what to do, such as "remove 3 signatures" or, with `at_most`, "remove up to 3 signatures"."""
        return _filled(self.value[0], number, "up to " if at_most else "")

    def report(self, number: int) -> str:
        """Return what an organizer did, such as "removed 3 signatures"."""
        return _filled(self.value[1], number)

    def result(self, number: int) -> str:
        """Return what was done, such as "3 signatures removed"."""
        return _filled(self.value[2], number)


def _filled(template: str, number: int, limit: str = "") -> str:
    their = "its email address" if number == 1 else "their email addresses"
    removed = f"{limit}{number:,} removed {_noun(number)}"
    return template.format(n=f"{limit}{signatures(number)}", their=their, removed=removed)


def signatures(number: int) -> str:
    """Return the number with its noun, such as "1 signature" or "1,200 signatures"."""
    return f"{number:,} {_noun(number)}"


def _noun(number: int) -> str:
    return "signature" if number == 1 else "signatures"


class Effects(Counter[tuple[Standing, Standing]]):
    """How many signatures a change takes from one state to another."""

    @classmethod
    def between(cls, before: Mapping[int, Standing], after: Mapping[int, Standing]) -> Self:
        """Return the effects of a change, from the signatures' states before and after it, by id."""
        return cls((was, after[id_]) for id_, was in before.items() if id_ in after)

    @classmethod
    def of(cls, entry: Record) -> Self:
        """Return the effects that an audit log entry states."""
        return cls({move: len(ids) for move, ids in moves(entry).items()})

    def undone(self) -> "Effects":
        """Return the effects of undoing this change."""
        return Effects({(became, was): number for (was, became), number in self.items()})

    @property
    def taken_away(self) -> int:
        """How many signatures become less public: hidden, removed, or blocked."""
        return sum(number for (was, becomes), number in self.items() if _rank(becomes) > _rank(was))

    def orders(self, *, again: bool = False, at_most: bool = False) -> str:
        """Return what to do, such as "remove 3 signatures".

        With `again`, it has been done before. With `at_most`, it may be done to fewer: "remove up to 3 signatures".
        """
        orders = [_again(verb, verb.order(number, at_most=at_most), again) for verb, number in self._verbs()]
        return _joined(orders)

    def reports(self) -> str:
        """Return what an organizer did, such as "removed 3 signatures"."""
        return _joined([verb.report(number) for verb, number in self._verbs()])

    def results(self, *, again: bool = False) -> str:
        """Return what was done, such as "3 signatures removed". With `again`, it had been done before."""
        return _joined([_again(verb, verb.result(number), again) for verb, number in self._verbs()])

    def _verbs(self) -> list[tuple[_Verb, int]]:
        numbers: Counter[_Verb] = Counter()
        for (was, becomes), number in self.items():
            numbers[_verb(was, becomes)] += number
        return [(verb, numbers[verb]) for verb in _Verb if numbers[verb]]


def _verb(was: Standing, becomes: Standing) -> _Verb:
    is_counted = _rank(was) < _rank(Standing.REMOVED)
    if becomes is Standing.LISTED:
        return _Verb.RESTORE
    if becomes is Standing.HIDDEN:
        return _Verb.HIDE if is_counted else _Verb.RESTORE_HIDDEN
    if becomes is Standing.BLOCKED:
        return _Verb.BLOCK if is_counted else _Verb.BLOCK_REMOVED
    return _Verb.REMOVE if is_counted else _Verb.UNBLOCK


def _rank(standing: Standing) -> int:
    return _LEAST_PUBLIC_LAST.index(standing)


def _again(verb: _Verb, words: str, again: bool) -> str:
    return f"{words} again" if again and verb in (_Verb.HIDE, _Verb.REMOVE, _Verb.BLOCK) else words


def _joined(parts: Sequence[str]) -> str:
    *first, last = parts or [""]
    if len(first) > 1:
        return f"{', '.join(first)}, and {last}"
    return f"{first[0]} and {last}" if first else last


def moves(entry: Record) -> dict[tuple[Standing, Standing], Sequence[int]]:
    """Return the ids of the signatures that an audit log entry states, by their states before and after the change."""
    before, after = ({state: _ids(side.get(state.value)) for state in Standing} for side in (entry.before, entry.after))
    was, became = ([state for state, ids in side.items() if ids] for side in (before, after))
    # One of the sides of every entry has only one state, so that its thousand ids needn't be matched.
    if len(became) == 1:
        return {(state, became[0]): before[state] for state in was}
    if len(was) == 1:
        return {(was[0], state): after[state] for state in became}
    found: dict[tuple[Standing, Standing], list[int]] = {}
    states_after = by_id(entry.after)
    for id_, state in by_id(entry.before).items():
        found.setdefault((state, states_after[id_]), []).append(id_)
    return dict(found)


def by_id(logged: Mapping[str, object]) -> dict[int, Standing]:
    """Return the state of each signature from one side of an audit log entry about a change to signatures."""
    return {id_: standing for standing in Standing for id_ in _ids(logged.get(standing.value))}


def _ids(logged: object) -> list[int]:
    return logged if isinstance(logged, list) else []
