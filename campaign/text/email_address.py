"""Email addresses: folding what people type or paste to what can be delivered, and validating it.

This is the only module that calls email_validator, and it checks lengths first.
"""

import re
import unicodedata
from contextlib import suppress
from functools import lru_cache
from string import whitespace

from email_validator import EmailNotValidError, EmailSyntaxError, ValidatedEmail, validate_email

from campaign.text.bounded_text import MOST_TYPED, RefusedTextError, check, normalized

EMAIL_LENGTH = 254
"""Characters of the longest email address that SMTP can carry (RFC 3696, erratum 1690)."""

_JOINERS = str.maketrans("", "", "\u200c\u200d")
"""Invisible characters that a domain may contain, in Persian and in Indic scripts (RFC 5892, appendix A)."""
# Without quotation marks, no mailbox begins with the first characters, and no domain ends with the others (RFC 5322,
# section 3.2.3; RFC 1123, section 2.1).
_BEFORE = f'{whitespace}<([":;,'
_AFTER = f"{whitespace}>)]}}:;,.!?。"
_QUOTES = "\"'`‘’‚“”„«»‹›「」『』《》〈〉"
_PLAIN = re.compile(r"[a-z0-9._+-]+@[a-z0-9.-]+[a-z]", re.IGNORECASE | re.ASCII)
"""Almost every address. There is nothing to fold in it."""
_MAILTO = re.compile(r"mailto:([^?]*).*", re.IGNORECASE | re.DOTALL)
_NAMED = re.compile(r"[^<>]*<([^<>]*@[^<>]*)>")


def deliverable(email: str) -> str:
    """Return the address as it is stored: folded, with the domain in lowercase. An invalid one is only folded.

    Text that exceeds the limits of bounded_text.py is returned unchanged.
    """
    with suppress(EmailNotValidError):
        return str(validated(email).normalized)
    with suppress(RefusedTextError):
        return folded(email)
    return email


# Cached because each email address is needed several times: when the form folds it, when the form validates it, and
# when the signature is stored.
@lru_cache(maxsize=64)
def validated(email: str) -> ValidatedEmail:
    """Fold and validate an email address, and return its parts. No DNS query is made.

    email_validator normalizes some text around each character, which is slow for long addresses. So it never sees one
    longer than EMAIL_LENGTH (RFC 5321, section 4.5.3.1.3, without the angle brackets).

    Raises:
        email_validator.EmailNotValidError: The text is not a valid email address.
    """
    try:
        address = folded(email)
        # Check again: normalization can turn one mark into two, and a domain in Punycode can stand for many marks.
        check(address, EMAIL_LENGTH)
        parts = _parts(address)
        check(parts.normalized, EMAIL_LENGTH)
    except RefusedTextError as error:
        raise EmailSyntaxError(str(error)) from None
    return parts


def _parts(address: str) -> ValidatedEmail:
    try:
        return validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        without_joiners = address.translate(_JOINERS)
        if without_joiners == address:
            raise
        return validate_email(without_joiners, check_deliverability=False)


def folded(email: str) -> str:
    """Return an email address in ordinary letters, and without what people type or paste around it.

    Full-width letters become ordinary ones. Dropped are invisible characters, a `mailto:`, a name before the address in
    angle brackets, quotation marks and brackets around the address, and punctuation after it. An address that is valid
    as typed leads to the same mailbox as before.

    Raises:
        RefusedTextError: The text is too long, or has too many combining marks in a row.
    """
    if len(email) <= EMAIL_LENGTH and _PLAIN.fullmatch(email):
        return email
    address = normalized(email, MOST_TYPED * EMAIL_LENGTH, "NFKC")
    if not address.isascii():
        address = "".join(c for c in address if ord(c) in _JOINERS or unicodedata.category(c) != "Cf")
    address = _unwrapped(address)
    link = _MAILTO.fullmatch(address)
    return _unwrapped(link[1]) if link else address


def _unwrapped(address: str) -> str:
    end = address.rstrip(_AFTER + _QUOTES)
    if named := _NAMED.fullmatch(f"{end}>"):
        address = named[1]
        end = address.rstrip(_AFTER + _QUOTES)
    # A quotation mark can begin a mailbox, such as 'ada@example.org, unless there is another one at the end.
    is_quoted = any(character in _QUOTES for character in address[len(end) :])
    return end.lstrip(_BEFORE + _QUOTES if is_quoted else _BEFORE)
