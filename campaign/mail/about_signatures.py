"""What a message to a signer says. It is decided when the message is sent, from what is true then.

So signing does the same work and stores the same row whether or not the mailbox has signed before. Only the mailbox
learns the truth.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from campaign.campaigns import translations
from campaign.campaigns.stages import Stage, stage
from campaign.languages import speaking
from campaign.languages.speaking import gettext
from campaign.mail import composing, outbox
from campaign.mail.composing import Contents
from campaign.mail.outbox import Leased
from campaign.models.campaign import Campaign
from campaign.models.message import Queue
from campaign.models.signature import Signature, SignatureState, display_name, display_place
from campaign.self_service import confirming, mailbox_records, tokens
from campaign.self_service.tokens import Purpose
from campaign.settings import Settings
from campaign.signatures.signing import email_key
from campaign.text.paragraphs import paragraphs

NAMES = ("confirm", "reminder", "thanks", "already", "link")
"""The messages to signers, by the names of their templates."""


class NothingToSayError(Exception):
    """The message must not be sent. The error says why."""


def contents(engine: Engine, message: Leased, settings: Settings, now: datetime) -> Contents:
    """Return what a leased message says.

    Raises:
        NothingToSayError: It must not be sent.
        STORAGE_ERRORS: The database failed.
    """
    if message.campaign_id is None:
        return composing.TEST
    with Session(engine) as session:
        if mailbox_records.wants_no_mail(session, message.campaign_id, message.mailbox):
            raise NothingToSayError("the mailbox wants no more mail about the campaign")
        if outbox.has_had_enough(session, message, now):
            raise NothingToSayError("the mailbox has had enough messages today")
        campaign = session.get_one(Campaign, message.campaign_id)
        of_mailbox = Signature.campaign_id == campaign.id, Signature.email_key == email_key(message.recipient)
        signature = session.scalar(select(Signature).where(*of_mailbox))
        name = _name(message, campaign, signature, now)
        if signature is None or name is None:
            raise NothingToSayError("the mailbox has no such signature")
        return about(name, _edition(campaign, message.language), signature, message.mailbox, settings)


def _name(message: Leased, campaign: Campaign, signature: Signature | None, now: datetime) -> str | None:
    """Return the name of the message that fits a mailbox's signature, or None."""
    standing = confirming.standing(campaign, signature, now)
    if standing is None:
        return "reminder" if message.queue is Queue.REMINDER else "confirm"
    if signature is None or standing is not confirming.Outcome.ALREADY or message.queue is Queue.REMINDER:
        return None
    if message.queue is Queue.LINK:
        return "link"
    # The signature and its message have the same time. Otherwise the mailbox has signed before.
    is_new = signature.signed_at == message.created_at
    return "thanks" if is_new and message.queue is Queue.THANKS else "already"


def _edition(campaign: Campaign, language: str) -> Campaign:
    """Return a campaign in the language in which somebody read it, if the translation is still there."""
    return translations.edition(campaign, language) or campaign


def about(name: str, campaign: Campaign, signature: Signature, mailbox: str, settings: Settings) -> Contents:
    """Return a message about a signature.

    Args:
        name: One of NAMES.
        campaign: The campaign in the language of the message.
        signature: The signature.
        mailbox: The pseudonym of its mailbox.
        settings: The site's settings.
    """

    def link(purpose: Purpose) -> str:
        token = tokens.make(settings.secret_key, purpose, campaign.id, signature.id, mailbox)
        return f"{page}/{purpose}?token={token}"

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
        "entry": f"{shown_name}, {place}",
        "is_open": stage(campaign, datetime.now(UTC)) is Stage.OPEN,
    }
    if name in ("confirm", "reminder"):
        values["confirm_url"] = link(Purpose.CONFIRM)
        values["code"] = tokens.code(settings.secret_key, campaign.id, signature.id, mailbox)
    if name == "thanks":
        values["thanks"] = paragraphs(campaign.thanks)
        values["thanks_language"] = campaign.language_of("thanks")
    return Contents(name, values)


def sample(name: str, campaign: Campaign, settings: Settings) -> Contents:
    """Return a message as a signer of a campaign would get it. Its links and its code belong to no signature."""
    signature = Signature(id=0, name="Ada Lovelace", city="London", region="", country="GB", anonymous=False)
    signature.state, signature.signed_at = SignatureState.PENDING, datetime.now(UTC)
    return about(name, campaign, signature, "", settings)
