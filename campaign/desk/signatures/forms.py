"""Forms of the signature table: the filter, and the moderation form."""

from datetime import date, timedelta
from typing import Any

from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, DateField, Field, Form, SelectField, StringField
from wtforms.validators import Optional, ValidationError

from campaign.accounts.permissions import Right
from campaign.desk.access import can
from campaign.languages.speaking import current, gettext, lazy_gettext
from campaign.models.campaign import Campaign
from campaign.models.columns import SOURCE_LENGTH
from campaign.models.signature import Standing
from campaign.moderation import table as signature_table
from campaign.moderation.search_words import LONGEST_SEARCH
from campaign.moderation.table import Filter
from campaign.signatures import places, sources
from campaign.signatures.countries import countries
from campaign.storage.database import db
from campaign.web.form_checks import OneErrorPerField, text

REASON_LENGTH = 500
URL_FIELDS = ("standing", "country", "region", "since", "until", "anonymous", "source")
"""The filter's fields that may appear in a URL. The others can contain personal data."""
_ALL = lazy_gettext("All")
_INCOMPLETE = lazy_gettext("Enter a day, a month, and a year")
_STANDINGS = {
    Standing.LISTED: lazy_gettext("Listed"),
    Standing.HIDDEN: lazy_gettext("Hidden"),
    Standing.REMOVED: lazy_gettext("Removed"),
    Standing.BLOCKED: lazy_gettext("Blocked"),
    Standing.PENDING: lazy_gettext("Waiting for confirmation"),
    Standing.WITHDRAWN: lazy_gettext("Withdrawn"),
}


def _shown(typed: str | None) -> str:
    """Return the text without invisible characters. Text that is too long for every field is returned unchanged."""
    if typed and len(typed) > REASON_LENGTH:
        return typed
    return "".join(character for character in typed or "" if character.isprintable()).strip()


def _source(typed: str) -> str:
    """Return the source word as it is stored. Text that is none is returned unchanged."""
    return sources.word(typed) or typed


def _year(_form: Form, field: Field) -> None:
    if field.data and not 2000 <= field.data.year <= 2100:
        raise ValidationError(gettext("Enter a date between 2000 and 2100"))


def _one_of_choices(_form: Form, field: Field) -> None:
    # WTForms itself would create an object for each of hundreds of choices.
    if field.data not in dict(field.choices):
        raise ValidationError(gettext("Choose “%(field)s” from the list", field=field.label.text))


class FilterForm(Form):  # type: ignore[misc]  # WTForms publishes no types.
    """Selects the signatures to show."""

    Meta = OneErrorPerField

    words = StringField(lazy_gettext("Name or place"), [text(LONGEST_SEARCH)], filters=[_shown])
    address = StringField(lazy_gettext("Email address"), [text(LONGEST_SEARCH)], filters=[_shown])
    standing = SelectField(lazy_gettext("Status"), choices=[("", _ALL), *_STANDINGS.items()], default="")
    country = SelectField(lazy_gettext("Country"), [_one_of_choices], default="", validate_choice=False)
    region = SelectField(lazy_gettext("US state"), [_one_of_choices], default="", validate_choice=False)
    since = DateField(lazy_gettext("Signed on or after"), [Optional(), _year], invalid_value_message=_INCOMPLETE)
    until = DateField(lazy_gettext("Signed on or before"), [Optional(), _year], invalid_value_message=_INCOMPLETE)
    anonymous = SelectField(
        lazy_gettext("Shown as"),
        choices=[("", _ALL), ("yes", lazy_gettext("Anonymous")), ("no", lazy_gettext("By name"))],
        default="",
    )
    source = StringField(lazy_gettext("Source"), [text(SOURCE_LENGTH)], filters=[_shown, _source])

    def __init__(self, campaign: Campaign, values: MultiDict[str, str]) -> None:
        """Read the request's values. Accounts that may not see email addresses can't search by them either."""
        super().__init__(values)
        self.campaign_id, self.zone = campaign.id, campaign.time_zone
        self.country.choices = [("", _ALL), *countries(current().tag).items()]
        self.region.choices = [("", _ALL), *((name, name) for name in sorted(places.US_STATES.values()))]
        if not can(Right.ADDRESSES, campaign):
            del self.address

    def validate_source(self, field: Field) -> None:
        """Refuse a source that few people used, because it could identify one person."""
        if field.data and not sources.common_words(db.session(), self.campaign_id, [field.data]):
            raise ValidationError(
                gettext(
                    "Enter a source with five or more signers. A rarer one could identify a person, so it is not shown"
                )
            )

    def filter(self) -> Filter:
        """Return the chosen filter. Call this only on a valid form."""
        since: date | None = self.since.data
        until: date | None = self.until.data
        return Filter(
            standing=Standing(self.standing.data) if self.standing.data else None,
            country=self.country.data,
            region=self.region.data,
            since=signature_table.day(since, self.zone) if since else None,
            until=signature_table.day(until + timedelta(days=1), self.zone) if until else None,
            anonymous={"yes": True, "no": False}.get(self.anonymous.data),
            source=self.source.data,
            words=self.words.data,
            address=self.address.data if "address" in self else "",
        )

    def chosen(self) -> dict[str, str]:
        """Return the chosen values by field, for hidden fields of the next request."""
        return {name: str(data) for name, data in self.data.items() if data}

    def in_url(self) -> dict[str, Any]:
        """Return the chosen values that may appear in a URL."""
        return {name: data for name, data in self.chosen().items() if name in URL_FIELDS}


class ActForm(Form):  # type: ignore[misc]
    """Selects the signatures to moderate, and states the reason."""

    Meta = OneErrorPerField

    everyone = BooleanField(lazy_gettext("All signatures that match"))
    block = BooleanField(lazy_gettext("Don’t accept this address again"))
    reason = StringField(lazy_gettext("Reason"), [text(REASON_LENGTH)], filters=[_shown])

    def __init__(self, values: MultiDict[str, str]) -> None:
        """Read the request's values."""
        super().__init__(values)
        self.ids = numbers(values.getlist("id"))
        # The answer to a question (notices.py).
        self.sure = values.get("sure")

    def validate_everyone(self, field: Field) -> None:
        """Require at least one signature."""
        if not field.data and not self.ids:
            raise ValidationError(gettext("Select at least one signature"))

    def validate_reason(self, field: Field) -> None:
        """Require a reason."""
        if not field.data:
            raise ValidationError(gettext("Enter a reason. It is stored in the activity log"))


def numbers(words: list[str]) -> list[int]:
    """Return the ids among a field's values, and ignore all other values."""
    return [int(word) for word in words if word.isascii() and word.isdigit() and len(word) <= 18]
