"""Two who have changed one campaign: what each did that the other did not is kept, and of the rest one is to decide.

The desk asks it when `editing.ChangedMeanwhileError` has told the second of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from campaign.campaign_keys import CampaignFile
from campaign.desk_models import Record
from campaign.editing import plain


@dataclass(frozen=True)
class Both:
    """A key that both have changed, and not to the same."""

    key: str
    theirs: str
    mine: str


def merge(mine: CampaignFile, theirs: CampaignFile, since: Sequence[Record]) -> tuple[CampaignFile, list[Both]]:
    """What I have typed, with what they have changed `since` I began where I have not; and what we both have."""
    my, their = mine.columns(), theirs.columns()
    began: dict[str, object] = {}
    for entry in since:
        began = {key: value for key, value in entry.before.items() if key in my} | began
    taken: dict[str, object] = {}
    both: list[Both] = []
    for key, was in began.items():
        if plain(my[key]) == was:
            taken[key] = getattr(theirs, key)
        elif plain(their[key]) not in (was, plain(my[key])):
            both.append(Both(key, str(plain(their[key]) or ""), str(plain(my[key]) or "")))
    return replace(mine, **taken), both  # type: ignore[arg-type]
