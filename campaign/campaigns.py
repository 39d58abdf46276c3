"""Campaigns: where they are found, their stages, their goal, the words that are signed, and the letter as safe HTML.

Who signs is signing.py's subject, what the crowd sees of it feed.py's, what organisers change editing.py's.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, joinedload

from campaign import replica
from campaign.campaign_keys import CampaignFile
from campaign.extensions import db
from campaign.models import Campaign, CampaignState, FormerSlug, LetterChange
from campaign.once import Once


class Stage(StrEnum):
    """Where a campaign stands for a visitor: the organiser's state and the clock together."""

    DRAFT = "draft"
    UPCOMING = "upcoming"
    OPEN = "open"
    CLOSED = "closed"
    WON = "won"


def stage(campaign: Campaign, now: datetime) -> Stage:
    """Where the campaign stands at `now` (aware)."""
    if campaign.state is not CampaignState.OPEN:
        return Stage(campaign.state.value)
    if campaign.opens_at and now < campaign.opens_at:
        return Stage.UPCOMING
    if campaign.closes_at and now >= campaign.closes_at:
        return Stage.CLOSED
    return Stage.OPEN


def find(session: Session, slug: str) -> Campaign | None:
    """The campaign of that slug, be it a draft."""
    return session.scalar(select(Campaign).where(Campaign.slug == slug))


def find_by_any_slug(session: Session, slug: str) -> Campaign | None:
    """The campaign of that slug or, if there is none, the one that had it; with the changes of its letter."""
    # No slug has others; PostgreSQL takes not every character.
    if not slug.isprintable():
        return None
    # In the same query; the public's page is to know of changes without one more.
    changes = joinedload(Campaign.letter_changes).load_only(LetterChange.changed_at, LetterChange.reason)
    found = select(Campaign).options(changes)
    former = found.join(FormerSlug, FormerSlug.campaign_id == Campaign.id).where(FormerSlug.slug == slug)
    by_slug = found.where(Campaign.slug == slug)
    return session.scalars(by_slug).unique().first() or session.scalars(former).unique().first()


_found: Once[tuple[Engine, str, bool], Campaign | None] = Once(most=256, keep=lambda campaign: campaign is not None)


def find_public(slug: str, *, to_sign: bool = False) -> Campaign | None:
    """The campaign that has or had that slug as it was in this tick, detached; None for a draft, which is not public.

    A crowd asks for it with each signature, so that what an organiser changes takes a second to hold for everybody.
    `to_sign`, it is looked up where signatures are stored, and never in a replica.
    """

    def made(session: Session) -> Campaign | None:
        campaign = find_by_any_slug(session, slug)
        return None if campaign and campaign.state is CampaignState.DRAFT else campaign

    return _found.get((db.engine, slug, to_sign), lambda: replica.read(made, fresh=to_sign))


def every(session: Session) -> list[Campaign]:
    """All campaigns, drafts too, newest first."""
    return list(session.scalars(select(Campaign).order_by(Campaign.created_at.desc(), Campaign.id.desc())))


_all: Once[Engine, list[Campaign]] = Once(most=4)


def public(now: datetime) -> list[Campaign]:
    """All but drafts: those to sign first, then those to come, then the won and the closed, each newest first."""
    order = [Stage.OPEN, Stage.UPCOMING, Stage.WON, Stage.CLOSED]
    there = _all.get(db.engine, lambda: replica.read(every))
    shown = [campaign for campaign in there if campaign.state is not CampaignState.DRAFT]
    return sorted(shown, key=lambda campaign: order.index(stage(campaign, now)))


@dataclass(frozen=True)
class Progress:
    """How far a campaign has come."""

    count: int
    goal: int
    """The goal to show: the next one, once an earlier one is reached."""
    reached: int | None
    """The last goal that was reached, to celebrate."""


def progress(campaign: Campaign, count: int) -> Progress:
    """Where `count` signatures stand: a goal that is reached moves on by its step, or to the next round number."""
    goal, reached = campaign.goal, None
    if campaign.goal_step and count >= goal:
        reached = count - (count - goal) % campaign.goal_step
        return Progress(count, reached + campaign.goal_step, reached)
    while count >= goal:
        goal, reached = _next_round_number(goal), goal
    return Progress(count, goal, reached)


def _next_round_number(number: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50, 100 … after `number`."""
    power: int = 10 ** (len(str(number)) - 1)
    return min(step * power for step in (2, 5, 10) if step * power > number)


def words_signed(campaign: Campaign | CampaignFile) -> str:
    """What somebody puts their name under: title, addressees and letter, each set off by an empty line."""
    return f"{campaign.title}\n\n{campaign.addressees}\n\n{campaign.letter}"


_markdown = MarkdownIt("commonmark", {"html": False})
_LETTER_TAGS = {
    "p",
    "br",
    "em",
    "strong",
    "a",
    "ul",
    "ol",
    "li",
    "blockquote",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
}


@lru_cache(maxsize=64)
def letter_html(letter: str) -> str:
    """The letter's Markdown as HTML that can do no harm: text, emphasis, links, lists, quotes and headings.

    Headings begin at h2, because the page's h1 is the campaign's title.
    """
    tokens = _markdown.parse(letter)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
    html = _markdown.renderer.render(tokens, _markdown.options, {})
    return nh3.clean(html, tags=_LETTER_TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"})
