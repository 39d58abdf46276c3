"""The tables of rolled-up statistics: how many signatures of a campaign count, by time, place, source, and language.

`statistics/roll_ups.py` keeps them current.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from campaign.models.columns import BIG_ID, PLACE_LENGTH, UtcDateTime, words
from campaign.storage.database import Base


class RollUp(Base):
    """How far the statistics of all campaigns have been rolled up. There is at most one row."""

    __tablename__ = "roll_up"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BIG_ID)
    """All signatures up to this id are included, and no others."""
    as_of: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The time up to which all signatures are included. None while nothing is included."""
    repairs: Mapped[int]
    """How often `flask campaigns check --repair` has changed a count, so that two commands don't repair the same."""


class _Bucket:
    """The number of signatures in a span of time whose length is the same for all rows of the table."""

    @declared_attr
    def campaign_id(cls) -> Mapped[int]:  # noqa: N805 (SQLAlchemy passes the class)
        return mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True, sort_order=-1)

    bucket: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """When the span begins: how many spans of this length have passed since 1970, in UTC."""
    count: Mapped[int] = mapped_column(BigInteger)


class MinuteCount(_Bucket, Base):
    """Signatures by minute. Only those of about a day are kept."""

    __tablename__ = "roll_up_minute"
    __table_args__ = (Index(None, "bucket"), {"sqlite_with_rowid": False})


class QuarterCount(_Bucket, Base):
    """Signatures by quarter of an hour. In every time zone, hours and days consist of these."""

    __tablename__ = "roll_up_quarter"
    __table_args__ = ({"sqlite_with_rowid": False},)


class Kind(StrEnum):
    """What a count groups signatures by."""

    COUNTRY = "country"
    """By ISO 3166-1 alpha-2 code."""
    STATE = "state"
    """By US state; empty for signers in the US with an unknown state."""
    SOURCE = "source"
    """By source; empty for links without one. There may be as many sources as signers."""
    LANGUAGE = "language"
    """By the language in which signers read the letter; empty for signatures of earlier versions."""


IS_COMMON = text("(kind = 'source' AND count >= 5) IS TRUE")
"""The condition of an index, which a query must repeat literally: a source with enough signers to be shown
(`sources.FEWEST_SIGNERS`)."""


class GroupCount(Base):
    """The number of signatures that have a country, state, source, or language in common."""

    __tablename__ = "roll_up_group"
    __table_args__ = (
        # Finds the sources with the most signatures without reading the others.
        Index(
            "ix_roll_up_group_common",
            "campaign_id",
            "count",
            "name",
            sqlite_where=IS_COMMON,
            postgresql_where=IS_COMMON,
        ),
        {"sqlite_with_rowid": False},
    )

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[Kind] = mapped_column(words(Kind, "kind"), primary_key=True)
    name: Mapped[str] = mapped_column(String(PLACE_LENGTH), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
