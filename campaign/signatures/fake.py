"""Fake signatures for development and benchmarks (`flask signatures fake`)."""

import random
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import select

from campaign.models.campaign import Campaign
from campaign.models.signature import SignatureState
from campaign.signatures import tally
from campaign.signatures.signing import insert_unless_signed
from campaign.storage.transactions import write_transaction

_SOURCES = ("", "", "", "mail", "mail", "bluesky", "mastodon", "facebook", "whatsapp")

BATCH = 5000
"""Signatures per transaction: enough to write fast, few enough that real signers don't wait long."""

_FIRST = ("Ada", "Amina", "Ben", "Chidi", "Diego", "Elif", "Farid", "Hana", "Kofi", "Lena", "Noor", "Priya")
_LAST = ("Bauer", "Cohen", "Evans", "Fofana", "Garcia", "Haddad", "Ito", "Khan", "Moreau", "Nguyen", "Okafor", "Park")
_PLACES = [
    ("US", "Los Angeles", "California", "90012"),
    ("US", "Chicago", "Illinois", "60601"),
    ("US", "Austin", "Texas", "78701"),
    ("US", "New York", "New York", "10001"),
    ("US", "", "", ""),
    ("CA", "Toronto", "Ontario", "M5H 2N2"),
    ("GB", "Leeds", "", "LS1 1UR"),
    ("DE", "Köln", "", "50667"),
    ("FR", "Paris", "", "75001"),
    ("IN", "Pune", "Maharashtra", "411001"),
    ("BR", "Recife", "PE", "50010-000"),
]


def sign(campaign_id: int, number: int, now: datetime) -> Iterator[int]:
    """Add `number` fake signatures to the campaign, spread over the week before `now`, oldest first.

    Their language is the campaign's main language.

    Yields:
        The number of signatures in each stored batch.

    Raises:
        STORAGE_ERRORS: A batch could not be stored. Earlier batches stay stored.
    """
    # Each run needs new mailboxes, because a mailbox can sign only once.
    run = secrets.token_hex(4)
    step = timedelta(days=7) / max(number, 1)
    for start in range(0, number, BATCH):
        batch = range(start, min(start + BATCH, number))
        with write_transaction() as session:
            connection = session.connection()
            language = session.scalars(select(Campaign.language).where(Campaign.id == campaign_id)).one()
            connection.execute(
                insert_unless_signed(connection.dialect.name),
                [signature(campaign_id, f"{run}-{n}", now - step * (number - n), language) for n in batch],
            )
            tally.add(connection, campaign_id, len(batch))
        yield len(batch)


def signature(campaign_id: int, key: str, signed_at: datetime, language: str = "") -> dict[str, object]:
    """Return a row for the signature table, with an email address made from `key`.

    Without a `language`, the row is like that of an earlier version, when campaigns had only one.
    """
    country, city, region, postal_code = random.choice(_PLACES)  # noqa: S311 (not used for security)
    email = f"fake-{key}@example.org"
    source = random.choice(_SOURCES)  # noqa: S311
    return {
        "campaign_id": campaign_id,
        "name": f"{random.choice(_FIRST)} {random.choice(_LAST)}",  # noqa: S311
        "email": email,
        "email_key": email,
        "country": country,
        "region": region,
        "city": city,
        "postal_code": postal_code,
        "anonymous": random.random() < 0.1,  # noqa: S311
        "wants_updates": random.random() < 0.3,  # noqa: S311
        "source": source,
        "language": language,
        "state": SignatureState.PUBLIC,
        "signed_at": signed_at,
        "listed_at": signed_at,
    }
