"""Creating, editing, opening, and closing campaigns. Each change and its audit log entry are in one transaction.

The desk and `flask campaigns` call these functions within their own write transactions. fields.py validates the fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload

from campaign.accounts import audit_log
from campaign.accounts.audit_log import Actor
from campaign.campaigns import fields, problems, slugs, stages, translations
from campaign.campaigns.fields import CampaignFile, InvalidCampaignError
from campaign.campaigns.letter import changes as letter_changes
from campaign.campaigns.letter.changes import Compared
from campaign.campaigns.lookup import find
from campaign.campaigns.pictures import storage as pictures
from campaign.campaigns.versions import sittings
from campaign.campaigns.versions.conflicts import check_version
from campaign.campaigns.versions.sittings import recorded
from campaign.models.account import CampaignOrganizer
from campaign.models.campaign import Campaign, CampaignState, LetterChange

NONE: Mapping[str, Any] = MappingProxyType({})
"""No reasons, and no comparisons."""


class StepNotAllowedError(ValueError):
    """The step isn't allowed in the campaign's state."""


def create(
    session: Session, by: Actor, file: CampaignFile, now: datetime, *, copied_from: str | None = None
) -> Campaign:
    """Create a campaign as a draft, and give its creator access to it. `copied_from` is for the audit log.

    Raises:
        InvalidCampaignError: Another campaign has or had the slug.
    """
    if errors := problems.find(session, None, vars(file)):
        raise InvalidCampaignError(errors)
    columns = translations.columns_of(file)
    campaign = Campaign(state=CampaignState.DRAFT, created_at=now, updated_at=now, version=1)
    translations.put(campaign, columns)
    translations.mark_as_current(campaign, NONE)
    session.add(campaign)
    store(session, file)
    if by.account_id is not None:
        session.add(CampaignOrganizer(campaign_id=campaign.id, account_id=by.account_id))
    after = {"version": 1} | {name: recorded(value) for name, value in columns.items()}
    if copied_from:
        after["copied_from"] = copied_from
    audit_log.write(session, by, "campaign.create", now, campaign_id=campaign.id, after=after)
    return campaign


def edit(
    session: Session,
    by: Actor,
    campaign_id: int,
    file: CampaignFile,
    now: datetime,
    *,
    version: int | None = None,
    reasons: Mapping[str, str] = NONE,
    compared: Mapping[str, Compared] = NONE,
    originals: Mapping[str, str] = NONE,
) -> bool:
    """Update the campaign and its translations to match the file.

    Args:
        session: With the caller's write transaction.
        by: The editor, for the audit log.
        campaign_id: The campaign to change.
        file: The new content of all fields.
        now: The current time (timezone-aware).
        version: The version that the editor loaded; None skips the check for conflicts.
        reasons: Shown to the public, by language tag, with an empty tag for the main language, whose reason is shown
            in each language without its own. Required only if a signed text changes and the campaign has signatures.
        compared: The result of `compare`, which the caller runs before the transaction begins.
        originals: The digest of the main texts beside which somebody edited a translation, by tag. The translation
            is as old as they are, even if its own texts stay the same.

    Returns:
        Whether anything changed.

    Raises:
        EditConflictError: The campaign no longer has this version.
        InvalidCampaignError: The slug is taken, a reason is missing, or a promise to signers would be broken.
    """
    campaign = load_locked(session, campaign_id)
    check_version(session, campaign, version)
    columns = translations.columns_of(file, campaign)
    before = {name: old for name, value in columns.items() if (old := translations.get(campaign, name)) != value}
    earlier = sittings.take(session, by, campaign, now, before)
    if not before:
        translations.mark_as_current(campaign, originals, originals)
        if earlier:
            # Saving ends a sitting, even if all was saved automatically.
            _write(session, by, "edit", campaign, now, earlier)
        return False
    if errors := problems.find(session, campaign, vars(file), reasons):
        raise InvalidCampaignError(errors)
    told = _record_changes(session, campaign, file, now, reasons, compared)
    if file.slug != campaign.slug:
        slugs.keep(session, campaign, file.slug)
    translations.put(campaign, {name: columns[name] for name in before})
    translations.mark_as_current(campaign, originals, {name.rpartition(".")[0] for name in before} | originals.keys())
    store(session, file)
    campaign.version += 1
    campaign.updated_at = now
    _write(session, by, "edit", campaign, now, before | {"version": campaign.version - 1} | earlier, told)
    return True


def _record_changes(
    session: Session,
    campaign: Campaign,
    file: CampaignFile,
    now: datetime,
    reasons: Mapping[str, str],
    compared: Mapping[str, Compared],
) -> str:
    """Record each change to a text that people have signed, and return the reasons for the audit log."""
    told: dict[str, None] = {}
    for tag, (before, after) in problems.public_changes(session, campaign, vars(file)).items():
        own = reasons.get(tag, "").strip()
        reason, language = (own, tag) if own else (reasons[""].strip(), "")
        told[reason] = None
        change = LetterChange(
            campaign_id=campaign.id, language=tag, changed_at=now, reason=reason, reason_language=language
        )
        letter_changes.record(session, change, before, after, compared.get(tag))
    return " ".join(told)


def compare(session: Session, file: CampaignFile, campaign: Campaign | None) -> dict[str, Compared]:
    """Compare the campaign's signed texts with the file's, and return the public changes by language tag.

    Call this before the write transaction begins, so that signers don't wait for it: a comparison can take
    `comparison.MOST_STEPS` steps.
    """
    if campaign is None:
        return {}
    changes = problems.public_changes(session, campaign, vars(file))
    return {tag: letter_changes.compare(before, after) for tag, (before, after) in changes.items()}


def take_step(
    session: Session, by: Actor, campaign_id: int, step: str, now: datetime, *, version: int | None = None
) -> bool:
    """Publish or close a campaign, or take another step of `stages.py`.

    Returns:
        Whether anything changed. Repeating a step changes nothing.

    Raises:
        EditConflictError: The campaign no longer has this version.
        InvalidCampaignError: The campaign can't be published yet, because required texts are missing.
        StepNotAllowedError: The step isn't allowed in the campaign's state.
    """
    campaign = load_locked(session, campaign_id)
    if stages.is_taken(campaign, step):
        return False
    signed = letter_changes.has_signatures(session, campaign_id)
    if not stages.allows(campaign, step, signed=signed):
        raise StepNotAllowedError(stages.why_not(campaign, step, signed=signed))
    check_version(session, campaign, version)
    if step == "publish" and (missing := fields.missing_texts(file_of(session, campaign))):
        raise InvalidCampaignError(missing)
    sittings.close(session, campaign)
    change(session, by, step, campaign, now, stages.changes_of(step, campaign, now))
    return True


def change(
    session: Session, by: Actor, verb: str, campaign: Campaign, now: datetime, values: Mapping[str, Any]
) -> None:
    """Set columns of a campaign that the caller has locked, and add an entry to the audit log."""
    before = {name: old for name, value in values.items() if (old := translations.get(campaign, name)) != value}
    translations.put(campaign, {name: values[name] for name in before})
    campaign.version += 1
    campaign.updated_at = now
    _write(session, by, verb, campaign, now, before | {"version": campaign.version - 1})


@dataclass(frozen=True)
class Published:
    """The campaign of a published file; `new` says whether the campaign was created."""

    campaign: Campaign
    new: bool


def publish(
    session: Session,
    by: Actor,
    file: CampaignFile,
    now: datetime,
    *,
    reasons: Mapping[str, str] = NONE,
    compared: Mapping[str, Compared] = NONE,
    confirm: bool = False,
) -> Published:
    """Create the file's campaign, or update the campaign that has its slug.

    A draft is opened. A campaign that is closed or won stays so. Translations that the file lacks stay as they are.
    `confirm` says whether signers of a new campaign must confirm if the file doesn't say.

    Raises:
        InvalidCampaignError: For the same reasons as in `edit`.
    """
    campaign = find(session, file.slug)
    new = campaign is None
    if campaign is None:
        default = {"confirm": confirm} if file.confirm is None else {}
        campaign = create(session, by, file.with_values(default), now)
    else:
        # Lock the campaign first, so that nobody changes a translation that the file lacks.
        file = translations.with_stored(file, load_locked(session, campaign.id))
        edit(session, by, campaign.id, file, now, reasons=reasons, compared=compared)
    if campaign.state is CampaignState.DRAFT:
        take_step(session, by, campaign.id, "publish", now)
    return Published(campaign, new)


def file_of(session: Session, campaign: Campaign) -> CampaignFile:
    """Return the campaign's content as a file. Publishing that file changes nothing."""
    columns = {name: getattr(campaign, name) for name in fields.CHECKS}
    picture = pictures.find(session, campaign.picture) if campaign.picture else None
    return CampaignFile(**columns | {"picture": picture, "translations": translations.texts_of(campaign)})


