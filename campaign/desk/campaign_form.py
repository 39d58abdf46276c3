"""The form in which a campaign is written: its fields, and how what was typed becomes keys.

campaign_keys.py checks them; campaigns.py has the views."""

import re
import unicodedata
from typing import Any

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import BooleanField, Field, HiddenField, SelectField, StringField

from campaign import campaign_keys, time_zones
from campaign.campaign_keys import CampaignFile, WrongError

_NUMBERS = ("goal", "goal_step")
_TIMES = ("opens_at", "closes_at")


class CampaignForm(FlaskForm):  # type: ignore[misc]
    """Every key of a campaign, and what the page has to remember from one step to the next."""

    title = StringField("Title")
    category = StringField("Category")
    summary = StringField("Summary")
    addressees = StringField("Addressees")
    letter = StringField("Letter")
    reason = StringField("Reason for the change")
    goal = StringField("Goal")
    goal_step = StringField("Step")
    thanks = StringField("Thank-you text")
    share_text = StringField("Share text")
    donate_url = StringField("Donation page")
    donate_text = StringField("Donation text")
    opens_at = StringField("Opening time")
    closes_at = StringField("Closing time")
    time_zone = SelectField("Time zone", choices=[(zone, zone) for zone in time_zones.names()], validate_choice=False)
    picture = FileField("Picture")
    picture_text = StringField("Picture in words")
    without_picture = BooleanField("Take the picture away")
    language = StringField("Language")
    slug = StringField("Address")
    deliver_anonymous = BooleanField("Give names and cities of anonymous signers to those it is addressed to")
    kept_picture = HiddenField()
    """Digest of the picture that it has, or that was sent with an earlier step."""
    version = HiddenField()
    """Of the campaign that the editor began with."""
    seen = HiddenField()
    """Fingerprint of what the editor has been shown before it goes public."""

    @classmethod
    def of(cls, file: CampaignFile | None, version: int | None) -> "CampaignForm":
        """The form filled in with a campaign, or with what a new one begins with."""
        if file is None:
            return cls(formdata=None, data={"language": "en", "time_zone": "UTC", "goal": "1000"})
        typed: dict[str, Any] = {key: getattr(file, key) for key in campaign_keys.CHECKS if key != "picture"}
        typed |= {key: str(typed[key]) if typed[key] else "" for key in _NUMBERS}
        typed |= {key: time_zones.local(typed[key], file.time_zone) if typed[key] else "" for key in _TIMES}
        return cls(
            formdata=None,
            data={**typed, "kept_picture": file.picture.digest if file.picture else "", "version": str(version)},
        )

    def given(self, was: CampaignFile | None) -> tuple[dict[str, object], dict[str, str]]:
        """What was typed, as campaign_keys.py takes it, and what could not be understood; without the picture."""
        given: dict[str, object] = {key: _lines(self[key]) for key in campaign_keys.CHECKS if key != "picture"}
        errors: dict[str, str] = {}
        given["slug"] = given["slug"] or _slug_of(str(given["title"]))
        given["addressees"] = [line for line in str(given["addressees"]).split("\n") if line.strip()]
        given["deliver_anonymous"] = bool(self.deliver_anonymous.data)
        for key in _NUMBERS:
            typed = str(given[key]).strip().replace(",", "")
            given[key] = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 20 else typed or None
        for key in _TIMES:
            typed, given[key] = str(given[key]).strip(), None
            try:
                zone = campaign_keys.CHECKS["time_zone"](given["time_zone"])
                given[key] = time_zones.instant(typed, zone, getattr(was, key, None)) if typed else None
            except ValueError as error:
                errors[key] = str(error)
        return given, errors

    def show(self, errors: dict[str, str]) -> None:
        """Put what is wrong beside its field, in the form's words."""
        for key, reason in errors.items():
            for other in campaign_keys.CHECKS:
                reason = re.sub(rf"\b{other}\b", f"“{self[other].label.text}”", reason) if "_" in other else reason
            self[key].errors = [f"{self[key].label.text} {reason}"]

    def check(self, given: dict[str, object], errors: dict[str, str]) -> CampaignFile | None:
        """The campaign that was typed; None where something is wrong, which then stands beside the fields."""
        try:
            file = campaign_keys.check(given)
        except WrongError as error:
            wrong = error.errors | errors
            if "title" in wrong and not given["slug"]:
                # It is made of the title.
                del wrong["slug"]
            self.show(wrong)
            return None
        self.show(errors)
        return None if errors else file


def _lines(field: Field) -> str:
    return re.sub(r"\r\n?", "\n", field.data) if isinstance(field.data, str) else ""


def _slug_of(title: str) -> str:
    """An address made of the title, for who has typed none: "Save the Café!" is save-the-cafe."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii").lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))[:80].strip("-")
