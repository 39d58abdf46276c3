"""Who is signed in at the desk, and in which browser: begun, kept alive, listed and ended here.

The desk's door (desk/door.py) keeps a random word in the browser's cookie and asks here what it is worth.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from campaign.desk_models import Account, DeskSession, Role

LONGEST = timedelta(hours=12)
"""How long a session lasts at the most: a long working day."""
IDLE: dict[Role, timedelta] = {Role.ADMIN: timedelta(minutes=30)}
"""How long whoever does nothing stays signed in; those not named here, for the whole of LONGEST."""
TOUCH = timedelta(minutes=1)
"""How exactly it is known when somebody last did something; each time is a write."""


def digest(word: str) -> str:
    """What is stored of the word in a browser's cookie."""
    return hashlib.sha256(word.encode()).hexdigest()


def begin(session: Session, account: Account, browser: str, now: datetime) -> str:
    """Sign the account in, in the caller's write transaction; gives the word for the cookie.

    Whatever sessions of anybody have run out are swept away.
    """
    session.execute(delete(DeskSession).where(DeskSession.began_at < now - LONGEST))
    word = secrets.token_urlsafe(32)
    session.add(
        DeskSession(digest=digest(word), account_id=account.id, browser=browser[:60], began_at=now, seen_at=now)
    )
    return word


def find(session: Session, account: Account, word: str, now: datetime) -> DeskSession | None:
    """The session of that word, if it is the account's and has not run out."""
    found = session.get(DeskSession, digest(word))
    if found is None or found.account_id != account.id:
        return None
    idle = IDLE.get(account.role, LONGEST)
    return found if now - found.began_at < LONGEST and now - found.seen_at < idle else None


def end(session: Session, word_digest: str) -> None:
    """End one, in the caller's write transaction."""
    session.execute(delete(DeskSession).where(DeskSession.digest == word_digest))


def end_all(session: Session, account_id: int, *, but: str = "") -> None:
    """End all of the account's, in the caller's write transaction; `but` is the digest of one that may go on."""
    of_account = DeskSession.account_id == account_id
    session.execute(delete(DeskSession).where(of_account, DeskSession.digest != but))


def of(session: Session, account: Account, now: datetime) -> list[DeskSession]:
    """The account's sessions that have not run out, newest first."""
    alive = now - LONGEST, now - IDLE.get(account.role, LONGEST)
    return list(
        session.scalars(
            select(DeskSession)
            .where(
                DeskSession.account_id == account.id, DeskSession.began_at > alive[0], DeskSession.seen_at > alive[1]
            )
            .order_by(DeskSession.seen_at.desc())
        )
    )
