"""Who may do what at the desk, in one table; `desk/door.py` asks it before every view, templates for every button."""

from enum import StrEnum

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from campaign.desk_models import Account, CampaignOrganiser, Role
from campaign.models import Campaign


class Right(StrEnum):
    """Something that not everybody at the desk may do."""

    FIGURES = "see a campaign's figures"
    MODERATE = "see who signed, hide signatures and show them again"
    REMOVE = "remove signatures and take them back in"
    ADDRESSES = "see email addresses, after asking for them"
    WRITE = "write, publish and close a campaign"
    CREATE = "make a new campaign"
    DELIVER = "make files of signatures"
    READ_RECORD = "read what was done to a campaign"
    EXPORT_RECORD = "take the whole record along"
    ACCOUNTS = "invite people and change what they are"


MAY: dict[Role, frozenset[Right]] = {
    Role.ADMIN: frozenset(Right),
    Role.ORGANISER: frozenset(Right) - {Right.EXPORT_RECORD, Right.ACCOUNTS},
    Role.MODERATOR: frozenset({Right.FIGURES, Right.MODERATE, Right.READ_RECORD}),
    Role.OBSERVER: frozenset({Right.FIGURES}),
}
"""The whole of it."""

OWN_ONLY = {Role.ORGANISER}
"""Who may do it with their own campaigns only; everybody else, with all."""


def may(account: Account, right: Right) -> bool:
    """Whether the account may do it at all."""
    return right in MAY[account.role]


def may_with(session: Session, account: Account, right: Right, campaign: Campaign) -> bool:
    """Whether the account may do it with that campaign."""
    if not may(account, right):
        return False
    return account.role not in OWN_ONLY or session.get(CampaignOrganiser, (campaign.id, account.id)) is not None


def campaigns_of(account: Account) -> Select[Campaign]:
    """The campaigns that the account has to do with, newest first."""
    newest_first = select(Campaign).order_by(Campaign.created_at.desc(), Campaign.id.desc())
    if account.role not in OWN_ONLY:
        return newest_first
    own = CampaignOrganiser.campaign_id == Campaign.id
    return newest_first.join(CampaignOrganiser, own).where(CampaignOrganiser.account_id == account.id)
