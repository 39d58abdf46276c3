"""A campaign's stage (from its state and the current time), the steps between states, and progress toward the goal."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from campaign.models.campaign import Campaign, CampaignState


class Stage(StrEnum):
    """A campaign's stage as visitors see it, from the state set by organizers and the current time."""

    DRAFT = "draft"
    UPCOMING = "upcoming"
    OPEN = "open"
    CLOSED = "closed"
    WON = "won"


STEPS: dict[str, tuple[frozenset[CampaignState], CampaignState]] = {
    "publish": (frozenset({CampaignState.DRAFT}), CampaignState.OPEN),
    "close": (frozenset({CampaignState.OPEN}), CampaignState.CLOSED),
    "win": (frozenset({CampaignState.OPEN, CampaignState.CLOSED}), CampaignState.WON),
    "reopen": (frozenset({CampaignState.CLOSED, CampaignState.WON}), CampaignState.OPEN),
    "unpublish": (frozenset({CampaignState.OPEN, CampaignState.CLOSED, CampaignState.WON}), CampaignState.DRAFT),
}
"""Steps that change a campaign's state: the states in which a step is allowed, and the state after it. `unpublish`,
which makes a campaign a draft again, is allowed only while nobody has signed. But workers cache the campaign for a
second, so a form that is sent in that second may still be accepted. The draft then has a signature, and stays editable,
with a reason for each change of the letter."""
ALL_STEPS = (*STEPS, "archive", "unarchive")
"""All steps. An archived campaign keeps its state and its page, but it isn't on the front page."""
_PAST_TENSE = {
    "publish": "published",
    "close": "closed",
    "win": "declared won",
    "reopen": "reopened",
    "unpublish": "made a draft again",
    "archive": "archived",
    "unarchive": "unarchived",
}


def allows(campaign: Campaign, step: str, *, signed: bool) -> bool:
    """Return whether a step is allowed. `signed` says whether the campaign has signatures, including removed ones."""
    if step == "archive":
        return campaign.state is not CampaignState.DRAFT and campaign.archived_at is None
    if step == "unarchive":
        return campaign.archived_at is not None
    return campaign.state in STEPS[step][0] and not (step == "unpublish" and signed)


def why_not(campaign: Campaign, step: str, *, signed: bool) -> str:
    """Return why a step is not allowed, in a sentence without a period."""
    if step == "unpublish" and signed and campaign.state is not CampaignState.DRAFT:
        return f"people have signed {campaign.slug}, so it can’t be {_PAST_TENSE[step]}"
    state: str = "a draft" if campaign.state is CampaignState.DRAFT else campaign.state
    if step == "unarchive":
        state = "not archived"
    return f"{campaign.slug} is {state}, so it can’t be {_PAST_TENSE[step]}"


def is_taken(campaign: Campaign, step: str) -> bool:
    """Return whether a step would change nothing."""
    if step in STEPS:
        return campaign.state is STEPS[step][1]
    return (campaign.archived_at is not None) == (step == "archive")


def changes_of(step: str, campaign: Campaign, now: datetime) -> dict[str, Any]:
    """Return the columns that a step of a campaign sets."""
    if step in STEPS:
        back = {"archived_at": None} if step == "unpublish" else {}
        closed_at = campaign.closed_at or now if step in ("close", "win") else None
        return {"state": STEPS[step][1], "closed_at": closed_at, **back}
    return {"archived_at": now if step == "archive" else None}


def stage(campaign: Campaign, now: datetime) -> Stage:
    """Return the campaign's stage at `now` (timezone-aware)."""
    if campaign.state is not CampaignState.OPEN:
        return Stage(campaign.state.value)
    if campaign.opens_at and now < campaign.opens_at:
        return Stage.UPCOMING
    if campaign.closes_at and now >= campaign.closes_at:
        return Stage.CLOSED
    return Stage.OPEN


CONFIRMING = timedelta(hours=72)
"""How long after the campaign's end signers may still confirm."""


def confirms_until(campaign: Campaign, now: datetime) -> datetime | None:
    """Return when signers can no longer confirm, because the campaign has ended; None while it is open."""
    ends = [end for end in (campaign.closes_at, campaign.closed_at) if end and end <= now]
    return min(ends) + CONFIRMING if ends and stage(campaign, now) in (Stage.CLOSED, Stage.WON) else None


@dataclass(frozen=True)
class Progress:
    """A campaign's progress toward its goal."""

    count: int
    goal: int
    """The goal to display, which is raised each time it is reached."""
    reached: int | None
    """The last goal reached, to celebrate it; None if none was."""


def progress(campaign: Campaign, count: int) -> Progress:
    """Return the progress at `count` signatures. A reached goal rises by `goal_step` or to the next round number."""
    goal, reached = campaign.goal, None
    if campaign.goal_step and count >= goal:
        reached = count - (count - goal) % campaign.goal_step
        return Progress(count, reached + campaign.goal_step, reached)
    while count >= goal:
        goal, reached = _next_round_number(goal), goal
    return Progress(count, goal, reached)


def _next_round_number(number: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50, 100 … above `number`."""
    power: int = 10 ** (len(str(number)) - 1)
    return min(step * power for step in (2, 5, 10) if step * power > number)
