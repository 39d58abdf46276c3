"""Deliveries: what an organiser gets to hand over and for themselves, and how they watch it being made."""

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from campaign.delivery import COLUMNS, Purpose
from campaign.desk_models import Export, ExportState, Record, Role
from campaign.exports import LAST_FETCH
from campaign.extensions import db, write_transaction
from campaign.models import Campaign
from campaign.settings import ROOT, Settings
from tests.conftest import Publish, Sign
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk

PATH = "/desk/campaigns/save-the-park/deliveries"
CSV = {"purpose": "hand-over", "columns": ["name", "country"], "kind": "csv"}


@pytest.fixture
def organiser(at_desk: AtDeskAs, campaign: Campaign) -> AtDesk:
    return at_desk(Role.ORGANISER, own=[campaign])


def newest() -> Export:
    db.session.rollback()
    return db.session.scalars(select(Export).order_by(Export.id.desc())).one()


def set_export(**values: object) -> None:
    with write_transaction() as session:
        session.execute(update(Export).values(**values))


def ready(client: AtDesk) -> str:
    """The page's partial once it is ready."""
    deadline = time.monotonic() + 60
    while True:
        answer = client.get(f"{PATH}/{newest().id}")
        assert answer.status_code == 200
        if "hx-get" not in answer.text:
            return answer.text
        assert "<progress" in answer.text
        assert time.monotonic() < deadline
        time.sleep(0.05)


def fetch(client: AtDesk) -> TestResponse:
    return client.post(f"{PATH}/{newest().id}/file")


def test_an_organiser_asks_for_a_file_watches_it_and_fetches_it(organiser: AtDesk, sign: Sign) -> None:
    sign()
    assert "Made in the last day" not in organiser.get(PATH).text
    answer = organiser.post(PATH, data=CSV)
    assert (answer.status_code, answer.location) == (303, PATH)
    assert "Ready: 1 signature," in ready(organiser)
    assert "Made in the last day" in organiser.get(PATH).text
    answer = fetch(organiser)
    assert answer.data == b"name,country\r\nAda Lovelace,US\r\n"
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.content_length == len(answer.data)
    assert re.fullmatch(
        r'attachment; filename="save-the-park-\d{4}-\d\d-\d\d\.csv"', answer.headers["Content-Disposition"]
    )
    assert answer.headers["Cache-Control"] == "no-store"
    record = organiser.get("/desk/campaigns/save-the-park/record").text
    assert "had a file made" in record
    assert "fetched a file" in record


@pytest.mark.parametrize(("kind", "begins"), [("pdf", b"%PDF-"), ("xlsx", b"PK")])
def test_a_book_and_a_spreadsheet_come_as_what_they_are(
    organiser: AtDesk, sign: Sign, kind: str, begins: bytes
) -> None:
    sign()
    assert organiser.post(PATH, data=CSV | {"kind": kind}).status_code == 303
    assert "Ready" in ready(organiser)
    answer = fetch(organiser)
    assert answer.data.startswith(begins)
    assert answer.headers["Content-Disposition"].endswith(f'.{kind}"')
    assert ("pdf" if kind == "pdf" else "spreadsheetml") in answer.content_type


def test_a_book_needs_no_columns(organiser: AtDesk) -> None:
    assert organiser.post(PATH, data={"purpose": "hand-over", "kind": "pdf"}).status_code == 303


def test_addresses_and_postal_codes_are_not_offered_to_hand_over(organiser: AtDesk) -> None:
    page = organiser.get(PATH).text
    hand_over, ours = page.split('<h2 id="ours">')
    for column in ("email", "postal_code", "wants_updates"):
        assert f'value="{column}"' not in hand_over
        assert f'value="{column}"' in ours
    for column in COLUMNS[Purpose.HAND_OVER]:
        assert f'value="{column}" checked' in hand_over


