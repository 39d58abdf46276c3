"""Three-way merge of one campaign that two editors changed at the same time.

Fields that only one editor changed are merged. Fields that both changed differently are conflicts, which the second
editor resolves.
The desk merges when saving raises `conflicts.EditConflictError`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from campaign.campaigns.fields import CampaignFile
from campaign.campaigns.versions.conflicts import recorded
from campaign.models.audit_log import Record


@dataclass(frozen=True)
class Conflict:
    """A field that both editors changed, to different values."""

    key: str
    theirs: str
    mine: str


def merge(mine: CampaignFile, theirs: CampaignFile, since: Sequence[Record]) -> tuple[CampaignFile, list[Conflict]]:
    """Merge the other editor's changes into this editor's version.

    Args:
        mine: The campaign as this editor submitted it.
        theirs: The campaign as it is stored now.
        since: The audit log entries since this editor loaded the campaign.

    Returns:
        `mine` with the fields that only the other editor changed, and the conflicts; in a conflict, `mine` is kept.
    """
    my, their = mine.columns(), theirs.columns()
    original: dict[str, object] = {}
    for entry in since:
        original = {key: value for key, value in entry.before.items() if key in my} | original
    merged: dict[str, object] = {}
    conflicts: list[Conflict] = []
    for key, before in original.items():
        if recorded(my[key]) == before:
            merged[key] = getattr(theirs, key)
        elif recorded(their[key]) not in (before, recorded(my[key])):
            conflicts.append(Conflict(key, str(recorded(their[key]) or ""), str(recorded(my[key]) or "")))
    return replace(mine, **merged), conflicts  # type: ignore[arg-type]
