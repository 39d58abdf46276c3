"""What the table of signatures says about changes: the result of a change, and questions before large ones.

Some messages have the same form for every number in English. They use `ngettext`, too: other languages have more forms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from campaign.accounts.audit_log import COMMAND
from campaign.languages.speaking import gettext, lazy_gettext, ngettext
from campaign.moderation import actions, unindexed
from campaign.moderation.actions import Action, Matching
from campaign.moderation.changes import Done
from campaign.moderation.effects import Effects
from campaign.moderation.undo import UndoneBy
from campaign.web import formatting

ASK_UNDO_ABOVE = 10
"""The most signatures that an undo hides or removes without a question."""
ALL, SELECTED, NONE = "all", "selected", "none"
"""Answers to a question: change all signatures, only the selected ones, or none."""

_ABOUT_ALL_THAT_MATCH = {
    Action.HIDE: lazy_gettext("Hide all signatures that match?"),
    Action.REMOVE: lazy_gettext("Remove all signatures that match?"),
    Action.BLOCK: lazy_gettext("Remove and block all signatures that match?"),
    Action.RESTORE: lazy_gettext("Restore all signatures that match?"),
}
_ABOUT_ALL_OF_CAMPAIGN = {
    Action.HIDE: lazy_gettext("Hide all signatures of this campaign?"),
    Action.REMOVE: lazy_gettext("Remove all signatures of this campaign?"),
    Action.BLOCK: lazy_gettext("Remove and block all signatures of this campaign?"),
    Action.RESTORE: lazy_gettext("Restore all signatures of this campaign?"),
}
_ACT_ON_ALL = {
    Action.HIDE: lazy_gettext("Hide all"),
    Action.REMOVE: lazy_gettext("Remove all"),
    Action.BLOCK: lazy_gettext("Remove and block all"),
    Action.RESTORE: lazy_gettext("Restore all"),
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


def about_all(
    action: Action, matching: Matching, selected: Sequence[int], first: str, *, is_filtered: bool
) -> Question | None:
    """Return the question before an action on all matching signatures, or None if it needs none.

    It needs one if there are more than ASK_ABOVE, or if other signatures match than the selected ones.

    Args:
        first: The cursor where the action starts.
    """
    number = len(matching.ids)
    is_large = number > actions.ASK_ABOVE or not matching.exact
    if not is_large and not (selected and set(matching.ids) - set(selected)):
        return None
    hints = [gettext("You can undo this afterward.")]
    if matching.exact:
        words = (_about_number_that_match if is_filtered else _about_number_of_campaign)(action, number)
        answers = [(ALL, _act_on_number(action, number))]
    else:
        words = str((_ABOUT_ALL_THAT_MATCH if is_filtered else _ABOUT_ALL_OF_CAMPAIGN)[action])
        answers = [(ALL, str(_ACT_ON_ALL[action]))]
        hints.insert(0, _at_least(number))
    if selected:
        answers.append((SELECTED, _act_on_selected(action, len(selected))))
        hints.insert(0, _both_chosen(len(selected), is_filtered=is_filtered))
    return Question(words, " ".join(hints), _endpoint(action), answers, [("first", first)])


def about_rest(action: Action, done: Done) -> Question | None:
    """Return the question whether to go on with a change of all matching signatures, or None if it is complete."""
    if done.rest is None:
        return None
    hints = [gettext("Older signatures have not been checked yet.")]
    if done.changed:
        hints.append(gettext("If you continue, you can still undo this step in the activity log."))
    words, answers = gettext("Continue with older signatures?"), [(ALL, gettext("Continue"))]
    return Question(words, " ".join(hints), _endpoint(action), answers, [("first", done.rest)])


def _endpoint(action: Action) -> str:
    """Return the view that carries out the action."""
    return (Action.REMOVE if action is Action.BLOCK else action).value


def _at_least(number: int) -> str:
    """Return what to say about matching signatures that were not counted to the end."""
    if not number:
        return gettext("None of the newest signatures would change. Others may.")
    least, most = formatting.number(number), formatting.number(actions.MOST)
    return gettext("There are at least %(number)s. One step changes at most %(most)s.", number=least, most=most)


def _about_number_that_match(action: Action, number: int) -> str:
    shown = formatting.number(number)
    return {
        Action.HIDE: ngettext(
            "Hide all %(number)s signature that match?",
            "Hide all %(number)s signatures that match?",
            number,
            number=shown,
        ),
        Action.REMOVE: ngettext(
            "Remove all %(number)s signature that match?",
            "Remove all %(number)s signatures that match?",
            number,
            number=shown,
        ),
        Action.BLOCK: ngettext(
            "Remove and block all %(number)s signature that match?",
            "Remove and block all %(number)s signatures that match?",
            number,
            number=shown,
        ),
        Action.RESTORE: ngettext(
            "Restore all %(number)s signature that match?",
            "Restore all %(number)s signatures that match?",
            number,
            number=shown,
        ),
    }[action]


def _about_number_of_campaign(action: Action, number: int) -> str:
    shown = formatting.number(number)
    return {
        Action.HIDE: ngettext(
            "Hide all %(number)s signature of this campaign?",
            "Hide all %(number)s signatures of this campaign?",
            number,
            number=shown,
        ),
        Action.REMOVE: ngettext(
            "Remove all %(number)s signature of this campaign?",
            "Remove all %(number)s signatures of this campaign?",
            number,
            number=shown,
        ),
        Action.BLOCK: ngettext(
            "Remove and block all %(number)s signature of this campaign?",
            "Remove and block all %(number)s signatures of this campaign?",
            number,
            number=shown,
        ),
        Action.RESTORE: ngettext(
            "Restore all %(number)s signature of this campaign?",
            "Restore all %(number)s signatures of this campaign?",
            number,
            number=shown,
        ),
    }[action]


def _act_on_number(action: Action, number: int) -> str:
    shown = formatting.number(number)
    return {
        Action.HIDE: ngettext("Hide all %(number)s", "Hide all %(number)s", number, number=shown),
        Action.REMOVE: ngettext("Remove all %(number)s", "Remove all %(number)s", number, number=shown),
        Action.BLOCK: ngettext(
            "Remove and block all %(number)s", "Remove and block all %(number)s", number, number=shown
        ),
        Action.RESTORE: ngettext("Restore all %(number)s", "Restore all %(number)s", number, number=shown),
    }[action]


def _act_on_selected(action: Action, number: int) -> str:
    shown = formatting.number(number)
    return {
        Action.HIDE: ngettext(
            "Hide only the %(number)s selected", "Hide only the %(number)s selected", number, number=shown
        ),
        Action.REMOVE: ngettext(
            "Remove only the %(number)s selected", "Remove only the %(number)s selected", number, number=shown
        ),
        Action.BLOCK: ngettext(
            "Remove and block only the %(number)s selected",
            "Remove and block only the %(number)s selected",
            number,
            number=shown,
        ),
        Action.RESTORE: ngettext(
            "Restore only the %(number)s selected", "Restore only the %(number)s selected", number, number=shown
        ),
    }[action]


def _both_chosen(selected: int, *, is_filtered: bool) -> str:
    shown = formatting.number(selected)
    if is_filtered:
        return ngettext(
            "You have selected %(number)s signature, and also all that match.",
            "You have selected %(number)s signatures, and also all that match.",
            selected,
            number=shown,
        )
    return ngettext(
        "You have selected %(number)s signature, and also all of this campaign.",
        "You have selected %(number)s signatures, and also all of this campaign.",
        selected,
        number=shown,
    )


def about_undo(planned: Effects, entries: Sequence[int]) -> Question | None:
    """Return the question before an undo that hides or removes more than ASK_UNDO_ABOVE, or None if it needs none."""
    if planned.taken_away <= ASK_UNDO_ABOVE:
        return None
    order = _capitalized(planned.orders(again=True))
    hint = gettext("You can undo this afterward.")
    return Question(f"{order}?", hint, "undo", [(ALL, order)], [("entry", str(entry)) for entry in entries])


def result(done: Done, *, is_undo: bool = False) -> Notice:
    """Return the notice about a change that is done. An undo of several entries may be done only in part."""
    if done.changed:
        words = [f"{done.effects.results(again=is_undo)}."]
    elif done.rest:
        words = [gettext("No signature was changed so far.")]
    else:
        words = [gettext("No signature was changed.")]
    if done.left:
        words.append(_left(done.left, is_undo=is_undo))
    if done.signed_again:
        words.append(
            ngettext(
                "%(number)s left unchanged because of a newer signature from the same email address.",
                "%(number)s left unchanged because of a newer signature from the same email address.",
                done.signed_again,
                number=formatting.number(done.signed_again),
            )
        )
    if done.missed:
        words.append(_not_indexed(done.missed))
        words.append(gettext("They may not all have been searched. Repeat the action once they are indexed."))
    if done.fault:
        words.append(gettext("The rest couldn’t be saved and is unchanged. Try again in a minute."))
    undo = done.effects.undone().orders(again=True) if done.changed else ""
    return Notice(" ".join(words), done.entries, undo, done.fault is not None)


def _left(number: int, *, is_undo: bool) -> str:
    shown = formatting.number(number)
    if is_undo:
        return ngettext(
            "%(number)s left unchanged because of a later change.",
            "%(number)s left unchanged because of a later change.",
            number,
            number=shown,
        )
    return ngettext("%(number)s left unchanged.", "%(number)s left unchanged.", number, number=shown)


def being_indexed(missed: int, *, worker_runs: bool) -> str:
    """Return what to say about signatures that a search could not find, because the index lacks them.

    Args:
        missed: The result of `unindexed.missed`.
    """
    words = [
        _not_indexed(missed),
        gettext("This search has looked only at the latest of them. Without a search, the table shows all of them."),
    ]
    if not worker_runs:
        words.append(
            gettext(
                "The background worker indexes them. It isn’t running. Ask the person who runs the site to start it."
            )
        )
    return " ".join(words)


def _not_indexed(missed: int) -> str:
    if missed > unindexed.MOST_COUNTED:
        return gettext("Many new signatures and changes are still being indexed.")
    number = unindexed.rounded(missed)
    return ngettext(
        "The newest %(number)s signatures and changes are still being indexed.",
        "The newest %(number)s signatures and changes are still being indexed.",
        number,
        number=formatting.number(number),
    )


def undone_already(by: UndoneBy, zone: str) -> Notice:
    """Return the notice about a change that was undone before."""
    time = formatting.moment(by.at, zone=zone)
    if by.actor == COMMAND.name:
        words = gettext("This was already undone by the command line on %(time)s. Nothing was changed.", time=time)
    else:
        words = gettext(
            "This was already undone by %(actor)s on %(time)s. Nothing was changed.", actor=by.actor, time=time
        )
    return Notice(words)


def _capitalized(words: str) -> str:
    return words[:1].upper() + words[1:]
