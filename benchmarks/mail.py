"""Measures how many messages a second one background worker sends through a mail server on loopback."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from threading import Thread

from campaign import create_app
from campaign.mail import outbox
from campaign.mail.sending import Sender
from campaign.models.message import Queue
from campaign.settings import Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.mail.mailbox import Mailbox, smtp_server

MESSAGES = 2000
LEAST = 100
"""Messages a second that one worker must send."""

Row = Callable[[str, str, str, str, bool], None]


def report(row: Row, what: str, settings: Settings) -> None:
    """Add a row with the rate on this database, whose tables exist."""
    mailbox = Mailbox()
    with smtp_server(mailbox) as server:
        mail = replace(settings, mail_url=server.url, mail_from="info@example.org")
        with create_app(mail).app_context():
            _fill()
            sender = Sender(db.engine, mail)
            thread = Thread(target=sender.run)
            began = time.monotonic()
            thread.start()
            mailbox.wait_for(MESSAGES, seconds=600)
            rate = MESSAGES / (time.monotonic() - began)
            sender.stop()
            thread.join()
            db.engine.dispose()
    beside = "the mail server runs in the same process"
    row(f"messages sent by one worker, {what}", f"{rate:,.0f}/s", beside, f"{LEAST}/s", rate >= LEAST)


def _fill() -> None:
    with write_transaction() as session:
        for number in range(MESSAGES):
            outbox.add(session, Queue.CHECK, f"nr{number}@example.org", "en", datetime.now(UTC))
