"""Fixtures for mail: a real SMTP server, the outbox, and a sender."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import select

from campaign.mail import outbox
from campaign.mail.sending import Sender
from campaign.models.message import Message, Queue
from campaign.settings import Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.mail.mailbox import Mailbox, Server, smtp_server

SENDER = "Save the Park <info@example.org>"


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def smtp(mailbox: Mailbox) -> Iterator[Server]:
    with smtp_server(mailbox) as server:
        yield server


@pytest.fixture
def mail_settings(app: Flask, smtp: Server) -> Settings:
    """Return the app's settings with this mail server."""
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], mail_url=smtp.url, mail_from=SENDER)
    settings: Settings = app.config["SETTINGS"]
    return settings


Post = Callable[..., list[int]]


@pytest.fixture
def post(app: Flask) -> Post:
    """Return a function that adds messages to the outbox, and returns their ids."""

    def post(*recipients: str, queue: Queue = Queue.CHECK, at: datetime | None = None) -> list[int]:
        with write_transaction() as session:
            now = at or datetime.now(UTC)
            added = [outbox.add(session, queue, each, "en", now) for each in recipients]
            session.flush()
            return [each.id for each in added]

    return post


@pytest.fixture
def sender(app: Flask, mail_settings: Settings) -> Iterator[Sender]:
    made = Sender(db.engine, mail_settings)
    yield made
    made._connection.close()


def stored_messages() -> list[Message]:
    """Return the messages of the outbox, oldest first."""
    db.session.rollback()
    db.session.expunge_all()
    return list(db.session.scalars(select(Message).order_by(Message.id)))
