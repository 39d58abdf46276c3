"""What strangers see, forge, and do with somebody else's address: nothing that matters."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from campaign.accounts.audit_log import COMMAND
from campaign.campaigns import editing
from campaign.campaigns.fields import InvalidCampaignError
from campaign.mail import outbox
from campaign.models.campaign import Campaign
from campaign.models.message import Message, MessageState, Queue
from campaign.models.signature import Signature, SignatureState
from campaign.moderation import actions
from campaign.moderation.actions import Action
from campaign.self_service import mailbox_records, tokens
from campaign.self_service.tokens import Claim, Purpose
from campaign.settings import Settings
from campaign.signatures import pseudonyms
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import ADA, PATH, SECRET_KEY, Publish, only_sqlite, stored
from tests.mail.conftest import stored_messages
from tests.self_service.conftest import ADDRESS, Inbox, Signer
from tests.self_service.test_confirming import GRACE, count_all

pytestmark = pytest.mark.slow


# What a stranger can see.


@contextmanager
def statements(settings: Settings) -> Iterator[list[str]]:
    """Collect the statements of all threads."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(" ".join(statement.split()))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


KINDS = ("new", "pending", "confirmed", "withdrawn", "removed")


def prepare(kind: str, address: str, signer: Signer, inbox: Inbox) -> None:
    """Bring a mailbox into a state."""
    if kind == "new":
        return
    signer.sign(email=address)
    if kind in ("confirmed", "withdrawn", "removed"):
        signer.confirm(inbox.token("confirm", address))
    if kind == "withdrawn":
        signer.change(inbox.token("my-signature", address), "withdraw", sure="y")
    if kind == "removed":
        with write_transaction() as session:
            removed = update(Signature).where(Signature.email == address)
            session.execute(removed.values(state=SignatureState.REMOVED, listed_at=None))


@pytest.mark.parametrize("htmx", [True, False])
@pytest.mark.parametrize("what", ["sign", "code", "link"])
def test_answer_doesnt_tell_whether_a_mailbox_has_signed(
    confirming: Campaign, signer: Signer, inbox: Inbox, mail_settings: Settings, what: str, htmx: bool
) -> None:
    answers, work = {}, {}
    addresses = {kind: f"{kind:x<9}@example.org" for kind in KINDS}
    for kind, address in addresses.items():
        prepare(kind, address, signer, inbox)
    inbox.all()
    for kind, address in addresses.items():
        with statements(mail_settings) as seen:
            if what == "sign":
                answer = signer.sign(email=address, htmx=htmx)
            elif what == "code":
                answer = signer.enter("000000", address, htmx=htmx)
            else:
                answer = signer.request_link(address)
        headers = [(name, value) for name, value in answer.headers if name != "X-Request-ID"]
        answers[kind] = answer.status_code, headers, answer.data.replace(address.encode(), b"ADDRESS")
        work[kind] = [each for each in seen if not each.startswith(("BEGIN", "COMMIT", "ROLLBACK"))]
    assert len({str(each) for each in answers.values()}) == 1, answers
    assert len({str(each) for each in work.values()}) == 1, work


