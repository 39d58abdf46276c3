"""The tables of exports: files of signatures that organizers requested."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from campaign.models.columns import BIG_ID, UtcDateTime, words
from campaign.storage.database import Base


class ExportState(StrEnum):
    """An export's state."""

    WAITING = "waiting"
    MAKING = "making"
    READY = "ready"
    FAILED = "failed"


class Export(Base):
    """A file of signatures that an organizer requested."""

    __tablename__ = "export"
    __table_args__ = (Index(None, "campaign_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    kind: Mapped[str] = mapped_column(String(10))
    """The format: csv, xlsx, or pdf."""
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The options of the request, such as the columns."""
    state: Mapped[ExportState] = mapped_column(words(ExportState, "state"))
    done: Mapped[int] = mapped_column(default=0)
    """Signatures written so far."""
    total: Mapped[int] = mapped_column(default=0)
    """Signatures that the finished file will contain."""
    bytes: Mapped[int] = mapped_column(BIG_ID, default=0)
    """Size of the finished file."""
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    touched_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the process that makes the file last reported that it is running."""
    maker: Mapped[str] = mapped_column(String(32), default="")
    """The random name of the process that makes the file, or that has made it. No other process may change it."""
    attempts: Mapped[int] = mapped_column(default=0)
    """How many processes have begun to make the file. One that was stopped gracefully doesn't count."""
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the file expires. It is deleted `exports.LAST_FETCH` later."""
    spelled_out: Mapped[int] = mapped_column(default=0)
    """Signatories in a book with characters that no font on the machine has. The book prints their code points."""
    fault: Mapped[str] = mapped_column(Text, default="")
    """Why the export failed, in a sentence for the organizer."""


class ExportChunk(Base):
    """A part of an export's file. It is in the database so that every machine can serve it."""

    __tablename__ = "export_chunk"

    export_id: Mapped[int] = mapped_column(ForeignKey("export.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)
