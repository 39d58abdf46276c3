"""The tables of mail: the outbox, with the messages that wait or were sent, and what a mailbox has asked for or tried.

A message is stored in the transaction of what makes it necessary, so both are stored or neither is. The background
worker sends it (`campaign/mail/`).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from campaign.models.columns import BIG_ID, LANGUAGE_LENGTH, PSEUDONYM_LENGTH, UtcDateTime, words
from campaign.storage.database import Base
from campaign.text.email_address import EMAIL_LENGTH


class Queue(StrEnum):
    """What a message is about. Each kind has a queue of its own, so that many of one don't delay the others."""

    CHECK = "check"
    """A test message of `flask mail check`."""
    CONFIRM = "confirm"
    """The answer to a signature that must be confirmed."""
    THANKS = "thanks"
    """The answer to a signature that was listed at once."""
    LINK = "link"
    """The link to a signer's own page, which somebody has requested."""
    REMINDER = "reminder"
    """The reminder to confirm a signature."""


class MessageState(StrEnum):
    """The state of a message."""

    WAITING = "waiting"
    SENT = "sent"
    """The mail server has accepted it."""
    REFUSED = "refused"
    """The mail server has refused it for good. It isn't sent again."""
    EXPIRED = "expired"
    """It could not be sent in time."""
    SKIPPED = "skipped"
    """There was nothing to say, or the mailbox has had enough messages. It was never sent."""


IS_WAITING = text("(state = 'waiting') IS TRUE")
HAS_MAILBOX = text("(mailbox <> '') IS TRUE")
HAS_ENDED = text("(ended_at IS NOT NULL) IS TRUE")
"""The conditions of indexes, which a query must repeat literally."""


class Message(Base):
    """A message to one recipient. Its text is made when it is sent."""

    __tablename__ = "message"
    __table_args__ = (
        Index(
            "ix_message_waiting",
            "queue",
            "due_at",
            "id",
            sqlite_where=IS_WAITING,
            postgresql_where=IS_WAITING,
        ),
        Index("ix_message_mailbox", "mailbox", "state", sqlite_where=HAS_MAILBOX, postgresql_where=HAS_MAILBOX),
        Index("ix_message_ended", "ended_at", sqlite_where=HAS_ENDED, postgresql_where=HAS_ENDED),
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    queue: Mapped[Queue] = mapped_column(words(Queue, "queue"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaign.id"))
    recipient: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    """The email address to send it to."""
    language: Mapped[str] = mapped_column(String(LANGUAGE_LENGTH))
    """BCP 47 tag."""
    mailbox: Mapped[str] = mapped_column(String(PSEUDONYM_LENGTH), default="")
    """The pseudonym of the mailbox (`signatures/pseudonyms.py`). It is empty until a worker leases the message, because
    its index would slow signers down, and if the message is not about a campaign."""
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """What the signer typed who must confirm, as columns of a signature, until the message has ended."""
    state: Mapped[MessageState] = mapped_column(words(MessageState, "state"), default=MessageState.WAITING)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When to send it, or to try again; while a worker has leased it, when another one may take it."""
    holder: Mapped[str] = mapped_column(String(32), default="")
    """The random name of the worker that has leased it last."""
    tries: Mapped[int] = mapped_column(default=0)
    """How often a mail server could not be reached, or asked to try again later."""
    answer: Mapped[str] = mapped_column(Text, default="")
    """What the mail server said last, if it didn't accept the message."""
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it was sent, refused, or skipped, or expired."""


class MailboxRecord(Base):
    """What a campaign must remember about a mailbox, even if it hasn't signed, without its address."""

    __tablename__ = "mailbox_record"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"), primary_key=True, autoincrement=False)
    mailbox: Mapped[str] = mapped_column(String(PSEUDONYM_LENGTH), primary_key=True, index=True)
    """The pseudonym of the mailbox."""
    code_tries: Mapped[int] = mapped_column(default=0)
    """How many codes somebody has entered for it."""
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When its owner asked us to send no more mail about the campaign; None if they didn't."""
    touched_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    """When the row last changed. Unless mail is stopped, it is deleted after `mailbox_records.KEPT`."""
