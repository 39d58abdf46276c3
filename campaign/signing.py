"""The rule book of signing: what a signature is, when it counts, and that it counts once.

The site's view calls `sign()` after its form has cleaned what was typed; nobody else writes signatures, but for
`flask signatures fake`.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from email_validator import validate_email
from sqlalchemy import Engine, Insert

from campaign import metrics, tally
from campaign.batches import Batches
from campaign.campaigns import Stage, stage
from campaign.extensions import insert_into, turn_to_write, write_connection
from campaign.models import Campaign, Signature, SignatureState

# Google delivers to the same mailbox with and without dots, and under both of its domains
# (support.google.com/mail/answer/7436150 and /10313).
_IGNORES_DOTS = {"gmail.com", "googlemail.com"}
_SAME_DOMAIN = {"googlemail.com": "gmail.com"}


@dataclass(frozen=True)
class Details:
    """What a signer gives us: text that is clean and within the lengths of models.py."""

    name: str
    email: str
    """A valid address."""
    country: str
    """ISO 3166-1 alpha-2."""
    postal_code: str = ""
    city: str = ""
    region: str = ""
    anonymous: bool = False
    wants_updates: bool = False
    source: str = ""
    """As `sources.word` makes it."""


class NotOpenError(Exception):
    """The campaign takes no signatures now; `stage` says why."""

    def __init__(self, campaign: Campaign, stage: Stage) -> None:
        """Remember which campaign, and where it stands."""
        super().__init__(f"{campaign.slug} is {stage}")
        self.campaign = campaign
        self.stage = stage


def check_open(campaign: Campaign, now: datetime) -> None:
    """Let pass a campaign that takes signatures at `now` (aware).

    Raises:
        NotOpenError: it takes none.
    """
    standing = stage(campaign, now)
    if standing is not Stage.OPEN:
        raise NotOpenError(campaign, standing)


def sign(engine: Engine, campaign: Campaign, details: Details, now: datetime) -> None:
    """Put a signature under the campaign, once for each mailbox; the first stands.

    When it returns, the signature is on the disk and in the tally, or both already were. The same statements run and
    the same commit happens for a mailbox that has signed before: the answer does not tell a stranger who has signed.

    Raises:
        NotOpenError: the campaign takes no signatures now.
        STORAGE_ERRORS: the database could not store it, and nothing is changed; or it has gone silent in the middle of
            it, and nobody can tell.
    """
    check_open(campaign, now)
    row = {
        **vars(details),
        "campaign_id": campaign.id,
        "email_key": email_key(details.email),
        "state": SignatureState.PUBLIC,
        "signed_at": now,
        "listed_at": now,
    }
    with metrics.storing():
        _batches(engine).add(row)


def try_storing(engine: Engine) -> None:
    """Take the way of a signature to the disk, without one.

    Raises:
        STORAGE_ERRORS: a signature could not be stored now.
    """
    _batches(engine).add(None)


@lru_cache(maxsize=1)
def _batches(engine: Engine) -> Batches[dict[str, Any] | None]:
    return Batches(lambda: turn_to_write(engine), lambda rows: _store(engine, rows))


def _store(engine: Engine, rows: Sequence[dict[str, Any] | None]) -> None:
    # In the same order on every node, so that no two batches can wait for each other.
    in_order = sorted((row for row in rows if row), key=itemgetter("campaign_id", "email_key"))
    of_campaigns = [(campaign_id, list(rows)) for campaign_id, rows in groupby(in_order, itemgetter("campaign_id"))]
    with write_connection(engine) as connection:
        insert = insert_unless_signed(connection.dialect.name)
        new = {campaign_id: connection.execute(insert, rows).rowcount for campaign_id, rows in of_campaigns}
        for campaign_id, number in new.items():
            tally.add(connection, campaign_id, number)
        if None in rows:
            tally.touch(connection)


@cache
def insert_unless_signed(dialect: str) -> Insert:
    """An INSERT of signatures that does nothing where a mailbox has signed that campaign; its rowcount is the new."""
    insert = insert_into(dialect, Signature).on_conflict_do_nothing(index_elements=["campaign_id", "email_key"])
    statement: Insert = insert.execution_options(preserve_rowcount=True)
    return statement


# The form asks whether it is an address, and a moment later it is stored.
@lru_cache(maxsize=64)
def email_key(email: str) -> str:
    """The canonical form of a valid address: two spellings of one mailbox have the same key.

    Lower case, Unicode-normalised, the domain in its ASCII form (IDNA), without a `+tag`, and without dots where the
    provider ignores them.

    Raises:
        email_validator.EmailNotValidError: it is no address.
    """
    address = validate_email(email, check_deliverability=False)
    domain = address.ascii_domain.lower()
    local = unicodedata.normalize("NFKC", address.local_part).lower()
    local = local.partition("+")[0] or local
    if domain in _IGNORES_DOTS:
        local = local.replace(".", "")
    return f"{local}@{_SAME_DOMAIN.get(domain, domain)}"
