"""The tables of signatures and their counts, and the parts of a signature that are public."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    Text,
    TextClause,
    UniqueConstraint,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from campaign.models.columns import (
    BIG_ID,
    LANGUAGE_LENGTH,
    NAME_LENGTH,
    PLACE_LENGTH,
    POSTAL_CODE_LENGTH,
    SOURCE_LENGTH,
    UtcDateTime,
    words,
)
from campaign.storage.database import Base
from campaign.text.email_address import EMAIL_LENGTH


class SignatureState(StrEnum):
    """A signature's state. Only public signatures are counted."""

    PENDING = "pending"
    """Not confirmed yet. After `confirming.LIFETIME`, it is deleted."""
    PUBLIC = "public"
    WITHDRAWN = "withdrawn"
    """Withdrawn by the signatory. Nothing is left of it but the campaign and the time of the withdrawal."""
    REMOVED = "removed"
    """Removed by an organizer."""


class Standing(StrEnum):
    """A signature's state as organizers see it: whether it is publicly listed, and whether it is counted."""

    LISTED = "listed"
    HIDDEN = "hidden"
    """Counted, but not listed."""
    REMOVED = "removed"
    """Neither counted nor listed. The mailbox can sign again."""
    BLOCKED = "blocked"
    """Removed, and further signatures from the mailbox aren't accepted."""
    PENDING = "pending"
    WITHDRAWN = "withdrawn"


# These are SQL text, because databases use a partial index only if the query repeats its condition literally. Each is a
# single condition ("… IS TRUE"), so that the planner doesn't prefer another index for a part of it.
IS_HIDDEN = text("(state = 'public' AND listed_at IS NULL) IS TRUE")
IS_REMOVED = text("(state = 'removed') IS TRUE")
IS_PENDING = text("(state = 'pending') IS TRUE")
IS_WITHDRAWN = text("(state = 'withdrawn') IS TRUE")
IS_ANONYMOUS = text("anonymous IS TRUE")
HAS_SOURCE = text("(source <> '') IS TRUE")


def _partly(name: str, condition: TextClause, *columns: str) -> Index:
    """Return a partial index, which costs nothing for signatures that don't meet its condition."""
    return Index(f"ix_signature_{name}", *columns, sqlite_where=condition, postgresql_where=condition)


RELEASED = " "
"""Separates the mailbox from the signature's id in the `email_key` of a signature that has released its mailbox."""


