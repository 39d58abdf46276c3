"""What the table of signatures says about changes: the result of a change, and questions before large ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from campaign.accounts.audit_log import COMMAND
from campaign.moderation import actions, unindexed
from campaign.moderation.actions import Action, Matching
from campaign.moderation.changes import Done
from campaign.moderation.effects import Effects, signatures
from campaign.moderation.undo import UndoneBy
from campaign.web.formatting import moment

ASK_UNDO_ABOVE = 10
"""The most signatures that an undo hides or removes without a question."""
ALL, SELECTED, NONE = "all", "selected", "none"
"""Answers to a question: change all signatures, only the selected ones, or none."""

_VERBS = {
    Action.HIDE: "Hide",
    Action.REMOVE: "Remove",
    Action.BLOCK: "Remove and block",
    Action.RESTORE: "Restore",
}


@dataclass(frozen=True)
class Notice:
    """The result of a change, shown above the table."""

    words: str
    entries: Sequence[int] = ()
    """The ids of the audit log entries that can be undone."""
    undo: str = ""
    """What undoing them does, such as "restore 2 signatures"."""
    fault: bool = False
    """Whether a storage error prevented the rest of the change."""


@dataclass(frozen=True)
class Question:
    """A question before a large change, shown above the table."""

    words: str
    hint: str
    endpoint: str
    """The view that gets the answer, as the field `sure`."""
    answers: Sequence[tuple[str, str]]
    """The value and the words of each answer that changes something."""
    fields: Sequence[tuple[str, str]]
    """The fields that describe the change."""


def about_all(action: Action, matching: Matching, selected: Sequence[int], *, is_filtered: bool) -> Question | None:
    """Return the question before an action on all matching signatures, or None if it needs none.

    It needs one if there are more than ASK_ABOVE, or if other signatures match than the selected ones.
    """
    number = len(matching.ids)
    is_large = number > actions.ASK_ABOVE or not matching.exact
    if not is_large and not (selected and set(matching.ids) - set(selected)):
        return None
    verb, of = _VERBS[action], "that match" if is_filtered else "of this campaign"
    hints = ["You can undo this afterward."]
    if matching.exact:
        words, answers = f"{verb} all {signatures(number)} {of}?", [(ALL, f"{verb} all {number:,}")]
    else:
        words, answers = f"{verb} all signatures {of}?", [(ALL, f"{verb} all")]
        hints.insert(0, f"There are at least {number:,}. One step changes at most {actions.MOST:,}.")
    if selected:
        answers.append((SELECTED, f"{verb} only the {len(selected):,} selected"))
        hints.insert(0, f"You have selected {signatures(len(selected))}, and also all {of}.")
    endpoint = Action.REMOVE if action is Action.BLOCK else action
    fields = [("first", matching.first)] if matching.first else []
    return Question(words, " ".join(hints), endpoint.value, answers, fields)


def about_undo(planned: Effects, entries: Sequence[int]) -> Question | None:
    """Return the question before an undo that hides or removes more than ASK_UNDO_ABOVE, or None if it needs none."""
    if planned.taken_away <= ASK_UNDO_ABOVE:
        return None
    order = _capitalized(planned.orders(again=True))
    hint = "You can undo this afterward."
    return Question(f"{order}?", hint, "undo", [(ALL, order)], [("entry", str(entry)) for entry in entries])


def result(done: Done, *, is_undo: bool = False) -> Notice:
    """Return the notice about a change that is done. An undo of several entries may be done only in part."""
    words = [f"{done.effects.results(again=is_undo)}." if done.changed else "No signature was changed."]
    if done.left:
        words.append(f"{done.left:,} left unchanged{' because of a later change' if is_undo else ''}.")
    if done.signed_again:
        words.append(f"{done.signed_again:,} left unchanged because of a newer signature from the same email address.")
    if done.missed:
        words.append(f"{being_indexed(done.missed)} and could not be searched. Repeat the action in a minute.")
    if done.fault:
        words.append("The rest couldn’t be saved and is unchanged. Try again in a minute.")
    elif actions.is_full(done):
        words.append("That is the most that can be changed at once. Repeat the action for the rest.")
    undo = done.effects.undone().orders(again=True) if done.changed else ""
    return Notice(" ".join(words), done.entries, undo, done.fault is not None)


def being_indexed(missed: int) -> str:
    """Return which signatures are still being indexed."""
    return f"The newest {unindexed.rounded(missed):,} signatures are still being indexed"


def undone_already(by: UndoneBy, zone: str) -> Notice:
    """Return the notice about a change that was undone before."""
    actor = "the command line" if by.actor == COMMAND.name else by.actor
    return Notice(f"This was already undone by {actor} on {moment(by.at, 'en', zone)}. Nothing was changed.")


def _capitalized(words: str) -> str:
    return words[:1].upper() + words[1:]
