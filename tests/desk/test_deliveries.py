"""The deliveries page: requesting files, following their progress, and downloading them."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from markupsafe import escape
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from campaign.deliveries import exports
from campaign.deliveries.contents import COLUMNS, Purpose
from campaign.models.account import Role
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.models.export import Export, ExportState
from campaign.settings import ROOT, Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.worker import expiry, leases
from campaign.worker.task import NOW
from tests.conftest import Publish, Sign
from tests.deliveries.conftest import make_next
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk

PATH = "/desk/campaigns/save-the-park/deliveries"
CSV = {"purpose": "hand-over", "columns": ["name", "country"], "kind": "csv"}


def newest() -> Export:
    """Return the newest export."""
    db.session.rollback()
    return db.session.scalars(select(Export).order_by(Export.id.desc()).limit(1)).one()


def set_export(**values: object) -> None:
    with write_transaction() as session:
        session.execute(update(Export).values(**values))


def ready(client: AtDesk) -> str:
    """Make the files that are waiting, as the worker does, and return the partial of the newest."""
    while make_next():
        pass
    answer = client.get(f"{PATH}/{newest().id}")
    assert answer.status_code == 200
    assert "hx-get" not in answer.text
    return answer.text


def download(client: AtDesk) -> TestResponse:
    return client.post(f"{PATH}/{newest().id}/file")


@pytest.mark.slow
def test_organizer_requests_follows_and_downloads_a_file(organizer: AtDesk, sign: Sign) -> None:
    sign()
    assert 'id="made"' not in organizer.get(PATH).text
    answer = organizer.post(PATH, data=CSV)
    assert (answer.status_code, answer.location) == (303, PATH)
    assert "Ready: 1 signature," in ready(organizer)
    assert 'id="made"' in organizer.get(PATH).text
    answer = download(organizer)
    assert answer.data == "\ufeffname,country\r\nAda Lovelace,US\r\n".encode()
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.content_length == len(answer.data)
    assert re.fullmatch(
        r'attachment; filename="save-the-park-for-the-recipient-[-\d]{10}\.csv"',
        answer.headers["Content-Disposition"],
    )
    assert answer.headers["Cache-Control"] == "no-store"
    record = organizer.get("/desk/campaigns/save-the-park/record").text
    assert "requested a file" in record
    assert "downloaded a file" in record


@pytest.mark.parametrize(("kind", "begins"), [("pdf", b"%PDF-"), ("xlsx", b"PK")])
@pytest.mark.slow
def test_book_and_spreadsheet_have_their_file_types(organizer: AtDesk, sign: Sign, kind: str, begins: bytes) -> None:
    sign()
    assert organizer.post(PATH, data=CSV | {"kind": kind}).status_code == 303
    assert "Ready" in ready(organizer)
    answer = download(organizer)
    assert answer.data.startswith(begins)
    assert answer.headers["Content-Disposition"].endswith(f'.{kind}"')
    assert ("pdf" if kind == "pdf" else "spreadsheetml") in answer.content_type


@pytest.mark.parametrize(
    ("purpose", "named", "said"),
    [("hand-over", "for-the-recipient", "for the recipient"), ("ours", "internal-use-only", "for internal use")],
)
@pytest.mark.slow
def test_purpose_of_a_file_is_in_its_name_and_on_the_page(
    organizer: AtDesk, sign: Sign, purpose: str, named: str, said: str
) -> None:
    sign()
    organizer.post(PATH, data=CSV | {"purpose": purpose})
    assert f"You requested a CSV file {said}." in organizer.get(PATH).text
    partial = ready(organizer)
    assert f"CSV file, {said}" in partial
    assert f"save-the-park-{named}-" in partial
    assert ("never hand this file over" in partial) == (purpose == "ours")
    assert f'filename="save-the-park-{named}-' in download(organizer).headers["Content-Disposition"]
    record = organizer.get("/desk/campaigns/save-the-park/record").text
    assert f"<dd><bdi>{'internal use' if purpose == 'ours' else 'the recipient'}</bdi></dd>" in record


def test_page_recommends_the_spreadsheet_for_excel(organizer: AtDesk) -> None:
    for_delivery, internal = organizer.get(PATH).text.split('<h2 id="ours">')
    assert "For Excel, create a spreadsheet." in for_delivery
    assert "leading zeros, such as in the postal code 02134" in internal


def test_book_needs_no_columns(organizer: AtDesk) -> None:
    assert organizer.post(PATH, data={"purpose": "hand-over", "kind": "pdf"}).status_code == 303


def test_delivery_form_offers_no_email_or_postal_code(organizer: AtDesk) -> None:
    page = organizer.get(PATH).text
    for_delivery, internal = page.split('<h2 id="ours">')
    for column in ("email", "postal_code", "wants_updates", "language"):
        assert f'value="{column}"' not in for_delivery
        assert f'value="{column}"' in internal
    for column in COLUMNS[Purpose.HAND_OVER]:
        assert f'value="{column}" checked' in for_delivery


@pytest.mark.parametrize(
    "wrong",
    [
        {"columns": []},
        {"columns": ["name", "email"]},
        {"columns": ["name", "language"]},
        {"columns": ["email_key"], "purpose": "ours"},
        {"kind": "exe"},
        {"kind": "pdf", "purpose": "ours"},
        {"purpose": "nothing", "columns": ["email"]},
    ],
    ids=str,
)
@pytest.mark.slow
def test_invalid_request_creates_no_file(organizer: AtDesk, wrong: dict[str, object]) -> None:
    answer = organizer.post(PATH, data=CSV | wrong)
    assert answer.status_code == 422
    assert 'id="summary-title"' in answer.text
    assert db.session.scalars(select(Export)).all() == []


def test_missing_column_error_keeps_the_other_input(organizer: AtDesk) -> None:
    answer = organizer.post(PATH, data={"purpose": "ours", "kind": "csv", "only_updates": "y"})
    assert '<a href="#columns-ours">Choose at least one column</a>' in answer.text
    assert re.search(r'id="only-updates-ours"[^>]* checked', answer.text)


BOOK = {"purpose": "hand-over", "kind": "pdf", "sorting": "name", "grouped": "y", "names_hidden": "y"}


def test_book_options_are_stored_and_recorded_and_kept_when_it_is_created_again(organizer: AtDesk) -> None:
    assert organizer.post(PATH, data=BOOK).status_code == 303
    options = newest().options
    assert (options["sorting"], options["grouped"], options["names_hidden"]) == ("name", True, True)
    record = organizer.get("/desk/campaigns/save-the-park/record").text
    for words in ("Sorted by", "Grouped by country and state", "Hidden signatures are named"):
        assert f"<dt>{words}</dt>" in record
    set_export(state=ExportState.FAILED)
    page = organizer.get(PATH).text
    assert "by name, grouped by country and state, with hidden signatures" in page
    again = page[page.index('id="export-') : page.index("Create again")]
    for name, value in (("sorting", "name"), ("grouped", "y"), ("names_hidden", "y")):
        assert f'<input type="hidden" name="{name}" value="{value}">' in again


def test_book_is_in_order_of_time_without_groups_and_hidden_names_unless_chosen(organizer: AtDesk) -> None:
    assert organizer.post(PATH, data={"purpose": "hand-over", "kind": "pdf"}).status_code == 303
    options = newest().options
    assert (options["sorting"], options["grouped"], options["names_hidden"]) == ("time", False, False)


def test_other_files_have_no_order_and_groups(organizer: AtDesk) -> None:
    organizer.post(PATH, data=CSV | BOOK | {"kind": "csv"})
    assert not {"sorting", "grouped"} & set(newest().options)
    assert newest().options["names_hidden"]


def test_book_options_are_kept_when_the_form_has_an_error(organizer: AtDesk) -> None:
    answer = organizer.post(PATH, data=BOOK | {"kind": "csv"})
    assert answer.status_code == 422
    assert '<option value="name" selected>' in answer.text
    for name in ("grouped", "names_hidden"):
        assert re.search(rf'name="{name}"[^>]* checked', answer.text)


def test_unknown_order_is_refused(organizer: AtDesk) -> None:
    assert organizer.post(PATH, data=BOOK | {"sorting": "email"}).status_code == 422


@pytest.mark.slow
def test_download_page_explains_what_files_say_about_anonymous_signers(organizer: AtDesk, campaign: Campaign) -> None:
    assert "only the country and the date." in organizer.get(PATH).text
    with write_transaction() as session:
        session.execute(update(Campaign).values(deliver_anonymous=True))
    assert "marked as anonymous" in organizer.get(PATH).text


def be_seen(now: datetime) -> None:
    """Take a lease as a running worker does."""
    with write_transaction() as session:
        leases.take(session, ["expiry"], "worker", now)


def partial(client: AtDesk) -> str:
    return client.get(f"{PATH}/{newest().id}").text


def test_second_request_is_queued_with_its_choices(organizer: AtDesk) -> None:
    be_seen(datetime.now(UTC))
    organizer.post(PATH, data=CSV)
    assert "Waiting. It will start in a moment." in partial(organizer)
    set_export(state=ExportState.MAKING, maker="m", done=30, total=100, touched_at=datetime.now(UTC))
    running = partial(organizer)
    assert "In progress" in running
    assert 'max="100" value="30"' in running
    organizer.post(PATH, data=CSV | {"columns": ["country"]})
    waiting = partial(organizer)
    assert "Waiting for 1 other file" in waiting
    assert "hx-get" in waiting
    assert newest().options["columns"] == ["country"]
    assert organizer.get(PATH).text.count('<li class="export"') == 2
    set_export(state=ExportState.WAITING, maker="")
    while make_next():
        pass
    assert download(organizer).data == "\ufeffcountry\r\n".encode()


def test_page_says_that_a_file_waits_for_the_worker_or_was_interrupted(organizer: AtDesk) -> None:
    organizer.post(PATH, data=CSV)
    missing = "Waiting for the background worker, which isn’t running."
    assert missing in partial(organizer)
    assert missing in organizer.get(PATH).text
    be_seen(datetime.now(UTC) - timedelta(minutes=2))
    assert missing in partial(organizer)
    be_seen(datetime.now(UTC))
    assert missing not in partial(organizer)
    set_export(state=ExportState.MAKING, maker="m", touched_at=datetime.now(UTC) - timedelta(minutes=2))
    interrupted = partial(organizer)
    assert "Interrupted. It will start again in a moment." in interrupted
    assert "hx-get" in interrupted
    assert "Ready: 0 signatures" in ready(organizer)


def test_failed_file_can_be_requested_again_with_the_same_choices(organizer: AtDesk) -> None:
    organizer.post(PATH, data=CSV)
    set_export(state=ExportState.FAILED, fault="The server’s disk is full.")
    failed = partial(organizer)
    assert f"couldn’t be created. {escape('The server’s disk is full.')}" in failed
    assert "hx-get" not in failed
    assert '<button class="plain" name="kind" value="csv">Create again' in failed


def test_full_queue_is_explained_and_the_choices_stay(organizer: AtDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MOST_WAITING", 1)
    organizer.post(PATH, data=CSV)
    answer = organizer.post(PATH, data=CSV | {"columns": ["country"]})
    assert answer.status_code == 422
    assert '<a href="#kind-hand-over">1 files are waiting already.' in answer.text
    assert 'value="country" checked' in answer.text
    assert 'value="name" checked' not in answer.text.split('<h2 id="ours">')[0]


@pytest.mark.slow
def test_characters_without_a_font_are_reported(organizer: AtDesk, sign: Sign) -> None:
    sign()
    organizer.post(PATH, data=CSV)
    ready(organizer)
    set_export(spelled_out=312)
    assert "312 entries have characters that no font" in organizer.get(PATH).text


@pytest.mark.slow
def test_expired_file_cannot_be_downloaded_and_is_deleted(organizer: AtDesk, sign: Sign) -> None:
    sign()
    organizer.post(PATH, data=CSV)
    ready(organizer)
    export_id = newest().id
    set_export(expires_at=datetime.now(UTC))
    assert organizer.post(f"{PATH}/{export_id}/file").status_code == 404
    assert organizer.get(f"{PATH}/{export_id}").status_code == 404
    assert 'id="made"' not in organizer.get(PATH).text
    set_export(expires_at=datetime.now(UTC) - timedelta(minutes=10))
    while expiry.delete_expired() == NOW:
        pass
    assert db.session.scalars(select(Export)).all() == []


@pytest.mark.slow
def test_web_process_never_imports_the_file_libraries(settings: Settings) -> None:
    script = (
        "import sys, wsgi; wsgi.app.extensions['desk'].app; print(*{'pikepdf', 'typst', 'xlsxwriter'} & {*sys.modules})"
    )
    environ = os.environ | {"DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environ, check=True, capture_output=True, text=True
    )
    assert result.stdout.splitlines()[-1] == ""


@pytest.mark.slow
def test_file_belongs_to_one_campaign_and_downloads_only_by_post(
    at_desk: AtDeskAs, campaign: Campaign, publish: Publish, sign: Sign
) -> None:
    sign()
    admin, other = at_desk(Role.ADMIN), publish(slug="other")
    admin.post(PATH, data=CSV)
    ready(admin)
    export_id = newest().id
    elsewhere = f"/desk/campaigns/{other.slug}/deliveries/{export_id}"
    assert admin.get(elsewhere).status_code == 404
    assert admin.post(f"{elsewhere}/file").status_code == 404
    assert admin.get(f"{PATH}/{export_id}/file").status_code == 405
    assert FlaskClient.post(admin, f"{PATH}/{export_id}/file").status_code == 400
    organizer = at_desk(Role.ORGANIZER, own=[other])
    assert organizer.post(f"{PATH}/{export_id}/file").status_code == 404
    downloads = select(Record).where(Record.action == "export.download")
    assert db.session.scalars(downloads).all() == []
