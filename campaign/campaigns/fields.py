"""The fields of a campaign and their validation, for campaign files and for the desk's form alike.

files/ reads and writes the file, and desk/campaigns/form.py reads the form. In a file, fields are called keys.
field_checks.py has the checks.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from campaign.campaigns import field_checks
from campaign.campaigns.field_checks import number, plain_text, text
from campaign.campaigns.pictures.preparing import Prepared

TITLE_LENGTH = 200
"""The most characters of a title."""


class InvalidCampaignError(ValueError):
    """One or more fields are invalid. `errors` maps each field's key to a sentence that says what to do."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        """Store the message of each invalid key."""
        super().__init__("; ".join(f"{key}: {reason}" for key, reason in errors.items()))
        self.errors = dict(errors)


@dataclass(frozen=True)
class CampaignFile:
    """The content of a campaign. The fields have the names and meanings of `models.campaign.Campaign`."""

    slug: str
    title: str
    category: str
    summary: str
    addressees: str
    goal: int
    thanks: str
    share_text: str
    donate_url: str
    donate_text: str
    language: str
    opens_at: datetime | None
    closes_at: datetime | None
    letter: str
    goal_step: int = 0
    time_zone: str = "UTC"
    picture: Prepared | None = None
    picture_text: str = ""
    deliver_anonymous: bool = False
    confirm: bool | None = None
    """None leaves it as it is. A new campaign then has the site's default."""
    remind: bool = False
    translations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The translated texts by language tag, and in each language by the names in TEXTS. None is blank."""

    def columns(self) -> dict[str, Any]:
        """Return the fields as columns of `models.campaign.Campaign`, which stores the digest of the picture."""
        values = {**vars(self), "picture": self.picture.digest if self.picture else ""}
        del values["translations"]
        if self.confirm is None:
            del values["confirm"]
        return values

    def with_values(self, values: Mapping[str, Any]) -> "CampaignFile":
        """Return a copy with other values of some fields."""
        return replace(self, **values)


def check(raw: Mapping[str, object]) -> CampaignFile:
    """Validate all fields, and return them cleaned, with defaults for optional ones.

    Raises:
        InvalidCampaignError: Fields are missing or invalid. The error has all of them.
    """
    values, errors = check_each(raw)
    if errors:
        raise InvalidCampaignError(errors)
    return CampaignFile(**values)


def check_each(
    raw: Mapping[str, object], known: Mapping[str, str] | None = None, stored: CampaignFile | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the valid fields, cleaned, and an error message for each invalid field.

    Args:
        raw: What was written for each field.
        known: Errors of fields that couldn't even be read. They are among the errors returned.
        stored: The campaign as it is stored. Texts that stay the same are valid, even if a check is newer than they
            are. Otherwise, a signed letter would have to change before, for example, the goal could.
    """
    values, errors = _check_fields(CHECKS, raw, known, stored)
    return values, errors | _check_together(values, errors)


def check_translation(
    raw: Mapping[str, object], known: Mapping[str, str] | None = None, stored: CampaignFile | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the valid texts of a translation, and an error message for each invalid one, as `check_each` does.

    All texts are optional, because a text that isn't translated is shown in the main language.
    """
    written = {key: value for key in TEXTS if not _is_blank(value := raw.get(key))}
    values, errors = _check_fields(written, written, known, stored)
    return dict.fromkeys((key for key in TEXTS if key not in errors), "") | values, errors


def _check_fields(
    keys: Iterable[str], raw: Mapping[str, object], known: Mapping[str, str] | None, stored: CampaignFile | None
) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    errors = dict(known or {})
    for key in keys:
        if key in errors:
            continue
        written = raw.get(key)
        if stored and isinstance(written, str) and written == getattr(stored, key):
            values[key] = written
            continue
        try:
            values[key] = CHECKS[key](written)
        except ValueError as error:
            errors[key] = str(error)
    return values, errors


def _is_blank(value: object) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _check_together(values: Mapping[str, Any], errors: Mapping[str, str]) -> dict[str, str]:
    """Return the errors that only show when two fields are compared."""
    opens, closes = values.get("opens_at"), values.get("closes_at")
    together = {}
    if opens and closes and closes <= opens:
        together["closes_at"] = "Enter a closing time that is later than the opening time"
    if (values.get("picture") or "picture" in errors) and values.get("picture_text") == "":
        together["picture_text"] = "Describe the picture, for people who can’t see it"
    if values.get("remind") and values.get("confirm") is False:
        together["remind"] = "Turn this off, or turn on confirmation. Only signers who must confirm are reminded"
    return together


def missing_texts(values: CampaignFile | Mapping[str, object]) -> dict[str, str]:
    """Return an error for each text of TO_PUBLISH that is blank: a draft may be saved without them."""
    found = {}
    for key in TO_PUBLISH:
        value = values.get(key) if isinstance(values, Mapping) else getattr(values, key)
        if _is_blank(value):
            try:
                CHECKS[key]("")
            except ValueError as error:
                found[key] = str(error)
    return found


TEXTS = (
    "title",
    "category",
    "summary",
    "addressees",
    "letter",
    "thanks",
    "share_text",
    "donate_url",
    "donate_text",
    "picture_text",
)
"""The fields that each language of a campaign has of its own."""
TO_PUBLISH = ("summary", "letter", "thanks")
"""The texts that a draft may lack, but a public campaign has."""
CHECKS: dict[str, Callable[[object], Any]] = {
    "slug": field_checks.slug,
    "title": text("title", TITLE_LENGTH, "Enter a title"),
    "category": text("category", 60),
    "summary": plain_text("summary", 1000, "Enter a summary"),
    "addressees": field_checks.addressees,
    "goal": number("goal", 1),
    "goal_step": number("goal step", 0, default=0),
    "thanks": plain_text("thank-you text", 1000, "Enter a thank-you text"),
    "share_text": plain_text("share text", 300),
    "donate_url": field_checks.url,
    "donate_text": plain_text("donation text", 300),
    "language": field_checks.language,
    "opens_at": field_checks.time,
    "closes_at": field_checks.time,
    "time_zone": field_checks.zone,
    "picture": field_checks.picture,
    "picture_text": text("picture description", 300),
    "deliver_anonymous": field_checks.yes_or_no,
    "confirm": field_checks.yes_no_or_neither,
    "remind": field_checks.yes_or_no,
    "letter": field_checks.letter,
}
"""The check of each field, in the order in which a campaign file lists them.

A check returns the cleaned value, or raises ValueError with a sentence that says what to do.
"""
