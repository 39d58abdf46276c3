"""Pictures in the database, where every machine and every backup has them.

editing.py stores the picture of a campaign, the desk stores uploads, and site/views.py serves pictures.
"""

import time
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import case, delete, null, select
from sqlalchemy.orm import Session

from campaign.campaigns.pictures.preparing import Prepared
from campaign.models.campaign import Campaign, Picture
from campaign.storage import replica
from campaign.storage.database import insert_into

UNSAVED_LIFETIME = timedelta(days=1)
"""How long an uploaded picture is kept if its form isn't saved: long enough to return to the form the next day."""
DELETE_BATCH = 10
"""The most pictures deleted in one transaction: 2 MB, so that signers wait less than a tenth of a second."""


def store(session: Session, picture: Prepared, until: datetime | None = None) -> None:
    """Store a picture `until` a time, or permanently if a campaign uses it, in the caller's write transaction.

    A picture that is stored permanently stays so, because a campaign uses it, or has used it. Only `release` ends that.
    """
    row = {"digest": picture.digest, "data": picture.data, "width": picture.width, "height": picture.height}
    insert = insert_into(session.get_bind().dialect.name, Picture)
    later = case((Picture.expires_at.is_(None), null()), else_=insert.excluded.expires_at)
    insert = insert.on_conflict_do_update(index_elements=["digest"], set_={"expires_at": later})
    session.execute(insert, row | {"expires_at": until})


def release(session: Session, campaign: Campaign, until: datetime) -> None:
    """Let the picture of a campaign that is about to be deleted expire, in the caller's write transaction.

    It stays if another campaign has it. Until it expires, a form that is still open can save it with a new draft.
    """
    # Lock the picture before looking for other campaigns: an editor may be saving one with the same picture right now.
    locked = select(Picture).where(Picture.digest == campaign.picture).with_for_update()
    picture = session.scalars(locked.execution_options(populate_existing=True)).one_or_none()
    shared = select(Campaign.id).where(Campaign.picture == campaign.picture, Campaign.id != campaign.id).limit(1)
    if picture and session.scalar(shared) is None:
        picture.expires_at = until


def delete_expired(session: Session, now: datetime) -> int:
    """Delete expired uploads that no campaign uses, at most DELETE_BATCH, in the caller's write transaction.

    Returns:
        The number deleted. Fewer than DELETE_BATCH means that none is left.
    """
    expired = select(Picture.digest).where(Picture.expires_at <= now).order_by(Picture.expires_at).limit(DELETE_BATCH)
    # The DELETE checks the expiry again, because an editor may have saved a campaign with the picture in the meantime.
    digests = session.scalars(expired).all()
    deleted = session.execute(delete(Picture).where(Picture.digest.in_(digests), Picture.expires_at <= now))
    return int(deleted.rowcount)  # type: ignore[attr-defined]


def find(session: Session, digest: str) -> Prepared | None:
    """Return the picture with this digest, or None."""
    # PostgreSQL rejects NUL characters.
    row = session.get(Picture, digest) if digest.isalnum() else None
    return Prepared(row.data, row.width, row.height) if row else None


def read(digest: str) -> Prepared:
    """Return the picture with this digest for the public, from the replica if there is one.

    The last 32 pictures are cached, which takes six megabytes at most. A deleted picture is cached for another hour at
    most.

    Raises:
        LookupError: There is no such picture.
    """
    return _read(digest, hour())


def hour() -> int:
    """Return the number of the current hour of this process's clock."""
    return int(time.monotonic() // 3600)


@lru_cache(maxsize=32)
def _read(digest: str, _hour: int) -> Prepared:
    picture = replica.read(lambda session: find(session, digest))
    if picture is None:
        raise LookupError(digest)
    return picture
