"""Sign-ins, failures, and lockouts in the audit log, and the block of an account's second factor.

Strangers can cause any number of failures, so the entries they can add to the audit log are limited. Every function
that records a failure does the same work for an email address without an account, so that timing doesn't reveal
accounts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, union_all
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from campaign.accounts import audit_log
from campaign.accounts.audit_log import Actor
from campaign.models.account import Account, SignInFailures
from campaign.models.audit_log import Record
from campaign.storage.database import insert_into

LISTED_IN_HOUR = 10
"""Failed sign-ins of an account that are listed per hour. One more entry says that further ones aren't listed."""
CODES_IN_A_ROW = 10
"""The number of wrong second factors in a row that blocks an account's second factor.

Only a person who knows the password can enter them.
"""
FIRST_BLOCK = timedelta(minutes=15)
"""The duration of the first block. Each further one in a row lasts twice as long as the one before."""
LONGEST_BLOCK = timedelta(days=1)
"""The maximum duration of a block before MOST_CODES is reached."""
MOST_CODES = 100
"""The number of wrong second factors in a row after which only `unlock` ends the block.

NIST SP 800-63B-4, 3.2.2, allows 100.
"""

NO_ACCOUNT = Actor(None, "unknown account")
"""The actor of a failed sign-in without an account. The email address isn't recorded: it could be anyone's."""
_NO_ACCOUNT_ID = 0
"""The row of SignInFailures for all email addresses without an account."""

SIGN_IN = "account.sign_in"
FAILED = "account.sign_in_failed"
LOCKOUT = "account.lockout"
UNLOCK = "account.unlock"
SIGN_OUT = "account.sign_out"

SHOWN = {
    SIGN_IN: "Signed in",
    FAILED: "Sign-in failed",
    LOCKOUT: "Locked out",
    UNLOCK: "Unlocked",
    SIGN_OUT: "Signed out",
    "account.password": "Password changed",
    "account.app": "Authenticator app set up",
    "account.passkey_add": "Passkey added",
    "account.passkey_remove": "Passkey removed",
    "account.recovery_codes": "New recovery codes created",
    "account.recovery_code": "Recovery code used",
}
"""The actions listed on the account page, with their labels."""
MOST_SHOWN = 20
"""The maximum number of entries on the account page."""


@dataclass(frozen=True)
class Failures:
    """Failed sign-ins of an account since its last sign-in."""

    passwords: int
    """Wrong passwords."""
    codes: int
    """Wrong second factors, each after the right password."""


@dataclass(frozen=True)
class Block:
    """A block of an account's second factor."""

    until: datetime | None
    """The end of the block, or None if only `unlock` ends it."""


def note_wrong_password(session: Session, email: str, browser: str, now: datetime) -> None:
    """Record a wrong password in the audit log, in the caller's write transaction.

    Args:
        session: A session that may write.
        email: The email address, as `invitations.normal` returns it. It may have no account.
        browser: The name of the browser and system.
        now: The time.
    """
    actor, account_id = _find(session, email)
    row = _row(session, account_id)
    row.passwords += 1
    _list_failure(session, actor, row, {"factor": "password", "browser": browser}, now)


def note_too_many_passwords(session: Session, email: str, now: datetime) -> None:
    """Record a lockout of an email address, at most once an hour, in the caller's write transaction."""
    actor, account_id = _find(session, email)
    row = _row(session, account_id)
    is_first = row.lockout_hour != _hour(now)
    row.lockout_hour = _hour(now)
    # Write the row even if the value stays the same, so that every call does the same work.
    flag_modified(row, "lockout_hour")
    _write(session, actor, LOCKOUT, {"factor": "password"}, now, keep=is_first)


