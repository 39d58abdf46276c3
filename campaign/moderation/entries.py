"""Signatures as the organizers' table shows them. `table.py` finds them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from campaign.models.audit_log import Record
from campaign.models.signature import RELEASED, Signature, Standing, mailbox, standing
from campaign.moderation import mailboxes
from campaign.moderation.mailboxes import Attempts
from campaign.storage.database import is_one_of


@dataclass(frozen=True)
class Entry:
    """A signature as an organizer sees it."""

    id: int
    name: str
    country: str
    region: str
    city: str
    postal_code: str
    anonymous: bool
    source: str
    standing: Standing
    signed_at: datetime
    email: str | None
    """None unless email addresses were requested."""
    signed_again: bool
    """Whether the mailbox of this removed or withdrawn signature has signed again since. It can't be restored then."""
    attempts: Attempts | None
    """Attempts to sign with the mailbox; None unless it is blocked."""

    @property
    def place(self) -> str:
        """The signer's place, from the city to the country."""
        return _joined(self.city, self.region, self.postal_code, self.country)


def read(session: Session, campaign_id: int, ids: Sequence[int], *, with_addresses: bool) -> list[Entry]:
    """Return the signatures with these ids, in this order. Signatures that don't exist are left out."""
    shown = _WITH_ADDRESSES if with_addresses else _SHOWN
    rows = session.execute(shown.where(is_one_of(session, Signature.id, ids))).all()
    marks = _Marks(session, campaign_id, rows)
    by_id = {row.id: _entry(row, row.email if with_addresses else None, marks) for row in rows}
    return [by_id[id_] for id_ in ids if id_ in by_id]


_MAY_BE_PENDING = ("signature.addresses", "signature.correct")
"""The actions of audit log entries that can be about pending signatures. Only those are ever deleted."""


def names(session: Session, wanted: Sequence[tuple[Record, Collection[int]]]) -> list[dict[int, str]]:
    """Return for each audit log entry the names and places of some of its signatures, by id.

    A name and place are, for example, "Ada Lovelace, London, GB". Signatures that don't exist anymore, or whose name
    was erased, are left out.

    Args:
        session: The database.
        wanted: Each entry, and the ids of signatures that it is about.
    """
    s, ids = Signature, {id_ for _, of_entry in wanted for id_ in of_entry}
    columns: list[Any] = [s.id, s.name, s.city, s.region, s.country, s.campaign_id, s.signed_at]
    rows = {row.id: row for row in session.execute(select(*columns).where(is_one_of(session, s.id, ids))) if row.name}
    reuses_ids = session.get_bind().dialect.name == "sqlite"

    def is_meant(row: Row[Any], entry: Record) -> bool:
        """Return whether the entry is about this signature, and not about a deleted one that had its id.

        Once the signature with the highest id is deleted, SQLite gives this id to the next signature, of any campaign.
        That one was signed after the entry was written. Somebody may also have signed again while a signature was
        pending. Its row then has the later time, and no longer the data that the entry is about.
        """
        is_younger = reuses_ids and entry.action in _MAY_BE_PENDING and row.signed_at > entry.at
        return row.campaign_id == entry.campaign_id and not is_younger

    return [
        {
            id_: _joined(row.name, row.city, row.region, row.country)
            for id_ in of_entry
            if (row := rows.get(id_)) and is_meant(row, entry)
        }
        for entry, of_entry in wanted
    ]


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


# Composed once, not at each request.
_SHOWN: Select[*tuple[Any, ...]] = select(
    Signature.id,
    Signature.name,
    Signature.email_key,
    Signature.country,
    Signature.region,
    Signature.city,
    Signature.postal_code,
    Signature.anonymous,
    Signature.source,
    Signature.state,
    Signature.signed_at,
    Signature.listed_at,
)
_WITH_ADDRESSES = _SHOWN.add_columns(Signature.email)


class _Marks:
    """What the table says about the mailboxes of a page's removed, blocked, and withdrawn signatures."""

    def __init__(self, session: Session, campaign_id: int, rows: Sequence[Row[Any]]) -> None:
        released = {mailbox(row.email_key) for row in rows if RELEASED in row.email_key}
        blocked = {row.email_key for row in rows if _standing(row) is Standing.BLOCKED}
        self._signed_again = mailboxes.signed_again(session, campaign_id, released)
        self._attempts = mailboxes.attempts(session, campaign_id, blocked)

    def signed_again(self, email_key: str) -> bool:
        """Return whether the mailbox has released the signature with this `email_key`, and has signed again since."""
        return RELEASED in email_key and mailbox(email_key) in self._signed_again

    def attempts(self, email_key: str) -> Attempts | None:
        """Return the attempts to sign with the mailbox of this `email_key`, or None if it is not blocked."""
        return self._attempts.get(email_key)


def _standing(row: Row[Any]) -> Standing:
    return standing(row.state, row.listed_at, row.email_key)


def _entry(row: Row[Any], email: str | None, marks: _Marks) -> Entry:
    return Entry(
        id=row.id,
        name=row.name,
        country=row.country,
        region=row.region,
        city=row.city,
        postal_code=row.postal_code,
        anonymous=row.anonymous,
        source=row.source,
        standing=_standing(row),
        signed_at=row.signed_at,
        email=email,
        signed_again=marks.signed_again(row.email_key),
        attempts=marks.attempts(row.email_key),
    )
