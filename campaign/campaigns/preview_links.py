"""Preview links: signed keys that let colleagues see one campaign before it is public, for a week.

The desk creates the key, and the site's preview view checks it.
"""

from datetime import timedelta

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

LIFETIME = timedelta(days=7)
"""How long a preview link works: long enough for a colleague's vacation, too short for links in old emails."""


class ExpiredError(Exception):
    """The key was valid, but has expired."""


def make(secret: str, campaign_id: int) -> str:
    """Return a key for the campaign that is valid for LIFETIME from now."""
    return _serializer(secret).dumps(campaign_id)


def is_valid(secret: str, key: str, campaign_id: int) -> bool:
    """Return whether the key is valid for this campaign.

    Raises:
        ExpiredError: The key was valid for this campaign, but is older than LIFETIME.
    """
    try:
        return bool(_serializer(secret).loads(key, max_age=int(LIFETIME.total_seconds())) == campaign_id)
    except SignatureExpired as error:
        if error.payload is not None and _serializer(secret).load_payload(error.payload) == campaign_id:
            raise ExpiredError from None
        return False
    except BadSignature:
        return False


def _serializer(secret: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, salt="campaign.preview")
