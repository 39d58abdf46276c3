"""Drafts: saving them automatically, copying a campaign to a new draft, and deleting a draft."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Session

from campaign.accounts.audit_log import Actor
from campaign.campaigns import editing, slugs
from campaign.campaigns.editing import StepNotAllowedError
from campaign.campaigns.fields import TITLE_LENGTH, CampaignFile
from campaign.campaigns.letter import changes as letter_changes
from campaign.campaigns.versions import sittings
from campaign.campaigns.versions.conflicts import check_version
from campaign.models.account import CampaignOrganizer
from campaign.models.campaign import Campaign, CampaignState, FormerSlug

COPY = " (copy)"
"""What the title of a copy ends with."""


def save_automatically(
    session: Session, by: Actor, campaign_id: int, file: CampaignFile, now: datetime, *, version: int
) -> Campaign:
    """Save a draft while its editor types, and return it. The audit log gets one entry for the whole sitting.

    The slug never changes, because each former one is kept. Call `editing.problems` first.

    Raises:
        EditConflictError: The campaign no longer has this version, for example because it is public now.
    """
    campaign = editing.load_locked(session, campaign_id)
    check_version(session, campaign, version)
    if campaign.state is not CampaignState.DRAFT:
        raise StepNotAllowedError(f"{campaign.slug} is {campaign.state}, so it isn’t saved automatically")
    columns = file.columns() | {"slug": campaign.slug}
    before = {name: getattr(campaign, name) for name, value in columns.items() if getattr(campaign, name) != value}
    if not before:
        return campaign
    earlier = sittings.take(session, by, campaign, now)
    for name in before:
        setattr(campaign, name, columns[name])
    editing.store(session, file)
    before["version"] = campaign.version
    campaign.version += 1
    campaign.updated_at = now
    sittings.add(session, by, campaign, before | earlier, now)
    session.flush()
    return campaign


def duplicate(session: Session, by: Actor, campaign: Campaign, now: datetime) -> Campaign:
    """Copy a campaign to a new draft of this account, without the times at which it opens and closes."""
    file = editing.file_of(session, campaign)
    title = file.title[: TITLE_LENGTH - len(COPY)].rstrip() + COPY
    slug = slugs.free(session, slugs.of_title(title, file.language, TITLE_LENGTH), None)
    copy = replace(file, title=title, slug=slug, opens_at=None, closes_at=None)
    return editing.create(session, by, copy, now, copied_from=campaign.slug)


def delete(session: Session, by: Actor, campaign_id: int, now: datetime, *, version: int) -> bool:
    """Delete a draft: its texts, its slugs, and its organizers' access. The audit log keeps its entries.

    Returns:
        Whether anything changed. Deleting a draft again changes nothing.

    Raises:
        EditConflictError: The campaign no longer has this version.
        StepNotAllowedError: The campaign is public, or people have signed it.
    """
    campaign = editing.load_locked(session, campaign_id)
    if campaign.deleted_at:
        return False
    if campaign.state is not CampaignState.DRAFT or letter_changes.has_signatures(session, campaign_id):
        raise StepNotAllowedError(f"{campaign.slug} is not a draft that nobody has signed, so it can’t be deleted")
    check_version(session, campaign, version)
    sittings.close(session, campaign)
    blank = {key: "" for key, value in editing.file_of(session, campaign).columns().items() if isinstance(value, str)}
    # No URL has this slug, because it isn't a valid one. The language and time zone are needed to show times.
    kept = {"slug": f"~{campaign_id}", "language": campaign.language, "time_zone": campaign.time_zone}
    session.execute(delete_from(FormerSlug).where(FormerSlug.campaign_id == campaign_id))
    session.execute(delete_from(CampaignOrganizer).where(CampaignOrganizer.campaign_id == campaign_id))
    editing.change(session, by, "delete", campaign, now, {**blank, **kept, "deleted_at": now})
    return True
