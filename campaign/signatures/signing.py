"""Signing: checks whether a campaign accepts signatures, stores them, and counts each mailbox only once.

The site's view calls `sign` with the cleaned input of the sign form. Apart from `flask signatures fake`, nothing else
adds signatures. If the site can send mail, each signature gets an answer by mail, which is stored with it. The worker
decides later what it says (`mail/about_signatures.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Engine, Insert, insert

from campaign.campaigns.stages import Stage, stage
from campaign.models.campaign import Campaign
from campaign.models.message import Message, MessageState, Queue
from campaign.models.signature import Signature, SignatureState
from campaign.monitoring import metrics
from campaign.settings import Settings
from campaign.signatures import equal_work, tally
from campaign.storage.database import insert_into
from campaign.storage.group_commit import GroupCommit
from campaign.storage.transactions import turn_to_write, write_connection
from campaign.text.bounded_text import normalized
from campaign.text.email_address import EMAIL_LENGTH, validated

# Google delivers mail to the same mailbox with or without dots, and under both of its domains
# (support.google.com/mail/answer/7436150 and /10313).
_IGNORES_DOTS = {"gmail.com", "googlemail.com"}
_SAME_DOMAIN = {"googlemail.com": "gmail.com"}


@dataclass(frozen=True)
class Details:
    """A signer's validated input: clean text, no longer than the columns of `models/signature.py`."""

    name: str
    email: str
    """A valid email address, as `email_address.deliverable` returns it."""
    country: str
    """ISO 3166-1 alpha-2."""
    postal_code: str = ""
    city: str = ""
    region: str = ""
    anonymous: bool = False
    wants_updates: bool = False
    source: str = ""
    """The word from the shared link, cleaned by `sources.word`."""


CONFIRMED = ("name", "country", "postal_code", "city", "region", "anonymous", "wants_updates")
"""What signers confirm, and can correct later, as columns of a signature."""


class NotOpenError(Exception):
    """The campaign doesn't accept signatures now; `stage` says why."""

    def __init__(self, campaign: Campaign, stage: Stage) -> None:
        """Store the campaign and its stage."""
        super().__init__(f"{campaign.slug} is {stage}")
        self.campaign = campaign
        self.stage = stage


def check_open(campaign: Campaign, now: datetime) -> None:
    """Check that the campaign accepts signatures at `now` (timezone-aware).

    Raises:
        NotOpenError: The campaign doesn't accept signatures at `now`.
    """
    current = stage(campaign, now)
    if current is not Stage.OPEN:
        raise NotOpenError(campaign, current)


def must_confirm(campaign: Campaign, settings: Settings) -> bool:
    """Return whether signers of the campaign must confirm. Without mail, nobody could, so nobody must."""
    return campaign.confirm and bool(settings.mail_url)


def sign(engine: Engine, campaign: Campaign, details: Details, now: datetime, settings: Settings) -> None:
    """Store a signature and count it. Each mailbox can sign a campaign once; its first signature stays as it is.

    The signature's language is that of `campaign`: `translations.edition` returns a campaign in another language. If
    signers must confirm, the signature is pending, and counts later (`self_service/confirming.py`). If the site can
    send mail, a message to the signer is stored, too.

    On return, the signature is on disk and in the tally. For a duplicate, the mailbox's first signature is. If an
    organizer has blocked the mailbox, nothing is counted. In all cases, the same statements and the same commit run, so
    the response doesn't reveal who has signed.

    Raises:
        NotOpenError: The campaign doesn't accept signatures now.
        STORAGE_ERRORS: The database could not store the signature, and nothing changed. Or the database stopped
            responding in the middle, and the outcome is unknown.
    """
    check_open(campaign, now)
    is_pending, key = must_confirm(campaign, settings), email_key(details.email)
    row = {
        **vars(details),
        "campaign_id": campaign.id,
        "email_key": key,
        "language": campaign.language,
        "state": SignatureState.PENDING if is_pending else SignatureState.PUBLIC,
        "signed_at": now,
        "listed_at": None if is_pending else now,
    }
    message = {
        "queue": Queue.CONFIRM if is_pending else Queue.THANKS,
        "recipient": details.email,
        "language": campaign.language,
        "campaign_id": campaign.id,
        "details": {name: getattr(details, name) for name in CONFIRMED} if is_pending else {},
        "state": MessageState.WAITING,
        "created_at": now,
        "due_at": now,
    }
    with metrics.storing():
        _batches(engine).add(_Item(row, message if settings.mail_url else None))


def try_storing(engine: Engine) -> None:
    """Check that signatures can be stored: commit a write that changes nothing, in the same queue as signatures.

    Raises:
        STORAGE_ERRORS: A signature could not be stored now.
    """
    _batches(engine).add(None)


@dataclass(frozen=True)
class _Item:
    """What is stored for a signature, as rows of the tables."""

    signature: dict[str, Any]
    message: dict[str, Any] | None = None
    """The message to its signer."""


@lru_cache(maxsize=1)
def _batches(engine: Engine) -> GroupCommit[_Item | None]:
    return GroupCommit(lambda: turn_to_write(engine), lambda items: _store(engine, items))


_GROUP = itemgetter("campaign_id", "state")


def _store(engine: Engine, items: Sequence[_Item | None]) -> None:
    # Every node locks rows in the same order, so that two batches can't deadlock.
    ordered = sorted((item.signature for item in items if item), key=itemgetter("campaign_id", "state", "email_key"))
    groups = [(group, list(rows)) for group, rows in groupby(ordered, _GROUP)]
    messages = [item.message for item in items if item and item.message]
    mailboxes = [equal_work.slot_of(row["campaign_id"], row["email_key"]) for row in ordered]
    with write_connection(engine) as connection:
        insert_new = insert_unless_signed(connection.dialect.name)
        stored = {group: connection.execute(insert_new, rows).rowcount for group, rows in groups}
        if messages:
            connection.execute(insert(Message), messages)
        if ordered:
            new = dict.fromkeys((campaign_id for campaign_id, _ in stored), 0)
            new |= {id_: number for (id_, state), number in stored.items() if state is SignatureState.PUBLIC}
            tally.add_batch(connection, new, len(ordered) - sum(stored.values()), mailboxes)
        else:
            tally.touch(connection)


@cache
def insert_unless_signed(dialect: str) -> Insert:
    """Return an INSERT that skips mailboxes claimed by a signature; its rowcount is the number inserted."""
    insert = insert_into(dialect, Signature).on_conflict_do_nothing(index_elements=["campaign_id", "email_key"])
    statement: Insert = insert.execution_options(preserve_rowcount=True)
    return statement


# Cached because each email address is needed twice: when the form validates it, and when the signature is stored.
@lru_cache(maxsize=64)
def email_key(email: str) -> str:
    """Return the canonical form of an email address, which is the same for all spellings of a mailbox.

    The key is lowercase and Unicode-normalized, with the domain in ASCII (IDNA). A `+tag` is dropped. Dots are dropped
    if the mail provider ignores them.

    Raises:
        email_validator.EmailNotValidError: The text is not a valid email address.
    """
    address = validated(email)
    domain = address.ascii_domain.lower()
    local = normalized(address.local_part, EMAIL_LENGTH, "NFKC").lower()
    local = local.partition("+")[0] or local
    if domain in _IGNORES_DOTS:
        local = local.replace(".", "")
    return f"{local}@{_SAME_DOMAIN.get(domain, domain)}"
