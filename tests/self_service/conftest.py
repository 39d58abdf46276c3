"""Fixtures for signers' links: a campaign whose signers get mail, and their inbox."""

import re
from email.message import EmailMessage
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from campaign.mail.sending import LOOK_AGAIN, Sender
from campaign.models.campaign import Campaign
from campaign.settings import Settings
from campaign.storage.database import db
from tests.conftest import ADA, HTMX, PATH, Publish
from tests.mail.conftest import mail_settings, mailbox, sender, smtp
from tests.mail.mailbox import Mailbox

__all__ = ["mail_settings", "mailbox", "sender", "smtp"]

ADDRESS = ADA["email"]


class Inbox:
    """The messages to signers, sent by a real sender through a real SMTP server."""

    def __init__(self, sender: Sender, mailbox: Mailbox) -> None:
        self._sender, self._mailbox = sender, mailbox

    def all(self, address: str = ADDRESS) -> list[EmailMessage]:
        """Send what waits, and return all messages to an address."""
        while self._sender.send_some() != LOOK_AGAIN:
            pass
        db.session.rollback()
        pairs = zip(self._mailbox.recipients, self._mailbox.messages, strict=True)
        return [message for recipient, message in pairs if recipient == address]

    def last(self, address: str = ADDRESS) -> EmailMessage:
        return self.all(address)[-1]

    def text(self, address: str = ADDRESS) -> str:
        """Return the text of the last message."""
        part = self.last(address).get_body(("plain",))
        assert part
        return str(part.get_content())

    def link(self, what: str, address: str = ADDRESS) -> str:
        """Return a link of the last message, as a path: "confirm" or "my-signature"."""
        found = re.findall(rf"\S+/{what}\?token=\S+", self.text(address))
        parts = urlsplit(found[0])
        return f"{parts.path}?{parts.query}"

    def code(self, address: str = ADDRESS) -> str:
        """Return the code in the last message."""
        return str(re.findall(r"\b\d{6}\b", self.text(address))[0])

    def token(self, what: str, address: str = ADDRESS) -> str:
        return self.link(what, address).partition("token=")[2]


@pytest.fixture
def inbox(sender: Sender, mailbox: Mailbox) -> Inbox:
    return Inbox(sender, mailbox)


@pytest.fixture
def confirming(publish: Publish, mail_settings: Settings) -> Campaign:
    """Publish a campaign whose signers must confirm."""
    return publish(confirm=True)


@pytest.fixture
def thanking(publish: Publish, mail_settings: Settings) -> Campaign:
    """Publish a campaign whose signers are listed at once, and thanked by mail."""
    return publish(confirm=False)


class Signer:
    """Somebody who uses the pages of a campaign."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def sign(self, *, htmx: bool = False, **fields: str) -> TestResponse:
        headers = HTMX if htmx else {}
        return self.client.post(f"{PATH}/signatures", data=ADA | {"shown": "0"} | fields, headers=headers)

    def confirm(self, token: str) -> TestResponse:
        return self.client.post(f"{PATH}/confirm", data={"token": token})

    def enter(self, code: str, email: str = ADDRESS, *, htmx: bool = True) -> TestResponse:
        data = {"email": email, "code": code, "shown": "0"}
        return self.client.post(f"{PATH}/confirm", data=data, headers=HTMX if htmx else {})

    def change(self, token: str, do: str, **fields: str) -> TestResponse:
        return self.client.post(f"{PATH}/my-signature", data={"token": token, "do": do} | fields)

    def request_link(self, email: str = ADDRESS) -> TestResponse:
        return self.client.post(f"{PATH}/my-signature", data={"email": email})

    def count(self) -> int:
        """Return the public count."""
        shown = self.client.get(f"{PATH}.json").get_json()
        return int(shown["signatures"]["count"])

    def listed(self) -> list[str]:
        """Return the names on the public list, newest first."""
        return re.findall(r'<bdi class="name">([^<]*)', self.client.get(f"{PATH}/signatures").text)


@pytest.fixture
def signer(client: FlaskClient) -> Signer:
    return Signer(client)
