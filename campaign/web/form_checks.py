"""Form validation shared by the sign form and the desk's forms.

A field's validators stop at the first error. Length is checked first, so later validators never process a long text.
"""

from collections.abc import Callable

from wtforms import Field, Form
from wtforms.meta import DefaultMeta
from wtforms.validators import StopValidation, ValidationError

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


def text(what: str, longest: int) -> Validator:
    """Return a validator that rejects text with more than `longest` code points or with unusable characters.

    Args:
        what: The field's name at the start of an error message, such as "Your name".
        longest: The largest number of code points that the database column stores.
    """

    def check(_form: Form, field: Field) -> None:
        data = field.data or ""
        if len(data) > longest:
            raise ValidationError(f"{what} must have {longest} characters or fewer")
        if has_too_many_marks(data):
            raise ValidationError(f"{what} has too many accents on one letter. Remove some of them")
        if has_forbidden_character(data):
            raise ValidationError(f"{what} contains a character that can’t be shown. Please type it again")

    return check
