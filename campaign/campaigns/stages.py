"""A campaign's stage (from its state and the current time) and its progress toward the goal."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

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
}
"""Steps that an organizer can take: the states in which a step is allowed, and the state after it."""


def stage(campaign: Campaign, now: datetime) -> Stage:
    """Return the campaign's stage at `now` (timezone-aware)."""
    if campaign.state is not CampaignState.OPEN:
        return Stage(campaign.state.value)
    if campaign.opens_at and now < campaign.opens_at:
        return Stage.UPCOMING
    if campaign.closes_at and now >= campaign.closes_at:
        return Stage.CLOSED
    return Stage.OPEN


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
