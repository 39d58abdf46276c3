"""The public site's tables, their constraints, and what the public is shown of a signatory.

Rules about petitions are in campaigns.py and signing.py; counting is in tally.py. The organisers' desk has its own
tables in desk_models.py.
"""

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    TextClause,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from campaign.extensions import Base

NAME_LENGTH = 100
EMAIL_LENGTH = 254
"""The longest address that SMTP can carry (RFC 3696, erratum 1690)."""
PLACE_LENGTH = 100
POSTAL_CODE_LENGTH = 20
SOURCE_LENGTH = 30


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time: aware and UTC in Python, also where the database keeps no zone (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC.

        Raises:
            ValueError: the time has no zone, so nobody can say when it is.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone can't be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give it back aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class CampaignState(StrEnum):
    """What an organiser has made of a campaign; what the clock adds is `campaigns.Stage`."""

    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"
    WON = "won"


class SignatureState(StrEnum):
    """Pending: not confirmed yet. Public: counted. Withdrawn by the signatory, removed by an organiser: not counted."""

    PENDING = "pending"
    PUBLIC = "public"
    WITHDRAWN = "withdrawn"
    REMOVED = "removed"


class Standing(StrEnum):
    """What an organiser sees of a signature's state: whether it is listed for the public, and counted."""

    LISTED = "listed"
    HIDDEN = "hidden"
    """Counted, and not listed."""
    REMOVED = "removed"
    PENDING = "pending"
    WITHDRAWN = "withdrawn"


# As words of SQL, for the databases use a partial index only where a query has the very words of its condition. Each is
# one condition, so that no other index looks better for a part of it.
IS_HIDDEN = text("(state = 'public' AND listed_at IS NULL) IS TRUE")
IS_REMOVED = text("(state = 'removed') IS TRUE")
IS_ANONYMOUS = text("anonymous IS TRUE")
HAS_SOURCE = text("(source <> '') IS TRUE")


def words(kind: type[StrEnum], name: str) -> Enum:
    """The column type for one of a kind's words."""
    # Words with a check constraint, not a database type: the same on SQLite and PostgreSQL, and readable in both.
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=10,
        values_callable=lambda members: [member.value for member in members],
    )


BIG_ID = BigInteger().with_variant(Integer, "sqlite")


