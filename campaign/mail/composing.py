"""Makes the text of messages: text and HTML, in the language of the recipient.

The templates are in templates/mail. Each message has a `.txt` template, whose first line is the subject, and an `.html`
template. Nothing in a message is loaded from elsewhere, and nothing tells anyone that it was read.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit

import css_inline
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from campaign.languages import speaking
from campaign.languages.speaking import Language
from campaign.mail.outbox import Leased
from campaign.settings import ROOT, Settings
from campaign.text.addresses import parsed

_ASCII = SMTP.clone(cte_type="7bit")
"""Servers that convert 8-bit text would break a signature (DKIM)."""


@dataclass(frozen=True)
class Contents:
    """What a message says."""

    template: str
    """The name of its templates."""
    values: Mapping[str, Any]
    """What they need."""
    recipient: str = ""
    """Who gets it, if not the message's own recipient."""


TEST = Contents("check", {})
"""A test message."""


@dataclass(frozen=True)
class Sender:
    """Who messages are from, from the settings."""

    name: str
    address: str
    reply_to: str
    """Where answers go; empty for `address`."""

    @classmethod
    def of(cls, settings: Settings) -> "Sender":
        """Return the sender of valid settings. Without a name, it is the site's."""
        name, address = _parsed_setting(settings.mail_from)
        return cls(name or settings.site_name, address, settings.mail_reply_to)


_parsed_setting = lru_cache(maxsize=8)(parsed)


def compose(message: Leased, contents: Contents, settings: Settings) -> EmailMessage:
    """Return a message, ready to be sent.

    Its Message-ID is derived from its row, so that a message that was sent twice can be recognized.
    """
    with speaking.use(message.language) as language:
        subject, text, html = render(contents, language, settings)
    sender, (_, recipient) = Sender.of(settings), parsed(contents.recipient or message.recipient)
    # Only addresses with letters outside ASCII need a server that knows SMTPUTF8.
    addresses = [recipient, sender.address, *([_parsed_setting(sender.reply_to)[1]] if sender.reply_to else [])]
    composed = EmailMessage(policy=_ASCII if all(map(str.isascii, addresses)) else SMTPUTF8)
    composed["From"] = _header(sender.name, sender.address)
    composed["To"] = _header("", recipient)
    if sender.reply_to:
        composed["Reply-To"] = _header(*_parsed_setting(sender.reply_to))
    composed["Subject"] = subject
    composed["Date"] = format_datetime(message.created_at)
    composed["Message-ID"] = message_id(message, settings)
    # Autoresponders don't answer (RFC 3834).
    composed["Auto-Submitted"] = "auto-generated"
    composed.set_content(text)
    composed.add_alternative(html, subtype="html")
    # Adding the parts removes headers that begin with Content.
    composed["Content-Language"] = language.tag
    return composed


def message_id(message: Leased, settings: Settings) -> str:
    """Return the Message-ID of a message, which stays the same. It doesn't reveal how many messages there are."""
    # With its time, because SQLite uses the id of a deleted row again.
    row = f"message {message.id} {message.created_at.isoformat()}"
    digest = hmac.digest(settings.secret_key.encode(), row.encode(), "sha256").hex()[:32]
    return f"<{digest}@{urlsplit(settings.site_url).hostname}>"


def _header(name: str, address: str) -> Address | str:
    # Python's class refuses addresses with letters outside ASCII, which SMTPUTF8 allows.
    return Address(" ".join(name.split()), addr_spec=address) if address.isascii() else address


def render(contents: Contents, language: Language, settings: Settings) -> tuple[str, str, str]:
    """Return the subject, the text, and the HTML of a message, in the language that is in use."""
    values = {**contents.values, "site": settings.site_name, "site_url": settings.site_url, "language": language}
    written = _templates().get_template(f"{contents.template}.txt").render(values)
    subject, _, text = written.strip().partition("\n")
    subject = " ".join(subject.split())
    html = _templates().get_template(f"{contents.template}.html").render(values | {"subject": subject})
    # Parts that a template leaves out leave their empty lines.
    return subject, re.sub(r"\n{3,}", "\n\n", text.strip()) + "\n", _inliner().inline(html)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ROOT / "templates" / "mail"),
        autoescape=select_autoescape(["html"]),
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    functions = speaking.translated, speaking.translated_plural
    environment.install_gettext_callables(*functions, newstyle=True)  # type: ignore[attr-defined]  # The extension adds it.
    return environment


@cache
def _inliner() -> css_inline.CSSInliner:
    # The style element stays for what can't be inline: the dark color scheme.
    return css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=True)