def load_locked(session: Session, campaign_id: int) -> Campaign:
    """Load the campaign and lock its row until the transaction ends."""
    # SQLite has locked the whole database already. On PostgreSQL, FOR NO KEY UPDATE still allows new signatures, whose
    # foreign key refers to the campaign.
    locked = select(Campaign).where(Campaign.id == campaign_id).with_for_update(key_share=True)
    locked = locked.options(selectinload(Campaign.translations))
    return session.scalars(locked.execution_options(populate_existing=True)).one()


def _write(
    session: Session, by: Actor, verb: str, campaign: Campaign, now: datetime, before: dict[str, Any], reason: str = ""
) -> None:
    """Add an entry to the audit log with values from before a change, and the campaign's values now, if they differ."""
    old, after = sittings.changes(campaign, before)
    if old:
        audit_log.write(
            session, by, f"campaign.{verb}", now, campaign_id=campaign.id, reason=reason, before=old, after=after
        )


def store(session: Session, file: CampaignFile) -> None:
    """Send the campaign's changes and its picture to the database.

    Raises:
        InvalidCampaignError: Another editor took the slug at the same moment.
    """
    if file.picture:
        pictures.store(session, file.picture)
    try:
        session.flush()
    except IntegrityError:
        raise InvalidCampaignError({"slug": problems.TAKEN}) from None
