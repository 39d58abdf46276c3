"""Sessions at the desk: starting, finding, listing, and ending them.

The browser's cookie contains a random session ID (the "word"). The database stores only its digest.
desk/sign_in/security.py looks up the session at every request.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from campaign.models.account import Account, DeskSession, Role

LONGEST = timedelta(hours=12)
"""The maximum duration of a session: a long working day."""
IDLE: dict[Role, timedelta] = {Role.ADMIN: timedelta(minutes=30)}
"""The idle timeout of a role. Other roles have none, so their sessions last for LONGEST."""
TOUCH = timedelta(minutes=1)
"""The precision of the time of last use. Storing it is a write, so it isn't done at every request."""


def digest(word: str) -> str:
    """Return the digest under which a session ID is stored."""
    return hashlib.sha256(word.encode()).hexdigest()


def begin(session: Session, account: Account, browser: str, now: datetime) -> str:
    """Start a session and return its ID for the cookie, in the caller's write transaction."""
    word = secrets.token_urlsafe(32)
    session.add(
        DeskSession(digest=digest(word), account_id=account.id, browser=browser[:60], began_at=now, seen_at=now)
    )
    return word


def renew(session: Session, word: str) -> str:
    """Replace a session's ID and return the new one, in the caller's write transaction."""
    new = secrets.token_urlsafe(32)
    this = update(DeskSession).where(DeskSession.digest == digest(word)).values(digest=digest(new))
    session.execute(this, execution_options={"synchronize_session": False})
    return new


def find(session: Session, account: Account, word: str, now: datetime) -> DeskSession | None:
    """Return the session with this ID if it belongs to the account and hasn't expired, or None."""
    found = session.get(DeskSession, digest(word))
    if found is None or found.account_id != account.id:
        return None
    idle = IDLE.get(account.role, LONGEST)
    return found if now - found.began_at < LONGEST and now - found.seen_at < idle else None


def end(session: Session, word_digest: str) -> None:
    """End the session with this digest, in the caller's write transaction."""
    session.execute(delete(DeskSession).where(DeskSession.digest == word_digest))


def end_all(session: Session, account_id: int, *, but: str = "") -> None:
    """End all sessions of an account except the one with the digest `but`, in the caller's write transaction."""
    of_account = DeskSession.account_id == account_id
    session.execute(delete(DeskSession).where(of_account, DeskSession.digest != but))


def delete_expired(session: Session, now: datetime) -> None:
    """Delete the expired sessions of all accounts, in the caller's write transaction."""
    session.execute(delete(DeskSession).where(DeskSession.began_at <= now - LONGEST))


def of(session: Session, account: Account, now: datetime) -> list[DeskSession]:
    """Return the account's unexpired sessions, most recently used first."""
    began_after, seen_after = now - LONGEST, now - IDLE.get(account.role, LONGEST)
    return list(
        session.scalars(
            select(DeskSession)
            .where(
                DeskSession.account_id == account.id,
                DeskSession.began_at > began_after,
                DeskSession.seen_at > seen_after,
            )
            .order_by(DeskSession.seen_at.desc())
        )
    )