def reserve_code(session: Session, account_id: int, now: datetime) -> Block | None:
    """Count an attempt at the second factor before it is checked, in the caller's write transaction.

    Counting first keeps concurrent attempts from exceeding the limit together. `note_sign_in` resets the count.

    Returns:
        The block if the second factor is blocked, or None. A blocked second factor must not be checked.
    """
    row = _row(session, account_id)
    if block := _block(row, now):
        return block
    row.codes += 1
    if row.codes % CODES_IN_A_ROW == 0:
        row.blocked_until = now + min(FIRST_BLOCK * 2 ** (row.codes // CODES_IN_A_ROW - 1), LONGEST_BLOCK)
    return None


def note_wrong_code(session: Session, account_id: int, factor: str, browser: str, now: datetime) -> Block | None:
    """Record a wrong second factor in the audit log, in the caller's write transaction.

    Returns:
        The block if this or another attempt has blocked the second factor, or None.
    """
    account = session.get_one(Account, account_id)
    row = _row(session, account_id)
    _list_failure(session, audit_log.actor(account), row, {"factor": factor, "browser": browser}, now)
    block = _block(row, now)
    if block:
        until = {"until": block.until.isoformat()} if block.until else {}
        audit_log.write(session, audit_log.actor(account), LOCKOUT, now, after={"factor": factor} | until)
    return block


def block_of(session: Session, account_id: int, now: datetime) -> Block | None:
    """Return the block of the account's second factor, or None."""
    row = session.get(SignInFailures, account_id)
    return _block(row, now) if row else None


def note_sign_in(
    session: Session, account: Account, factor: str, browser: str, now: datetime, *, reserved: bool
) -> Failures:
    """Record a sign-in in the audit log and reset the failure counts, in the caller's write transaction.

    Args:
        session: A session that may write.
        account: The account that has signed in.
        factor: The name of the factor.
        browser: The name of the browser and system.
        now: The time.
        reserved: Whether `reserve_code` has counted this successful attempt.

    Returns:
        The failures since the previous sign-in.
    """
    # Insert first: it starts a write transaction in a session that has only read so far.
    audit_log.write(session, audit_log.actor(account), SIGN_IN, now, after={"factor": factor, "browser": browser})
    row = _row(session, account.id)
    failures = Failures(row.passwords, row.codes - reserved)
    row.passwords = row.codes = 0
    row.blocked_until = None
    return failures


def unlock(session: Session, account: Account, by: Actor, now: datetime) -> None:
    """End every lockout of the account, in the caller's write transaction."""
    row = _row(session, account.id)
    row.codes = row.in_hour = row.lockout_hour = 0
    row.blocked_until = None
    row.unlocks += 1
    audit_log.write(session, by, UNLOCK, now, after={"email": account.email})


def unlocks(session: Session, email: str) -> int:
    """Return how often the account with this email address was unlocked: 0 if there is no account."""
    of_account = SignInFailures.account_id == Account.id
    return session.scalar(select(SignInFailures.unlocks).join(Account, of_account).where(Account.email == email)) or 0


def recent(session: Session, account: Account) -> Sequence[Record]:
    """Return the account's latest MOST_SHOWN entries about sign-in, newest first."""
    ids = select(Record.id).where(Record.account_id == account.id).order_by(Record.id.desc()).limit(MOST_SHOWN)
    # Query each action separately: one query for all actions would scan all other entries of the account too.
    newest = union_all(*(select(ids.where(Record.action == action).subquery()) for action in SHOWN)).subquery()
    entries = select(Record).where(Record.id.in_(select(newest))).order_by(Record.id.desc()).limit(MOST_SHOWN)
    return session.scalars(entries).all()


def _find(session: Session, email: str) -> tuple[Actor, int]:
    found = session.execute(select(Account.id, Account.email).where(Account.email == email)).one_or_none()
    return (Actor(found.id, found.email), found.id) if found else (NO_ACCOUNT, _NO_ACCOUNT_ID)


def _row(session: Session, account_id: int) -> SignInFailures:
    """Return the account's row, locked until the end of the transaction. Insert it if it's missing."""
    insert = insert_into(session.connection().dialect.name, SignInFailures)
    session.execute(insert.on_conflict_do_nothing(index_elements=["account_id"]), {"account_id": account_id})
    return session.get_one(SignInFailures, account_id, with_for_update=True)


def _hour(now: datetime) -> int:
    return int(now.timestamp() // 3600)


def _list_failure(session: Session, actor: Actor, row: SignInFailures, after: dict[str, str], now: datetime) -> None:
    """Count a failure, and list it in the audit log unless there were too many in this hour."""
    if row.hour != _hour(now):
        row.hour, row.in_hour = _hour(now), 0
    row.in_hour += 1
    if row.in_hour == LISTED_IN_HOUR + 1:
        after = {"more": "Further failures in this hour are not listed"}
    _write(session, actor, FAILED, after, now, keep=row.in_hour <= LISTED_IN_HOUR + 1)


def _write(session: Session, actor: Actor, action: str, after: dict[str, str], now: datetime, *, keep: bool) -> None:
    """Add an entry to the audit log. Without `keep`, roll it back again, which costs the same.

    All email addresses without an account share one row of SignInFailures. If a row at its limit ran one statement
    less, a stranger could fill the shared row, and then measure which email addresses still write entries.
    """
    with session.begin_nested() as savepoint:
        audit_log.write(session, actor, action, now, after=after)
        if not keep:
            savepoint.rollback()


def _block(row: SignInFailures, now: datetime) -> Block | None:
    if row.codes >= MOST_CODES:
        return Block(None)
    return Block(row.blocked_until) if row.blocked_until and row.blocked_until > now else None
