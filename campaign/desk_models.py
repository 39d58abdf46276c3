"""The tables of the organisers' desk: accounts and how they sign in, what they did, and what they have made for them.

accounts.py has the rules about accounts, access.py says who may do what, record.py writes the record, exports.py makes
exports.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.ext.mutable import MutableList
from sqlalchemy.orm import Mapped, mapped_column, relationship

from campaign.extensions import Base
from campaign.models import BIG_ID, EMAIL_LENGTH, NAME_LENGTH, UtcDateTime, words


class Role(StrEnum):
    """What somebody is at the desk; access.py says what each may do."""

    ADMIN = "admin"
    ORGANISER = "organiser"
    MODERATOR = "moderator"
    OBSERVER = "observer"


class Account(Base):
    """Somebody who may sign in at the desk."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(EMAIL_LENGTH), unique=True)
    """In small letters, as `accounts.normal` makes it."""
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), default="")
    """Empty until the invitation is accepted."""
    role: Mapped[Role] = mapped_column(words(Role, "role"))
    active: Mapped[bool] = mapped_column(default=True)
    """Whether they may sign in."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    password: Mapped[str | None] = mapped_column(String(255))
    """An argon2 hash; none until the invitation is accepted."""
    # The names of what follows are Flask-Security's.
    fs_uniquifier: Mapped[str] = mapped_column(String(64), unique=True)
    """Random; a new one makes every link and session of the account stale."""
    tf_primary_method: Mapped[str | None] = mapped_column(String(20))
    tf_totp_secret: Mapped[str | None] = mapped_column(String(255))
    """Encrypted with the site's SECRET_KEY."""
    totp_counter: Mapped[int | None]
    """The thirty seconds whose code was used last, counted from 1970; it and what was before are not taken again."""
    mf_recovery_codes: Mapped[list[str] | None] = mapped_column(MutableList.as_mutable(JSON(none_as_null=True)))
    """Encrypted with the site's SECRET_KEY."""
    fs_webauthn_user_handle: Mapped[str | None] = mapped_column(String(64), unique=True)
    webauthn: Mapped[list["Passkey"]] = relationship(cascade="all, delete-orphan", enable_typechecks=False)


class Passkey(Base):
    """A passkey with which an account can sign in, after its password; fields as Flask-Security names them."""

    __tablename__ = "passkey"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(String(64))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(1024), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(default=0)
    transports: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    backup_state: Mapped[bool]
    device_type: Mapped[str] = mapped_column(String(64))
    extensions: Mapped[str | None] = mapped_column(Text)
    usage: Mapped[str] = mapped_column(String(64))
    create_datetime: Mapped[datetime] = mapped_column(UtcDateTime, default=lambda: datetime.now(UTC))
    lastuse_datetime: Mapped[datetime] = mapped_column(UtcDateTime)


class DeskSession(Base):
    """A browser in which an account is signed in."""

    __tablename__ = "desk_session"
    __table_args__ = (Index(None, "account_id"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the random word in the browser's cookie, hexadecimal: who reads the table can't sign in with it."""
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    browser: Mapped[str] = mapped_column(String(60))
    """Such as Firefox on Linux, to tell one's sessions apart."""
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When its person last did something; an open page that asks for news by itself is not counted."""


class CampaignOrganiser(Base):
    """Whose campaign it is: an organiser's own ones are those with a row here."""

    __tablename__ = "campaign_organiser"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)


class Record(Base):
    """One change that somebody made; rows are added and never changed, which the database sees to (migration 0002)."""

    __tablename__ = "record"
    __table_args__ = (Index(None, "campaign_id", "id"),)

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    """Empty where it was a command."""
    actor: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    """The account's address as it was then, or `command`."""
    action: Mapped[str] = mapped_column(String(40))
    """A kind of thing and what was done to it, such as `campaign.publish`."""
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaign.id"))
    reason: Mapped[str] = mapped_column(Text, default="")
    before: Mapped[dict[str, Any]] = mapped_column(JSON)
    after: Mapped[dict[str, Any]] = mapped_column(JSON)


class ExportState(StrEnum):
    """Where an export stands."""

    WAITING = "waiting"
    MAKING = "making"
    READY = "ready"
    FAILED = "failed"


class Export(Base):
    """A file of signatures that somebody has asked for."""

    __tablename__ = "export"
    __table_args__ = (Index(None, "campaign_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    kind: Mapped[str] = mapped_column(String(10))
    """csv, xlsx or pdf."""
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What was asked for, such as the columns."""
    state: Mapped[ExportState] = mapped_column(words(ExportState, "state"))
    done: Mapped[int] = mapped_column(default=0)
    """Signatures that are in it."""
    total: Mapped[int] = mapped_column(default=0)
    """Signatures that will be in it."""
    bytes: Mapped[int] = mapped_column(BIG_ID, default=0)
    """How long the file is, once it is ready."""
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    touched_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When its maker last gave a sign of life."""
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the file is deleted."""
    spelled_out: Mapped[int] = mapped_column(default=0)
    """Signatories in a book who have characters that no font of the machine has; it gives the numbers of these."""
    fault: Mapped[str] = mapped_column(Text, default="")
    """Why it failed, in a sentence for who asked."""


class ExportChunk(Base):
    """A part of an export's file; in the database, so that it can be fetched from every machine."""

    __tablename__ = "export_chunk"

    export_id: Mapped[int] = mapped_column(ForeignKey("export.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)
