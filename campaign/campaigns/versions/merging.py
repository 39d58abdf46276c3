"""Merging one campaign that two editors changed at the same time.

Fields that only one editor changed are merged, and so are different paragraphs and lines of the same text. What both
changed differently is a conflict, about which the desk asks the second editor. The desk merges when saving raises
`conflicts.EditConflictError`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from campaign.campaigns.fields import CampaignFile
from campaign.campaigns.letter import merging as text_merging
from campaign.campaigns.letter.comparison import MOST_STEPS, Comparer
from campaign.campaigns.versions.sittings import recorded

TEXTS = ("summary", "addressees", "letter", "thanks", "share_text", "donate_text")
"""The fields that are merged by paragraph and line. The others are merged as a whole."""
MOST_CONFLICTS = 20
"""The most conflicts of one text. If there are more, the whole text is one conflict."""


@dataclass(frozen=True)
class Conflict:
    """A field, or some lines of one, that both editors changed differently."""

    key: str
    base: object
    """The value that both started from, as the audit log stores it."""
    theirs: object
    mine: object
    start: int | None = None
    """The number of lines before these ones in the other editor's version; None for the whole field."""
    end: int | None = None
    before: str = ""
    """The paragraph before these lines."""
    after: str = ""


@dataclass(frozen=True)
class Change:
    """A field that the merge changed in this editor's version."""

    key: str
    before: object
    """The value as this editor submitted it."""
    after: object
    """The value with the other editors' changes. In a conflict, it has this editor's lines."""


@dataclass(frozen=True)
class Merged:
    """The result of a merge."""

    file: CampaignFile
    """The changes of all editors. In a conflict, it has this editor's version."""
    conflicts: Sequence[Conflict]
    theirs: Sequence[Change]
    """What `file` has of the other editors, without what this editor changed in the same way."""


def merge(base: Mapping[str, object], mine: CampaignFile, theirs: CampaignFile) -> Merged:
    """Merge the other editors' changes into this editor's version.

    Args:
        base: The columns that this editor started from, as the audit log stores them (`conflicts.columns_since`).
        mine: The campaign as this editor submitted it.
        theirs: The campaign as it is stored now.
    """
    my, their = _recorded(mine), _recorded(theirs)
    merged: dict[str, Any] = {}
    conflicts: list[Conflict] = []
    # All texts share one budget, and leave most of a page's budget to showing the conflicts. Without steps, more is
    # a conflict.
    comparer = Comparer(MOST_STEPS // 4)
    for key, started_from in base.items():
        if key not in my or their[key] in (started_from, my[key]):
            continue
        if my[key] == started_from:
            merged[key] = getattr(theirs, key)
        elif key in TEXTS and isinstance(started_from, str):
            merged[key], found = text_merging.merge(started_from, str(their[key]), str(my[key]), comparer)
            conflicts += _conflicts(key, started_from, their[key], my[key], found)
        else:
            conflicts.append(Conflict(key, started_from, their[key], my[key]))
    file = replace(mine, **merged)
    changes = [Change(key, my[key], value) for key, value in _recorded(file).items() if value != my[key]]
    return Merged(file, conflicts, changes)


def _conflicts(
    key: str, base: object, theirs: object, mine: object, found: Sequence[text_merging.TextConflict]
) -> list[Conflict]:
    if len(found) > MOST_CONFLICTS:
        return [Conflict(key, base, theirs, mine)]
    return [
        Conflict(key, each.base, each.theirs, each.mine, each.start, each.end, each.before, each.after)
        for each in found
    ]


def _recorded(file: CampaignFile) -> dict[str, object]:
    return {key: recorded(value) for key, value in file.columns().items()}
