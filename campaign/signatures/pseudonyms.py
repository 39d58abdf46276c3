"""Pseudonyms of mailboxes: what stands for an email address where the address itself must not be.

A pseudonym is a keyed hash (HMAC-SHA-256). Without the site's secret key, nobody can find out whose it is, not even by
trying all addresses. It is different for each campaign, so that nobody can see which campaigns a mailbox has signed.
"""

import hmac

from campaign.models.columns import PSEUDONYM_LENGTH


def of(secret: str, campaign_id: int, mailbox: str) -> str:
    """Return the pseudonym of a mailbox for a campaign, in hexadecimal.

    Args:
        secret: The site's secret key.
        campaign_id: The campaign's id.
        mailbox: The canonical email address, from `signing.email_key`.
    """
    message = f"mailbox {campaign_id} {mailbox}".encode()
    return hmac.digest(secret.encode(), message, "sha256").hex()[:PSEUDONYM_LENGTH]