class Campaign(Base):
    """One petition: its letter, its words around the letter, and its state."""

    __tablename__ = "campaign"
    __table_args__ = (CheckConstraint("goal > 0", name="goal"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    category: Mapped[str] = mapped_column(String(60))
    summary: Mapped[str] = mapped_column(Text)
    addressees: Mapped[str] = mapped_column(Text)
    """Whom the letter is to, one a line."""
    letter: Mapped[str] = mapped_column(Text)
    """Markdown."""
    thanks: Mapped[str] = mapped_column(Text)
    share_text: Mapped[str] = mapped_column(Text)
    donate_url: Mapped[str] = mapped_column(Text)
    """Empty where nothing is asked for."""
    donate_text: Mapped[str] = mapped_column(Text)
    goal: Mapped[int]
    """Signatures hoped for, as first set; the goal shown moves on when it is reached (`campaigns.progress`)."""
    goal_step: Mapped[int] = mapped_column(default=0)
    """By how many signatures it moves on; 0 to the next round number."""
    language: Mapped[str] = mapped_column(String(20))
    """BCP 47 tag, such as en or pt-BR."""
    state: Mapped[CampaignState] = mapped_column(words(CampaignState, "state"))
    opens_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closes_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    time_zone: Mapped[str] = mapped_column(String(64), default="UTC")
    """IANA name of the zone in which these times are shown and set, such as Europe/Berlin."""
    picture: Mapped[str] = mapped_column(String(64), default="")
    """Digest of its picture (`Picture`); empty where it has none."""
    picture_text: Mapped[str] = mapped_column(String(300), default="")
    """What the picture shows, for those who don't see it."""
    deliver_anonymous: Mapped[bool] = mapped_column(default=False)
    """Whether those the letter is addressed to get the names and cities of anonymous signers too; the form says so."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(default=1)
    """Counts its changes, so that two editors find out about each other."""
    letter_changes: Mapped[list["LetterChange"]] = relationship(
        order_by="LetterChange.id.desc()", lazy="raise", viewonly=True
    )
    """Newest first; there only where they were asked for (`campaigns.find_by_any_slug`)."""


class FormerSlug(Base):
    """A slug that a campaign had; its addresses go on working."""

    __tablename__ = "former_slug"

    slug: Mapped[str] = mapped_column(String(80), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))


class LetterChange(Base):
    """A change of the letter after somebody had signed it, which the public is told of."""

    __tablename__ = "letter_change"
    __table_args__ = (Index(None, "campaign_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(Text)
    """Why, in the organiser's words, for the public."""
    before: Mapped[str] = mapped_column(Text)
    """What was signed until then: `campaigns.words_signed`."""
    after: Mapped[str] = mapped_column(Text)


class Picture(Base):
    """A campaign's picture, made small; in the database, so that every machine has it and a backup too."""

    __tablename__ = "picture"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of `data`, hexadecimal."""
    data: Mapped[bytes] = mapped_column(LargeBinary)
    """A JPEG."""
    width: Mapped[int]
    """Pixels."""
    height: Mapped[int]
    """Pixels."""


def _partly(name: str, condition: TextClause, *columns: str) -> Index:
    """An index of those signatures alone that the condition is true of; others pay nothing for it."""
    return Index(f"ix_signature_{name}", *columns, sqlite_where=condition, postgresql_where=condition)


class Signature(Base):
    """One mailbox under one campaign. No IP address, no user agent: we can't lose what we don't have."""

    __tablename__ = "signature"
    __table_args__ = (
        UniqueConstraint("campaign_id", "email_key"),
        # Serves the feed and every page of the list, newest first, by key.
        Index(None, "campaign_id", "listed_at", "id"),
        # Serves the organisers' table and figures, which show those too that are not on the list.
        Index(None, "campaign_id", "signed_at", "id"),
        # Serve the filters of the organisers' table, each in its order.
        Index(None, "campaign_id", "country", "signed_at", "id"),
        _partly("source", HAS_SOURCE, "campaign_id", "source", "signed_at", "id"),
        _partly("anonymous", IS_ANONYMOUS, "campaign_id", "signed_at", "id"),
        _partly("hidden", IS_HIDDEN, "campaign_id", "signed_at", "id"),
        _partly("removed", IS_REMOVED, "campaign_id", "signed_at", "id"),
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    email: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    """As typed, to write to."""
    email_key: Mapped[str] = mapped_column(Text)
    """As `signing.email_key` makes it, to tell mailboxes apart; normalising can make it longer than the address."""
    country: Mapped[str] = mapped_column(String(2))
    """ISO 3166-1 alpha-2."""
    region: Mapped[str] = mapped_column(String(PLACE_LENGTH))
    city: Mapped[str] = mapped_column(String(PLACE_LENGTH))
    postal_code: Mapped[str] = mapped_column(String(POSTAL_CODE_LENGTH))
    anonymous: Mapped[bool]
    wants_updates: Mapped[bool]
    source: Mapped[str] = mapped_column(String(SOURCE_LENGTH), default="")
    """The word that the link they came by had as `?ref=`; never anything that tells one person from another."""
    state: Mapped[SignatureState] = mapped_column(words(SignatureState, "state"))
    signed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    listed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it came onto the public list; empty while it is not on it."""


SEARCH_INDEX = "signature_search"
"""What the search index and its parts are named after. Only migration 0003 describes it; search.py asks it."""


def described_here(name: str | None, _kind: str, _parents: object) -> bool:
    """Whether a table or index of the database is one that the models describe; for Alembic (`include_name`)."""
    return not (name or "").startswith(SEARCH_INDEX)


class Tally(Base):
    """A part of a campaign's count; tally.py says why there are several."""

    __tablename__ = "tally"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(BigInteger)


def standing(state: SignatureState, listed_at: datetime | None) -> Standing:
    """What an organiser sees of a signature's state."""
    if state is SignatureState.PUBLIC:
        return Standing.LISTED if listed_at else Standing.HIDDEN
    return Standing(state.value)


def display_name(name: str, anonymous: bool) -> str:
    """What the public sees of a signatory's name."""
    return "Anonymous" if anonymous else name


def display_place(city: str, region: str, country: str, anonymous: bool) -> str:
    """What the public sees of a signatory's place: "Los Angeles, California, US", "Paris, FR", or the country alone."""
    return country if anonymous else ", ".join(part for part in (city, region, country) if part)
