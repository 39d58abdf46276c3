"""Form validation shared by the sign form and the desk's forms.

A field's validators stop at the first error. Length is checked first, so later validators never process a long text.
"""

from collections.abc import Callable

from wtforms import Field, Form
from wtforms.meta import DefaultMeta
from wtforms.validators import StopValidation, ValidationError

from campaign.languages.speaking import gettext, ngettext
from campaign.signatures.cleaning import has_forbidden_character
from campaign.text.bounded_text import has_too_many_marks

Validator = Callable[[Form, Field], None]


class OneErrorPerField(DefaultMeta):  # type: ignore[misc]  # WTForms publishes no types.
    """Base class for a form's `Meta`: a field has at most one error. WTForms itself would run all of its validators."""

    def bind_field(self, form: Form, unbound_field: object, options: dict[str, object]) -> Field:
        """Create a field whose validators stop at the first error."""
        field = super().bind_field(form, unbound_field, options)
        field.validators = [_stopping(validator) for validator in field.validators]
        return field


def _stopping(validator: Validator) -> Validator:
    def check(form: Form, field: Field) -> None:
        try:
            validator(form, field)
        except ValidationError as error:
            raise StopValidation(str(error)) from None

    return check


def text(longest: int) -> Validator:
    """Return a validator that rejects text with more than `longest` code points or with unusable characters.

    The database column stores no more than `longest`.
    """

    def check(_form: Form, field: Field) -> None:
        data, label = field.data or "", field.label.text
        if len(data) > longest:
            raise ValidationError(
                ngettext(
                    "Shorten “%(field)s” to %(num)s character or fewer",
                    "Shorten “%(field)s” to %(num)s characters or fewer",
                    longest,
                    field=label,
                )
            )
        if has_too_many_marks(data):
            raise ValidationError(
                gettext("Remove some of the accents in “%(field)s”: there are too many on one letter", field=label)
            )
        if has_forbidden_character(data):
            raise ValidationError(
                gettext("“%(field)s” contains a character that can’t be shown. Please type it again", field=label)
            )

    return check
