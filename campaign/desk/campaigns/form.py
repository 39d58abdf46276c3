"""The form for writing a campaign: its fields, and how typed text becomes values of a campaign.

`campaign/campaigns/fields.py` checks the values; `editor.py` has the views.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from flask import current_app
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import BooleanField, Field, HiddenField, SelectField, StringField

from campaign.campaigns import fields, slugs, time_zones
from campaign.campaigns.fields import TITLE_LENGTH, CampaignFile
from campaign.campaigns.letter import merging
from campaign.campaigns.letter.comparison import Comparer
from campaign.desk.campaigns.started_from import encode
from campaign.languages.speaking import lazy_gettext
from campaign.web.form_checks import OneErrorPerField

_NUMBERS = ("goal", "goal_step")
_TIMES = ("opens_at", "closes_at")
_BOXES = ("deliver_anonymous", "confirm", "remind")
_CHOICE = re.compile(r"keep-(?P<key>[a-z_]{1,40})(?:-(?P<start>\d{1,6})-(?P<end>\d{1,6}))?", re.ASCII)


class CampaignForm(FlaskForm):  # type: ignore[misc]
    """Every field of a campaign, and hidden fields that carry state from one request to the next."""

    Meta = OneErrorPerField

    title = StringField(lazy_gettext("Title"))
    category = StringField(lazy_gettext("Category"))
    summary = StringField(lazy_gettext("Summary"))
    addressees = StringField(lazy_gettext("Addressees"))
    letter = StringField(lazy_gettext("Letter"))
    reason = StringField(lazy_gettext("Reason for the change"))
    goal = StringField(lazy_gettext("Goal"))
    goal_step = StringField(lazy_gettext("Goal step"))
    thanks = StringField(lazy_gettext("Thank-you text"))
    share_text = StringField(lazy_gettext("Share text"))
    donate_url = StringField(lazy_gettext("Donation page"))
    donate_text = StringField(lazy_gettext("Donation text"))
    opens_at = StringField(lazy_gettext("Opening time"))
    closes_at = StringField(lazy_gettext("Closing time"))
    time_zone = SelectField(
        lazy_gettext("Time zone"), choices=[(zone, zone) for zone in time_zones.names()], validate_choice=False
    )
    picture = FileField(lazy_gettext("Picture"))
    picture_text = StringField(lazy_gettext("Picture description"))
    without_picture = BooleanField(lazy_gettext("Remove the picture"))
    language = StringField(lazy_gettext("Language"))
    slug = StringField(lazy_gettext("Page URL"))
    deliver_anonymous = BooleanField(lazy_gettext("Give addressees the names and cities of anonymous signers"))
    confirm = BooleanField(lazy_gettext("Count and list signatures only once signers have confirmed them by email"))
    remind = BooleanField(lazy_gettext("Remind signers once, after two days"))
    kept_picture = HiddenField()
    """The digest of the current picture, or of one uploaded with an earlier request."""
    version = HiddenField()
    """The version of the campaign that the editor started from."""
    started_from = HiddenField()
    """The campaign as it was then (`started_from.py`)."""
    original = HiddenField()
    """In the editor of a translation, the digest of the main texts that it shows (`translations.digest`)."""
    seen = HiddenField()
    """The fingerprint of the changes that the editor reviewed in the preview."""

    @classmethod
    def filled_in(
        cls, file: CampaignFile | None, version: int | None, started_from: CampaignFile | None = None
    ) -> "CampaignForm":
        """Return the form filled in with a campaign, or with the defaults of a new one.

        Args:
            file: The campaign to show.
            version: The version that the next submission is based on.
            started_from: The campaign in that version, if `file` has other values.
        """
        if file is None:
            confirm = bool(current_app.config["SETTINGS"].mail_url)
            return cls(formdata=None, data={"language": "en", "time_zone": "UTC", "goal": "1000", "confirm": confirm})
        typed: dict[str, Any] = {key: getattr(file, key) for key in fields.CHECKS if key != "picture"}
        typed |= {key: str(typed[key]) if typed[key] else "" for key in _NUMBERS}
        typed |= {key: time_zones.local(typed[key], file.time_zone) if typed[key] else "" for key in _TIMES}
        return cls(
            formdata=None,
            data={
                **typed,
                "kept_picture": file.picture.digest if file.picture else "",
                "version": str(version),
                "started_from": encode(started_from or file),
            },
        )

    @classmethod
    def name_of(cls, key: str) -> str:
        """Return the name of a field."""
        return str(vars(cls)[key].args[0])

    def choose(self, theirs: Mapping[str, object], sent: Mapping[str, str]) -> None:
        """Take the other editor's version where this editor chose it in an edit conflict.

        Args:
            theirs: The other editor's version: its columns as `started_from.decode` returns them, or nothing.
            sent: The submitted form: the choices are named `keep-KEY` or, for lines of a text, `keep-KEY-START-END`.
        """
        comparer = Comparer()
        # The zone comes first, because both editors' times are shown in it.
        for name, choice in sorted(sent.items(), key=lambda each: each[0] != "keep-time_zone"):
            found = _CHOICE.fullmatch(name)
            if not found or choice not in ("theirs", "both") or not theirs or found["key"] not in fields.CHECKS:
                continue
            key, is_whole = found["key"], found["start"] is None
            if is_whole and choice == "both":
                continue
            if key == "picture":
                self.kept_picture.data, self.picture.data = _text(theirs[key]), None
                self.without_picture.data = not theirs[key]
            elif key == "time_zone":
                self._move_times(_text(theirs[key]))
            elif key in _TIMES:
                self[key].data = _local(theirs[key], self._zone)
            elif key in _BOXES:
                self[key].data = bool(theirs[key])
            elif is_whole:
                self[key].data = _text(theirs[key])
            else:
                lines = int(found["start"]), int(found["end"])
                self[key].data = merging.choose(
                    _lines(self[key]), _text(theirs[key]), *lines, comparer, keep_both=choice == "both"
                )

    def _move_times(self, zone: str) -> None:
        """Show the typed times in another time zone. Times with errors stay as they are."""
        old, self.time_zone.data = self._zone, zone
        for key in _TIMES:
            with suppress(ValueError):
                self[key].data = _local(time_zones.instant(_lines(self[key]).strip(), old).isoformat(), self._zone)

    @property
    def _zone(self) -> str:
        zone = _lines(self.time_zone)
        return zone if zone in time_zones.names() else "UTC"

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
        values |= {key: bool(self[key].data) for key in _BOXES}
        zone = self._zone
        for key in _TIMES:
            typed, values[key] = str(values[key]).strip(), None
            try:
                values[key] = time_zones.instant(typed, zone, getattr(was, key, None)) if typed else None
            except ValueError as error:
                errors[key] = str(error)
        return values, errors

    def texts(self) -> dict[str, object]:
        """Return the typed texts of a translation, as `fields.check_translation` expects them."""
        return {key: _lines(self[key]) for key in fields.TEXTS}

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


def _text(value: object) -> str:
    """Return a column as a field of the form has it. The columns may be forged, so they may have any type."""
    return str(value) if value else ""


def _local(value: object, zone: str) -> str:
    """Return a time, as the audit log stores it, as local time; empty if it isn't one."""
    with suppress(ValueError, OverflowError):
        return time_zones.local(datetime.fromisoformat(_text(value)), zone)
    return ""
