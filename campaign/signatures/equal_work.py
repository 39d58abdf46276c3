"""Protection against a timing attack: storing a duplicate signature costs as much as storing a new one.

A new signature changes a page of its table, of each index, and of the tally. A duplicate would change none, and SQLite
would not even write to the disk. The response time would then reveal who has signed. So for every duplicate, a scratch
row is rewritten in a table with as many indexes as the signature table (created in migration 0006). Scratch rows hold
only numbers and times, no signer's data.

An organizer can block a mailbox, and then wants to know whether it tries to sign again. Each blocked mailbox has a
scratch row of its own, which counts its attempts. An attempt rewrites that row instead of another one, so it costs the
same as any other duplicate. moderation/mailboxes.py creates, reads, and deletes these rows.
"""

import json
import random
from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import Connection, Integer, String, Text, TextClause, column, table, text

from campaign.models.columns import BIG_ID, UtcDateTime
from campaign.models.signature import SCRATCH
from campaign.settings import THREADS

SLOTS = THREADS
"""Number of scratch rows: one for each thread, because each can add a duplicate to a batch. A statement can write each
row only once. These rows have the slots from 0; those of blocked mailboxes have negative slots."""

scratch = table(
    SCRATCH,
    column("slot", BIG_ID),
    column("campaign_id", Integer),
    column("email_key", Text),
    column("country", String),
    column("filler", Text),
    column("signed_at", UtcDateTime),
    column("listed_at", UtcDateTime),
    column("attempts", Integer),
)
"""The scratch table. In the row of a blocked mailbox, `signed_at` is the time of the last of its `attempts`."""

FILLER = {"campaign_id": 0, "email_key": "", "country": "US", "filler": "Ada Lovelace Los Angeles California 90012"}
"""The values of each scratch row that stand for a signer's data."""

# The slots of the batch's mailboxes are looked up for every batch. Almost always, none of them has a row.
_ON_SQLITE = """
    UPDATE scratch_signature SET email_key = random(),
    signed_at = strftime('%Y-%m-%d %H:%M:%f', 'now'), listed_at = strftime('%Y-%m-%d %H:%M:%f', 'now'),
    attempts = attempts + (SELECT count(*) FROM json_each(:mailboxes) WHERE value = scratch_signature.slot)
    WHERE slot IN (
        SELECT value FROM json_each(:mailboxes)
        UNION ALL
        SELECT free.slot FROM scratch_signature AS free WHERE free.slot BETWEEN :first AND :last - (
            SELECT count(*) FROM scratch_signature AS blocked
            WHERE blocked.slot IN (SELECT value FROM json_each(:mailboxes))
        )
    )
"""

# The rows exist already, but INSERT … ON CONFLICT locks them in the order listed, which UPDATE doesn't guarantee. Two
# batches that locked the same rows in different orders would deadlock.
ON_POSTGRESQL: TextClause = text(
    """
    WITH attempted AS (
        SELECT blocked.slot, count(*) AS attempts FROM unnest(CAST(:mailboxes AS bigint[])) AS tried (slot)
        JOIN scratch_signature AS blocked ON blocked.slot = tried.slot GROUP BY blocked.slot
    )
    INSERT INTO scratch_signature (slot, campaign_id, email_key, country, filler, signed_at, listed_at, attempts)
    SELECT slot, 0, CAST(random() AS text), '', '', clock_timestamp(), clock_timestamp(), attempts FROM (
        SELECT slot, attempts FROM attempted
        UNION ALL
        SELECT generate_series(CAST(:first AS bigint), CAST(:last AS bigint) - (SELECT count(*) FROM attempted)), 0
    ) AS rejected
    ORDER BY slot
    ON CONFLICT (slot) DO UPDATE
    SET email_key = excluded.email_key, signed_at = excluded.signed_at, listed_at = excluded.listed_at,
        attempts = scratch_signature.attempts + excluded.attempts
    """
)
"""Rewrites the rows of the blocked mailboxes among the slots `mailboxes`, and the rows from `first` to `last`.

For each of those mailboxes, one row less is rewritten at the end. tally.py makes this a part of its own statement, to
save a round trip to the server.
"""


def rows(duplicates: int) -> tuple[int, int]:
    """Return the first and last slot of a random run of scratch rows, one row per duplicate; (n, n - 1) if none."""
    number = min(duplicates, SLOTS)
    first = random.randrange(SLOTS - number + 1)  # noqa: S311 (not used for security)
    return first, first + number - 1


def slot_of(campaign_id: int, mailbox: str) -> int:
    """Return the slot of a mailbox's scratch row, which exists only while the mailbox is blocked.

    It is a hash, so that the row doesn't hold the email address, and can be found without reading the signature.
    """
    return -1 - int.from_bytes(sha256(f"{campaign_id} {mailbox}".encode()).digest()[:7])


def rewrite_on_sqlite(connection: Connection, duplicates: int, mailboxes: Sequence[int]) -> None:
    """Rewrite one scratch row for each duplicate, in the caller's transaction.

    Args:
        connection: A connection in the caller's write transaction.
        duplicates: The number of duplicates in the batch.
        mailboxes: The slots of all mailboxes in the batch (`slot_of`).
    """
    first, last = rows(duplicates)
    connection.exec_driver_sql(_ON_SQLITE, {"mailboxes": json.dumps(mailboxes), "first": first, "last": last})