@pytest.mark.parametrize(
    "wrong",
    [
        {"columns": []},
        {"columns": ["name", "email"]},
        {"columns": ["email_key"], "purpose": "ours"},
        {"kind": "exe"},
        {"kind": "pdf", "purpose": "ours"},
        {"purpose": "nothing", "columns": ["email"]},
    ],
    ids=str,
)
def test_what_is_not_offered_is_refused_and_nothing_is_made(organiser: AtDesk, wrong: dict[str, object]) -> None:
    answer = organiser.post(PATH, data=CSV | wrong)
    assert answer.status_code == 422
    assert "Not made yet" in answer.text
    assert db.session.scalars(select(Export)).all() == []


def test_without_a_column_one_is_told_and_the_rest_stays_as_it_was(organiser: AtDesk) -> None:
    answer = organiser.post(PATH, data={"purpose": "ours", "kind": "csv", "only_updates": "y"})
    assert '<a href="#columns-ours">Choose at least one column</a>' in answer.text
    assert re.search(r'id="only-updates-ours"[^>]* checked', answer.text)


def test_the_page_says_what_happens_to_the_anonymous(organiser: AtDesk, campaign: Campaign) -> None:
    assert "only the country." in organiser.get(PATH).text
    with write_transaction() as session:
        session.execute(update(Campaign).values(deliver_anonymous=True))
    assert "marked as anonymous" in organiser.get(PATH).text


def test_asking_while_one_is_made_gives_that_one(organiser: AtDesk, campaign: Campaign) -> None:
    with write_transaction() as session:
        now, by = datetime.now(UTC), {"campaign_id": campaign.id, "account_id": 1}
        options = {"purpose": "hand-over", "columns": ["name"], "only_updates": False}
        times = {"asked_at": now, "touched_at": now, "expires_at": now + timedelta(days=1)}
        session.add(Export(kind="csv", options=options, state=ExportState.MAKING, done=30, total=100, **by, **times))
    organiser.post(PATH, data=CSV)
    page = organiser.get(PATH).text
    assert "is being made already" in page
    assert 'max="100" value="30"' in page
    assert newest().done == 30
    set_export(touched_at=datetime.now(UTC) - timedelta(minutes=2))
    partial = organiser.get(f"{PATH}/{newest().id}").text
    assert "It could not be made" in partial
    assert "hx-get" not in partial
    assert '<button class="plain" name="kind" value="csv">Make it again' in partial
    assert "It could not be made. It stopped in the middle" in organiser.get(PATH).text


def test_names_that_need_a_font_are_told_of(organiser: AtDesk, sign: Sign) -> None:
    sign()
    organiser.post(PATH, data=CSV)
    ready(organiser)
    set_export(spelled_out=312)
    assert "312 entries have characters that no font" in organiser.get(PATH).text


def test_after_a_day_it_can_not_be_fetched_and_is_not_shown(organiser: AtDesk, sign: Sign) -> None:
    sign()
    organiser.post(PATH, data=CSV)
    ready(organiser)
    export_id = newest().id
    set_export(expires_at=datetime.now(UTC))
    assert organiser.post(f"{PATH}/{export_id}/file").status_code == 404
    assert organiser.get(f"{PATH}/{export_id}").status_code == 404
    assert "Made in the last day" not in organiser.get(PATH).text
    set_export(expires_at=datetime.now(UTC) - LAST_FETCH)
    organiser.get(PATH)
    assert db.session.scalars(select(Export)).all() == []


def test_what_makes_files_is_never_loaded_where_visitors_are_answered(settings: Settings) -> None:
    look = (
        "import sys, wsgi; wsgi.app.extensions['desk'].app; print(*{'pikepdf', 'typst', 'xlsxwriter'} & {*sys.modules})"
    )
    environ = os.environ | {"DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
    said = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, env=environ, check=True, capture_output=True, text=True
    )
    assert said.stdout.splitlines()[-1] == ""


def test_a_file_is_its_campaigns_alone_and_is_not_fetched_by_looking(
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
    organiser = at_desk(Role.ORGANISER, own=[other])
    assert organiser.post(f"{PATH}/{export_id}/file").status_code == 403
    downloads = select(Record).where(Record.action == "export.download")
    assert db.session.scalars(downloads).all() == []
