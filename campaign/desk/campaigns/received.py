"""Reads a submitted editor form: its campaign, its picture, and the version that the editor started from.

The editor of a translation has the same form with the texts alone. There, a campaign is the translation as a campaign
of its own (`translations.as_file`), and `tag` is its language. In the main language, the tag is empty.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import request

from campaign.campaigns import editing, fields, problems, slugs, translations
from campaign.campaigns.fields import CampaignFile
from campaign.campaigns.pictures import storage as pictures
from campaign.campaigns.pictures.preparing import Prepared, prepare
from campaign.campaigns.versions import conflicts
from campaign.desk.campaigns import started_from
from campaign.desk.campaigns.form import CampaignForm
from campaign.languages.speaking import gettext
from campaign.models.campaign import Campaign, CampaignState
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction


def stored_text(campaign: Campaign, tag: str) -> CampaignFile:
    """Return the campaign as it is stored, as its editor in a language shows it."""
    file = editing.file_of(db.session(), campaign)
    return translations.as_file(file, tag) if tag else file


def whole(campaign: Campaign, file: CampaignFile, tag: str) -> CampaignFile:
    """Return the stored campaign with what an editor in a language submitted, in this language."""
    if tag:
        return translations.with_translation(editing.file_of(db.session(), campaign), tag, vars(file))
    return translations.with_stored(file, campaign)


def received(form: CampaignForm, campaign: Campaign | None, tag: str = "") -> CampaignFile | None:
    """Return the submitted campaign, or attach all its errors to the form and return None. Store its picture.

    A draft may be saved while required texts are blank. But if it can't be saved for another reason, the errors include
    these texts.
    """
    if campaign and tag:
        return _received_translation(form, campaign, tag)
    stored = editing.file_of(db.session(), campaign) if campaign else None
    # The page of a conflict shows the version that its form started from. Choices are about that version, even if
    # another editor has saved since.
    form.choose(started_from.decode(form.started_from.data), request.form)
    checked, errors = check(form, stored)
    is_draft = campaign is None or campaign.state is CampaignState.DRAFT
    if is_draft and not must_be_finished() and not unfinished(form, checked, errors)[1]:
        checked, errors = unfinished(form, checked, errors)
    else:
        errors |= _missing(form)
    if form.has_automatic_slug and "slug" in checked:
        checked["slug"] = slugs.free(db.session(), checked["slug"], campaign.id if campaign else None)
    # A preview needs no reason. And if another editor has saved meanwhile, that comes first. A new campaign without
    # other errors may be one that was sent again, which has its slug already.
    if not wants_preview() and (campaign.version == seen_version(form, campaign, "") if campaign else errors):
        errors |= problems.find(db.session(), campaign, checked, {"": form.reason.data or ""})
    form.add_errors(errors)
    return None if errors else CampaignFile(**checked, translations=stored.translations if stored else {})


def _received_translation(form: CampaignForm, campaign: Campaign, tag: str) -> CampaignFile | None:
    stored = stored_text(campaign, tag)
    form.choose(started_from.decode(form.started_from.data), request.form)
    checked, errors = fields.check_translation(form.texts(), None, stored)
    if not wants_preview() and campaign.version == seen_version(form, campaign, tag):
        errors |= translation_problems(form, campaign, tag, checked)
    form.add_errors(errors)
    return None if errors else stored.with_values(checked)


def translation_problems(
    form: CampaignForm, campaign: Campaign, tag: str, checked: Mapping[str, object]
) -> dict[str, str]:
    """Return why the valid texts of a translation can't be saved: an error message for each field."""
    file = editing.file_of(db.session(), campaign)
    # An invalid text is not a missing one.
    texts = {**file.translations.get(tag, {}), **checked}
    values = {"translations": translations.with_translation(file, tag, texts).translations}
    errors = problems.find(db.session(), campaign, values, {tag: form.reason.data or ""})
    if "translations" in errors:
        errors["title"] = errors.pop("translations")
    return errors


