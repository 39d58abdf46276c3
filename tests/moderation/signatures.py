"""Signatures for tests of moderation, and the table as tests read it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from campaign.models.campaign import Campaign
from campaign.models.signature import Signature
from campaign.moderation import indexing
from campaign.moderation import table as signature_table
from campaign.moderation.table import Filter, Page
from campaign.signatures import fake, tally
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)


def put(campaign: Campaign, *people: dict[str, Any]) -> list[int]:
    """Store these signatures, one minute apart, and return their ids."""
    ids = []
    with write_transaction() as session:
        for number, person in enumerate(people):
            plain = fake.signature(campaign.id, f"{number}-{len(people)}", NOW + timedelta(minutes=number))
            plain |= {"name": "No One", "country": "US", "city": "", "region": "", "postal_code": "", "source": ""}
            plain |= {"anonymous": False} | person
            plain["email_key"] = plain["email"]
            ids.append(session.scalar(insert(Signature).values(plain).returning(Signature.id)) or 0)
        tally.repair(session, campaign.id, tally.check(session, campaign.id))
    return ids


def look(campaign: Campaign, before: str | None = None, size: int = 50, **wanted: Any) -> Page:
    """Return a page of the table with this filter, and check that indexing does not change it."""
    db.session.rollback()
    unindexed = signature_table.page(db.session(), campaign.id, Filter(**wanted), before, size=size)
    index_all()
    indexed = signature_table.page(db.session(), campaign.id, Filter(**wanted), before, size=size)
    assert unindexed == indexed
    return indexed


def index_all() -> None:
    """Index all signatures, as the worker does."""
    while indexing.index_piece() < indexing.LOOK_AGAIN:
        pass


def found(campaign: Campaign, **wanted: Any) -> list[str]:
    """Return the names of all matching signatures, read in small pages."""
    names, before = [], None
    while True:
        page = look(campaign, before, 2, **wanted)
        names += [entry.name for entry in page.entries]
        before = page.next
        if before is None:
            return names


EVERYONE = [
    "प्रिया शर्मा",
    "Removed Rita",
    "Hidden Hugo",
    "Иван Петров",
    "Adam O’Neill",
    "Zoë Müller-Lüdenscheidt",
    "Ada Lovelace",
]
