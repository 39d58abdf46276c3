"""Creating, editing, opening, and closing campaigns. Each change and its audit log entry are in one transaction.

The desk and `flask campaigns` call these functions within their own write transactions. fields.py validates the fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from campaign.accounts import audit_log
from campaign.accounts.audit_log import Actor
from campaign.campaigns import fields, slugs, stages
from campaign.campaigns.field_checks import text
from campaign.campaigns.fields import CampaignFile, InvalidCampaignError
from campaign.campaigns.letter import changes as letter_changes
from campaign.campaigns.letter.changes import Compared
from campaign.campaigns.lookup import find, signed_text
from campaign.campaigns.pictures import storage as pictures
from campaign.campaigns.versions import sittings
from campaign.campaigns.versions.conflicts import check_version
from campaign.campaigns.versions.sittings import recorded
from campaign.models.account import CampaignOrganizer
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign, CampaignState

REASON_LENGTH = 300
"""The most characters of the public reason for a change to the letter."""
_TAKEN = "Choose another name for the page’s URL. A different campaign has or had this one"


class StepNotAllowedError(ValueError):
    """The step isn't allowed in the campaign's state."""


def create(
    session: Session, by: Actor, file: CampaignFile, now: datetime, *, copied_from: str | None = None
) -> Campaign:
    """Create a campaign as a draft, and give its creator access to it. `copied_from` is for the audit log.

    Raises:
        InvalidCampaignError: Another campaign has or had the slug.
    """
    if errors := problems(session, None, vars(file)):
        raise InvalidCampaignError(errors)
    columns = file.columns()
    campaign = Campaign(state=CampaignState.DRAFT, created_at=now, updated_at=now, version=1, **columns)
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
    reason: str = "",
    compared: Compared | None = None,
) -> bool:
    """Update the campaign to match the file.

    Args:
        session: With the caller's write transaction.
        by: The editor, for the audit log.
        campaign_id: The campaign to change.
        file: The new content of all fields.
        now: The current time (timezone-aware).
        version: The version that the editor loaded; None skips the check for conflicts.
        reason: Shown to the public. Required only if the signed text changes and the campaign has signatures.
        compared: The result of `compare`, which the caller runs before the transaction begins.

    Returns:
        Whether anything changed.

    Raises:
        EditConflictError: The campaign no longer has this version.
        InvalidCampaignError: The slug is taken, the reason is missing, or a promise to signers would be broken.
    """
    campaign = load_locked(session, campaign_id)
    check_version(session, campaign, version)
    columns = file.columns()
    before = {name: getattr(campaign, name) for name, value in columns.items() if getattr(campaign, name) != value}
    earlier = sittings.take(session, by, campaign, now)
    if not before:
        if earlier:
            # Saving ends a sitting, even if all was saved automatically.
            _write(session, by, "edit", campaign, now, earlier)
        return False
    if errors := problems(session, campaign, vars(file), reason):
        raise InvalidCampaignError(errors)
    public_reason = reason.strip() if _is_public(session, campaign, vars(file)) else ""
    if public_reason:
        old, new = signed_text(campaign), signed_text(file)
        letter_changes.record(session, campaign_id, now, public_reason, old, new, compared)
    if file.slug != campaign.slug:
        slugs.keep(session, campaign, file.slug)
    for name in before:
        setattr(campaign, name, columns[name])
    store(session, file)
    campaign.version += 1
    campaign.updated_at = now
    _write(session, by, "edit", campaign, now, before | {"version": campaign.version - 1} | earlier, public_reason)
    return True


def problems(
    session: Session, campaign: Campaign | None, values: Mapping[str, Any], reason: str = ""
) -> dict[str, str]:
    """Return why the values can't be saved, although each is valid in itself: an error message for each key.

    Args:
        session: For reading only.
        campaign: The campaign to change; None to create one.
        values: The valid fields. Others may be missing, so that all errors can be shown at once.
        reason: The reason to show to the public, as typed. Its errors have the key `reason`.
    """
    errors = {}
    if campaign is None:
        if "slug" in values and slugs.taken(session, [values["slug"]], None):
            errors["slug"] = _TAKEN
        return errors
    if values.get("slug", campaign.slug) != campaign.slug and slugs.taken(session, [values["slug"]], campaign.id):
        errors["slug"] = _TAKEN
    if values.get("deliver_anonymous") and not campaign.deliver_anonymous and _has_been_public(session, campaign):
        # Refuse this even before the first signature: a visitor may be reading the form right now.
        errors["deliver_anonymous"] = (
            "Turn this off. It can only be turned on in a draft that was never public, because the sign form "
            "told visitors otherwise"
        )
    if _is_public(session, campaign, values):
        try:
            _check_reason(reason)
        except ValueError as error:
            errors["reason"] = str(error)
    return errors


_check_reason = text("reason", REASON_LENGTH, "Enter a reason. People who signed the earlier text will see it")


def _has_been_public(session: Session, campaign: Campaign) -> bool:
    returned = exists().where(Record.campaign_id == campaign.id, Record.action == "campaign.unpublish")
    return campaign.state is not CampaignState.DRAFT or bool(session.scalar(select(returned)))


def _is_public(session: Session, campaign: Campaign, values: Mapping[str, Any]) -> bool:
    """Return whether the values change a text that people have signed."""
    changes = signed_text(campaign) != signed_text(campaign, values)
    return changes and letter_changes.has_signatures(session, campaign.id)


def compare(session: Session, file: CampaignFile, campaign: Campaign | None) -> Compared | None:
    """Compare the campaign's signed text with the file's; return None if the change isn't public.

    A change is public if the campaign has signatures. Call this before the write transaction begins, so that signers
    don't wait for it: a comparison can take `comparison.MOST_STEPS` steps.
    """
    if campaign is None or not _is_public(session, campaign, vars(file)):
        return None
    return letter_changes.compare(signed_text(campaign), signed_text(file))


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
    change(session, by, step, campaign, now, stages.changes_of(step, now))
    return True


def change(
    session: Session, by: Actor, verb: str, campaign: Campaign, now: datetime, values: Mapping[str, Any]
) -> None:
    """Set columns of a campaign that the caller has locked, and add an entry to the audit log."""
    before = {name: getattr(campaign, name) for name, value in values.items() if getattr(campaign, name) != value}
    for name in before:
        setattr(campaign, name, values[name])
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
    reason: str = "",
    compared: Compared | None = None,
) -> Published:
    """Create the file's campaign, or update the campaign that has its slug.

    A draft is opened. A campaign that is closed or won stays so.

    Raises:
        InvalidCampaignError: For the same reasons as in `edit`.
    """
    campaign = find(session, file.slug)
    new = campaign is None
    if campaign is None:
        campaign = create(session, by, file, now)
    else:
        edit(session, by, campaign.id, file, now, reason=reason, compared=compared)
    if campaign.state is CampaignState.DRAFT:
        take_step(session, by, campaign.id, "publish", now)
    return Published(campaign, new)


def file_of(session: Session, campaign: Campaign) -> CampaignFile:
    """Return the campaign's content as a file. Publishing that file changes nothing."""
    columns = {name: getattr(campaign, name) for name in CampaignFile.__dataclass_fields__}
    return CampaignFile(**columns | {"picture": pictures.find(session, campaign.picture) if campaign.picture else None})


def load_locked(session: Session, campaign_id: int) -> Campaign:
    """Load the campaign and lock its row until the transaction ends."""
    # SQLite has locked the whole database already. On PostgreSQL, FOR NO KEY UPDATE still allows new signatures, whose
    # foreign key refers to the campaign.
    locked = select(Campaign).where(Campaign.id == campaign_id).with_for_update(key_share=True)
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
        raise InvalidCampaignError({"slug": _TAKEN}) from None
