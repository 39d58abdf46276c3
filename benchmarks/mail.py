"""Measures how many messages a second one background worker sends through a mail server on loopback."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from campaign import create_app
from campaign.campaigns import lookup
from campaign.mail import outbox
from campaign.mail.sending import SWITCH_SECONDS, Sender
from campaign.models.message import Queue
from campaign.models.signature import Signature, SignatureState
from campaign.settings import Settings
from campaign.signatures import fake
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.services import free_port

MESSAGES = 2000
LEAST = 100
"""Messages a second that one worker must send."""

Row = Callable[[str, str, str, str, bool], None]


def report(row: Row, what: str, settings: Settings) -> None:
    """Add a row with the rate on this database, whose tables exist."""
    with _server() as port:
        mail = replace(settings, mail_url=f"smtp://127.0.0.1:{port}", mail_from="info@example.org")
        with create_app(mail).app_context():
            _fill()
            sender = Sender(db.engine, mail)
            sys.setswitchinterval(SWITCH_SECONDS)
            began = time.monotonic()
            while sender.send_some() == 0:
                pass
            rate = MESSAGES / (time.monotonic() - began)
            if outbox.waiting(db.session()).count:
                raise SystemExit("a message was not sent")
            db.session.remove()
            db.engine.dispose()
    beside = "the mail server, aiosmtpd, runs on the same cores"
    row(f"messages sent by one worker, {what}", f"{rate:,.0f}/s", beside, f"{LEAST}/s", rate >= LEAST)


@contextmanager
def _server() -> Iterator[int]:
    """Start a mail server that accepts everything, and yield its port."""
    port = free_port()
    command = [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}", "-c", "aiosmtpd.handlers.Sink"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        try:
            yield port
        finally:
            process.terminate()


def _fill() -> None:
    """Store unconfirmed signatures and the messages that ask to confirm them."""
    now = datetime.now(UTC)
    with write_transaction() as session:
        campaign_id = lookup.all_campaigns(session)[0].id
        for number in range(MESSAGES):
            address = f"mail{number}@example.org"
            row = fake.signature(campaign_id, address, now) | {"email": address, "email_key": address}
            session.add(Signature(**row | {"state": SignatureState.PENDING, "listed_at": None}))
            outbox.add(session, Queue.CONFIRM, address, "en", now, campaign_id=campaign_id)