def originals(form: CampaignForm, tag: str) -> dict[str, str]:
    """Return the digest of the main texts beside which this editor has changed a translation, by its tag."""
    return {tag: form.original.data or ""} if tag else {}


def seen_version(form: CampaignForm, campaign: Campaign, tag: str) -> int:
    """Return the version of the campaign that the user has seen.

    It is the newest one unless somebody else changed what this editor shows: people write and translate a campaign at
    the same time.
    """
    base, stored = started_from.decode(form.started_from.data), started_from.columns(stored_text(campaign, tag))
    keys = fields.TEXTS if tag else tuple(stored)
    if not base or any(base[key] != stored[key] for key in keys):
        return version()
    # Somebody may have published the draft, which its editor must know.
    since = conflicts.entries_since(db.session(), campaign, version()) if version() != campaign.version else []
    return version() if any("state" in entry.before for entry in since) else campaign.version


def wrong_fields(form: CampaignForm, campaign: Campaign | None, tag: str = "") -> list[str]:
    """Return the fields that have errors, or that a public campaign may not lack, without changing anything."""
    if campaign and tag:
        checked, errors = fields.check_translation(form.texts(), None, stored_text(campaign, tag))
        return list(errors | translation_problems(form, campaign, tag, checked))
    stored = editing.file_of(db.session(), campaign) if campaign else None
    checked, errors = fields.check_each(*form.parse(stored), stored)
    if form.has_automatic_slug:
        checked.pop("slug", None)
    errors |= problems.find(db.session(), campaign, checked, {"": form.reason.data or ""}) | _missing(form)
    if form.kept_picture.data and not form.without_picture.data and not checked.get("picture_text"):
        errors["picture_text"] = ""
    return list(errors)


def _missing(form: CampaignForm) -> dict[str, str]:
    return fields.missing_texts({key: form[key].data for key in fields.TO_PUBLISH})


def check(form: CampaignForm, stored: CampaignFile | None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the valid fields of the form, and an error for each other field. Store the picture."""
    values, errors = form.parse(stored)
    try:
        values["picture"] = _picture(form)
    except ValueError as error:
        errors["picture"] = str(error)
    return fields.check_each(values, errors, stored)


def unfinished(
    form: CampaignForm, checked: dict[str, Any], errors: dict[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the same fields and errors for an unfinished draft, in which required texts may be blank."""
    blank = _missing(form)
    return checked | dict.fromkeys(blank, ""), {key: why for key, why in errors.items() if key not in blank}


def _picture(form: CampaignForm) -> Prepared | None:
    """Return the picture uploaded with this request or an earlier one, or None.

    Browsers send a file only once, so an upload is stored until the campaign is saved or the upload expires.

    Raises:
        ValueError: The picture was refused, or the earlier upload has expired.
    """
    if form.without_picture.data:
        form.kept_picture.data = ""
    elif form.picture.data:
        sent, now = prepare(form.picture.data.read()), datetime.now(UTC)
        with write_transaction() as session:
            pictures.store(session, sent, until=now + pictures.UNSAVED_LIFETIME)
        form.kept_picture.data = sent.digest
        return sent
    elif form.kept_picture.data:
        kept = pictures.find(db.session(), form.kept_picture.data)
        if kept is None:
            form.kept_picture.data = ""
            raise ValueError(
                gettext("Choose the picture again. It was uploaded over a day ago and not saved, so it was deleted")
            )
        return kept
    return None


def pressed() -> str:
    """Return which button was pressed; empty for Save. After a review, it is the button that led to the review."""
    return request.form.get("do") or (request.form.get("then", "") if request.form.get("seen") else "")


def must_be_finished() -> bool:
    """Return whether the campaign is about to be published, so that it may lack nothing."""
    return pressed() == "publish"


def wants_preview() -> bool:
    """Return whether the user pressed Preview."""
    return pressed() == "preview"


def version() -> int:
    """Return the version of the campaign that the user has seen, or 0, which no campaign has."""
    sent = request.form.get("version", "")
    return int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 10 else 0
