"""A signer's own page: it shows what is stored, and lets them correct, hide, and withdraw it."""

import csv
import io
import logging
import re
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import event, select, update
from sqlalchemy.exc import OperationalError

from campaign.accounts import audit_log
from campaign.mail import outbox
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign, CampaignState
from campaign.models.message import MailboxRecord, Message, MessageState, Queue
from campaign.models.signature import Signature, SignatureState
from campaign.moderation import actions, indexing, search, undo
from campaign.moderation.actions import Action
from campaign.self_service import withdrawals
from campaign.settings import Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import ADA, PATH, SLUG, Publish, only_sqlite, stored
from tests.mail.conftest import stored_messages
from tests.self_service.conftest import ADDRESS, Inbox, Signer
from tests.self_service.test_confirming import count_all

pytestmark = pytest.mark.slow

CORRECT = {"name": "Ada King", "country": "GB", "postal_code": "", "city": "London", "region": ""}


@pytest.fixture
def token(thanking: Campaign, signer: Signer, inbox: Inbox) -> str:
    """Sign, and return the token of the link in the thank-you message."""
    signer.sign(updates="y")
    return inbox.token("my-signature")


def entries(action: str) -> list[Record]:
    db.session.rollback()
    return list(db.session.scalars(select(Record).where(Record.action == action)))


@only_sqlite
def test_thank_you_message_has_the_link_and_the_thank_you_text(token: str, inbox: Inbox) -> None:
    assert inbox.last()["Subject"] == "Thank you for signing: Save the Park"
    assert "You did a good thing." in inbox.text()


@only_sqlite
def test_page_shows_everything_that_is_stored_about_the_signer(token: str, signer: Signer) -> None:
    page = signer.client.get(f"{PATH}/my-signature?token={token}").text
    signature = stored()[0]
    for shown in (signature.name, signature.email, "Los Angeles, California, 90012, US", "English", "counts"):
        assert shown in page


@only_sqlite
def test_pages_of_a_signer_are_stored_nowhere_and_pass_no_token_on(token: str, signer: Signer, inbox: Inbox) -> None:
    answers = [
        signer.client.get(f"{PATH}/my-signature?token={token}"),
        signer.client.get(f"{PATH}/my-signature"),
        signer.change(token, "save", **CORRECT),
        signer.change(token, "withdraw"),
        signer.request_link(),
        signer.client.get(f"{PATH}/confirm?token={token}"),
        signer.client.get(f"{PATH}/confirm"),
    ]
    for answer in answers:
        assert answer.cache_control.no_store
        assert answer.headers["Referrer-Policy"] == "strict-origin"
        assert "Set-Cookie" not in answer.headers
        for line in answer.text.splitlines():
            assert token not in line or "hidden" in line, "only forms carry the token on, in their body"


@only_sqlite
def test_tokens_are_in_no_log(
    token: str, signer: Signer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        signer.client.get(f"{PATH}/my-signature?token={token}")
        signer.client.get(f"{PATH}/confirm?token={token}")
        signer.change(token, "save", **CORRECT)
        signer.change(f"{token}x", "withdraw", sure="y")
    logged = caplog.text + "".join(str(vars(record)) for record in caplog.records) + "".join(capfd.readouterr())
    assert "my-signature" in logged, "the requests are logged"
    assert token not in logged
    assert token[:20] not in logged


# Correcting.


def test_correction_shows_in_list_statistics_and_search(token: str, thanking: Campaign, signer: Signer) -> None:
    count_all(thanking)
    answer = signer.change(token, "save", **CORRECT)
    assert answer.status_code == 200
    assert "Saved." in answer.text
    assert signer.listed() == ["Ada King"]
    assert "London, GB" in signer.client.get(f"{PATH}/signatures").text
    count_all(thanking)
    while indexing.index_piece() < indexing.LOOK_AGAIN:
        pass
    assert search.newest(db.session(), thanking.id, ["king"], "", None, 10) == [1]
    assert search.newest(db.session(), thanking.id, ["lovelace"], "", None, 10) == []


@only_sqlite
def test_audit_log_notes_a_correction_without_the_values(token: str, signer: Signer) -> None:
    signer.change(token, "save", **CORRECT)
    (entry,) = entries("signature.correct")
    assert entry.actor == audit_log.SIGNER.name
    assert entry.after == {
        "corrected": [1],
        "fields": ["name", "country", "postal_code", "city", "region", "wants_updates"],
    }
    assert not any(value in str(vars(entry)) for value in ("Ada", "King", "London", "GB", "90012"))


@only_sqlite
def test_saving_without_a_change_changes_nothing(token: str, signer: Signer) -> None:
    same = {name: value for name, value in ADA.items() if name != "email"} | {"updates": "y"}
    same |= {"city": "Los Angeles", "region": "California"}
    answer = signer.change(token, "save", **same)
    assert "Nothing has changed." in answer.text
    assert entries("signature.correct") == []


@only_sqlite
def test_signer_can_hide_and_show_their_name_and_turn_updates_off(token: str, signer: Signer) -> None:
    signer.change(token, "save", **CORRECT, anonymous="y")
    assert (stored()[0].anonymous, stored()[0].wants_updates) == (True, False)
    assert "Ada" not in signer.client.get(f"{PATH}/signatures").text
    signer.change(token, "save", **CORRECT, updates="y")
    assert (stored()[0].anonymous, stored()[0].wants_updates) == (False, True)
    assert signer.listed() == ["Ada King"]


@only_sqlite
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "Enter your name"),
        ("name", "see evil.com", "can’t contain a link"),
        ("name", "=1+1", "can’t start with"),
        ("name", "x" * 101, "100"),
        ("city", "http://evil.example", "can’t contain a link"),
        ("country", "XX", "Choose your country from the list"),
        ("country", "", "Choose your country"),
    ],
)
def test_bad_correction_gets_an_error_next_to_its_field_and_keeps_what_was_typed(
    token: str, signer: Signer, field: str, value: str, words: str
) -> None:
    answer = signer.change(token, "save", **CORRECT | {"region": "Kent", field: value})
    assert answer.status_code == 422
    assert words in answer.text
    assert f'id="{field}-message"' in answer.text
    assert 'value="Kent"' in answer.text
    assert stored()[0].name == "Ada Lovelace"


