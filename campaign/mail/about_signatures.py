"""Decides what a message to a signer says, when it is sent.

So signing does the same work and stores the same row whether or not the mailbox has signed before. Only the owner of
the mailbox learns whether it had.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, selectinload

from campaign.campaigns import translations
from campaign.languages import speaking
from campaign.languages.speaking import gettext
from campaign.mail import composing, outbox
from campaign.mail.composing import Contents
from campaign.mail.outbox import Leased
from campaign.models.campaign import Campaign
from campaign.models.message import Queue
from campaign.models.signature import Signature, SignatureState, display_name, display_place, removed_ones
from campaign.self_service import confirming, own_signature
from campaign.self_service.confirming import Outcome
from campaign.self_service.tokens import Purpose
from campaign.settings import Settings
from campaign.signatures.signing import email_key
from campaign.storage.single_flight import SingleFlightCache
from campaign.storage.transactions import turn_to_write, write_connection
from campaign.text.paragraphs import paragraphs

NAMES = ("confirm", "reminder", "thanks", "already", "link")
"""The messages to signers, by the names of their templates."""


LEASED_JUST_NOW = timedelta(seconds=2)
"""How long what a worker found at the lease is true enough. If the mail server takes its time, it looks again."""


class NothingToSayError(Exception):
    """The message must not be sent. The error says why."""


def contents(engine: Engine, message: Leased, settings: Settings, now: datetime) -> Contents:
    """Return what a leased message says.

    If somebody has signed again with a mailbox that hasn't confirmed yet, the signature first gets what they typed.

    Raises:
        NothingToSayError: It must not be sent.
        STORAGE_ERRORS: The database failed.
    """
    if message.campaign_id is None:
        return composing.TEST
    campaign = _edition(engine, message.campaign_id, message.language)
    # On PostgreSQL, queries without a transaction save two round trips.
    reading = engine.execution_options(isolation_level="AUTOCOMMIT") if engine.dialect.name == "postgresql" else engine
    with Session(reading) as session:
        reason = message.why_not
        if now > message.until - outbox.LEASE + LEASED_JUST_NOW:
            reason = outbox.why_not(session, [message], now).get(message.id, "")
        if reason:
            raise NothingToSayError(reason)
        signature = _signature(session, campaign, email_key(message.recipient))
        is_pending = signature is not None and confirming.why_not(campaign, signature, now) is None
        signed_again = signature is not None and signature.signed_at < message.created_at
        if signature and is_pending and (message.queue is Queue.THANKS or (message.details and signed_again)):
            _follow(engine, campaign, signature, message, now)
            # Only the next transaction sees the change.
            session.rollback()
        name = _name(message, campaign, signature, now)
        if signature is None or name is None:
            raise NothingToSayError("the mailbox has no such signature")
        return about(name, campaign, signature, settings)


_editions: SingleFlightCache[tuple[Engine, int, str], Campaign] = SingleFlightCache(most=64)


def _edition(engine: Engine, campaign_id: int, language: str) -> Campaign:
    """Return a campaign in the language in which somebody read it, if the translation is still there.

    It is cached for a second, because a worker sends a hundred messages in that time.
    """

    def read() -> Campaign:
        with Session(engine, expire_on_commit=False) as session:
            translated = selectinload(Campaign.translations)
            campaign = session.get_one(Campaign, campaign_id, options=[translated])
            return translations.edition(campaign, language) or campaign

    return _editions.get((engine, campaign_id, language), read)


def _follow(engine: Engine, campaign: Campaign, signature: Signature, message: Leased, now: datetime) -> None:
    """Do with a pending signature what signing would do with a new one."""
    with turn_to_write(engine), write_connection(engine) as connection, Session(connection) as session:
        if message.queue is Queue.THANKS:
            # The campaign asks nobody to confirm anymore, and its page has thanked the signer.
            confirming.confirm(session, campaign, signature.id, now)
        else:
            confirming.renew(session, signature.id, message.details, message.language, message.created_at)
        session.flush()


def _name(message: Leased, campaign: Campaign, signature: Signature | None, now: datetime) -> str | None:
    """Return the name of the message that fits a mailbox's signature, or None."""
    if signature is None:
        return None
    why_not = confirming.why_not(campaign, signature, now)
    if why_not is None:
        return "reminder" if message.queue is Queue.REMINDER else "confirm"
    if message.queue is Queue.LINK:
        # Whatever has become of the signature, its owner may see it, and delete it.
        return "link"
    if why_not is not Outcome.ALREADY or message.queue is Queue.REMINDER:
        return None
    # The signature and its message have the same time. Otherwise the mailbox has signed before.
    is_new = signature.signed_at == message.created_at
    return "thanks" if is_new and message.queue is Queue.THANKS else "already"


def _signature(session: Session, campaign: Campaign, mailbox: str) -> Signature | None:
    """Return the signature that claims a mailbox, or the last one that organizers have removed, or None."""
    of_campaign = select(Signature).where(Signature.campaign_id == campaign.id)
    if claiming := session.scalar(of_campaign.where(Signature.email_key == mailbox)):
        return claiming
    removed = removed_ones(session, campaign.id, mailbox)
    return session.get(Signature, removed[-1]) if removed else None


def about(name: str, campaign: Campaign, signature: Signature, settings: Settings) -> Contents:
    """Return a message about a signature.

    Args:
        name: One of NAMES.
        campaign: The campaign in the language of the message.
        signature: The signature.
        settings: The site's settings.
    """

    def link(purpose: Purpose) -> str:
        return f"{page}/{purpose}?token={own_signature.token(signature, purpose, settings.secret_key)}"

    page = f"{settings.site_url}/campaigns/{campaign.slug}" + (f"/{campaign.tag}" if campaign.tag else "")
    place = display_place(signature.city, signature.region, signature.country, signature.anonymous)
    with speaking.use(campaign.language):
        shown_name = display_name(signature.name, signature.anonymous) or gettext("Anonymous")
    values: dict[str, Any] = {
        "title": campaign.title,
        "title_language": campaign.language_of("title"),
        "page_url": page,
        "own_url": link(Purpose.OWN_SIGNATURE),
        "request_url": f"{page}/{Purpose.OWN_SIGNATURE}",
        "entry": _unlinked(f"{shown_name}, {place}"),
        "wants_updates": signature.wants_updates,
    }
    if name in ("confirm", "reminder"):
        values["confirm_url"] = link(Purpose.CONFIRM)
        values["code"] = own_signature.code(signature, settings.secret_key)
    if name == "thanks":
        values["thanks"] = paragraphs(campaign.thanks)
        values["thanks_language"] = campaign.language_of("thanks")
    # To the address that has signed, in whichever spelling somebody has typed it now.
    return Contents(name, values, signature.email)


def _unlinked(entry: str) -> str:
    """Return an entry in which mail programs find no link: anybody can send it to anybody by signing."""
    return re.sub(r"(?<=\w)([.:/@])(?=\w)", "\\1\u2060", entry)


def sample(name: str, campaign: Campaign, settings: Settings) -> Contents:
    """Return a message as a signer of a campaign would get it. Its links and its code belong to no signature."""
    signature = Signature(id=0, campaign_id=campaign.id, name="Ada Lovelace", email="", email_key="", anonymous=False)
    signature.postal_code, signature.wants_updates = "", False
    signature.city, signature.region, signature.country = "London", "", "GB"
    signature.state, signature.signed_at = SignatureState.PENDING, datetime.now(UTC)
    return about(name, campaign, signature, settings)
