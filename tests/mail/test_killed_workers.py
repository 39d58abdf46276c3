"""Workers that are killed while they send: no message is lost, and each kill sends at most one twice."""

import os
import random
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from campaign.models.message import Message, MessageState
from campaign.storage.transactions import write_transaction
from tests.conftest import StartWork
from tests.mail.conftest import SENDER, Post, stored_messages
from tests.mail.mailbox import Mailbox, Server

MESSAGES, KILLS = 400, 4


@pytest.fixture
def start_mailing_worker(smtp: Server, start_work: StartWork, monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    monkeypatch.setenv("MAIL_URL", smtp.url)
    monkeypatch.setenv("MAIL_FROM", SENDER)
    return start_work


def end_leases() -> None:
    """Let the leases of dead workers end now, rather than in five minutes."""
    with write_transaction() as session:
        waiting = update(Message).where(Message.state == MessageState.WAITING)
        session.execute(waiting.values(due_at=datetime.now(UTC) - timedelta(seconds=1)))


@pytest.mark.slow
def test_killed_workers_lose_nothing_and_send_at_most_one_message_twice_each(
    app: Flask, start_mailing_worker: StartWork, post: Post, mailbox: Mailbox
) -> None:
    post(*(f"nr{number}@example.org" for number in range(MESSAGES)))
    chance = random.Random(1)  # noqa: S311 (not used for security)
    for kill in range(KILLS):
        worker = start_mailing_worker()
        mailbox.wait_for(MESSAGES * (kill + 1) // (KILLS + 2), seconds=60)
        time.sleep(chance.random() / 20)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(10)
        end_leases()
    start_mailing_worker()
    until = time.monotonic() + 60
    while any(message.state is MessageState.WAITING for message in stored_messages()):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert len(mailbox.ids) == MESSAGES, "no message is lost"
    assert max(mailbox.ids.values()) <= 2
    assert sum(count - 1 for count in mailbox.ids.values()) <= KILLS
