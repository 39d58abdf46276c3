"""Roles and rights at the desk.

`desk/access.py` checks them before every view, and templates check them before they show a button.
"""

from enum import StrEnum

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from campaign.models.account import Account, CampaignOrganizer, Role
from campaign.models.campaign import Campaign, CampaignState


class Right(StrEnum):
    """A right that only some roles have."""

    FIGURES = "see a campaign's statistics"
    MODERATE = "see who signed; hide signatures and restore hidden ones"
    REMOVE = "remove signatures and restore them"
    ADDRESSES = "see email addresses, after an explicit request"
    WRITE = "write, publish and close a campaign"
    CREATE = "create campaigns"
    DELIVER = "make files of signatures"
    READ_RECORD = "read the activity log of a campaign"
    EXPORT_RECORD = "download the whole activity log"
    ACCOUNTS = "invite people and change their accounts"


MAY: dict[Role, frozenset[Right]] = {
    Role.ADMIN: frozenset(Right),
    Role.ORGANIZER: frozenset(Right) - {Right.EXPORT_RECORD, Right.ACCOUNTS},
    Role.MODERATOR: frozenset({Right.FIGURES, Right.MODERATE, Right.READ_RECORD}),
    Role.OBSERVER: frozenset({Right.FIGURES}),
}
"""The rights of each role."""

OWN_ONLY = {Role.ORGANIZER}
"""Roles whose rights apply to their own campaigns only. Of other roles, only admins have access to drafts."""


def may(account: Account, right: Right) -> bool:
    """Return whether the account has the right for all campaigns, or at least for its own."""
    return right in MAY[account.role]


def may_with(session: Session, account: Account, right: Right, campaign: Campaign) -> bool:
    """Return whether the account has the right for this campaign."""
    if not may(account, right):
        return False
    if account.role in OWN_ONLY:
        return session.get(CampaignOrganizer, (campaign.id, account.id)) is not None
    return account.role is Role.ADMIN or campaign.state is not CampaignState.DRAFT


def campaigns_of(account: Account) -> Select[Campaign]:
    """Return the query for the campaigns that the account has access to, newest first."""
    existing = select(Campaign).where(Campaign.deleted_at.is_(None))
    newest_first = existing.order_by(Campaign.created_at.desc(), Campaign.id.desc())
    if account.role is Role.ADMIN:
        return newest_first
    if account.role not in OWN_ONLY:
        return newest_first.where(Campaign.state != CampaignState.DRAFT)
    own = CampaignOrganizer.campaign_id == Campaign.id
    return newest_first.join(CampaignOrganizer, own).where(CampaignOrganizer.account_id == account.id)
