"""Addresses with names, such as "Save the Park <info@example.org>", as operators write them in settings."""

from email.utils import getaddresses

from email_validator import EmailNotValidError

from campaign.text.email_address import validated


def parsed(written: str) -> tuple[str, str]:
    """Return the name and the email address; the name may be empty.

    Raises:
        ValueError: There is no valid address.
    """
    found = getaddresses([written])
    name, address = found[0] if len(found) == 1 else ("", "")
    try:
        validated(address)
    except EmailNotValidError:
        raise ValueError(f"must be an address such as Save the Park <info@example.org>, not {written!r}") from None
    return name, address
