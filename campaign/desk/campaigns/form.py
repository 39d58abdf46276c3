"""The form for writing a campaign: its fields, and how typed text becomes values of a campaign.

`campaign/campaigns/fields.py` checks the values; `editor.py` has the views.
"""

import re
from typing import Any

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import BooleanField, Field, HiddenField, SelectField, StringField

from campaign.campaigns import fields, slugs, time_zones
from campaign.campaigns.fields import TITLE_LENGTH, CampaignFile
from campaign.web.form_checks import OneErrorPerField

_NUMBERS = ("goal", "goal_step")
_TIMES = ("opens_at", "closes_at")


class CampaignForm(FlaskForm):  # type: ignore[misc]
    """Every field of a campaign, and hidden fields that carry state from one request to the next."""

    Meta = OneErrorPerField

    title = StringField("Title")
    category = StringField("Category")
    summary = StringField("Summary")
    addressees = StringField("Addressees")
    letter = StringField("Letter")
    reason = StringField("Reason for the change")
    goal = StringField("Goal")
    goal_step = StringField("Goal step")
    thanks = StringField("Thank-you text")
    share_text = StringField("Share text")
    donate_url = StringField("Donation page")
    donate_text = StringField("Donation text")
    opens_at = StringField("Opening time")
    closes_at = StringField("Closing time")
    time_zone = SelectField("Time zone", choices=[(zone, zone) for zone in time_zones.names()], validate_choice=False)
    picture = FileField("Picture")
    picture_text = StringField("Picture description")
    without_picture = BooleanField("Remove the picture")
    language = StringField("Language")
    slug = StringField("Page URL")
    deliver_anonymous = BooleanField("Give addressees the names and cities of anonymous signers")
    kept_picture = HiddenField()
    """The digest of the current picture, or of one uploaded with an earlier request."""
    version = HiddenField()
    """The version of the campaign that the editor started from."""
    seen = HiddenField()
    """The fingerprint of the changes that the editor reviewed in the preview."""

    @classmethod
    def filled_in(cls, file: CampaignFile | None, version: int | None) -> "CampaignForm":
        """Return the form filled in with a campaign, or with the defaults of a new one."""
        if file is None:
            return cls(formdata=None, data={"language": "en", "time_zone": "UTC", "goal": "1000"})
        typed: dict[str, Any] = {key: getattr(file, key) for key in fields.CHECKS if key != "picture"}
        typed |= {key: str(typed[key]) if typed[key] else "" for key in _NUMBERS}
        typed |= {key: time_zones.local(typed[key], file.time_zone) if typed[key] else "" for key in _TIMES}
        return cls(
            formdata=None,
            data={**typed, "kept_picture": file.picture.digest if file.picture else "", "version": str(version)},
        )

    def parse(self, was: CampaignFile | None) -> tuple[dict[str, object], dict[str, str]]:
        """Return the typed values as `fields.check` expects them, without the picture, and errors by field.

        A blank slug is made from the title. Another campaign may have it.
        """
        values: dict[str, object] = {key: _lines(self[key]) for key in fields.CHECKS if key != "picture"}
        errors: dict[str, str] = {}
        if self.has_automatic_slug:
            values["slug"] = slugs.of_title(str(values["title"]), str(values["language"]), TITLE_LENGTH)
        else:
            values["slug"] = slugs.of_typed(str(values["slug"]))
        values["addressees"] = [line for line in str(values["addressees"]).split("\n") if line.strip()]
        values["deliver_anonymous"] = bool(self.deliver_anonymous.data)
        zone = str(values["time_zone"]) if values["time_zone"] in time_zones.names() else "UTC"
        for key in _TIMES:
            typed, values[key] = str(values[key]).strip(), None
            try:
                values[key] = time_zones.instant(typed, zone, getattr(was, key, None)) if typed else None
            except ValueError as error:
                errors[key] = str(error)
        return values, errors

    @property
    def has_automatic_slug(self) -> bool:
        """Whether the user left the slug blank."""
        return not _lines(self.slug).strip()

    def add_errors(self, errors: dict[str, str]) -> None:
        """Attach errors to their fields."""
        for key, reason in errors.items():
            self[key].errors = [reason]


def _lines(field: Field) -> str:
    return re.sub(r"\r\n?", "\n", field.data) if isinstance(field.data, str) else ""
