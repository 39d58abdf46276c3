"""Renders the editor's page: the form, the preview beside it, and the steps that can be taken."""

from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from flask import current_app, render_template

from campaign.campaigns import fields, stages, translations
from campaign.campaigns.letter import changes as letter_changes
from campaign.campaigns.pictures import storage as pictures
from campaign.desk.campaigns import received
from campaign.desk.campaigns.form import CampaignForm
from campaign.languages import catalogs
from campaign.models.campaign import Campaign, CampaignState
from campaign.site import pages
from campaign.storage.database import db


def page(campaign: Campaign | None, form: CampaignForm, tag: str = "", **more: Any) -> str:
    """Render the page of the editor for a campaign, or for a new one; `more` is passed to its template.

    The tag is that of a translation, and empty in the main language.
    """
    signed = campaign is not None and letter_changes.has_signatures(db.session(), campaign.id)
    preview = preview_of(campaign, form, tag)
    if campaign is None:
        return render_template("desk/campaigns/new.html", form=form, preview=preview, **more)
    steps = [step for step in stages.ALL_STEPS if stages.allows(campaign, step, signed=signed)]
    context = {"form": form, "signed": signed, "preview": preview, "steps": steps, "pressed": received.pressed()}
    context |= {"tag": tag, "languages": _languages(campaign, tag), "other_languages": _other_languages(campaign)}
    context["language_name"] = translations.english_name(tag or campaign.language)
    context["edition"] = translations.edition(campaign, tag) or campaign
    if not form.original.data:
        form.original.data = translations.digest(campaign)
    return render_template("desk/campaigns/edit.html", campaign=campaign, **context, **more)


@dataclass(frozen=True)
class LanguageTab:
    """A language of a campaign in the editor."""

    tag: str
    """Empty for the main language."""
    name: str
    """In English."""
    is_older: bool
    """Whether the translation is older than the original."""


def _languages(campaign: Campaign, tag: str) -> list[LanguageTab]:
    """Return the languages of a campaign, and the one with this tag, which may be a new one."""
    stored = [
        LanguageTab(each.language, translations.english_name(each.language), translations.is_older(campaign, each))
        for each in campaign.translations
    ]
    new = (
        [LanguageTab(tag, translations.english_name(tag), False)]
        if tag and not translations.find(campaign, tag)
        else []
    )
    return [LanguageTab("", translations.english_name(campaign.language), False), *stored, *new]


def _other_languages(campaign: Campaign) -> list[tuple[str, str]]:
    """Return the tags and English names of the languages into which a campaign can still be translated."""
    taken = {campaign.language, *(each.language for each in campaign.translations)}
    tags = [tag for tag in catalogs.tags() if tag not in taken and catalogs.catalog(tag).is_offered]
    return sorted(((tag, translations.english_name(tag)) for tag in tags), key=itemgetter(1))


def preview_of(campaign: Campaign | None, form: CampaignForm, tag: str = "") -> str:
    """Return the campaign page with the typed values: invalid texts as typed, other invalid values as stored."""
    if campaign and tag:
        typed = form.texts()
        texts, errors = fields.check_translation(typed)
        texts |= {key: typed[key] for key in errors if key in _TEXTS}
        return pages.preview_of(current_app.extensions["site"], translations.edition_with(campaign, tag, texts))
    typed, _ = form.parse(None)
    values, errors = fields.check_each(typed)
    values |= {key: typed[key] for key in errors if key in _TEXTS}
    picture = pictures.find(db.session(), form.kept_picture.data or "")
    values["picture"] = picture.digest if picture and not form.without_picture.data else ""
    return pages.preview_of(current_app.extensions["site"], campaign or _blank(), **values)


_TEXTS = ("title", "category", "summary", "letter", "thanks", "share_text", "donate_text", "picture_text")
"""The fields that a preview shows as typed, even if they are too long."""


def _blank() -> Campaign:
    now, texts = datetime.now(UTC), dict.fromkeys((*_TEXTS, "addressees", "donate_url"), "")
    defaults = {"slug": "new", "goal": 1000, "language": "en", "time_zone": "UTC", "state": CampaignState.DRAFT}
    return Campaign(**texts, **defaults, created_at=now, updated_at=now)
