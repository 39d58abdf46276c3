"""Accounts at the desk: invited, accepted, changed and closed; each change is recorded and ends the account's sessions.

What is asked of somebody who signs in is in desk/security.py, how often it may be tried in desk/tries.py, and how long
they stay signed in, in sessions.py.
"""

import secrets
import unicodedata
from datetime import datetime, timedelta

from email_validator import EmailNotValidError, validate_email
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from campaign import record, sessions
from campaign.desk_models import Account, CampaignOrganiser, Passkey, Role
from campaign.models import Campaign
from campaign.record import Actor

INVITATION = timedelta(hours=24)
"""How long the link of an invitation can be used."""


class AccountError(ValueError):
    """Something can't be done with accounts; the message says why, in plain words."""


def normal(email: str) -> str:
    """An address as accounts have it: whoever types it in other letters means the same account.

    Raises:
        AccountError: it is no address.
    """
    try:
        address = validate_email(email.strip(), check_deliverability=False).normalized
    except EmailNotValidError:
        raise AccountError("Enter an email address like name@example.org") from None
    return unicodedata.normalize("NFKC", address).lower()


def every(session: Session) -> list[Account]:
    """All accounts, by name and address; those who have not accepted yet, last."""
    by_name = select(Account).order_by(Account.password.is_(None), func.lower(Account.name), Account.email)
    return list(session.scalars(by_name))


def invite(session: Session, email: str, role: Role, by: Actor, now: datetime, *, again: bool) -> Account:
    """Make an account for whom `invitation` then gives a link, in the caller's write transaction.

    For an address that has an account already, if `again`, it begins anew: password, second factors and sessions are
    gone.

    Raises:
        AccountError: it is no address, it has been accepted before and is not to begin `again`, or the last admin would
            be lost.
    """
    email = normal(email)
    account = session.scalar(select(Account).where(Account.email == email))
    if account is None:
        account = Account(email=email, role=role, created_at=now, fs_uniquifier=_uniquifier())
        session.add(account)
        session.flush()
        record.write(session, by, "account.invite", now, after={"email": email, "role": role})
        return account
    if account.password is not None and not again:
        raise AccountError("There is an account with that address. On its own page you can make a new link for it")
    if role is not account.role:
        change_role(session, account, role, by, now)
    account.password = account.tf_primary_method = account.tf_totp_secret = account.totp_counter = None
    account.mf_recovery_codes = None
    account.active = True
    session.execute(delete(Passkey).where(Passkey.user_id == account.id))
    _begin_anew(session, account)
    record.write(session, by, "account.invite_again", now, after={"email": email})
    return account


def _uniquifier() -> str:
    return secrets.token_hex(16)


def _begin_anew(session: Session, account: Account) -> None:
    account.fs_uniquifier = _uniquifier()
    sessions.end_all(session, account.id)


def _invitations(secret_key: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key, salt="invitation")


def invitation(secret_key: str, account: Account) -> str:
    """The token of the account's invitation link; it works once, for INVITATION."""
    return str(_invitations(secret_key).dumps([account.id, account.fs_uniquifier]))


def invited(session: Session, secret_key: str, token: str, *, to_accept: bool = False) -> Account | None:
    """Whose invitation it is; None if it is forged, too old, used, or another has been made since.

    `to_accept`, nobody else uses it until the end of the transaction.
    """
    try:
        account_id, uniquifier = _invitations(secret_key).loads(token, max_age=int(INVITATION.total_seconds()))
    except (BadSignature, ValueError, TypeError):
        return None
    account = session.get(Account, account_id, with_for_update=to_accept or None)
    fresh = account is not None and account.password is None and account.fs_uniquifier == uniquifier
    return account if fresh else None


def accept(session: Session, account: Account, name: str, password_hash: str, now: datetime) -> None:
    """Let somebody invited sign in by this password from now on, in the caller's write transaction."""
    account.name, account.password, account.fs_uniquifier = name, password_hash, _uniquifier()
    record.write(session, record.actor(account), "account.accept", now, after={"name": name})


def change_role(session: Session, account: Account, role: Role, by: Actor, now: datetime) -> None:
    """Make the account something else and sign it out everywhere, in the caller's write transaction.

    Raises:
        AccountError: it is the last admin.
    """
    if role is account.role:
        return
    before = account.role
    _check_an_admin_stays(session, account)
    account.role = role
    sessions.end_all(session, account.id)
    change = {"email": account.email}
    record.write(session, by, "account.role", now, before=change | {"role": before}, after=change | {"role": role})


def set_active(session: Session, account: Account, active: bool, by: Actor, now: datetime) -> None:
    """Close the account or open it again, in the caller's write transaction; closing ends its sessions.

    Raises:
        AccountError: it is the last admin.
    """
    if active is account.active:
        return
    if not active:
        _check_an_admin_stays(session, account)
    account.active = active
    _begin_anew(session, account)
    action = "account.open" if active else "account.close"
    record.write(session, by, action, now, after={"email": account.email})


def _check_an_admin_stays(session: Session, account: Account) -> None:
    # Locked, where the database locks rows, so that of two admins who close each other's account one is told.
    admins = session.scalars(select(Account).where(Account.role == Role.ADMIN, Account.active).with_for_update()).all()
    if account.role is Role.ADMIN and account.active and {admin.id for admin in admins} == {account.id}:
        raise AccountError("Somebody must stay who may do everything: make another account admin first")


def set_own_campaigns(session: Session, account: Account, campaign_ids: set[int], by: Actor, now: datetime) -> None:
    """Say which campaigns are the account's own, in the caller's write transaction."""
    own = CampaignOrganiser.account_id == account.id
    before = set(session.scalars(select(CampaignOrganiser.campaign_id).where(own)))
    for campaign_id in sorted(before ^ campaign_ids):
        change = {"email": account.email}
        if campaign_id in campaign_ids:
            session.add(CampaignOrganiser(campaign_id=campaign_id, account_id=account.id))
            record.write(session, by, "campaign.organiser_add", now, campaign_id=campaign_id, after=change)
        else:
            session.execute(delete(CampaignOrganiser).where(own, CampaignOrganiser.campaign_id == campaign_id))
            record.write(session, by, "campaign.organiser_remove", now, campaign_id=campaign_id, before=change)


def own_campaigns(session: Session, account: Account) -> list[Campaign]:
    """The account's own campaigns, by title."""
    own = CampaignOrganiser.account_id == account.id
    joined = select(Campaign).join(CampaignOrganiser, CampaignOrganiser.campaign_id == Campaign.id)
    return list(session.scalars(joined.where(own).order_by(Campaign.title)))
