"""Confirming: a signature counts once its mailbox has confirmed it, and nobody else learns whether it has."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import event, update

from campaign.models.campaign import Campaign, CampaignState
from campaign.models.message import Queue
from campaign.models.signature import Signature, SignatureState
from campaign.self_service import confirming as rules
from campaign.settings import Settings
from campaign.signatures import tally
from campaign.statistics import roll_up_checks, roll_ups
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.worker import expiry
from tests.conftest import ADA, PATH, Publish, only_sqlite, stored
from tests.mail.conftest import stored_messages
from tests.self_service.conftest import ADDRESS, Inbox, Signer

GRACE = "grace@example.org"
pytestmark = pytest.mark.slow


def count_all(campaign: Campaign) -> None:
    """Do the work of the statistics, and compare them and the tally with the signatures."""
    while roll_ups.add_piece(datetime.now(UTC)):
        pass
    assert tally.check(db.session(), campaign.id).is_correct
    db.session.rollback()
    assert not roll_up_checks.check(db.engine, campaign.id, datetime.now(UTC)).wrong


def age(by: timedelta) -> None:
    """Let all pending signatures have been signed this much earlier."""
    with write_transaction() as session:
        for signature in session.query(Signature).filter_by(state=SignatureState.PENDING):
            signature.signed_at -= by


def test_signature_counts_and_is_listed_once_it_is_confirmed_by_the_link(
    confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    assert signer.sign().status_code == 303
    assert (signer.count(), signer.listed()) == (0, [])
    assert ADA["name"] not in signer.client.get(f"{PATH}.atom").text
    page = signer.client.get(inbox.link("confirm"))
    assert "Confirm my signature" in page.text
    assert "Ada Lovelace, Los Angeles, California, US" in page.text
    answer = signer.confirm(inbox.token("confirm"))
    assert (answer.status_code, answer.location) == (303, f"{PATH}/thanks")
    assert "Ada Lovelace" in signer.client.get(answer.location).text
    assert (signer.count(), signer.listed()) == (1, ["Ada Lovelace"])
    count_all(confirming)


@only_sqlite
def test_confirmed_signature_is_on_top_of_the_list(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    signer.sign(email=GRACE, name="Grace Hopper")
    signer.confirm(inbox.token("confirm", GRACE))
    signer.confirm(inbox.token("confirm"))
    assert signer.listed() == ["Ada Lovelace", "Grace Hopper"]


def test_code_confirms_in_the_open_page(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    panel = signer.sign(htmx=True)
    assert "check your inbox" in panel.text
    assert "HX-Trigger" not in panel.headers, "nothing has been added to the list yet"
    answer = signer.enter(inbox.code())
    assert answer.status_code == 200
    assert answer.headers["HX-Trigger"] == "signed"
    assert "Thank You!" in answer.text
    assert '<bdi class="name">Ada Lovelace</bdi>' in answer.text
    assert 'value="1"' in answer.text, "the count grows by one"
    assert signer.count() == 1
    count_all(confirming)


@only_sqlite
@pytest.mark.parametrize(
    "typed", ["{} ", "{0[0]}{0[1]}{0[2]} {0[3]}{0[4]}{0[5]}", "{0[0]}{0[1]}{0[2]}-{0[3]}{0[4]}{0[5]}"]
)
def test_code_may_be_typed_with_spaces(confirming: Campaign, signer: Signer, inbox: Inbox, typed: str) -> None:
    signer.sign()
    assert signer.enter(typed.format(inbox.code())).status_code == 200


@only_sqlite
def test_code_may_be_typed_in_digits_of_another_script(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    arabic = inbox.code().translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    assert signer.enter(arabic).status_code == 200


@only_sqlite
@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "１２３"])
def test_code_without_six_digits_gets_an_error_next_to_its_field(
    confirming: Campaign, signer: Signer, typed: str
) -> None:
    answer = signer.enter(typed)
    assert answer.status_code == 422
    assert "Enter the six digits of the code in the message" in answer.text
    assert f'value="{ADDRESS}"' in answer.text, "the address stays"


@only_sqlite
def test_code_works_without_javascript(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    page = signer.client.get(signer.sign().location).text
    assert 'id="email"' in page, "no URL may contain the address, so it is typed again"
    wrong = signer.enter("000000" if inbox.code() != "000000" else "000001", htmx=False)
    assert wrong.status_code == 422
    assert f'value="{ADDRESS}"' in wrong.text
    assert signer.enter(inbox.code(), htmx=False).location == f"{PATH}/thanks"
    assert signer.count() == 1


@only_sqlite
def test_second_click_says_that_it_is_confirmed_and_counts_nothing(
    confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    link, token, code = inbox.link("confirm"), inbox.token("confirm"), inbox.code()
    signer.confirm(token)
    assert "already confirmed" in signer.client.get(link).text
    assert signer.confirm(token).status_code == 303
    again = signer.enter(code)
    assert again.status_code == 200
    assert "HX-Trigger" not in again.headers, "the page shows the entry already"
    assert signer.count() == 1
    count_all(confirming)


def test_confirming_twice_at_the_same_moment_counts_once(
    app: Flask, confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    token = inbox.token("confirm")
    with ThreadPoolExecutor(4) as crowd:
        list(crowd.map(lambda _: Signer(app.test_client()).confirm(token), range(8)))
    assert signer.count() == 1
    count_all(confirming)


@only_sqlite
def test_opening_every_link_changes_nothing(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    links = [inbox.link("confirm"), inbox.link("my-signature"), f"{PATH}/confirm", f"{PATH}/my-signature"]
    before = [vars(each) for each in stored()]
    for link in links:
        for method in ("GET", "HEAD", "OPTIONS"):
            assert signer.client.open(link, method=method).status_code == 200
    assert [each.state for each in stored()] == [SignatureState.PENDING]
    assert len(before) == 1
    assert signer.count() == 0


# Time.


def close(campaign: Campaign, ago: timedelta, how: str) -> None:
    at = datetime.now(UTC) - ago
    values = {"closes_at": at} if how == "by itself" else {"closed_at": at, "state": CampaignState(how)}
    with write_transaction() as session:
        session.execute(update(Campaign).where(Campaign.id == campaign.id).values(values))


@only_sqlite
@pytest.mark.parametrize("how", ["by itself", "closed", "won"])
def test_signers_can_confirm_for_three_days_after_the_petition_closes(
    confirming: Campaign, signer: Signer, inbox: Inbox, how: str
) -> None:
    for address in (ADDRESS, GRACE):
        signer.sign(email=address)
    code = inbox.code(GRACE)
    close(confirming, timedelta(hours=71), how)
    assert "You can confirm it until" in signer.client.get(inbox.link("confirm")).text
    assert signer.confirm(inbox.token("confirm")).status_code == 303
    assert signer.count() == 1
    close(confirming, timedelta(hours=73), how)
    late = signer.client.get(inbox.link("confirm", GRACE))
    assert late.status_code == 410
    assert "too late to confirm" in late.text
    assert signer.confirm(inbox.token("confirm", GRACE)).status_code == 410
    assert signer.enter(code, GRACE).status_code == 410
    assert signer.count() == 1


def test_unconfirmed_signature_is_deleted_after_fourteen_days_with_everything_that_was_typed(
    confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    signer.sign(email=GRACE)
    signer.confirm(inbox.token("confirm", GRACE))
    count_all(confirming)
    age(rules.LIFETIME - timedelta(minutes=1))
    expiry.delete_expired()
    assert len(stored()) == 2
    age(timedelta(minutes=2))
    assert signer.client.get(inbox.link("confirm")).status_code == 410
    expiry.delete_expired()
    assert [each.email for each in stored()] == [GRACE], "a confirmed one stays"
    count_all(confirming)
    assert signer.sign().status_code == 303, "the mailbox can sign again"


def test_signature_that_gets_the_id_of_a_deleted_one_is_in_the_statistics(
    confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    count_all(confirming)
    age(rules.LIFETIME)
    expiry.delete_expired()
    assert stored() == []
    signer.sign(email=GRACE)
    signer.confirm(inbox.token("confirm", GRACE))
    count_all(confirming)


# Without mail, and when the setting changes.


@only_sqlite
def test_without_mail_signatures_are_listed_at_once(publish: Publish, signer: Signer) -> None:
    publish(confirm=True)
    assert "once you confirm it" not in signer.client.get(PATH).text
    assert signer.sign().location == f"{PATH}/thanks"
    assert signer.listed() == ["Ada Lovelace"]
    assert stored_messages() == []
    assert signer.client.get(f"{PATH}/my-signature").status_code == 404


@only_sqlite
def test_turning_confirmation_on_or_off_changes_no_signature(
    publish: Publish, signer: Signer, inbox: Inbox, mail_settings: Settings
) -> None:
    publish(confirm=False)
    signer.sign()
    publish(confirm=True)
    signer.sign(email=GRACE)
    assert signer.listed() == ["Ada Lovelace"]
    publish(confirm=False)
    assert [each.state for each in stored()] == [SignatureState.PUBLIC, SignatureState.PENDING]
    signer.confirm(inbox.token("confirm", GRACE))
    assert signer.count() == 2


@only_sqlite
def test_form_says_that_signers_must_confirm_even_when_the_database_is_away(
    confirming: Campaign, signer: Signer
) -> None:
    page = signer.client.get(PATH).text
    assert "We’ll send you a message. Your signature counts, and is listed, once you confirm it." in page
    assert '<input type="hidden" name="confirmed" value="y">' in page


@only_sqlite
def test_pending_signatures_are_in_the_queue_of_their_kind(
    publish: Publish, signer: Signer, mail_settings: Settings
) -> None:
    publish(confirm=True)
    signer.sign()
    publish(confirm=False)
    signer.sign(email=GRACE)
    assert [each.queue for each in stored_messages()] == [Queue.CONFIRM, Queue.THANKS]


def test_signature_and_message_are_stored_together_or_not_at_all(
    confirming: Campaign, signer: Signer, mail_settings: Settings
) -> None:
    def refuse(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO message"):
            raise OSError("the disk is full")

    event.listen(db.engine, "before_cursor_execute", refuse)
    try:
        answer = signer.sign(htmx=True)
    finally:
        event.remove(db.engine, "before_cursor_execute", refuse)
    assert answer.status_code in (500, 503)
    assert (stored(), stored_messages()) == ([], [])
    assert signer.sign(htmx=True).status_code == 200
    assert (len(stored()), len(stored_messages())) == (1, 1)