@only_sqlite
def test_line_breaks_in_a_corrected_name_are_cleaned_as_when_signing(token: str, signer: Signer, inbox: Inbox) -> None:
    signer.change(token, "save", **CORRECT | {"name": "Ada\r\nBcc: all@example.org".replace("@", " at ")})
    assert "\n" not in stored()[0].name
    signer.request_link()
    sent = inbox.last()
    assert sent["Bcc"] is None
    assert sent["To"] == ADDRESS


# Withdrawing.


@only_sqlite
def test_withdrawing_asks_once(token: str, signer: Signer) -> None:
    answer = signer.change(token, "withdraw")
    assert "Withdraw the signature?" in answer.text
    assert "Files that the organizers have already delivered can’t be recalled." in answer.text
    assert signer.count() == 1
    assert "Withdraw the signature?" not in signer.change(token, "").text, "Cancel"


@pytest.mark.parametrize("do", ["withdraw", "not-me"])
def test_withdrawing_erases_everything_and_takes_effect_everywhere(
    token: str, thanking: Campaign, signer: Signer, runner: FlaskCliRunner, do: str
) -> None:
    count_all(thanking)
    answer = signer.change(token, do, sure="y")
    assert "Your signature is withdrawn" in answer.text
    (left,) = stored()
    kept = {"id", "campaign_id", "state", "signed_at", "email_key", "anonymous", "wants_updates", "listed_at"}
    assert {name for name in vars(left) if not name.startswith("_") and getattr(left, name)} <= kept
    assert (left.state, left.email_key, left.listed_at) == (SignatureState.WITHDRAWN, " 1", None)
    assert datetime.now(UTC) - left.signed_at < timedelta(minutes=1)
    assert (signer.count(), signer.listed()) == (0, [])
    for view in ("", ".json", ".atom", "/feed", "/signatures"):
        assert "Ada" not in signer.client.get(f"{PATH}{view}").text
    exported = runner.invoke(args=["signatures", "export", SLUG]).stdout
    assert list(csv.reader(io.StringIO(exported)))[1:] == []
    assert not any(message.recipient for message in stored_messages()), "no address is left in the outbox"
    count_all(thanking)
    (entry,) = entries("signature.withdraw")
    assert (entry.before, entry.after, entry.actor) == ({"listed": [1]}, {"withdrawn": [1]}, "signer")
    assert not undo.can_undo(entry, may_remove=True)


@only_sqlite
def test_withdrawn_signature_is_not_found_by_a_search(token: str, thanking: Campaign, signer: Signer) -> None:
    while indexing.index_piece() < indexing.LOOK_AGAIN:
        pass
    signer.change(token, "withdraw", sure="y")
    while indexing.index_piece() < indexing.LOOK_AGAIN:
        pass
    assert search.newest(db.session(), thanking.id, ["lovelace"], "", None, 10) == []
    assert search.newest(db.session(), thanking.id, [], ADDRESS, None, 10) == []


