"""Deletes files that are no longer needed: the background worker does it, and `flask signatures forget-exports`."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from campaign.campaigns.pictures import storage as pictures
from campaign.deliveries import exports


@dataclass(frozen=True)
class Deleted:
    """What `delete_piece` has deleted."""

    exports: int
    pictures: int
    has_more: bool
    """Whether there may be more to delete."""


def delete_piece(session: Session, now: datetime) -> Deleted:
    """Delete some expired exports and pictures that were never saved, in the caller's write transaction.

    Signers wait for the transaction. So call this again, in another one, until nothing is left.
    """
    has_more = exports.delete_unneeded_chunks(session, now)
    deleted = pictures.delete_expired(session, now)
    has_more = has_more or deleted == pictures.DELETE_BATCH
    return Deleted(exports.delete_expired(session, now), deleted, has_more)
