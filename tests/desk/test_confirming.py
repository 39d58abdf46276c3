"""The desk of a campaign whose signers confirm by mail: fields, messages, the table, statistics, and downloads."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from campaign.mail import about_signatures
from campaign.models.account import Role
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.models.export import Export
from campaign.models.signature import Signature, SignatureState
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import ADA, PATH, Publish, only_sqlite, stored
from tests.deliveries.conftest import make_next
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import typed
from tests.desk.people import AtDesk
from tests.mail.conftest import mail_settings, mailbox, sender, smtp
from tests.self_service.conftest import Inbox, Signer, confirming, inbox, signer, thanking

__all__ = ["confirming", "inbox", "mail_settings", "mailbox", "sender", "signer", "smtp", "thanking"]
pytestmark = pytest.mark.slow

DESK = f"/desk{PATH}"
GRACE = "grace@example.org"


@pytest.fixture
def admin(confirming: Campaign, at_desk: AtDeskAs) -> AtDesk:
    return at_desk(Role.ADMIN)


@only_sqlite
def test_new_campaign_on_a_site_with_mail_asks_signers_to_confirm(admin: AtDesk) -> None:
    page = admin.get("/desk/campaigns/new").text
    assert re.search(r'<input id="confirm"[^>]* checked', page)
    assert not re.search(r'<input id="remind"[^>]* checked', page)


@only_sqlite
def test_without_mail_the_editor_says_so_and_keeps_what_was_chosen(publish: Publish, at_desk: AtDeskAs) -> None:
    publish(confirm=True)
    client = at_desk(Role.ADMIN)
    page = client.get(f"{DESK}/edit").text
    assert "This site can’t send mail yet." in page
    assert 'id="confirm"' not in page
    assert '<input type="hidden" name="confirm" value="y">' in page
    assert not re.search(r'name="confirm"', client.get("/desk/campaigns/new").text)
    messages = client.get(f"{DESK}/messages").text
    assert "This site can’t send mail yet." in messages


@only_sqlite
def test_reminder_without_confirmation_gets_an_error_next_to_its_field(admin: AtDesk) -> None:
    fields = typed(admin.get(f"{DESK}/edit").text) | {"remind": "y"}
    fields.pop("confirm")
    answer = admin.post(f"{DESK}/edit", data=fields)
    assert answer.status_code == 422
    assert "Turn this off, or turn on confirmation" in answer.text


@only_sqlite
def test_a_change_is_recorded_in_the_activity_log(admin: AtDesk) -> None:
    with write_transaction() as session:
        from campaign.accounts import audit_log
        from campaign.campaigns import editing

        file = editing.file_of(session, session.scalars(select(Campaign)).one()).with_values({"confirm": False})
        editing.edit(session, audit_log.COMMAND, 1, file, datetime.now(UTC))
    page = admin.get(f"{DESK}/record").text
    assert "Count and list signatures only once signers have confirmed them by email" in page


@only_sqlite
@pytest.mark.parametrize("tag", ["", "es"])
def test_organizers_see_every_message_in_each_language(
    publish: Publish, confirming: Campaign, at_desk: AtDeskAs, tag: str
) -> None:
    publish(translations={"es": {"title": "Salven el parque", "letter": "Querido alcalde"}})
    admin = at_desk(Role.ADMIN)
    query = f"?language={tag}" if tag else ""
    page = admin.get(f"{DESK}/messages{query}").text
    title = "Salven el parque" if tag else "Save the Park"
    assert page.count('class="message-text"') == len(about_signatures.NAMES)
    assert page.count(title) >= len(about_signatures.NAMES)
    for name in about_signatures.NAMES:
        answer = admin.get(f"{DESK}/messages/{name}{query}")
        assert f'lang="{tag or "en"}"' in answer.text
        assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert admin.get(f"{DESK}/messages/nothing").status_code == 404
    assert admin.get(f"{DESK}/messages?language=de").status_code == 404


@only_sqlite
def test_editor_links_to_the_messages(admin: AtDesk) -> None:
    assert f'href="{DESK}/messages"' in admin.get(f"{DESK}/edit").text


def test_pending_signatures_are_in_the_table_and_the_figures_but_in_no_download(
    admin: AtDesk, signer: Signer, inbox: Inbox
) -> None:
    signer.sign()
    signer.sign(email=GRACE, name="Grace Hopper")
    signer.confirm(inbox.token("confirm", GRACE))
    table = admin.get(f"{DESK}/signatures?standing=pending").text
    assert "Ada Lovelace" in table
    assert "tick-1" in table
    assert "tick-2" not in table, "Grace is not waiting"
    assert "waiting for confirmation" in table
    figures = admin.get(f"{DESK}/figures").text
    assert "1 signature is waiting for confirmation." in figures
    for purpose in ("hand-over", "ours"):
        admin.post(f"{DESK}/deliveries", data={"purpose": purpose, "columns": ["name"], "kind": "csv"})
        while make_next():
            pass
        export = db.session.scalars(select(Export).order_by(Export.id.desc()).limit(1)).one()
        file = admin.post(f"{DESK}/deliveries/{export.id}/file").text
        assert "Grace Hopper" in file
        assert "Ada Lovelace" not in file


@only_sqlite
@pytest.mark.parametrize("action", ["hide", "remove", "restore"])
def test_pending_and_withdrawn_signatures_cannot_be_moderated(
    admin: AtDesk, signer: Signer, inbox: Inbox, action: str
) -> None:
    signer.sign()
    signer.sign(email=GRACE)
    signer.confirm(inbox.token("confirm", GRACE))
    signer.change(inbox.token("my-signature", GRACE), "withdraw", sure="y")
    before = [each.state for each in stored()]
    data = {"id": ["1", "2"], "reason": "why", "block": "y"}
    assert admin.post(f"{DESK}/signatures/{action}", data=data).status_code == 200
    assert [each.state for each in stored()] == before == [SignatureState.PENDING, SignatureState.WITHDRAWN]


@only_sqlite
def test_table_shows_a_withdrawn_signature_without_data(admin: AtDesk, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    signer.confirm(inbox.token("confirm"))
    signer.change(inbox.token("my-signature"), "withdraw", sure="y")
    table = admin.get(f"{DESK}/signatures?standing=withdrawn").text
    assert "withdrawn" in table
    assert "Ada" not in table


@only_sqlite
def test_activity_log_says_what_signers_did(admin: AtDesk, signer: Signer, inbox: Inbox) -> None:
    signer.sign()
    token = inbox.token("my-signature")
    signer.confirm(inbox.token("confirm"))
    signer.change(token, "save", name="Ada King", country="GB")
    log = admin.get(f"{DESK}/record").text
    assert "A signer" in log
    assert "corrected their own signature" in log
    assert "Ada King, GB" in log, "the log names the signature as it is now"
    signer.change(token, "withdraw", sure="y")
    log = admin.get(f"{DESK}/record").text
    assert "withdrew their own signature" in log
    assert "From listed to withdrawn" in log
    assert "a signature whose data was erased" in log
    assert "King" not in log
    assert "Undo" not in log
    everything = admin.get("/desk/record.csv").text
    assert [row[2] for row in csv.reader(io.StringIO(everything)) if row[1] == "signer"] == [
        "signature.correct",
        "signature.withdraw",
    ]


@only_sqlite
def test_activity_log_names_no_later_signature_with_the_id_of_a_deleted_one(
    admin: AtDesk, publish: Publish, signer: Signer, inbox: Inbox
) -> None:
    other = "/campaigns/other"
    publish(slug="other", confirm=True)
    signer.sign()
    admin.post(f"{DESK}/signatures/addresses", data={})
    token = inbox.token("my-signature")
    signer.change(token, "save", name="Ada King", country="GB")
    assert admin.get(f"{DESK}/record").text.count("Ada King, GB") == 2
    signer.change(token, "withdraw", sure="y")
    for path in (other, PATH):
        assert stored() == []
        data = ADA | {"name": "Alan Turing", "email": GRACE, "shown": "0"}
        signer.client.post(f"{path}/signatures", data=data)
        assert [each.id for each in stored()] == [1], "SQLite uses the id again"
        for log in (admin.get(f"{DESK}/record").text, admin.get("/desk/record.csv").text):
            assert log.count("a signature whose data was erased") == 2
            assert "Turing" not in log
        if path == other:
            data = {"token": inbox.token("my-signature", GRACE), "do": "withdraw", "sure": "y"}
            signer.client.post(f"{path}/my-signature", data=data)
    admin.post(f"{DESK}/signatures/addresses", data={})
    assert admin.get(f"{DESK}/record").text.count("Alan Turing") == 1


def test_downloads_say_how_many_signatures_were_withdrawn_since(
    thanking: Campaign, at_desk: AtDeskAs, signer: Signer, inbox: Inbox
) -> None:
    admin = at_desk(Role.ADMIN)
    for address in ("ada@example.org", GRACE):
        signer.sign(email=address)
    admin.post(f"{DESK}/deliveries", data={"purpose": "hand-over", "columns": ["name"], "kind": "csv"})
    while make_next():
        pass
    admin.post(f"{DESK}/deliveries/1/file")
    assert "withdrawn since" not in admin.get(f"{DESK}/deliveries").text
    signer.change(inbox.token("my-signature"), "withdraw", sure="y")
    page = admin.get(f"{DESK}/deliveries").text
    assert "1 signature has been withdrawn since this file was requested." in page
    assert "1 signature withdrawn since this download" in page
    signer.change(inbox.token("my-signature", GRACE), "withdraw", sure="y")
    with write_transaction() as session:
        session.execute(update(Export).values(expires_at=datetime.now(UTC) - timedelta(days=1)))
    page = admin.get(f"{DESK}/deliveries").text
    assert "2 signatures withdrawn since this download" in page, "even after the file has been deleted"
    assert db.session.scalars(select(Record).where(Record.action == "export.download")).one()


@only_sqlite
def test_statistics_say_that_many_wait_without_counting_all(
    admin: AtDesk, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("campaign.self_service.pending.MOST_COUNTED", 1)
    for number in range(3):
        signer.sign(email=f"nr{number}@example.org")
    assert "More than 1 signatures are waiting for confirmation." in admin.get(f"{DESK}/figures").text
    assert len(db.session.scalars(select(Signature)).all()) == 3