@only_sqlite
def test_link_says_later_that_the_signature_is_withdrawn(token: str, signer: Signer) -> None:
    signer.change(token, "withdraw", sure="y")
    for answer in (signer.client.get(f"{PATH}/my-signature?token={token}"), signer.change(token, "save", **CORRECT)):
        assert answer.status_code == 200
        assert "It was withdrawn on" in answer.text
    assert signer.change(token, "withdraw", sure="y").status_code == 200
    assert signer.count() == 0


def test_mailbox_can_sign_again_after_withdrawing(token: str, thanking: Campaign, signer: Signer, inbox: Inbox) -> None:
    signer.change(token, "withdraw", sure="y")
    signer.sign()
    assert signer.count() == 1
    assert inbox.last()["Subject"] == "Thank you for signing: Save the Park"
    assert "It was withdrawn on" in signer.client.get(f"{PATH}/my-signature?token={token}").text, "the old link"
    count_all(thanking)


def test_wasnt_me_stops_all_mail_to_the_mailbox_about_this_campaign(
    token: str, publish: Publish, signer: Signer, inbox: Inbox
) -> None:
    publish(slug="other", title="Other")
    signer.change(token, "not-me", sure="y")
    before = len(inbox.all())
    signer.sign()
    signer.request_link()
    assert len(inbox.all()) == before
    signer.client.post("/campaigns/other/signatures", data=ADA)
    assert inbox.last()["Subject"] == "Thank you for signing: Other"
    assert ADDRESS not in str([vars(record) for record in db.session.scalars(select(MailboxRecord))])