class Signature(Base):
    """The signature of one mailbox for one campaign.

    Of all signatures from a mailbox, only one claims the mailbox, and only that one can count. A signature that was
    removed or withdrawn releases its mailbox, so that its owner can sign: its `email_key` then ends with a space, which
    no email address contains, and its own id. So the unique constraint lets another signature claim the mailbox.

    A signature has no IP address and no user agent: we can't lose what we don't have.
    """

    __tablename__ = "signature"
    __table_args__ = (
        UniqueConstraint("campaign_id", "email_key"),
        # Serves the feed and every page of the list, newest first, by key.
        Index(None, "campaign_id", "listed_at", "id"),
        # Serves the organizers' table and statistics, which include signatures that are not on the list.
        Index(None, "campaign_id", "signed_at", "id"),
        # Serve the filters of the organizers' table, in the table's order.
        Index(None, "campaign_id", "country", "signed_at", "id"),
        _partly("source", HAS_SOURCE, "campaign_id", "source", "signed_at", "id"),
        _partly("anonymous", IS_ANONYMOUS, "campaign_id", "signed_at", "id"),
        _partly("hidden", IS_HIDDEN, "campaign_id", "signed_at", "id"),
        _partly("removed", IS_REMOVED, "campaign_id", "signed_at", "id"),
        _partly("pending", IS_PENDING, "campaign_id", "signed_at", "id"),
        _partly("withdrawn", IS_WITHDRAWN, "campaign_id", "signed_at", "id"),
        # Finds the removed signatures of a mailbox (`removed_ones`).
        Index(
            "ix_signature_released",
            "campaign_id",
            "email_key",
            sqlite_where=IS_REMOVED,
            postgresql_where=IS_REMOVED,
            postgresql_ops={"email_key": "text_pattern_ops"},
        ),
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    email: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    """The email address to send mail to, as `email_address.deliverable` returns it. Earlier versions stored it as
    typed."""
    email_key: Mapped[str] = mapped_column(Text)
    """The canonical email address from `signing.email_key`, which identifies a mailbox; followed by RELEASED and the id
    if the signature has released it. It can be longer than the email address, because of normalization."""
    country: Mapped[str] = mapped_column(String(2))
    """ISO 3166-1 alpha-2."""
    region: Mapped[str] = mapped_column(String(PLACE_LENGTH))
    city: Mapped[str] = mapped_column(String(PLACE_LENGTH))
    postal_code: Mapped[str] = mapped_column(String(POSTAL_CODE_LENGTH))
    anonymous: Mapped[bool]
    wants_updates: Mapped[bool]
    source: Mapped[str] = mapped_column(String(SOURCE_LENGTH), default="")
    """The `?ref=` word of the link that led to the campaign. It must not identify a person."""
    language: Mapped[str] = mapped_column(String(LANGUAGE_LENGTH), default="")
    """The language in which the signer read the letter, as a BCP 47 tag. Empty for signatures of earlier versions, when
    campaigns had only one language."""
    state: Mapped[SignatureState] = mapped_column(words(SignatureState, "state"))
    signed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """For a withdrawn signature, when it was withdrawn."""
    listed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the signature was added to the public list, by signing or confirming; None while it is not listed."""


SEARCH_INDEX = "signature_search"
"""Prefix of the names of the search index and its parts. Only migrations define it; search.py queries it, and
indexing.py keeps it current on SQLite."""
SCRATCH = "scratch_signature"
"""The table that equal_work.py writes to. Only migrations 0006 and 0008 define it, because it exists for its cost."""


def described_here(name: str | None, _kind: str, _parents: object) -> bool:
    """Return whether the models define this table or index of the database; for Alembic's `include_name`."""
    return not (name or "").startswith((SEARCH_INDEX, SCRATCH, f"ix_{SCRATCH}"))


class Tally(Base):
    """A part of a campaign's sharded count; tally.py explains why there are several."""

    __tablename__ = "tally"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(BigInteger)


def mailbox(email_key: str) -> str:
    """Return the canonical email address in a signature's `email_key`, whether or not it claims the mailbox."""
    return email_key.partition(RELEASED)[0]


_RELEASED_BY = {
    "sqlite": text("email_key > :start AND email_key < :end"),
    # As bytes, like SQLite and the index: the database's locale may sort them in another order.
    "postgresql": text("email_key ~>~ :start AND email_key ~<~ :end"),
}


def removed_ones(session: Session, campaign_id: int, email_key: str) -> Sequence[int]:
    """Return the ids of a campaign's removed signatures from a mailbox that have released it, oldest first."""
    condition = _RELEASED_BY[session.get_bind().dialect.name]
    removed = select(Signature.id).where(Signature.campaign_id == campaign_id, condition, IS_REMOVED)
    # Only ids follow RELEASED, so all keys of the mailbox are below the one that ends with the next character.
    keys = {"start": email_key + RELEASED, "end": email_key + chr(ord(RELEASED) + 1)}
    return session.scalars(removed.order_by(Signature.id), keys).all()


def standing(state: SignatureState, listed_at: datetime | None, email_key: str = RELEASED) -> Standing:
    """Return a signature's state as organizers see it. Without its `email_key`, a blocked one is only removed."""
    if state is SignatureState.PUBLIC:
        return Standing.LISTED if listed_at else Standing.HIDDEN
    if state is SignatureState.REMOVED and RELEASED not in email_key:
        return Standing.BLOCKED
    return Standing(state.value)


def display_name(name: str, anonymous: bool) -> str | None:
    """Return a signatory's public name; None if they are anonymous."""
    return None if anonymous else name


def display_place(city: str, region: str, country: str, anonymous: bool) -> str:
    """Return a signatory's public place: "Los Angeles, California, US", "Paris, FR", or only the country."""
    return country if anonymous else ", ".join(part for part in (city, region, country) if part)
