"""Inviting, accepting, changing, and closing accounts. Every change is recorded in the audit log.

Changing a role, closing an account, and inviting its owner again end the account's sessions. Sign-in is in
desk/sign_in/. The limits on attempts are in desk/sign_in/throttle.py and sign_in_log.py. Session lifetimes are in
sessions.py.
"""

import secrets
from datetime import datetime, timedelta

from email_validator import EmailNotValidError
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from campaign.accounts import audit_log, sessions, sign_in_log
from campaign.accounts.audit_log import Actor
from campaign.models.account import Account, CampaignOrganizer, Passkey, Role
from campaign.models.campaign import Campaign
from campaign.text.bounded_text import normalized
from campaign.text.email_address import EMAIL_LENGTH, validated
from campaign.text.sorting import sort_key

INVITATION = timedelta(hours=24)
"""How long an invitation link works."""


class AccountError(ValueError):
    """A change to an account was refused. The message is shown to the user."""


def normal(email: str) -> str:
    """Return the canonical form of an email address: every spelling of it leads to the same account.

    Raises:
        AccountError: The text isn't an email address.
    """
    try:
        address = validated(email).normalized
    except EmailNotValidError:
        raise AccountError("Enter an email address, like name@example.org") from None
    return normalized(address, EMAIL_LENGTH, "NFKC").lower()


def find(session: Session, email: str) -> Account | None:
    """Return the account with this email address in any spelling, or None.

    Raises:
        AccountError: The text isn't an email address.
    """
    return session.scalar(select(Account).where(Account.email == normal(email)))


def every(session: Session) -> list[Account]:
    """Return all accounts, sorted by name and email address, with open invitations last."""
    found = session.scalars(select(Account))
    return sorted(found, key=lambda account: (account.password is None, sort_key(account.name), account.email))


def invite(session: Session, email: str, role: Role, by: Actor, now: datetime, *, again: bool) -> Account:
    """Create an account, in the caller's write transaction. `invitation` returns the token of its link.

    An account that exists is reset if its invitation is still open, or with `again`: its password, second factors, and
    sessions are deleted, and earlier links stop working.

    Raises:
        AccountError: The text isn't an email address, an account with a password exists (without `again`), or no admin
            would be left.
    """
    email = normal(email)
    account = session.scalar(select(Account).where(Account.email == email))
    if account is None:
        account = Account(email=email, role=role, created_at=now, fs_uniquifier=_uniquifier())
        session.add(account)
        session.flush()
        audit_log.write(session, by, "account.invite", now, after={"email": email, "role": role})
        return account
    if account.password is not None and not again:
        raise AccountError(
            "This email address already has an account. You can create a new link on that account’s page"
        )
    if role is not account.role:
        change_role(session, account, role, by, now)
    account.password = account.tf_primary_method = account.tf_totp_secret = account.totp_counter = None
    account.mf_recovery_codes = None
    account.active = True
    session.execute(delete(Passkey).where(Passkey.user_id == account.id))
    _reset_sessions(session, account)
    sign_in_log.unlock(session, account, by, now)
    audit_log.write(session, by, "account.invite_again", now, after={"email": email})
    return account


def _uniquifier() -> str:
    return secrets.token_hex(16)


def _reset_sessions(session: Session, account: Account) -> None:
    account.fs_uniquifier = _uniquifier()
    sessions.end_all(session, account.id)


def _invitations(secret_key: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key, salt="invitation")


def invitation(secret_key: str, account: Account) -> str:
    """Return the token for the account's invitation link. It works once, within INVITATION."""
    return str(_invitations(secret_key).dumps([account.id, account.fs_uniquifier]))


def invited(session: Session, secret_key: str, token: str, *, to_accept: bool = False) -> Account | None:
    """Return the invited account, or None if the token is forged, expired, used, or replaced by a newer one.

    With `to_accept`, the account is locked until the end of the transaction, so that a token is used only once.
    """
    try:
        account_id, uniquifier = _invitations(secret_key).loads(token, max_age=int(INVITATION.total_seconds()))
    except (BadSignature, ValueError, TypeError):
        return None
    account = session.get(Account, account_id, with_for_update=to_accept or None)
    is_valid = account is not None and account.password is None and account.fs_uniquifier == uniquifier
    return account if is_valid else None


def accept(session: Session, account: Account, name: str, password_hash: str, now: datetime) -> None:
    """Set the name and password of an invited account, in the caller's write transaction."""
    account.name, account.password, account.fs_uniquifier = name, password_hash, _uniquifier()
    audit_log.write(session, audit_log.actor(account), "account.accept", now, after={"name": name})


def change_role(session: Session, account: Account, role: Role, by: Actor, now: datetime) -> None:
    """Change the account's role and end its sessions, in the caller's write transaction.

    Raises:
        AccountError: The account is the last admin.
    """
    if role is account.role:
        return
    before = account.role
    _ensure_another_admin(session, account)
    account.role = role
    sessions.end_all(session, account.id)
    change = {"email": account.email}
    audit_log.write(session, by, "account.role", now, before=change | {"role": before}, after=change | {"role": role})


def set_active(session: Session, account: Account, active: bool, by: Actor, now: datetime) -> None:
    """Close or reopen the account and end its sessions, in the caller's write transaction.

    Raises:
        AccountError: The account is the last admin.
    """
    if active is account.active:
        return
    if not active:
        _ensure_another_admin(session, account)
    account.active = active
    _reset_sessions(session, account)
    action = "account.open" if active else "account.close"
    audit_log.write(session, by, action, now, after={"email": account.email})


def _ensure_another_admin(session: Session, account: Account) -> None:
    # The rows are locked, so that two admins can't close each other's accounts at the same time.
    admins = session.scalars(select(Account).where(Account.role == Role.ADMIN, Account.active).with_for_update()).all()
    if account.role is Role.ADMIN and account.active and {admin.id for admin in admins} == {account.id}:
        raise AccountError("There must be at least one admin. Make another account an admin first")


def set_own_campaigns(session: Session, account: Account, campaign_ids: set[int], by: Actor, now: datetime) -> None:
    """Set the account's own campaigns, in the caller's write transaction."""
    own = CampaignOrganizer.account_id == account.id
    before = set(session.scalars(select(CampaignOrganizer.campaign_id).where(own)))
    for campaign_id in sorted(before ^ campaign_ids):
        change = {"email": account.email}
        if campaign_id in campaign_ids:
            session.add(CampaignOrganizer(campaign_id=campaign_id, account_id=account.id))
            audit_log.write(session, by, "campaign.organiser_add", now, campaign_id=campaign_id, after=change)
        else:
            session.execute(delete(CampaignOrganizer).where(own, CampaignOrganizer.campaign_id == campaign_id))
            audit_log.write(session, by, "campaign.organiser_remove", now, campaign_id=campaign_id, before=change)


def own_campaigns(session: Session, account: Account) -> list[Campaign]:
    """Return the account's own campaigns, sorted by title."""
    own = CampaignOrganizer.account_id == account.id
    joined = select(Campaign).join(CampaignOrganizer, CampaignOrganizer.campaign_id == Campaign.id)
    return list(session.scalars(joined.where(own).order_by(Campaign.title)))
