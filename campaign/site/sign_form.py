"""The sign form: fields, validators, and error messages. signatures/cleaning.py cleans the input."""

import unicodedata
from contextlib import suppress

from email_validator import EmailNotValidError
from flask import current_app, request
from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, Form, HiddenField, SelectField, StringField
from wtforms.validators import ValidationError

from campaign.deliveries.contents import FORMULA_SIGNS
from campaign.languages.catalogs import SOURCE, offered
from campaign.languages.speaking import gettext, lazy_gettext
from campaign.models.columns import LANGUAGE_LENGTH, NAME_LENGTH, PLACE_LENGTH, POSTAL_CODE_LENGTH
from campaign.models.signature import Signature
from campaign.self_service.tokens import CODE_DIGITS
from campaign.signatures import places, sources
from campaign.signatures.cleaning import clean, is_blank
from campaign.signatures.countries import countries
from campaign.signatures.signing import Details, email_key
from campaign.text.email_address import EMAIL_LENGTH, deliverable, validated
from campaign.text.links import contains_link
from campaign.web.form_checks import OneErrorPerField, text

COUNT_DIGITS = 10
"""The most digits of a count: there are fewer than ten billion people."""


def _no_link(_form: Form, field: Field) -> None:
    if contains_link(field.data):
        raise ValidationError(
            gettext(
                "“%(field)s” can’t contain a link or an @ sign. If it’s not a link, put a space after each dot",
                field=field.label.text,
            )
        )


def _name(_form: Form, field: Field) -> None:
    if is_blank(field.data):
        raise ValidationError(gettext("Enter your name"))
    # A spreadsheet would treat the name as a formula.
    if field.data[0] in FORMULA_SIGNS:
        raise ValidationError(gettext("Your name can’t start with =, +, -, or @"))


def _email(_form: Form, field: Field) -> None:
    if not field.data:
        raise ValidationError(gettext("Enter your email address"))
    if field.data.count("@") > 1 or any(mark in field.data for mark in ",; "):
        raise ValidationError(gettext("Enter one email address, without spaces or commas"))
    try:
        email_key(field.data)
    except EmailNotValidError:
        raise ValidationError(gettext("Enter an email address, like name@example.org")) from None


def _country(form: Form, field: Field) -> None:
    if not field.data:
        raise ValidationError(gettext("Choose your country"))
    if field.data not in countries(form.language.data):
        raise ValidationError(gettext("Choose your country from the list"))


def _count(text: str | None) -> int | None:
    """Return a count that a page of ours sent; None for anything else."""
    return int(text) if text and len(text) <= COUNT_DIGITS and text.isascii() and text.isdecimal() else None


def _offered_language(tag: str | None) -> str:
    """Return the catalog's tag for a tag that a page of ours sent; the source language for anything else.

    There are few catalogs, so a stranger can't make the site sort the countries for each of a thousand tags.
    """
    return (tag and len(tag) <= LANGUAGE_LENGTH and offered(tag)) or SOURCE


def _honeypot(_form: Form, field: Field) -> None:
    if field.data:
        field.data = ""
        raise ValidationError(
            gettext(
                "A field that must stay empty was filled in. Some browsers do this automatically. "
                "We’ve cleared the field. Please press the button again"
            )
        )


class SignForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF publishes no types.
    """The form that signers fill in.

    It needs no CSRF token: the public site has no cookies, and request_checks.py refuses posts from other sites.
    """

    class Meta(OneErrorPerField):
        """Settings for WTForms."""

        csrf = False

    name = StringField(lazy_gettext("Name"), [text(NAME_LENGTH), _name, _no_link], filters=[clean])
    email = StringField(lazy_gettext("Email"), [text(EMAIL_LENGTH), _email], filters=[clean, deliverable])
    country = SelectField(lazy_gettext("Country"), [_country], validate_choice=False)
    postal_code = StringField(
        lazy_gettext("Postal code"), [text(POSTAL_CODE_LENGTH)], filters=[clean, places.postal_code]
    )
    city = StringField(lazy_gettext("City"), [text(PLACE_LENGTH), _no_link], filters=[clean])
    region = StringField(lazy_gettext("State or region"), [text(PLACE_LENGTH), _no_link], filters=[clean])
    # The ZIP code from which the site filled in city and state.
    filled_from = HiddenField(filters=[clean])
    anonymous = BooleanField(lazy_gettext("Don’t show my name or city; list only my country"))
    updates = BooleanField(lazy_gettext("Keep me posted"))
    # Only a form that is shown again after an error sends this field, because that page's URL has no source.
    source = HiddenField(filters=[sources.word])
    website = StringField(lazy_gettext("Leave this field empty"), [_honeypot])
    # The count that the signer's page showed (_so_far.html). The response counts on from there.
    shown = HiddenField(filters=[_count])
    # Whether deliveries name anonymous signers. With this field, an error page shows the right privacy text without
    # reading the database.
    delivered = BooleanField()
    # Whether signers must confirm, for the same purpose.
    confirmed = BooleanField()

    # The language of the page, for responses that don't read the database.
    language = HiddenField(filters=[_offered_language])

    def __init__(self, language: str | None = None, page_url: str | None = None, **kwargs: object) -> None:
        """Create the form.

        Args:
            language: The language of the country names (BCP 47 tag), by default that of the page that sent the form.
            page_url: The URL of the page that the signer sent the form from. It may contain the source.
            **kwargs: Other arguments of FlaskForm.
        """
        super().__init__(**kwargs)
        self.language.data = language or self.language.data
        self.source.data = self.source.data or sources.from_link(page_url or "")
        self.country.choices = countries(self.language.data).items()
        if not self.is_submitted():
            # The form is the same for everyone, and so is the country that it starts with.
            self.country.data = current_app.config["SETTINGS"].site_country

    def fill_in_place(self) -> bool:
        """Fill in city and state from the ZIP code if they are empty or were filled in from an earlier ZIP code.

        In a US territory that has a country code of its own, only the city is filled in.

        Returns:
            Whether city or state changed.
        """
        before = self.city.data, self.region.data
        if before in places.places_of(self.filled_from.data):
            self.city.data = self.region.data = self.filled_from.data = ""
        place = places.place_of(self.country.data, self.postal_code.data)
        if place and not self.city.data and self._region() in ("", place.region):
            self.city.data, self.region.data = place
            self.filled_from.data = self.postal_code.data
        return (self.city.data, self.region.data) != before

    def email_hint(self) -> str | None:
        """Return what to tell the signer if we changed the spelling of the email address, for a form shown again.

        A signature isn't refused because of a change, because the address leads to the same mailbox.
        """
        typed = clean(self.email.raw_data[0]) if self.email.raw_data else ""
        spellings = {self.email.data}
        with suppress(EmailNotValidError):
            # Browsers send the domain of an address in Punycode.
            spellings.add(validated(self.email.data).ascii_email or "")
        if typed.casefold() in map(str.casefold, spellings):
            return None
        return gettext("We removed or replaced characters that can’t be part of an email address. Please check it.")

    def place(self) -> dict[str, str]:
        """Return the place of a valid form, as columns of a signature."""
        return {
            "country": self.country.data,
            "postal_code": places.postal_code(self.postal_code.data, self.country.data),
            "city": self.city.data,
            "region": self._region(),
        }

    def _region(self) -> str:
        return places.region_name(self.country.data, self.region.data)

    def details(self) -> Details:
        """Return the data of a valid form for `signing.sign`."""
        self.fill_in_place()
        return Details(
            name=self.name.data,
            email=self.email.data,
            **self.place(),
            anonymous=self.anonymous.data,
            wants_updates=self.updates.data,
            source=self.source.data,
        )


class OwnSignatureForm(SignForm):
    """The form in which signers correct their signature: the sign form without the email address."""

    def __init__(self, language: str, signature: Signature | None = None) -> None:
        """Create the form; `signature` fills it in."""
        columns = ("name", "country", "postal_code", "city", "region", "anonymous")
        stored = {column: getattr(signature, column) for column in columns} if signature else {}
        if signature:
            stored["updates"] = signature.wants_updates
        super().__init__(language, formdata=None if signature else request.form, data=stored)
        if signature:
            self.country.data = signature.country
        for name in ("email", "source", "website", "shown", "delivered", "confirmed"):
            delattr(self, name)

    def values(self) -> dict[str, object]:
        """Return the data of a valid form for `own_signature.correct`."""
        hidden, updates = self.anonymous.data, self.updates.data
        # Without filling in the city, which the signer may have removed.
        return {"name": self.name.data, **self.place(), "anonymous": hidden, "wants_updates": updates}


class EmailForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF publishes no types.
    """A form with an email address, to request the link to one's signature."""

    class Meta(OneErrorPerField):
        """Settings for WTForms."""

        csrf = False

    email = StringField(lazy_gettext("Email"), [text(EMAIL_LENGTH), _email], filters=[clean, deliverable])


def _code(_form: Form, field: Field) -> None:
    # People type the code with a space in its middle, and in the digits of their script.
    digits = "".join(str(unicodedata.digit(c)) for c in field.data or "" if unicodedata.digit(c, None) is not None)
    if len(digits) != CODE_DIGITS:
        raise ValidationError(gettext("Enter the six digits of the code in the message"))
    field.data = digits


class CodeForm(EmailForm):
    """The form with the code that confirms a signature."""

    code = StringField(lazy_gettext("Code"), [text(30), _code], filters=[clean])
    # The count that the signer's page showed, as in SignForm.
    shown = HiddenField(filters=[_count])
