"""Deliveries for the addressees and for the organization: their signatures and columns, as CSV and spreadsheet."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import event, update

from campaign.deliveries import contents, spreadsheet
from campaign.deliveries.contents import Cell, Order, Purpose, Snapshot
from campaign.models.campaign import Campaign
from campaign.models.signature import Signature, SignatureState
from campaign.signatures import fake
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import Publish, Sign, stored

HAND_OVER = contents.order(Purpose.HAND_OVER, contents.COLUMNS[Purpose.HAND_OVER])
OURS = contents.order(Purpose.OURS, contents.COLUMNS[Purpose.OURS])

Delivered = Callable[..., list[dict[str, str]]]


@pytest.fixture
def delivered(campaign: Campaign) -> Delivered:
    """Return a function that returns the rows of the campaign's CSV file, as dictionaries by column."""

    def delivered(order: Order, of: Snapshot | None = None) -> list[dict[str, str]]:
        db.session.rollback()
        with_flag = db.session.get_one(Campaign, campaign.id)
        limits = {"only_updates": order.only_updates, "only_listed": not order.has_hidden}
        of = of or contents.snapshot(db.session(), campaign.id, **limits)
        rows = contents.rows(db.engine, with_flag, order, of)
        text = "".join(contents.csv_chunks(contents.header(with_flag, order), rows))
        return list(csv.DictReader(io.StringIO(text, newline="")))

    return delivered


def change(**values: Any) -> None:
    with write_transaction() as session:
        session.execute(update(Signature).values(**values))


def promise_to_name(campaign: Campaign) -> None:
    with write_transaction() as session:
        session.execute(update(Campaign).where(Campaign.id == campaign.id).values(deliver_anonymous=True))


def test_addressees_get_names_and_places_but_no_email_addresses(sign: Sign, delivered: Delivered) -> None:
    sign(updates="y")
    (row,) = delivered(HAND_OVER)
    day = stored()[0].signed_at.date().isoformat()
    place = {"city": "Los Angeles", "region": "California", "country": "US"}
    assert row == {"name": "Ada Lovelace", **place, "signed_on": day}
    for column in ("email", "postal_code", "wants_updates", "source", "language", "signed_at", "email_key", "id"):
        with pytest.raises(ValueError, match=column):
            contents.order(Purpose.HAND_OVER, ["name", column])


def test_delivery_lists_only_the_country_of_anonymous_signers(sign: Sign, delivered: Delivered) -> None:
    sign(anonymous="y", name="Grace Hopper", city="Paris", region="IDF", country="FR")
    (row,) = delivered(HAND_OVER)
    assert (row["name"], row["city"], row["region"], row["country"]) == ("Anonymous", "", "", "FR")
    assert "anonymous" not in row


def test_anonymous_signers_are_named_and_marked_if_the_form_says_so(
    campaign: Campaign, sign: Sign, delivered: Delivered
) -> None:
    sign(anonymous="y")
    promise_to_name(campaign)
    (row,) = delivered(contents.order(Purpose.HAND_OVER, ["name"]))
    assert row == {"name": "Ada Lovelace", "anonymous": "yes"}


@pytest.mark.slow
def test_organization_gets_all_columns_with_anonymous_signers_marked(sign: Sign, delivered: Delivered) -> None:
    sign(anonymous="y")
    (row,) = delivered(OURS)
    assert (row["name"], row["email"], row["postal_code"]) == ("Ada Lovelace", "ada@example.org", "90012")
    assert row["anonymous"] == "yes"
    assert delivered(contents.order(Purpose.OURS, ["email"]))[0] == {"email": "ada@example.org", "anonymous": "yes"}


def test_export_can_be_limited_to_signers_who_want_updates(sign: Sign, delivered: Delivered) -> None:
    sign()
    sign(name="Grace Hopper", email="grace@example.org", updates="y")
    order = contents.order(Purpose.OURS, ["email"], only_updates=True)
    assert [row["email"] for row in delivered(order)] == ["grace@example.org"]
    assert not contents.order(Purpose.HAND_OVER, ["name"], only_updates=True).only_updates


def test_columns_are_sorted_and_at_least_one_is_needed(campaign: Campaign) -> None:
    assert contents.order(Purpose.HAND_OVER, ["country", "name"]).columns == ("name", "country")
    with pytest.raises(ValueError, match="can't have these columns"):
        contents.order(Purpose.HAND_OVER, [])


def test_hidden_signatures_are_delivered_only_if_the_organizer_says_so(sign: Sign, delivered: Delivered) -> None:
    sign()
    change(listed_at=None)
    assert delivered(HAND_OVER) == []
    assert len(delivered(OURS)) == 1
    with_hidden = contents.order(Purpose.HAND_OVER, ["name"], names_hidden=True)
    assert len(delivered(with_hidden)) == 1
    for state in (SignatureState.PENDING, SignatureState.REMOVED, SignatureState.WITHDRAWN):
        change(state=state)
        assert delivered(with_hidden) == delivered(OURS) == []


def test_signature_after_the_snapshot_is_not_delivered(campaign: Campaign, sign: Sign, delivered: Delivered) -> None:
    sign()
    of = contents.snapshot(db.session(), campaign.id)
    sign(email="late@example.org")
    assert of.count == 1
    assert len(delivered(OURS, of)) == 1


def test_delivery_has_no_signatures_of_other_campaigns(publish: Publish, sign: Sign, delivered: Delivered) -> None:
    sign()
    other = publish(slug="other")
    list(fake.sign(other.id, 5, datetime.now(UTC)))
    assert len(delivered(OURS)) == 1


