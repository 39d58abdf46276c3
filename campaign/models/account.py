"""The tables of accounts: how people sign in to the desk, and which campaigns they own."""

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.ext.mutable import MutableList
from sqlalchemy.orm import Mapped, mapped_column, relationship

from campaign.models.columns import NAME_LENGTH, UtcDateTime, words
from campaign.storage.database import Base
from campaign.text.email_address import EMAIL_LENGTH


class Role(StrEnum):
    """An account's role at the desk; permissions.py lists the rights of each."""

    ADMIN = "admin"
    ORGANIZER = "organizer"
    MODERATOR = "moderator"
    OBSERVER = "observer"


class Account(Base):
    """An account for signing in to the desk."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(EMAIL_LENGTH), unique=True)
    """In lowercase, as `invitations.normal` returns it."""
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), default="")
    """Empty until the invitation is accepted."""
    # The database keeps the British spelling from before the code became American.
    role: Mapped[Role] = mapped_column(words(Role, "role", stored={Role.ORGANIZER: "organiser"}))
    active: Mapped[bool] = mapped_column(default=True)
    """Whether the account may sign in."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    password: Mapped[str | None] = mapped_column(String(255))
    """An Argon2 hash; None until the invitation is accepted."""
    # Flask-Security sets the names of the following columns.
    fs_uniquifier: Mapped[str] = mapped_column(String(64), unique=True)
    """A random value; changing it invalidates every link and session of the account."""
    tf_primary_method: Mapped[str | None] = mapped_column(String(20))
    tf_totp_secret: Mapped[str | None] = mapped_column(String(255))
    """Encrypted with the site's SECRET_KEY."""
    totp_counter: Mapped[int | None]
    """The time step of the last code that was used, in periods of thirty seconds since 1970. Codes of that step and
    earlier ones are refused."""
    mf_recovery_codes: Mapped[list[str] | None] = mapped_column(MutableList.as_mutable(JSON(none_as_null=True)))
    """Argon2 hashes of the unused recovery codes, all with the same salt."""
    fs_webauthn_user_handle: Mapped[str | None] = mapped_column(String(64), unique=True)
    webauthn: Mapped[list["Passkey"]] = relationship(cascade="all, delete-orphan", enable_typechecks=False)


class Passkey(Base):
    """A passkey of an account, used as a second factor after the password. Flask-Security sets the names of columns."""

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
    """SHA-256 of the random token in the browser's cookie, in hexadecimal, so that a reader of the table can't sign in
    with it."""
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    browser: Mapped[str] = mapped_column(String(60))
    """For example "Firefox on Linux", so that people can tell their sessions apart."""
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the user last did something. The automatic requests of an open page don't count."""


class SignInFailures(Base):
    """The failed sign-ins of an account. One more row counts those of all email addresses without an account.

    sign_in_log.py updates the row, and reads until when second factors are blocked.
    """

    __tablename__ = "sign_in_failures"

    account_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """The account's id, or 0 for all email addresses without an account, so it can't be a foreign key."""
    passwords: Mapped[int] = mapped_column(default=0)
    """Wrong passwords since the last sign-in."""
    codes: Mapped[int] = mapped_column(default=0)
    """Wrong second factors since the last sign-in."""
    blocked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Until when second factors are refused."""
    hour: Mapped[int] = mapped_column(default=0)
    """The hour of the last failure, as a number of hours since 1970."""
    in_hour: Mapped[int] = mapped_column(default=0)
    """Failures in that hour."""
    lockout_hour: Mapped[int] = mapped_column(default=0)
    """The hour of the last lockout for too many wrong passwords in the audit log, as a number of hours since 1970."""
    unlocks: Mapped[int] = mapped_column(default=0)
    """How often the account was unlocked. Each unlocking resets the rate limits of passwords."""


class KnownNetwork(Base):
    """A network that an account has signed in from. Its users can still sign in while strangers guess a password."""

    __tablename__ = "known_network"
    __table_args__ = (Index(None, "network"),)

    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    network: Mapped[str] = mapped_column(String(32), primary_key=True)
    """A keyed hash (HMAC with SECRET_KEY) of the IPv4 address or IPv6 /64, from which the IP address can't be read."""
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CampaignOrganizer(Base):
    """An organizer's ownership of a campaign."""

    __tablename__ = "campaign_organiser"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
