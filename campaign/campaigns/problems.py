"""Why a campaign can't be saved, although each of its fields is valid in itself."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from campaign.campaigns import slugs, translations
from campaign.campaigns.field_checks import text
from campaign.campaigns.letter.changes import has_signatures
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign, CampaignState
from campaign.models.roll_up import GroupCount, Kind, RollUp
from campaign.models.signature import IS_PENDING, Signature

REASON_LENGTH = 300
"""The most characters of the public reason for a change to the letter."""
TAKEN = "Choose another name for the page’s URL. A different campaign has or had this one"
_check_reason = text("reason", REASON_LENGTH, "Enter a reason. People who signed the earlier text will see it")


def find(
    session: Session, campaign: Campaign | None, values: Mapping[str, Any], reasons: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return an error message for each key.

    Args:
        session: For reading only.
        campaign: The campaign to change; None to create one.
        values: The valid fields. Others may be missing, so that all errors can be shown at once.
        reasons: The reasons to show to the public, as in `editing.edit`. Their errors have the key `reason`.
    """
    errors = {}
    if campaign is None:
        if "slug" in values and slugs.taken(session, [values["slug"]], None):
            errors["slug"] = TAKEN
        return errors
    if values.get("slug", campaign.slug) != campaign.slug and slugs.taken(session, [values["slug"]], campaign.id):
        errors["slug"] = TAKEN
    if "language" in values and translations.find(campaign, values["language"]):
        name = translations.english_name(values["language"])
        errors["language"] = f"The campaign has a translation into {name}. Remove it, or enter a different language"
    if values.get("deliver_anonymous") and not campaign.deliver_anonymous and _has_been_public(session, campaign):
        # Refuse this even before the first signature: a visitor may be reading the form right now.
        errors["deliver_anonymous"] = (
            "Turn this off. It can only be turned on in a draft that was never public, because the sign form "
            "told visitors otherwise"
        )
    stored = translations.texts_of(campaign)
    for tag in stored.keys() - values.get("translations", stored).keys():
        if _may_have_signers(session, campaign, tag):
            name = translations.english_name(tag)
            errors["translations"] = f"People have signed the text in {name}, so it must stay. You can still change it"
    given = reasons or {}
    for tag in public_changes(session, campaign, values):
        try:
            _check_reason(given.get(tag, "").strip() or given.get("", ""))
        except ValueError as error:
            errors["reason"] = str(error)
    return errors


def public_changes(session: Session, campaign: Campaign, values: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the texts that people have signed and that the values change: before and after, by language tag.

    Nobody can have signed a new translation. Nor a removed one, because `find` refuses to remove it otherwise.
    """
    before, after = translations.signed_texts(campaign), translations.signed_texts(campaign, values)
    changed = {tag: (text, after[tag]) for tag, text in before.items() if after.get(tag, text) != text}
    return changed if changed and has_signatures(session, campaign.id) else {}


def _may_have_signers(session: Session, campaign: Campaign, tag: str) -> bool:
    """Return whether people have signed a translation. While the worker is behind, anyone may have."""
    counted = exists().where(
        GroupCount.campaign_id == campaign.id,
        GroupCount.kind == Kind.LANGUAGE,
        GroupCount.name == tag,
        GroupCount.count > 0,
    )
    newest = select(func.max(Signature.id)).where(Signature.campaign_id == campaign.id).scalar_subquery()
    pending = exists().where(Signature.campaign_id == campaign.id, IS_PENDING, Signature.language == tag)
    is_behind = exists(select(RollUp.id).where(RollUp.position < newest)) | (~exists(select(RollUp.id)) & (newest > 0))
    return bool(session.scalar(select(counted | pending | is_behind)))


def _has_been_public(session: Session, campaign: Campaign) -> bool:
    returned = exists().where(Record.campaign_id == campaign.id, Record.action == "campaign.unpublish")
    return campaign.state is not CampaignState.DRAFT or bool(session.scalar(select(returned)))