def test_dates_are_in_the_campaigns_time_zone(campaign: Campaign, sign: Sign, delivered: Delivered) -> None:
    sign()
    change(signed_at=datetime(2027, 3, 1, 23, 30, tzinfo=UTC))
    with write_transaction() as session:
        session.execute(update(Campaign).values(time_zone="Europe/Berlin"))
    assert delivered(HAND_OVER)[0]["signed_on"] == "2027-03-02"


@pytest.mark.slow
def test_signatures_are_read_in_chunks_without_an_open_transaction(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "CHUNK", 1000)
    list(fake.sign(campaign.id, 2500, datetime.now(UTC)))
    # All signatures have the same time, so paging by time alone would skip or repeat some at the end of a chunk.
    change(signed_at=datetime.now(UTC))
    of = contents.snapshot(db.session(), campaign.id)
    db.session.rollback()
    sizes, ids = [], []
    for chunk in contents.signatures(db.engine, of):
        sizes.append(len(chunk))
        ids += [row.id for row in chunk]
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert sizes == [1000, 1000, 500]
    assert ids == sorted(set(ids))


def test_chunks_are_paged_by_key_not_by_offset(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "CHUNK", 10)
    list(fake.sign(campaign.id, 15, datetime.now(UTC)))
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    list(contents.signatures(db.engine, contents.snapshot(db.session(), campaign.id)))
    assert len([statement for statement in statements if "ORDER BY" in statement]) == 3
    assert not [statement for statement in statements if "OFFSET" in statement.replace("LIMIT ? OFFSET ?", "")]


NOON = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


def sheets(file: Path) -> list[list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(file)
    return [[tuple(row) for row in sheet.iter_rows()] for sheet in book.worksheets]


def write(file: Path, header: Sequence[str], *rows: Sequence[Cell], purpose: Purpose = Purpose.HAND_OVER) -> None:
    chunks: Iterable[Iterable[Sequence[Cell]]] = [rows[:1], rows[1:]]
    spreadsheet.write(file, header, chunks, purpose)


def test_sheets_are_named_after_their_purpose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "MOST_ROWS", 2)
    for purpose, name in ((Purpose.OURS, "Internal use only"), (Purpose.HAND_OVER, "For the recipient")):
        file = tmp_path / f"{purpose}.xlsx"
        write(file, ["name"], ["Ada"], ["Grace"], purpose=purpose)
        book = openpyxl.load_workbook(file)
        assert book.sheetnames == [name, f"{name} 2"]
        assert book.properties.title == name
        assert [sheet.oddHeader.center.text for sheet in book.worksheets] == [name] * 2


def test_each_row_of_an_internal_file_says_so(campaign: Campaign) -> None:
    rows: list[list[list[Cell]]] = [[["Ada"]], [["Bea"], ["Cleo"]]]
    header, chunks = contents.marked(Purpose.OURS, ["name"], rows)
    assert (list(header), list(chunks)) == (
        ["name", "use"],
        [[["Ada", "internal use only"]], [["Bea", "internal use only"], ["Cleo", "internal use only"]]],
    )
    assert contents.marked(Purpose.HAND_OVER, ["name"], rows) == (["name"], rows)


def test_spreadsheet_cells_are_text_or_dates(tmp_path: Path) -> None:
    file = tmp_path / "x.xlsx"
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "https://example.org", "mailto:a@b.c", "007", "{=1}", "<b>&amp;</b>"]
    write(file, ["name", "signed_on", "signed_at"], *((words, date(2027, 3, 1), NOON) for words in hostile))
    ((head, *rows),) = sheets(file)
    assert [cell.value for cell in head] == ["name", "signed_on", "signed_at"]
    for words, (name, day, moment) in zip(hostile, rows, strict=True):
        assert (name.value, name.data_type, name.hyperlink) == (words, "s", None)
        assert (day.value, day.number_format) == (datetime(2027, 3, 1), "yyyy-mm-dd")  # noqa: DTZ001
        assert (moment.value, moment.number_format) == (datetime(2027, 3, 1, 12), "yyyy-mm-dd hh:mm")  # noqa: DTZ001
    assert openpyxl.load_workbook(file).active.freeze_panes == "A2"


def test_full_sheet_continues_on_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "MOST_ROWS", 3)
    write(tmp_path / "x.xlsx", ["name"], *([str(number)] for number in range(5)))
    values = [[row[0].value for row in sheet] for sheet in sheets(tmp_path / "x.xlsx")]
    assert values == [["name", "0", "1"], ["name", "2", "3"], ["name", "4"]]


def test_spreadsheet_leaves_no_temporary_files(tmp_path: Path) -> None:
    write(tmp_path / "x.xlsx", ["name"], ["Ada"])
    assert [file.name for file in tmp_path.iterdir()] == ["x.xlsx"]


def test_internal_file_has_the_language_in_which_signers_read_the_letter(
    publish: Publish, sign: Sign, delivered: Delivered
) -> None:
    publish(language="pt-BR")
    sign()
    for language, expected in (("es", "es"), ("", "pt-BR")):
        change(language=language)
        assert [row["language"] for row in delivered(OURS)] == [expected]
        assert delivered(contents.order(Purpose.OURS, ["language"])) == [{"language": expected, "anonymous": "no"}]


@pytest.mark.slow
def test_source_with_few_signers_is_left_out(sign: Sign, delivered: Delivered) -> None:
    for number in range(6):
        sign(email=f"{number}@example.org", source="radio" if number else "leaflet")
    assert {signature.source for signature in stored()} == {"radio", "leaflet"}
    assert [row["source"] for row in delivered(OURS)] == ["", *["radio"] * 5]
