"""The tables of campaigns: campaigns, translations, sittings at drafts, former slugs, changes to letters, pictures."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from campaign.models.columns import LANGUAGE_LENGTH, UtcDateTime, words
from campaign.storage.database import Base
from campaign.text.email_address import EMAIL_LENGTH


class CampaignState(StrEnum):
    """The state that organizers set. `stages.Stage` also takes the opening and closing times into account."""

    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"
    WON = "won"


class Campaign(Base):
    """A petition: its letter, the texts around the letter, and its state."""

    __tablename__ = "campaign"
    __table_args__ = (CheckConstraint("goal > 0", name="goal"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    category: Mapped[str] = mapped_column(String(60))
    summary: Mapped[str] = mapped_column(Text)
    addressees: Mapped[str] = mapped_column(Text)
    """Who the letter is addressed to, one per line."""
    letter: Mapped[str] = mapped_column(Text)
    """Markdown."""
    thanks: Mapped[str] = mapped_column(Text)
    share_text: Mapped[str] = mapped_column(Text)
    donate_url: Mapped[str] = mapped_column(Text)
    """Empty if the campaign doesn't ask for donations."""
    donate_text: Mapped[str] = mapped_column(Text)
    goal: Mapped[int]
    """The first goal. The goal on the page is raised each time it's reached (`stages.progress`)."""
    goal_step: Mapped[int] = mapped_column(default=0)
    """How far to raise the goal each time it's reached; 0 for the next round number."""
    language: Mapped[str] = mapped_column(String(LANGUAGE_LENGTH))
    """The main language: a BCP 47 tag, such as en or pt-BR."""
    state: Mapped[CampaignState] = mapped_column(words(CampaignState, "state"))
    opens_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closes_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    time_zone: Mapped[str] = mapped_column(String(64), default="UTC")
    """IANA name of the time zone in which these times are shown and entered, such as Europe/Berlin."""
    picture: Mapped[str] = mapped_column(String(64), default="")
    """Digest of the campaign's picture (`Picture`); empty if it has none."""
    picture_text: Mapped[str] = mapped_column(String(300), default="")
    """Alternative text of the picture."""
    deliver_anonymous: Mapped[bool] = mapped_column(default=False)
    """Whether the addressees also get the names and cities of anonymous signers. If so, the sign form says so."""
    confirm: Mapped[bool] = mapped_column(default=False)
    """Whether signatures are listed and counted only after their signers have confirmed them by mail. Without mail,
    they are listed at once."""
    remind: Mapped[bool] = mapped_column(default=False)
    """Whether signers who haven't confirmed get one reminder."""
    reminded_to: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Signers up to this time have been reminded."""
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When organizers closed the campaign, or declared victory; None while it is open. See also `closes_at`."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(default=1)
    """The number of the last change, to detect that two people edit the campaign at the same time."""
    archived_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When organizers took the campaign off the front page; None if they didn't. Its own page stays as it is."""
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the draft was deleted. Its row stays without its texts, because the audit log refers to it."""
    letter_changes: Mapped[list["LetterChange"]] = relationship(
        order_by="LetterChange.id.desc()", lazy="raise", viewonly=True
    )
    """Newest first. Only `lookup.find_by_any_slug` loads them; reading them elsewhere raises an error."""
    translations: Mapped[list["Translation"]] = relationship(
        order_by="Translation.language", cascade="all, delete-orphan"
    )

    # Not columns: `translations.edition` sets these in a copy of the campaign with the texts of another language, whose
    # `language` is that language.
    tag = ""
    """The last part of the page's URL, the language's tag; empty in the main language."""
    main_language = ""
    """The main language; empty if this is not such a copy."""
    untranslated = frozenset[str]()
    """The names of the texts that aren't translated. They are in the main language."""

    def language_of(self, text: str) -> str:
        """Return the language of one of the campaign's texts, such as "title", as a BCP 47 tag."""
        return self.main_language if text in self.untranslated else self.language


class Translation(Base):
    """A campaign's texts in another language. A blank text isn't translated: pages show it in the main language."""

    __tablename__ = "campaign_translation"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"), primary_key=True, autoincrement=False)
    language: Mapped[str] = mapped_column(String(LANGUAGE_LENGTH), primary_key=True)
    """BCP 47 tag, such as es or zh-Hant."""
    title: Mapped[str] = mapped_column(String(200), default="")
    category: Mapped[str] = mapped_column(String(60), default="")
    summary: Mapped[str] = mapped_column(Text, default="")
    addressees: Mapped[str] = mapped_column(Text, default="")
    letter: Mapped[str] = mapped_column(Text, default="")
    thanks: Mapped[str] = mapped_column(Text, default="")
    share_text: Mapped[str] = mapped_column(Text, default="")
    donate_url: Mapped[str] = mapped_column(Text, default="")
    donate_text: Mapped[str] = mapped_column(Text, default="")
    picture_text: Mapped[str] = mapped_column(String(300), default="")
    original: Mapped[str] = mapped_column(String(64), default="")
    """SHA-256 of the main texts that this translation was last saved with (`translations.digest`), in hexadecimal. If
    they have changed since, the translation is older than the original."""


class DraftSitting(Base):
    """The automatic saves of one person in one draft, until they become one entry of the audit log."""

    __tablename__ = "draft_sitting"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"), primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True, autoincrement=False)
    actor: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    """The account's email address."""
    saved_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    """The time of the last automatic save."""
    before: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The changed values and the version, as they were before the first automatic save."""


class FormerSlug(Base):
    """A slug that a campaign had before. URLs with it still work."""

    __tablename__ = "former_slug"

    slug: Mapped[str] = mapped_column(String(80), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))


class LetterChange(Base):
    """A change to a letter that already had signatures. The campaign's page shows it."""

    __tablename__ = "letter_change"
    __table_args__ = (Index(None, "campaign_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))
    language: Mapped[str] = mapped_column(String(LANGUAGE_LENGTH), default="")
    """The language of the letter that changed, as a BCP 47 tag; empty for the main language."""
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(Text)
    """The organizer's public explanation."""
    reason_language: Mapped[str] = mapped_column(String(LANGUAGE_LENGTH), default="")
    """The language of the explanation; empty for the main language."""
    before: Mapped[str] = mapped_column(Text)
    """The text that people signed until then, from `translations.signed_texts`."""
    after: Mapped[str] = mapped_column(Text)
    pieces: Mapped[list[list[str]] | None] = mapped_column(JSON(none_as_null=True))
    """The comparison of both texts: the kind and text of each `comparison.Piece`. None if saving didn't make it."""


class Picture(Base):
    """A picture, scaled down. It is in the database so that every machine and every backup has it."""

    __tablename__ = "picture"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of `data`, in hexadecimal."""
    data: Mapped[bytes] = mapped_column(LargeBinary)
    """A JPEG."""
    width: Mapped[int]
    """In pixels."""
    height: Mapped[int]
    """In pixels."""
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """When the picture is deleted; None once a campaign uses it, or has used it and isn't deleted."""
