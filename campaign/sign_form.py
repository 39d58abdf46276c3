"""The sign form: its fields, what they refuse, and in which words. cleaning.py says what becomes of a character."""

from collections.abc import Callable

from email_validator import EmailNotValidError
from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, Form, HiddenField, SelectField, StringField
from wtforms.validators import ValidationError

from campaign import places, sources
from campaign.cleaning import clean, has_no_text, holds_link, is_blank
from campaign.delivery import FORMULA_SIGNS
from campaign.models import EMAIL_LENGTH, NAME_LENGTH, PLACE_LENGTH, POSTAL_CODE_LENGTH
from campaign.signing import Details, email_key

Validator = Callable[[Form, Field], None]


def _text(what: str, longest: int) -> Validator:
    """Refuse text that is too long or no text; `what` names the field within a sentence."""

    def check(_form: Form, field: Field) -> None:
        if len(field.data) > longest:
            raise ValidationError(f"{what} must have {longest} characters or fewer")
        if has_no_text(field.data):
            raise ValidationError(f"{what} holds a character that can’t be shown. Please type it again")

    return check


def _no_link(what: str) -> Validator:
    def check(_form: Form, field: Field) -> None:
        if holds_link(field.data):
            raise ValidationError(f"{what} can’t hold a link or an @")

    return check


def _name(_form: Form, field: Field) -> None:
    if is_blank(field.data):
        raise ValidationError("Enter your name")
    # A spreadsheet would take it for a formula.
    if field.data[0] in FORMULA_SIGNS:
        raise ValidationError("Your name can’t begin with = + - or @")


def _email(_form: Form, field: Field) -> None:
    if not field.data:
        raise ValidationError("Enter your email address")
    if field.data.count("@") > 1 or any(mark in field.data for mark in ",; "):
        raise ValidationError("Enter one email address, without spaces or commas")
    try:
        email_key(field.data)
    except EmailNotValidError:
        raise ValidationError("Enter an email address like name@example.org") from None


def _country(form: Form, field: Field) -> None:
    if not field.data:
        raise ValidationError("Choose your country")
    if field.data not in places.countries(form.language):
        raise ValidationError("Choose your country from the list")


def _trap(_form: Form, field: Field) -> None:
    if field.data:
        field.data = ""
        raise ValidationError(
            "Something filled in a field that is meant to stay empty; some browsers do. "
            "It is empty again now: please press the button once more"
        )


class SignForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF publishes no types.
    """What a signer fills in. Without a token: the public site has no cookie, and guard.py refuses cross-site posts."""

    class Meta:
        """WTForms' own settings."""

        csrf = False

    name = StringField("Name", [_name, _text("Your name", NAME_LENGTH), _no_link("Your name")], filters=[clean])
    email = StringField("Email", [_text("Your email address", EMAIL_LENGTH), _email], filters=[clean])
    country = SelectField("Country", [_country], validate_choice=False)
    postal_code = StringField("Postal code", [_text("Your postal code", POSTAL_CODE_LENGTH)], filters=[clean])
    city = StringField("City", [_text("Your city", PLACE_LENGTH), _no_link("Your city")], filters=[clean])
    region = StringField(
        "State or region",
        [_text("Your state or region", PLACE_LENGTH), _no_link("Your state or region")],
        filters=[clean],
    )
    # The ZIP code that the page filled city and state in from.
    filled_from = HiddenField(filters=[clean])
    anonymous = BooleanField("Don’t show my name or city; list only my country")
    updates = BooleanField("Keep me posted")
    # Only the page that answers a form has it, whose own address no longer holds the word.
    source = HiddenField(filters=[sources.word])
    website = StringField("Leave this empty", [_trap])
    # What the form said of anonymous signers, to say the same again while nobody can look it up.
    delivered = BooleanField()

    def __init__(self, language: str, came_by: str | None = None, **kwargs: object) -> None:
        """Make the form, with the countries' names in the language (BCP 47 tag), for who came by a link, if any."""
        super().__init__(**kwargs)
        self.language = language
        self.source.data = self.source.data or sources.of_link(came_by or "")
        self.country.choices = places.countries(language).items()

    def fill_in_place(self) -> bool:
        """Set city and state from the ZIP code, where the signer left them empty or an earlier ZIP code filled them in.

        Returns:
            Whether anything changed.
        """
        before = self.city.data, self.region.data
        if before == places.place_of("US", self.filled_from.data):
            self.city.data = self.region.data = self.filled_from.data = ""
        place = places.place_of(self.country.data, self.postal_code.data)
        if place and not self.city.data and self._region() in ("", place.region):
            self.city.data, self.region.data = place
            self.filled_from.data = self.postal_code.data
        return (self.city.data, self.region.data) != before

    def _region(self) -> str:
        return places.region_name(self.country.data, self.region.data)

    def details(self) -> Details:
        """What was typed, as `signing.sign` takes it; to be asked of a form that is valid."""
        self.fill_in_place()
        return Details(
            name=self.name.data,
            email=self.email.data,
            country=self.country.data,
            postal_code=self.postal_code.data,
            city=self.city.data,
            region=self._region(),
            anonymous=self.anonymous.data,
            wants_updates=self.updates.data,
            source=self.source.data,
        )
