"""Reminders: one to each signer who hasn't confirmed after two days, if the organizers want that."""

from datetime import UTC, datetime, timedelta

import pytest

from campaign.mail import reminders
from campaign.models.campaign import Campaign
from campaign.settings import Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.worker import reminders as task
from campaign.worker.task import NOW
from tests.conftest import Publish, only_sqlite
from tests.self_service.conftest import ADDRESS, Inbox, Signer
from tests.self_service.test_confirming import GRACE, age

pytestmark = pytest.mark.slow

SUBJECT = "Your signature isn’t confirmed yet: Save the Park"


@pytest.fixture
def reminding(publish: Publish, mail_settings: Settings) -> Campaign:
    return publish(confirm=True, remind=True)


def remind() -> None:
    while task.remind() == NOW:
        pass


def subjects(inbox: Inbox, address: str = ADDRESS) -> list[str]:
    return [message["Subject"] for message in inbox.all(address)]


def test_signer_who_hasnt_confirmed_gets_one_reminder_after_two_days(
    reminding: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    inbox.all()
    age(timedelta(days=2, minutes=-1))
    remind()
    assert SUBJECT not in subjects(inbox)
    age(timedelta(minutes=2))
    remind()
    remind()
    age(timedelta(days=3))
    remind()
    assert subjects(inbox).count(SUBJECT) == 1
    assert "This is the only reminder." in inbox.text()
    signer.confirm(inbox.token("confirm"))
    assert signer.count() == 1


@only_sqlite
def test_signer_who_has_confirmed_gets_no_reminder(reminding: Campaign, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    signer.sign(email=GRACE)
    signer.confirm(inbox.token("confirm"))
    age(timedelta(days=2, minutes=1))
    remind()
    signer.confirm(inbox.token("confirm", GRACE))
    assert SUBJECT not in subjects(inbox)


@only_sqlite
def test_reminder_is_not_sent_if_the_signer_confirms_while_it_waits(
    reminding: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    token = inbox.token("confirm")
    age(timedelta(days=2, minutes=1))
    remind()
    signer.confirm(token)
    assert SUBJECT not in subjects(inbox)


@only_sqlite
def test_nobody_is_reminded_unless_the_organizers_want_it(
    confirming: Campaign, signer: Signer, inbox: Inbox, publish: Publish
) -> None:
    signer.sign()
    inbox.all()
    age(timedelta(days=3))
    remind()
    assert SUBJECT not in subjects(inbox)
    publish(confirm=True, remind=True)
    remind()
    assert subjects(inbox).count(SUBJECT) == 1, "once they do, all who wait are reminded"


def test_many_signers_are_reminded_a_piece_at_a_time_and_each_once(
    reminding: Campaign, signer: Signer, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminders, "PIECE", 2)
    addresses = [f"nr{number}@example.org" for number in range(5)]
    for address in addresses:
        signer.sign(email=address)
    inbox.all()
    age(timedelta(days=2, minutes=1))
    remind()
    for address in addresses:
        assert subjects(inbox, address).count(SUBJECT) == 1


def test_worker_that_continues_after_a_pause_repeats_no_reminder(
    reminding: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    inbox.all()
    age(timedelta(days=2, minutes=1))
    paused_at = datetime.now(UTC) - timedelta(minutes=2)
    remind()
    # A worker has read the time and is then suspended, while another worker stores the reminders.
    with write_transaction() as session:
        assert not reminders.add_piece(session, reminding.id, paused_at)
    remind()
    assert subjects(inbox).count(SUBJECT) == 1


@only_sqlite
def test_signers_are_not_reminded_of_what_they_can_no_longer_confirm(
    reminding: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    inbox.all()
    age(timedelta(days=15))
    assert reminders.due(db.session(), datetime.now(UTC)) == []
