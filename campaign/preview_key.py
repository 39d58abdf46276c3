"""The key of a link by which colleagues see a campaign before the public does: signed, for one campaign, for a week.

The desk makes it, the site's view takes it.
"""

from datetime import timedelta

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

GOOD_FOR = timedelta(days=7)
"""Long enough for a colleague's holiday, short enough that a link in an old mail shows nothing."""


class ExpiredError(Exception):
    """The key was right, and is too old."""


def make(secret: str, campaign_id: int) -> str:
    """A key for the campaign, from now on."""
    return _serializer(secret).dumps(campaign_id)


def opens(secret: str, key: str, campaign_id: int) -> bool:
    """Whether it is a key for that campaign.

    Raises:
        ExpiredError: it was, until GOOD_FOR after it was made.
    """
    try:
        return bool(_serializer(secret).loads(key, max_age=int(GOOD_FOR.total_seconds())) == campaign_id)
    except SignatureExpired as error:
        if error.payload is not None and _serializer(secret).load_payload(error.payload) == campaign_id:
            raise ExpiredError from None
        return False
    except BadSignature:
        return False


def _serializer(secret: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, salt="campaign.preview")