def test_withdrawing_an_unconfirmed_signature_deletes_it(confirming: Campaign, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    token = inbox.token("my-signature")
    assert "isn’t confirmed yet" in signer.client.get(f"{PATH}/my-signature?token={token}").text
    signer.change(token, "withdraw", sure="y")
    assert stored() == []
    count_all(confirming)


@only_sqlite
def test_unconfirmed_signature_can_be_corrected_and_then_confirmed(
    confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    token = inbox.token("my-signature")
    signer.change(token, "save", **CORRECT)
    assert signer.count() == 0
    page = signer.client.get(inbox.link("confirm")).text
    assert "Ada King, London, GB" in page
    signer.confirm(re.findall(r'name="token" value="([^"]+)"', page)[0])
    assert signer.listed() == ["Ada King"]
    count_all(confirming)


@pytest.mark.parametrize("action", [Action.HIDE, Action.REMOVE])
def test_hidden_and_removed_signatures_can_be_withdrawn(
    token: str, thanking: Campaign, signer: Signer, action: Action
) -> None:
    moderate(thanking, action)
    signer.change(token, "withdraw", sure="y")
    assert stored()[0].state is SignatureState.WITHDRAWN
    count_all(thanking)


@only_sqlite
def test_blocked_mailbox_cant_withdraw_to_sign_again(token: str, thanking: Campaign, signer: Signer) -> None:
    moderate(thanking, Action.BLOCK)
    page = signer.client.get(f"{PATH}/my-signature?token={token}").text
    assert "The organizers have removed your signature." in page
    assert 'value="withdraw"' not in page
    signer.change(token, "withdraw", sure="y")
    signer.change(token, "save", **CORRECT)
    assert (stored()[0].state, stored()[0].name) == (SignatureState.REMOVED, "Ada Lovelace")


def moderate(campaign: Campaign, action: Action) -> None:
    with write_transaction() as session:
        actions.act(session, audit_log.COMMAND, campaign.id, action, [1], "why", datetime.now(UTC), may_remove=True)


@only_sqlite
def test_organizers_cant_restore_a_withdrawn_signature(token: str, thanking: Campaign, signer: Signer) -> None:
    moderate(thanking, Action.REMOVE)
    (removal,) = entries("signature.remove")
    signer.change(token, "withdraw", sure="y")
    undo.undo_all(audit_log.COMMAND, thanking.id, [removal.id], datetime.now(UTC), may_remove=True)
    moderate(thanking, Action.RESTORE)
    assert stored()[0].state is SignatureState.WITHDRAWN


@only_sqlite
def test_signer_can_withdraw_after_the_petition_has_closed(token: str, thanking: Campaign, signer: Signer) -> None:
    with write_transaction() as session:
        session.execute(update(Campaign).values(state=CampaignState.WON, closed_at=datetime.now(UTC) - timedelta(9)))
    signer.change(token, "save", **CORRECT)
    assert signer.listed() == ["Ada King"]
    signer.change(token, "withdraw", sure="y")
    assert signer.count() == 0


# The link.


@only_sqlite
def test_link_is_sent_again_to_signers_only(token: str, signer: Signer, inbox: Inbox) -> None:
    signer.request_link()
    signer.request_link("nobody@example.org")
    assert inbox.last()["Subject"] == "The link to your signature: Save the Park"
    assert inbox.all("nobody@example.org") == []
    page = signer.client.get(inbox.link("my-signature"))
    assert "Ada Lovelace" in page.text


@only_sqlite
def test_requested_link_of_an_unconfirmed_signature_comes_with_the_way_to_confirm(
    confirming: Campaign, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    signer.request_link()
    assert inbox.last()["Subject"] == "Please confirm your signature: Save the Park"


@only_sqlite
@pytest.mark.parametrize("email", ["", "ada", "ada@", "a@b.org, c@d.org", "x" * 300 + "@example.org"])
def test_request_without_a_valid_address_gets_an_error_next_to_the_field(
    thanking: Campaign, signer: Signer, email: str
) -> None:
    answer = signer.request_link(email)
    assert answer.status_code == 422
    assert 'id="email-message"' in answer.text
    assert stored_messages() == []


@only_sqlite
def test_requests_are_limited_by_network(thanking: Campaign, signer: Signer, mail_settings: Settings) -> None:
    def ask() -> int:
        data = {"email": ADDRESS}
        return signer.client.post(
            f"{PATH}/my-signature", data=data, environ_base={"REMOTE_ADDR": "192.0.2.7"}
        ).status_code

    assert [ask() for _ in range(21)][19:] == [200, 429]


@only_sqlite
def test_former_address_of_the_page_keeps_the_token(token: str, publish: Publish, signer: Signer) -> None:
    with write_transaction() as session:
        from campaign.campaigns import editing

        campaign = editing.load_locked(session, 1)
        file = editing.file_of(session, campaign).with_values({"slug": "new-slug"})
        editing.edit(session, audit_log.COMMAND, 1, file, datetime.now(UTC))
    answer = signer.client.get(f"{PATH}/my-signature?token={token}")
    assert (answer.status_code, answer.location) == (308, f"/campaigns/new-slug/my-signature?token={token}")
    assert "Ada Lovelace" in signer.client.get(answer.location).text
    assert "Saved." in signer.change(token, "save", **CORRECT).text, "a form from before"


@only_sqlite
def test_links_lead_to_the_page_in_the_language_of_the_signer(
    publish: Publish, mail_settings: Settings, client: FlaskClient, signer: Signer, inbox: Inbox
) -> None:
    publish(translations={"es": {"title": "Salven el parque", "letter": "Querido alcalde"}})
    client.post(f"{PATH}/es/signatures", data=ADA)
    sent = inbox.last()
    assert sent["Content-Language"] == "es"
    assert "Salven el parque" in sent["Subject"]
    assert inbox.link("my-signature").startswith(f"{PATH}/es/my-signature?token=")
    assert 'lang="es"' in client.get(inbox.link("my-signature")).text


@only_sqlite
def test_message_for_a_translation_that_is_gone_is_in_the_main_language(
    publish: Publish, mail_settings: Settings, client: FlaskClient, inbox: Inbox
) -> None:
    publish(translations={"es": {"title": "Salven el parque"}})
    client.post(f"{PATH}/es/signatures", data=ADA)
    with write_transaction() as session:
        from campaign.models.campaign import Translation

        for each in session.scalars(select(Translation)):
            session.delete(each)
    assert inbox.link("my-signature").startswith(f"{PATH}/my-signature?token=")


@only_sqlite
def test_footer_and_privacy_page_link_to_the_page(thanking: Campaign, signer: Signer) -> None:
    link = f'href="{PATH}/my-signature"'
    assert link in signer.client.get(PATH).text
    assert signer.client.get(f"{PATH}/privacy").text.count(link) == 2


def test_messages_to_a_mailbox_that_wants_none_are_skipped_and_deleted_in_time(
    token: str, signer: Signer, inbox: Inbox
) -> None:
    signer.change(token, "not-me", sure="y")
    signer.request_link()
    inbox.all()
    last = stored_messages()[-1]
    assert (last.queue, last.state) == (Queue.LINK, MessageState.SKIPPED)
    with write_transaction() as session:
        session.execute(update(Message).values(ended_at=datetime.now(UTC) - timedelta(days=8)))
        outbox.delete_ended(session, datetime.now(UTC))
    assert stored_messages() == []


@only_sqlite
def test_address_with_a_line_break_is_refused(thanking: Campaign, signer: Signer) -> None:
    assert signer.request_link("ada@example.org\r\nBcc: all@example.org").status_code == 422
    assert stored_messages() == []


@only_sqlite
def test_signature_of_another_campaign_cant_be_reached(token: str, publish: Publish, signer: Signer) -> None:
    publish(slug="other", title="Other")
    answer = signer.client.get(f"/campaigns/other/my-signature?token={token}")
    assert answer.status_code == 404
    assert "Ada" not in answer.text
    assert isinstance(stored()[0], Signature)


def test_withdrawing_erases_what_organizers_had_removed_before(
    token: str, thanking: Campaign, signer: Signer, inbox: Inbox
) -> None:
    moderate(thanking, Action.REMOVE)
    signer.sign()
    signer.change(inbox.token("my-signature"), "withdraw", sure="y")
    assert [(each.state, each.name, each.email) for each in stored()] == [(SignatureState.WITHDRAWN, "", "")] * 2
    count_all(thanking)


def test_link_of_a_removed_signature_withdraws_the_newer_one_too(
    token: str, thanking: Campaign, signer: Signer
) -> None:
    moderate(thanking, Action.REMOVE)
    signer.sign()
    signer.change(token, "withdraw", sure="y")
    assert {each.state for each in stored()} == {SignatureState.WITHDRAWN}
    assert signer.count() == 0
    count_all(thanking)


def test_owner_of_a_removed_signature_gets_the_link(
    token: str, thanking: Campaign, signer: Signer, inbox: Inbox
) -> None:
    moderate(thanking, Action.REMOVE)
    signer.request_link()
    assert inbox.last()["Subject"] == "The link to your signature: Save the Park"
    assert "The organizers have removed your signature." in signer.client.get(inbox.link("my-signature")).text


def test_wasnt_me_can_be_taken_back(token: str, thanking: Campaign, signer: Signer, inbox: Inbox) -> None:
    page = signer.change(token, "not-me", sure="y").text
    assert "We don’t send mail about this petition to this email address anymore." in page
    assert "Send me mail again" in page
    assert "Send me mail again" not in signer.change(token, "mail-again").text
    signer.sign()
    assert inbox.last()["Subject"] == "Thank you for signing: Save the Park"


@only_sqlite
def test_city_can_be_removed_although_the_zip_code_stays(token: str, signer: Signer) -> None:
    signer.change(token, "save", **CORRECT | {"country": "US", "postal_code": "90012", "city": "", "region": ""})
    assert (stored()[0].postal_code, stored()[0].city) == ("90012", "")


@only_sqlite
def test_corrections_are_limited_by_network(token: str, signer: Signer) -> None:
    def save(number: int) -> int:
        data = {"token": token, "do": "save"} | CORRECT | {"city": f"London {number}"}
        there = {"REMOTE_ADDR": "192.0.2.7"}
        return signer.client.post(f"{PATH}/my-signature", data=data, environ_base=there).status_code

    assert [save(number) for number in range(21)][19:] == [200, 429]


@only_sqlite
@pytest.mark.parametrize("do", ["save", "link"])
def test_what_was_typed_stays_while_the_database_is_away(
    token: str, signer: Signer, do: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("UPDATE signature", "INSERT INTO message")):
            raise OperationalError(statement, {}, Exception("the disk is gone"))

    event.listen(db.engine, "before_cursor_execute", refuse)
    try:
        answer = signer.change(token, "save", **CORRECT) if do == "save" else signer.request_link("grace@example.org")
    finally:
        event.remove(db.engine, "before_cursor_execute", refuse)
    assert answer.status_code == 503
    assert "What you typed is still here." in answer.text
    assert ('value="Ada King"' if do == "save" else 'value="grace@example.org"') in answer.text
    assert stored()[0].name == "Ada Lovelace"


def test_downloads_are_found_among_many_other_entries(token: str, thanking: Campaign) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    with write_transaction() as session:
        what = {"kind": "csv", "purpose": "ours", "asked_at": (at - timedelta(hours=1)).isoformat()}
        audit_log.write(session, audit_log.COMMAND, "export.download", at, campaign_id=thanking.id, after=what)
        for _ in range(1200):
            audit_log.write(session, audit_log.SIGNER, "signature.correct", at, campaign_id=thanking.id)
        session.execute(update(Signature).values(state=SignatureState.WITHDRAWN, signed_at=at - timedelta(minutes=30)))
    (download,) = withdrawals.downloads(db.session(), thanking.id)
    assert download.withdrawn == 1, "since the file was requested, not since it was downloaded"
