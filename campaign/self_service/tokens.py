"""Tokens: what a link in a message carries, so that only the owner of the mailbox can confirm or withdraw a signature.

A token is signed with the site's secret key, for one purpose, one campaign, one signature, and one mailbox. It contains
no personal data. Anyone who has a token can act for the owner of the mailbox, so no log may contain one.
"""

import hmac
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

LIFETIME = timedelta(days=14)
"""How long a token is valid: long enough for a vacation."""
LONGEST = 200
"""The most characters of a token. Ours have half of that."""
CODE_DIGITS = 6


class Purpose(StrEnum):
    """What a token is for. A token for one purpose is invalid for all others."""

    CONFIRM = "confirm"
    OWN_SIGNATURE = "my-signature"


class InvalidTokenError(ValueError):
    """The token is not one of ours, or is for something else."""


class ExpiredTokenError(Exception):
    """The token was valid, but is older than LIFETIME."""


@dataclass(frozen=True)
class Claim:
    """What a valid token says."""

    signature_id: int
    mailbox: str
    """The mailbox's pseudonym."""
    entry: str
    """A fingerprint of what the signer confirms, as it was when the token was made."""


def make(secret: str, purpose: Purpose, campaign_id: int, claim: Claim) -> str:
    """Return a token that is valid for LIFETIME from now."""
    return _serializer(secret, purpose, campaign_id).dumps([claim.signature_id, claim.mailbox, claim.entry])


def read(secret: str, purpose: Purpose, campaign_id: int, token: str) -> Claim:
    """Return what a token says.

    Raises:
        InvalidTokenError: It is not one of ours, or for another purpose or campaign.
        ExpiredTokenError: It is older than LIFETIME.
    """
    if len(token) > LONGEST:
        raise InvalidTokenError
    try:
        claim = _serializer(secret, purpose, campaign_id).loads(token, max_age=int(LIFETIME.total_seconds()))
    except SignatureExpired:
        raise ExpiredTokenError from None
    except BadSignature:
        raise InvalidTokenError from None
    return Claim(*claim)


def _serializer(secret: str, purpose: Purpose, campaign_id: int) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, salt=f"campaign.{purpose}.{campaign_id}")


def code(secret: str, campaign_id: int, claim: Claim) -> str:
    """Return the code of CODE_DIGITS digits that confirms a signature, such as "042317".

    It is the same in each of several messages, while what the signer confirms is the same.
    """
    message = f"code {campaign_id} {claim.signature_id} {claim.mailbox} {claim.entry}".encode()
    number = int.from_bytes(hmac.digest(secret.encode(), message, "sha256")[:8]) % 10**CODE_DIGITS
    return f"{number:0{CODE_DIGITS}}"
