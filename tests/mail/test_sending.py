"""Sending: each message is sent once, later if the server says so, and never if it refuses."""

import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from threading import Thread

import pytest
from flask import Flask
from sqlalchemy import create_engine, update

from campaign.mail import outbox, server
from campaign.mail.sending import LOOK_AGAIN, MOST_IN_VAIN, Sender
from campaign.models.message import Message, MessageState, Queue
from campaign.settings import Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import SECRET_KEY
from tests.mail.conftest import Post, stored_messages
from tests.mail.mailbox import HANG_UP, OK, Mailbox, Server
from tests.services import Service

pytestmark = pytest.mark.slow

MINUTE = timedelta(minutes=1)


def make_due() -> None:
    """Let the next try of all messages be now."""
    with write_transaction() as session:
        session.execute(update(Message).values(due_at=datetime.now(UTC) - MINUTE))


def addresses(number: int) -> list[str]:
    return [f"nr{each}@example.org" for each in range(number)]


def refuse_ada(mailbox: Mailbox, command: str, answer: str) -> None:
    """Let the server answer Ada's address, or the message to her, with a refusal."""
    if command == "recipient":
        mailbox.answer_recipient = lambda address: answer if address.startswith("ada") else OK
    else:
        mailbox.answer_data = lambda message: answer if "ada" in message["To"] else OK


def test_waiting_messages_are_sent_once_in_order(sender: Sender, post: Post, mailbox: Mailbox) -> None:
    post(*addresses(30))
    while sender.send_some() == 0:
        pass
    assert mailbox.recipients == addresses(30)
    assert set(mailbox.ids.values()) == {1}
    assert {message.state for message in stored_messages()} == {MessageState.SENT}
    assert sender.send_some() == LOOK_AGAIN


def test_messages_share_one_open_connection(sender: Sender, post: Post, mailbox: Mailbox) -> None:
    for address in addresses(3):
        post(address)
        sender.send_some()
    assert list(mailbox.connections.values()) == [3]


def test_connection_ends_after_as_many_messages_as_the_setting_says(
    mail_settings: Settings, post: Post, mailbox: Mailbox
) -> None:
    sender = Sender(db.engine, replace(mail_settings, mail_per_connection=2))
    post(*addresses(5))
    sender.send_some()
    sender._connection.close()
    assert sorted(mailbox.connections.values()) == [1, 2, 2]


def test_limit_for_a_domain_delays_only_its_messages(mail_settings: Settings, post: Post, mailbox: Mailbox) -> None:
    sender = Sender(db.engine, replace(mail_settings, mail_per_domain=2))
    post(*addresses(4), "ada@example.net")
    sender.send_some()
    sender._connection.close()
    assert mailbox.recipients == [*addresses(2), "ada@example.net"]
    waiting = [message for message in stored_messages() if message.state is MessageState.WAITING]
    assert len(waiting) == 2
    for message in waiting:
        assert timedelta(seconds=30) < message.due_at - datetime.now(UTC) <= 2 * MINUTE
        assert message.tries == 0, "it is not the message's fault"


def test_limit_per_second_is_kept(mail_settings: Settings, post: Post, mailbox: Mailbox) -> None:
    sender = Sender(db.engine, replace(mail_settings, mail_per_second=20))
    post(*addresses(10))
    began = datetime.now(UTC)
    sender.send_some()
    sender._connection.close()
    assert datetime.now(UTC) - began >= timedelta(seconds=9 / 20)
    assert len(mailbox.messages) == 10


@pytest.mark.parametrize("answer", ["450 4.2.1 Greylisted", "451 4.3.0 Try later", "452 4.3.1 Disk full"])
@pytest.mark.parametrize("command", ["recipient", "data"])
def test_message_is_sent_later_if_the_server_says_so(
    sender: Sender, post: Post, mailbox: Mailbox, answer: str, command: str
) -> None:
    post("ada@example.org", "eve@example.org")
    refuse_ada(mailbox, command, answer)
    sender.send_some()
    assert mailbox.recipients == ["eve@example.org"], "the others don't wait"
    ada, _ = stored_messages()
    assert (ada.state, ada.tries, ada.answer) == (MessageState.WAITING, 1, answer)
    assert timedelta(seconds=30) < ada.due_at - datetime.now(UTC) <= MINUTE
    assert sender.send_some() == LOOK_AGAIN
    mailbox.answer_recipient, mailbox.answer_data = lambda _: OK, lambda _: OK
    make_due()
    sender.send_some()
    assert mailbox.recipients == ["eve@example.org", "ada@example.org"]


@pytest.mark.parametrize("answer", ["550 5.1.1 No such user", "552 5.2.2 Mailbox full", "554 5.7.1 Spam"])
@pytest.mark.parametrize("command", ["recipient", "data"])
def test_refused_message_is_not_sent_again(
    sender: Sender, post: Post, mailbox: Mailbox, answer: str, command: str
) -> None:
    post("ada@example.org", "eve@example.org")
    refuse_ada(mailbox, command, answer)
    sender.send_some()
    make_due()
    sender.send_some()
    assert mailbox.recipients == ["eve@example.org"]
    ada, eve = stored_messages()
    assert (ada.state, ada.answer) == (MessageState.REFUSED, answer)
    assert eve.state is MessageState.SENT


