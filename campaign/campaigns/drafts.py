"""Drafts: creating them once, saving them automatically, copying a campaign to a new draft, and deleting a draft."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaign.accounts.audit_log import Actor
from campaign.campaigns import editing, slugs, translations
from campaign.campaigns.editing import StepNotAllowedError
from campaign.campaigns.fields import TITLE_LENGTH, CampaignFile
from campaign.campaigns.letter import changes as letter_changes
from campaign.campaigns.pictures import storage as pictures
from campaign.campaigns.versions import sittings
from campaign.campaigns.versions.conflicts import check_version
from campaign.models.account import Account, CampaignOrganizer
from campaign.models.campaign import Campaign, CampaignState, FormerSlug

COPY = " (copy)"
"""What the title of a copy ends with."""
REPEATED = timedelta(days=1)
"""How long a form with the same content counts as the same draft sent again."""
MOST_COMPARED = 5
"""The most drafts that are compared with a form that may have been sent again."""


def create_once(session: Session, by: Actor, file: CampaignFile, now: datetime, *, any_slug: bool) -> Campaign:
    """Create a draft, or return the same draft if this account has created it less than REPEATED ago.

    Browsers send a form again after a double click, or if the answer was lost.

    Args:
        session: With the caller's write transaction.
        by: The author.
        file: The draft's content.
        now: The current time (timezone-aware).
        any_slug: Whether nobody typed the slug, so that a draft with another slug is the same, too. A number is added
            to the slug if another campaign has it.

    Raises:
        InvalidCampaignError: Another campaign has or had the slug.
    """
    # A lock, so that two requests at the same moment don't both find nothing. SQLite has locked everything already.
    session.execute(select(Account.id).where(Account.id == by.account_id).with_for_update(key_share=True))
    own = select(Campaign).join(CampaignOrganizer, CampaignOrganizer.campaign_id == Campaign.id)
    own = own.where(CampaignOrganizer.account_id == by.account_id, Campaign.state == CampaignState.DRAFT)
    new = own.where(Campaign.deleted_at.is_(None), Campaign.created_at > now - REPEATED)
    columns = {key: value for key, value in file.columns().items() if key != "slug" or not any_slug}
    for draft in session.scalars(new.order_by(Campaign.id.desc()).limit(MOST_COMPARED)):
        if all(getattr(draft, key) == value for key, value in columns.items()):
            return draft
    slug = slugs.free(session, file.slug, None) if any_slug else file.slug
    return editing.create(session, by, replace(file, slug=slug), now)


def save_automatically(
    session: Session,
    by: Actor,
    campaign_id: int,
    file: CampaignFile,
    now: datetime,
    *,
    version: int,
    originals: Mapping[str, str],
) -> Campaign:
    """Save a draft while its editor types, and return it. The audit log gets one entry for the whole sitting.

    `originals` is as in `editing.edit`, but only for new translations: half a translation is not up to date. The slug
    never changes, because each former one is kept. Call `problems.find` first.

    Raises:
        EditConflictError: The campaign no longer has this version, for example because it is public now.
        StepNotAllowedError: The campaign is not a draft.
    """
    campaign = editing.load_locked(session, campaign_id)
    check_version(session, campaign, version)
    if campaign.state is not CampaignState.DRAFT:
        raise StepNotAllowedError(f"{campaign.slug} is {campaign.state}, so it isn’t saved automatically")
    columns = translations.columns_of(file, campaign) | {"slug": campaign.slug}
    before = {name: old for name, value in columns.items() if (old := translations.get(campaign, name)) != value}
    if not before:
        return campaign
    earlier = sittings.take(session, by, campaign, now, before)
    translations.put(campaign, {name: columns[name] for name in before})
    translations.mark_as_current(campaign, originals)
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
    created = editing.create(session, by, copy, now, copied_from=campaign.slug)
    for each in created.translations:
        before = translations.find(campaign, each.language)
        if before and translations.is_older(campaign, before):
            each.original = translations.OUTDATED
    return created


def delete(session: Session, by: Actor, campaign_id: int, now: datetime, *, version: int) -> bool:
    """Delete a draft: its texts, its slugs, and its organizers' access. The audit log keeps its entries.

    Its picture is deleted a day later, unless another campaign has the same one.

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
        raise StepNotAllowedError(f"{campaign.slug} can’t be deleted, because it is public or people have signed it")
    check_version(session, campaign, version)
    sittings.close(session, campaign)
    pictures.release(session, campaign, until=now + pictures.UNSAVED_LIFETIME)
    columns = translations.columns_of(editing.file_of(session, campaign))
    blank = {name: "" for name, value in columns.items() if isinstance(value, str)}
    # No URL has this slug, because it isn't a valid one. The language and time zone are needed to show times.
    kept = {"slug": f"~{campaign_id}", "language": campaign.language, "time_zone": campaign.time_zone}
    session.execute(delete_from(FormerSlug).where(FormerSlug.campaign_id == campaign_id))
    session.execute(delete_from(CampaignOrganizer).where(CampaignOrganizer.campaign_id == campaign_id))
    editing.change(session, by, "delete", campaign, now, {**blank, **kept, "deleted_at": now})
    return True
