"""Networks that organizers have signed in from, stored for a while as keyed hashes.

While strangers guess an account's password, its owner can still sign in from a known network. A network is known for
all accounts: if it were known only for the account that used it, a stranger in the same network could find out that
the account exists.
"""

from datetime import datetime, timedelta

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from campaign.models.account import KnownNetwork

MOST_NETWORKS = 5
"""Networks kept per account, the most recent ones: for example home, office, phone, and two while traveling."""
KEPT = timedelta(days=90)
"""How long a network stays known after the last sign-in from it."""


def remember(session: Session, account_id: int, network: str, now: datetime) -> None:
    """Store that the account has signed in from a network, in the caller's write transaction.

    Args:
        session: A session that may write.
        account_id: The account.
        network: A keyed hash of the network.
        now: The time.
    """
    session.merge(KnownNetwork(account_id=account_id, network=network, expires_at=now + KEPT))
    session.flush()
    of_account = KnownNetwork.account_id == account_id
    newest = select(KnownNetwork.network).where(of_account).order_by(KnownNetwork.expires_at.desc())
    too_many = of_account & KnownNetwork.network.not_in(session.scalars(newest.limit(MOST_NETWORKS)).all())
    session.execute(delete(KnownNetwork).where(too_many))


def is_known(session: Session, network: str, now: datetime) -> bool:
    """Return whether an organizer has signed in from the network within KEPT."""
    known = exists().where(KnownNetwork.network == network, KnownNetwork.expires_at > now)
    return bool(session.scalar(select(known)))


def delete_expired(session: Session, now: datetime) -> None:
    """Delete the networks that are no longer known, in the caller's write transaction."""
    session.execute(delete(KnownNetwork).where(KnownNetwork.expires_at <= now))
