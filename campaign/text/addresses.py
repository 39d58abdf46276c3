"""Addresses with names, such as "Save the Park <info@example.org>", as operators write them in settings."""

from email.utils import getaddresses

from email_validator import EmailNotValidError

from campaign.text.email_address import validated


def parsed(written: str) -> tuple[str, str]:
    """Return the name, which may be empty, and the email address as mail servers read it.

    Raises:
        ValueError: There is no valid address.
    """
    found = getaddresses([written])
    name, address = found[0] if len(found) == 1 else ("", "")
    try:
        valid = validated(address)
    except EmailNotValidError:
        raise ValueError(f"must be an address such as Save the Park <info@example.org>, not {written!r}") from None
    # The domain in ASCII is the same for every server. Only the part before the @ may need one that knows SMTPUTF8.
    return name, valid.ascii_email or f"{valid.local_part}@{valid.ascii_domain}"
