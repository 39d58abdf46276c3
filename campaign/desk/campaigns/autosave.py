"""Automatic saving of drafts while their editor types, for editor.js.

Fields with errors aren't saved, and the response names them. Public campaigns are never saved automatically.
"""

from collections.abc import Mapping, Set
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue

from campaign.accounts.permissions import Right
from campaign.campaigns import drafts, fields, problems, slugs
from campaign.campaigns.editing import StepNotAllowedError
from campaign.campaigns.fields import TITLE_LENGTH, CampaignFile, InvalidCampaignError
from campaign.campaigns.versions.conflicts import EditConflictError
from campaign.desk.access import allow, by
from campaign.desk.campaigns import received, started_from
from campaign.desk.campaigns.blueprint import campaigns
from campaign.desk.campaigns.editor import check_tag
from campaign.desk.campaigns.form import CampaignForm
from campaign.models.campaign import Campaign
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction

BLANK = CampaignFile(
    slug="",
    title="",
    category="",
    summary="",
    addressees="",
    goal=1000,
    thanks="",
    share_text="",
    donate_url="",
    donate_text="",
    language="en",
    opens_at=None,
    closes_at=None,
    letter="",
)
"""A new draft before anything is typed."""
_TOGETHER = {"picture_text": "picture", "closes_at": "opens_at"}
"""Fields whose error may be caused by another field. Neither is saved then."""


@campaigns.post("/campaigns/autosave")
@allow(Right.CREATE)
def autosave_new() -> ResponseReturnValue:
    """Create a draft from the form of a new campaign, as soon as it has a title."""
    form, creating, now = CampaignForm(), by(), datetime.now(UTC)
    file, unsaved = _valid(form, None, BLANK)
    if not file.title:
        return "", 204
    # A typed slug that is invalid isn't saved. The draft needs a valid one, or no URL would lead to it.
    slug = file.slug or slugs.of_title(file.title, file.language, TITLE_LENGTH)
    try:
        with write_transaction() as session:
            campaign = drafts.create_once(session, creating, replace(file, slug=slug), now, any_slug=True)
            session.flush()
            campaign_id = campaign.id
    except InvalidCampaignError:
        # All numbers of this slug are taken. Saving the form says so.
        return "", 204
    campaign = db.session.get_one(Campaign, campaign_id)
    if form.has_automatic_slug:
        # editor.js fills in the new slug.
        form.slug.data = campaign.slug
    return _answer(campaign, _with_slug(unsaved, form, campaign))


@campaigns.post("/campaigns/<slug>/autosave")
@campaigns.post("/campaigns/<slug>/autosave/<language:tag>")
@allow(Right.WRITE)
def autosave(campaign: Campaign, tag: str = "") -> ResponseReturnValue:
    """Save the valid fields of a draft or of its translation, unless somebody else has changed them in the meantime."""
    check_tag(campaign, tag)
    form, editor, now = CampaignForm(), by(), datetime.now(UTC)
    version, stored = received.seen_version(form, campaign, tag), received.stored_text(campaign, tag)
    file, unsaved = _valid_translation(form, campaign, tag) if tag else _valid(form, campaign, stored)
    if not tag:
        # Each former slug stays reserved, so half of a word must not become one.
        file, unsaved = replace(file, slug=campaign.slug), _with_slug(unsaved, form, campaign)
    whole, originals = received.whole(campaign, file, tag), received.originals(form, tag)
    try:
        with write_transaction() as session:
            campaign = drafts.save_automatically(
                session, editor, campaign.id, whole, now, version=version, originals=originals
            )
            campaign_id = campaign.id
    except (EditConflictError, StepNotAllowedError):
        return render_template("desk/campaigns/_autosave.html", conflict=True), 409
    return _answer(db.session.get_one(Campaign, campaign_id), unsaved, tag)


def _valid_translation(form: CampaignForm, campaign: Campaign, tag: str) -> tuple[CampaignFile, list[str]]:
    """Return the stored translation with the valid texts of the form, and what `_with_valid` says of the others."""
    stored = received.stored_text(campaign, tag)
    checked, errors = fields.check_translation(form.texts(), None, stored)
    errors |= received.translation_problems(form, campaign, tag, checked)
    return _with_valid(stored, checked, errors.keys())


def _valid(form: CampaignForm, campaign: Campaign | None, stored: CampaignFile) -> tuple[CampaignFile, list[str]]:
    """Return the stored campaign with the valid fields of the form, and what `_with_valid` says of the others."""
    checked, errors = received.unfinished(form, *received.check(form, stored))
    if campaign:
        errors |= problems.find(db.session(), campaign, {**checked, "slug": campaign.slug})
    return _with_valid(stored, checked, errors.keys() | {_TOGETHER[key] for key in errors if key in _TOGETHER})


def _with_valid(stored: CampaignFile, checked: Mapping[str, Any], wrong: Set[str]) -> tuple[CampaignFile, list[str]]:
    """Return the stored campaign with the checked fields except for the wrong ones.

    The keys say which fields keep another value than the form has. A field that was cleared, although it is required,
    is one of them.
    """
    if "reason" in wrong:
        # Somebody has signed, so the page must say why the text changes.
        wrong = wrong | {"title", "addressees", "letter"}
    values = {key: value for key, value in checked.items() if key not in wrong}
    unsaved = [key for key in wrong if key not in checked or checked[key] != getattr(stored, key)]
    return stored.with_values(values), [key for key in fields.CHECKS if key in unsaved]


def _with_slug(unsaved: list[str], form: CampaignForm, campaign: Campaign) -> list[str]:
    """Return the keys of the unsaved fields, with the slug if the form doesn't have that of the draft."""
    is_other = slugs.of_typed(form.slug.data or "") != campaign.slug
    return [*(key for key in unsaved if key != "slug"), *(["slug"] if is_other else [])]


def _answer(campaign: Campaign, unsaved: list[str], tag: str = "") -> ResponseReturnValue:
    return render_template(
        "desk/campaigns/_autosave.html",
        campaign=campaign,
        tag=tag or None,
        started_from=started_from.encode(received.stored_text(campaign, tag)),
        unsaved=[CampaignForm.name_of(key) for key in unsaved],
    )