@only_sqlite
def test_only_the_mailbox_learns_that_it_has_signed_before(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    assert inbox.last()["Subject"] == "Please confirm your signature: Save the Park"
    signer.sign()
    assert inbox.last()["Subject"] == "Please confirm your signature: Save the Park"
    signer.confirm(inbox.token("confirm"))
    signer.sign(name="Somebody Else")
    assert inbox.last()["Subject"] == "You have already signed: Save the Park"
    assert "Ada Lovelace, Los Angeles" in inbox.text()
    assert signer.listed() == ["Ada Lovelace"]


def test_mailbox_gets_at_most_five_messages_a_day(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    for _ in range(7):
        signer.sign()
    signer.request_link()
    signer.sign(email=GRACE)
    assert len(inbox.all()) == 5
    assert len(inbox.all(GRACE)) == 1, "others still get theirs"
    with write_transaction() as session:
        for message in stored_messages():
            session.merge(message).ended_at = datetime.now(UTC) - timedelta(days=1, minutes=1)
    signer.sign()
    assert len(inbox.all()) == 6, "the next day, it gets another"


@only_sqlite
def test_spellings_of_a_mailbox_share_the_limit(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    for number in range(7):
        signer.sign(email=f"ada+{number}@example.org")
    inbox.all()
    assert [each.state for each in stored_messages()].count(MessageState.SENT) == 5


def test_wrong_codes_are_limited_for_every_mailbox(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    right = inbox.code()
    wrong = f"{(int(right) + 1) % 10**6:06}"
    for address in (ADDRESS, "nobody@example.org"):
        for _ in range(mailbox_records.MOST_TRIES):
            assert signer.enter(wrong, address).status_code == 422
        refused = signer.enter(right, address)
        assert refused.status_code == 429
        assert "Use the link in the message" in refused.text
    assert signer.count() == 0
    assert signer.confirm(inbox.token("confirm")).status_code == 303, "the link still works"


@only_sqlite
def test_code_of_another_mailbox_or_campaign_is_wrong(
    confirming: Campaign, publish: Publish, signer: Signer, inbox: Inbox
) -> None:
    other = publish(slug="other", title="Other", confirm=True)
    signer.sign()
    code = inbox.code()
    signer.sign(email=GRACE)
    signer.client.post(f"/campaigns/{other.slug}/signatures", data=ADA)
    assert signer.enter(code, GRACE).status_code == 422
    data = {"email": ADDRESS, "code": code}
    assert signer.client.post(f"/campaigns/{other.slug}/confirm", data=data).status_code == 422


# Tokens.


def token(campaign_id: int, signature_id: int = 1, purpose: Purpose = Purpose.CONFIRM, secret: str = SECRET_KEY) -> str:
    mailbox = pseudonyms.of(secret, campaign_id, ADDRESS)
    return tokens.make(secret, purpose, campaign_id, Claim(signature_id, mailbox, ""))


@only_sqlite
@pytest.mark.parametrize("page", ["confirm", "my-signature"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_forged_foreign_and_expired_tokens_get_a_page_that_says_what_to_do(
    confirming: Campaign,
    publish: Publish,
    signer: Signer,
    monkeypatch: pytest.MonkeyPatch,
    page: str,
    method: str,
) -> None:
    signer.sign()
    own = Purpose(page)
    other_purpose = next(each for each in Purpose if each is not own)
    good = token(confirming.id, purpose=own)
    bad = {
        "forged": good[:-5] + ("A" if good[-5] != "A" else "B") + good[-4:],
        "of another key": token(confirming.id, purpose=own, secret="x" * 64),
        "of another campaign": token(publish(slug="other").id, purpose=own),
        "for another purpose": token(confirming.id, purpose=other_purpose),
        "cut": good[:20],
        "long": good * 100,
        "no token": "words & <signs>",
        "null": "\0",
    }
    for what, each in bad.items():
        answer = ask(signer, method, page, each)
        assert answer.status_code == 404, what
        assert "This link doesn’t work" in answer.text
        assert "Request a new link" in answer.text
        assert answer.cache_control.no_store
    with monkeypatch.context() as back:
        then = datetime.now(UTC).timestamp() - 15 * 86_400
        back.setattr("itsdangerous.timed.time.time", lambda: then)
        old = token(confirming.id, purpose=own)
    answer = ask(signer, method, page, old)
    assert answer.status_code == 410
    assert "This link has expired" in answer.text
    assert "Request a new link" in answer.text
    assert [each.state for each in stored()] == [SignatureState.PENDING]


def ask(signer: Signer, method: str, page: str, token: str) -> TestResponse:
    if method == "get":
        return signer.client.get(f"{PATH}/{page}", query_string={"token": token})
    return signer.client.post(f"{PATH}/{page}", data={"token": token, "do": "withdraw", "sure": "y"})


@only_sqlite
def test_link_with_punctuation_after_it_works(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    for end in (".", ")", ">", ",", ").", "”"):
        assert signer.client.get(f"{inbox.link('confirm')}{end}").status_code == 200


@only_sqlite
def test_token_of_a_deleted_signature_is_not_valid_for_one_that_gets_its_id(
    confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    link, own = inbox.link("confirm"), inbox.link("my-signature")
    signer.change(inbox.token("my-signature"), "withdraw", sure="y")
    with write_transaction() as session:
        session.add(Signature(**{**row_of(confirming, GRACE), "id": 1}))
    assert signer.client.get(link).status_code == 410
    assert GRACE not in signer.client.get(own).text
    assert signer.confirm(link.partition("token=")[2]).status_code == 410


def row_of(campaign: Campaign, email: str) -> dict[str, object]:
    texts = dict.fromkeys(("region", "city", "postal_code"), "")
    now = datetime.now(UTC)
    return {
        **texts,
        "campaign_id": campaign.id,
        "name": "Grace",
        "email": email,
        "email_key": email,
        "country": "US",
        "anonymous": False,
        "wants_updates": False,
        "state": SignatureState.PENDING,
        "signed_at": now,
    }


# What strangers do with somebody else's address.


def test_right_code_leaves_no_trace_in_the_count_of_tries(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    signer.enter(inbox.code())
    wrong = [signer.enter("000000" if inbox.code() != "000000" else "000001").status_code for _ in range(11)]
    assert wrong == [422] * 10 + [429], "as for a mailbox that nobody has confirmed"


def test_signing_again_before_confirming_takes_what_was_typed_last(
    confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign(name="Ada Lovelase", updates="y")
    inbox.all()
    signer.sign(name="Ada Lovelace")
    assert "Your entry: Ada Lovelace," in inbox.text()
    assert "keep you posted" not in inbox.text()
    signer.confirm(inbox.token("confirm"))
    assert signer.listed() == ["Ada Lovelace"]
    assert not stored()[0].wants_updates


@only_sqlite
def test_link_does_not_confirm_what_a_stranger_has_typed_meanwhile(
    confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    code, link, token = inbox.code(), inbox.link("confirm"), inbox.token("confirm")
    signer.sign(name="Mallory", updates="y")
    inbox.all()
    assert signer.enter(code).status_code == 422, "the code of the message before"
    answer = signer.confirm(token)
    assert answer.status_code == 409
    assert "The entry has changed since you opened the link." in answer.text
    assert "Mallory" in answer.text
    assert "keep you posted" in answer.text
    assert signer.count() == 0
    assert "Mallory" in signer.client.get(link).text, "the page shows what its button confirms"


@only_sqlite
def test_message_goes_to_the_address_that_has_signed(thanking: Campaign, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    inbox.all()
    signer.request_link("ada+mallory@example.org")
    assert inbox.all("ada+mallory@example.org") == []
    assert inbox.last()["Subject"] == "The link to your signature: Save the Park"


@only_sqlite
def test_entry_in_a_message_has_nothing_that_mail_programs_make_a_link(
    confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign(name="Claim-Prize.Cloud", city="win.bond/now")
    text = inbox.text()
    assert "Cloud" in text
    assert "Prize.Cloud" not in text
    assert "win.bond" not in text


@only_sqlite
def test_message_that_cannot_be_decided_does_not_stop_the_others(
    confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    signer.sign(email=GRACE)
    with write_transaction() as session:
        session.execute(update(Message).where(Message.recipient == ADDRESS).values(recipient="no address"))
    assert len(inbox.all(GRACE)) == 1


def test_signing_again_counts_once_the_campaign_asks_nobody_to_confirm(
    publish: Publish, signer: Signer, inbox: Inbox, mail_settings: Settings
) -> None:
    campaign = publish(confirm=True)
    signer.sign()
    inbox.all()
    publish(confirm=False)
    assert signer.sign().location == f"{PATH}/thanks"
    inbox.all()
    assert signer.listed() == ["Ada Lovelace"]
    count_all(campaign)


@only_sqlite
def test_messages_delayed_by_our_own_limits_do_not_expire(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    with write_transaction() as session:
        session.execute(update(Message).values(created_at=datetime.now(UTC) - timedelta(hours=40)))
    assert len(inbox.all()) == 1


def test_two_workers_send_no_more_than_five_messages(
    confirming: Campaign, signer: Signer, inbox: Inbox, mail_settings: Settings
) -> None:
    for _ in range(4):
        signer.sign()
    inbox.all()
    signer.sign()
    signer.request_link()
    now = datetime.now(UTC)
    # The link's queue is served before the lower id of the other message, by another worker.
    (link,) = outbox.lease(db.engine, "first", now, SECRET_KEY, after=Queue.THANKS)
    (confirm,) = outbox.lease(db.engine, "second", now + timedelta(microseconds=1), SECRET_KEY, after=Queue.CHECK)
    assert (link.queue, confirm.queue) == (Queue.LINK, Queue.CONFIRM)
    assert (link.why_not, confirm.why_not) == ("", "the mailbox has had enough messages today")
    with Session(db.engine) as session:
        assert list(outbox.why_not(session, [link, confirm], now)) == [confirm.id]


def test_removed_signature_can_be_restored_although_a_stranger_has_signed_since(
    confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    signer.confirm(inbox.token("confirm"))
    for action in (Action.REMOVE, Action.BLOCK):
        with write_transaction() as session:
            actions.act(session, COMMAND, confirming.id, action, [1], "why", datetime.now(UTC), may_remove=True)
        if action is Action.REMOVE:
            signer.sign(name="Mallory")
            assert [each.state for each in stored()] == [SignatureState.REMOVED, SignatureState.PENDING]
    assert [each.email_key for each in stored()] == [ADDRESS], "the mailbox is blocked"
    count_all(confirming)


def test_translation_with_signers_who_have_yet_to_confirm_stays(
    publish: Publish, mail_settings: Settings, signer: Signer
) -> None:
    spanish = {"es": {"title": "Salven el parque", "letter": "Querido alcalde"}}
    campaign = publish(confirm=True, translations=spanish)
    signer.client.post(f"{PATH}/es/signatures", data=ADA)
    count_all(campaign)
    with write_transaction() as session:
        file = editing.file_of(session, editing.load_locked(session, campaign.id)).with_values({"translations": {}})
        with pytest.raises(InvalidCampaignError, match="must stay"):
            editing.edit(session, COMMAND, campaign.id, file, datetime.now(UTC))


@only_sqlite
@pytest.mark.parametrize("method", ["get", "post"])
def test_page_for_the_code_is_missing_on_a_site_without_mail(publish: Publish, signer: Signer, method: str) -> None:
    publish()
    answer = signer.client.get(f"{PATH}/confirm") if method == "get" else signer.enter("123456", htmx=False)
    assert answer.status_code == 404


@only_sqlite
def test_code_that_cannot_be_stored_gets_a_notice(
    confirming: Campaign, signer: Signer, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer.sign()
    code = inbox.code()

    def refuse(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "mailbox_record" in statement:
            raise OperationalError(statement, {}, Exception("the disk is gone"))

    event.listen(db.engine, "before_cursor_execute", refuse)
    try:
        answer = signer.enter(code)
    finally:
        event.remove(db.engine, "before_cursor_execute", refuse)
    assert answer.status_code == 503
    assert answer.headers["HX-Retarget"] == "#notice"
    assert signer.enter(code).status_code == 200
