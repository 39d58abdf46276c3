"""Column types and lengths that several tables share."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    Integer,
    TypeDecorator,
)

NAME_LENGTH = 100
PLACE_LENGTH = 100
POSTAL_CODE_LENGTH = 20
SOURCE_LENGTH = 30
PSEUDONYM_LENGTH = 32
LANGUAGE_LENGTH = 20
"""The most characters of a language tag (BCP 47)."""


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, as an aware UTC datetime, even if the database stores no time zone (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a time to UTC.

        Raises:
            ValueError: The time has no time zone, so it is ambiguous.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone can't be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return an aware datetime in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def words(kind: type[StrEnum], name: str, stored: Mapping[StrEnum, str] = MappingProxyType({})) -> Enum:
    """Return the column type for an enumeration; `stored` maps members to the words in the database that differ."""
    # Words with a check constraint, not a database enum: they are the same and readable on SQLite and PostgreSQL.
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=10,
        values_callable=lambda members: [stored.get(member, member.value) for member in members],
    )


BIG_ID = BigInteger().with_variant(Integer, "sqlite")