def test_broken_connection_delays_only_its_message(sender: Sender, post: Post, mailbox: Mailbox) -> None:
    post(*addresses(4))
    mailbox.answer_data = lambda message: HANG_UP if "nr1@" in message["To"] else OK
    sender.send_some()
    assert mailbox.recipients == ["nr0@example.org", "nr2@example.org", "nr3@example.org"]
    assert [message.tries for message in stored_messages()] == [0, 1, 0, 0]


def test_messages_wait_while_the_server_is_away(
    sender: Sender, post: Post, mailbox: Mailbox, smtp: Server, mail_settings: Settings
) -> None:
    post(*addresses(3))
    smtp.stop()
    assert [sender.send_some() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [message.tries for message in stored_messages()] == [0, 0, 0], "it is not the messages' fault"
    again = Server(mailbox, smtp.port)
    again.start()
    try:
        assert sender.send_some() == 0
    finally:
        again.stop()
    assert sorted(mailbox.recipients) == addresses(3)


def test_server_that_ends_the_connection_at_one_message_gets_the_others(
    sender: Sender, post: Post, mailbox: Mailbox
) -> None:
    post(*addresses(3))
    mailbox.answer_recipient = lambda address: "421 4.3.2 Shutting down" if "nr0" in address else OK
    sender.send_some()
    assert [message.tries for message in stored_messages()] == [1, 0, 0]
    assert mailbox.recipients == addresses(3)[1:]


def test_server_that_refuses_everything_gets_a_pause(sender: Sender, post: Post, mailbox: Mailbox) -> None:
    post(*addresses(30))
    mailbox.answer_recipient = lambda _: "550 5.4.5 Daily limit exceeded"
    assert [sender.send_some() for _ in range(4)] == [1, 2, 4, 8]
    states = [message.state for message in stored_messages()]
    assert states.count(MessageState.WAITING) == 30 - MOST_IN_VAIN - 3, "one more is tried after each pause"


def test_idle_connection_that_the_server_has_closed_costs_no_try(
    sender: Sender, post: Post, mailbox: Mailbox, smtp: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    post("ada@example.org")
    sender.send_some()
    smtp.stop()
    again = Server(mailbox, smtp.port)
    again.start()
    try:
        for address, idle in (("eve@example.org", server.IDLE), ("bob@example.org", -1)):
            monkeypatch.setattr(server, "IDLE", idle)
            post(address)
            sender.send_some()
    finally:
        again.stop()
    assert mailbox.recipients == ["ada@example.org", "eve@example.org", "bob@example.org"]
    assert {message.tries for message in stored_messages()} == {0}


def test_message_that_cannot_be_made_does_not_stop_the_others(sender: Sender, post: Post, mailbox: Mailbox) -> None:
    post("not an address", "ada@example.org")
    sender.send_some()
    assert mailbox.recipients == ["ada@example.org"]
    assert [(message.state, message.answer) for message in stored_messages()] == [
        (MessageState.WAITING, "ValueError"),
        (MessageState.SENT, ""),
    ]


def test_message_is_not_sent_after_its_time(sender: Sender, post: Post, mailbox: Mailbox) -> None:
    tried, untried = timedelta(hours=4), timedelta(hours=48)
    post("ada@example.org", at=datetime.now(UTC) - tried)
    with write_transaction() as session:
        session.execute(update(Message).values(tries=1))
    post("grace@example.org", at=datetime.now(UTC) - untried)
    post("joan@example.org", at=datetime.now(UTC) - untried + MINUTE)
    while sender.send_some() == 0:
        pass
    assert mailbox.recipients == ["joan@example.org"]
    states = MessageState.EXPIRED, MessageState.EXPIRED, MessageState.SENT
    assert [message.state for message in stored_messages()] == [*states]


def test_wrong_clock_hides_no_message(sender: Sender, post: Post, mailbox: Mailbox) -> None:
    post("ada@example.org")
    with write_transaction() as session:
        session.execute(update(Message).values(due_at=datetime.now(UTC) + timedelta(days=400)))
    assert sender.send_some() == LOOK_AGAIN
    with write_transaction() as session:
        outbox.correct_times(session, datetime.now(UTC))
    sender.send_some()
    assert mailbox.recipients == ["ada@example.org"]


def test_stalling_server_costs_one_message_a_try(
    sender: Sender, post: Post, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "TIMEOUT", 0.5)
    monkeypatch.setattr(server, "ACCEPTING", 0.5)
    stalls = ["once"]

    def stall(_: EmailMessage) -> str:
        # The whole server stands still.
        if stalls:
            stalls.pop()
            time.sleep(2)
        return OK

    mailbox.answer_data = stall
    post(*addresses(2))
    sender.send_some()
    assert [message.tries for message in stored_messages()] == [1, 0]
    until = time.monotonic() + 20
    while stored_messages()[1].state is MessageState.WAITING:
        assert time.monotonic() < until
        time.sleep(0.2)
        sender.send_some()
    assert [message.tries for message in stored_messages()] == [1, 0]


def test_message_expires_if_it_cannot_be_sent_in_time(sender: Sender, post: Post, mailbox: Mailbox) -> None:
    mailbox.answer_recipient = lambda _: "451 4.3.0 Try later"
    old = datetime.now(UTC) - outbox.LIFETIMES[next(iter(outbox.LIFETIMES))]
    post("ada@example.org", at=old + timedelta(seconds=30))
    sender.send_some()
    [message] = stored_messages()
    assert (message.state, message.answer) == (MessageState.EXPIRED, "451 4.3.0 Try later")


def test_waits_between_tries_grow(sender: Sender, post: Post, mailbox: Mailbox) -> None:
    mailbox.answer_recipient = lambda _: "451 4.3.0 Try later"
    post("ada@example.org")
    waits = []
    for _ in range(8):
        make_due()
        sender.send_some()
        waits.append(round((stored_messages()[0].due_at - datetime.now(UTC)) / MINUTE))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_two_senders_never_send_the_same_message(
    app: Flask, mail_settings: Settings, post: Post, mailbox: Mailbox
) -> None:
    post(*addresses(200))
    senders = [Sender(db.engine, mail_settings) for _ in range(4)]
    threads = [Thread(target=each.run) for each in senders]
    for thread in threads:
        thread.start()
    mailbox.wait_for(200)
    for each, thread in zip(senders, threads, strict=True):
        each.stop()
        thread.join()
    assert Counter(mailbox.recipients) == dict.fromkeys(addresses(200), 1)


def test_lease_of_a_dead_worker_ends(sender: Sender, post: Post, mailbox: Mailbox) -> None:
    post("ada@example.org")
    [leased] = outbox.lease(db.engine, "dead", datetime.now(UTC), SECRET_KEY)
    assert sender.send_some() == LOOK_AGAIN
    assert outbox.lease(db.engine, "other", leased.until + timedelta(seconds=1), SECRET_KEY)[0].id == leased.id


def test_worker_that_wakes_up_too_late_changes_nothing(app: Flask, post: Post) -> None:
    post("ada@example.org", at=datetime.now(UTC) - 3 * outbox.LEASE)
    [late] = outbox.lease(db.engine, "late", datetime.now(UTC) - 2 * outbox.LEASE, SECRET_KEY)
    [now] = outbox.lease(db.engine, "other", datetime.now(UTC), SECRET_KEY)
    outbox.mark_refused(db.engine, late, "550 no", datetime.now(UTC))
    assert stored_messages()[0].state is MessageState.WAITING
    outbox.mark_sent(db.engine, now, datetime.now(UTC))
    assert stored_messages()[0].state is MessageState.SENT


def test_stopped_sender_gives_its_messages_back(sender: Sender, post: Post, mailbox: Mailbox) -> None:
    post(*addresses(3))

    def stop_sender(_: EmailMessage) -> str:
        sender.stop()
        return OK

    mailbox.answer_data = stop_sender
    sender.run()
    assert mailbox.recipients == ["nr0@example.org"]
    assert outbox.lease(db.engine, "other", datetime.now(UTC), SECRET_KEY)[0].recipient == "nr1@example.org"


def test_outbox_is_rolled_back_with_what_made_the_message_necessary(app: Flask, post: Post) -> None:
    def fail() -> None:
        with write_transaction() as session:
            outbox.add(session, Queue.CHECK, "ada@example.org", "en", datetime.now(UTC))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert stored_messages() == []


def test_sender_waits_while_postgresql_restarts(own_server: Service) -> None:
    engine = create_engine(own_server.url)
    mail = Settings.from_environ(
        {"MAIL_URL": "smtp://127.0.0.1:9", "MAIL_FROM": "a@example.org", "DATABASE_URL": own_server.url}
    )
    sender = Sender(engine, mail)
    assert sender.send_some() == LOOK_AGAIN
    own_server.kill()
    assert sender.send_some() == 1
    own_server.start()
    assert sender.send_some() == LOOK_AGAIN
    engine.dispose()


def test_messages_are_deleted_a_week_after_they_were_sent(sender: Sender, post: Post, mailbox: Mailbox) -> None:
    post("ada@example.org", "eve@example.org")
    mailbox.answer_recipient = lambda address: "451 4.3.0 Try later" if address.startswith("eve") else OK
    sender.send_some()
    for days, left in ((6, 2), (8, 1)):
        with write_transaction() as session:
            assert not outbox.delete_ended(session, datetime.now(UTC) + timedelta(days=days))
        assert len(stored_messages()) == left
    assert stored_messages()[0].recipient == "eve@example.org", "a message that waits is kept"
