"""The tables of the audit log."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from campaign.models.columns import BIG_ID, UtcDateTime
from campaign.storage.database import Base
from campaign.text.email_address import EMAIL_LENGTH

IS_DOWNLOAD = text("(action = 'export.download') IS TRUE")
"""The condition of an index, which a query must repeat literally."""


class Record(Base):
    """A change in the audit log. The database refuses to update or delete rows (migration 0002)."""

    __tablename__ = "record"
    __table_args__ = (
        Index(None, "campaign_id", "id"),
        Index(None, "account_id", "action", "id"),
        # Finds the downloads among many other entries.
        Index("ix_record_download", "campaign_id", "id", sqlite_where=IS_DOWNLOAD, postgresql_where=IS_DOWNLOAD),
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    """None if a command made the change."""
    actor: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    """The account's email address at that time, or `command` or `signer`."""
    action: Mapped[str] = mapped_column(String(40))
    """An object and an action, such as `campaign.publish`."""
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaign.id"))
    reason: Mapped[str] = mapped_column(Text, default="")
    before: Mapped[dict[str, Any]] = mapped_column(JSON)
    after: Mapped[dict[str, Any]] = mapped_column(JSON)


class Undone(Base):
    """A change to signatures that was undone. Its key allows that only once."""

    __tablename__ = "undone"

    entry_id: Mapped[int] = mapped_column(BIG_ID, ForeignKey("record.id"), primary_key=True, autoincrement=False)
    """The entry of the change."""
    undo_id: Mapped[int] = mapped_column(BIG_ID, ForeignKey("record.id"))
    """The later entry of the change that undid it."""
