"""What an organisation gets to hand over, and what it gets for itself, as rows, CSV and spreadsheet."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import event, update

from campaign import delivery, fake, spreadsheet
from campaign.delivery import Cell, Order, Purpose, Snapshot
from campaign.extensions import db, write_transaction
from campaign.models import Campaign, Signature, SignatureState
from tests.conftest import Publish, Sign, stored

HAND_OVER = delivery.order(Purpose.HAND_OVER, delivery.COLUMNS[Purpose.HAND_OVER])
OURS = delivery.order(Purpose.OURS, delivery.COLUMNS[Purpose.OURS])

Delivered = Callable[..., list[dict[str, str]]]


@pytest.fixture
def delivered(campaign: Campaign) -> Delivered:
    """What is in a file of the campaign, by the names of its columns."""

    def delivered(order: Order, of: Snapshot | None = None) -> list[dict[str, str]]:
        db.session.rollback()
        with_flag = db.session.get_one(Campaign, campaign.id)
        of = of or delivery.snapshot(db.session(), campaign.id, only_updates=order.only_updates)
        rows = delivery.rows(db.engine, with_flag, order, of)
        text = "".join(delivery.csv_chunks(delivery.header(with_flag, order), rows))
        return list(csv.DictReader(io.StringIO(text, newline="")))

    return delivered


def change(**values: Any) -> None:
    with write_transaction() as session:
        session.execute(update(Signature).values(**values))


def promise_to_name(campaign: Campaign) -> None:
    with write_transaction() as session:
        session.execute(update(Campaign).where(Campaign.id == campaign.id).values(deliver_anonymous=True))


def test_those_it_is_handed_to_see_what_the_form_says_and_no_address(sign: Sign, delivered: Delivered) -> None:
    sign(updates="y")
    (row,) = delivered(HAND_OVER)
    day = stored()[0].signed_at.date().isoformat()
    place = {"city": "Los Angeles", "region": "California", "country": "US"}
    assert row == {"name": "Ada Lovelace", **place, "signed_on": day}
    for column in ("email", "postal_code", "wants_updates", "source", "signed_at", "email_key", "id"):
        with pytest.raises(ValueError, match=column):
            delivery.order(Purpose.HAND_OVER, ["name", column])


def test_of_who_is_anonymous_only_the_country_is_handed_over(sign: Sign, delivered: Delivered) -> None:
    sign(anonymous="y", name="Grace Hopper", city="Paris", region="IDF", country="FR")
    (row,) = delivered(HAND_OVER)
    assert (row["name"], row["city"], row["region"], row["country"]) == ("Anonymous", "", "", "FR")
    assert "anonymous" not in row


def test_the_anonymous_are_named_where_that_was_promised_and_then_always_marked(
    campaign: Campaign, sign: Sign, delivered: Delivered
) -> None:
    sign(anonymous="y")
    promise_to_name(campaign)
    (row,) = delivered(delivery.order(Purpose.HAND_OVER, ["name"]))
    assert row == {"name": "Ada Lovelace", "anonymous": "yes"}


def test_the_organisation_itself_gets_everything_and_who_is_anonymous_is_marked(
    sign: Sign, delivered: Delivered
) -> None:
    sign(anonymous="y")
    (row,) = delivered(OURS)
    assert (row["name"], row["email"], row["postal_code"]) == ("Ada Lovelace", "ada@example.org", "90012")
    assert row["anonymous"] == "yes"
    assert delivered(delivery.order(Purpose.OURS, ["email"]))[0] == {"email": "ada@example.org", "anonymous": "yes"}


def test_one_can_have_only_those_who_want_updates(sign: Sign, delivered: Delivered) -> None:
    sign()
    sign(name="Grace Hopper", email="grace@example.org", updates="y")
    order = delivery.order(Purpose.OURS, ["email"], only_updates=True)
    assert [row["email"] for row in delivered(order)] == ["grace@example.org"]
    assert not delivery.order(Purpose.HAND_OVER, ["name"], only_updates=True).only_updates


def test_columns_come_in_their_order_and_at_least_one(campaign: Campaign) -> None:
    assert delivery.order(Purpose.HAND_OVER, ["country", "name"]).columns == ("name", "country")
    with pytest.raises(ValueError, match="can't be the columns"):
        delivery.order(Purpose.HAND_OVER, [])


def test_who_is_hidden_is_handed_over_and_who_is_not_counted_is_not(sign: Sign, delivered: Delivered) -> None:
    sign()
    change(listed_at=None)
    assert len(delivered(HAND_OVER)) == 1
    for state in (SignatureState.PENDING, SignatureState.REMOVED, SignatureState.WITHDRAWN):
        change(state=state)
        assert delivered(HAND_OVER) == []


def test_who_signs_while_it_is_made_is_in_the_next_one(campaign: Campaign, sign: Sign, delivered: Delivered) -> None:
    sign()
    of = delivery.snapshot(db.session(), campaign.id)
    sign(email="late@example.org")
    assert of.count == 1
    assert len(delivered(OURS, of)) == 1


def test_another_campaigns_signatures_are_not_in_it(publish: Publish, sign: Sign, delivered: Delivered) -> None:
    sign()
    other = publish(slug="other")
    list(fake.sign(other.id, 5, datetime.now(UTC)))
    assert len(delivered(OURS)) == 1


def test_the_day_is_that_of_the_campaigns_time_zone(campaign: Campaign, sign: Sign, delivered: Delivered) -> None:
    sign()
    change(signed_at=datetime(2027, 3, 1, 23, 30, tzinfo=UTC))
    with write_transaction() as session:
        session.execute(update(Campaign).values(time_zone="Europe/Berlin"))
    assert delivered(HAND_OVER)[0]["signed_on"] == "2027-03-02"


def test_all_are_read_a_chunk_at_a_time_and_no_transaction_stays_open(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "CHUNK", 1000)
    list(fake.sign(campaign.id, 2500, datetime.now(UTC)))
    # Many at the same time: where a chunk ends, nobody is skipped and nobody comes twice.
    change(signed_at=datetime.now(UTC))
    of = delivery.snapshot(db.session(), campaign.id)
    db.session.rollback()
    sizes, ids = [], []
    for chunk in delivery.signatures(db.engine, of):
        sizes.append(len(chunk))
        ids += [row.id for row in chunk]
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert sizes == [1000, 1000, 500]
    assert ids == sorted(set(ids))


def test_no_statement_skips_rows_by_counting_them(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "CHUNK", 10)
    list(fake.sign(campaign.id, 15, datetime.now(UTC)))
    said: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    list(delivery.signatures(db.engine, delivery.snapshot(db.session(), campaign.id)))
    assert len([statement for statement in said if "ORDER BY" in statement]) == 3
    assert not [statement for statement in said if "OFFSET" in statement.replace("LIMIT ? OFFSET ?", "")]


def test_the_books_entries_are_in_the_campaigns_language(publish: Publish, sign: Sign) -> None:
    sign()
    sign(name="Grace Hopper", email="grace@example.org", anonymous="y", country="FR")
    campaign = publish(language="de")
    entries = list(delivery.entries(db.engine, campaign, delivery.snapshot(db.session(), campaign.id)))
    assert entries == [
        ("Ada Lovelace", "Los Angeles, California, Vereinigte Staaten"),
        ("Anonym", "Frankreich"),
    ]
    campaign.deliver_anonymous = True
    entries = list(delivery.entries(db.engine, campaign, delivery.snapshot(db.session(), campaign.id)))
    assert entries[1][0] == "Grace Hopper (Anonym)"


NOON = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


def sheets(file: Path) -> list[list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(file)
    return [[tuple(row) for row in sheet.iter_rows()] for sheet in book.worksheets]


def write(file: Path, header: Sequence[str], *rows: Sequence[Cell]) -> None:
    chunks: Iterable[Iterable[Sequence[Cell]]] = [rows[:1], rows[1:]]
    spreadsheet.write(file, header, chunks)


def test_a_spreadsheet_has_text_as_text_and_days_as_days(tmp_path: Path) -> None:
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


def test_what_is_too_much_for_a_sheet_goes_on_on_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "MOST_ROWS", 3)
    write(tmp_path / "x.xlsx", ["name"], *([str(number)] for number in range(5)))
    values = [[row[0].value for row in sheet] for sheet in sheets(tmp_path / "x.xlsx")]
    assert values == [["name", "0", "1"], ["name", "2", "3"], ["name", "4"]]


def test_a_spreadsheet_leaves_nothing_else_behind(tmp_path: Path) -> None:
    write(tmp_path / "x.xlsx", ["name"], ["Ada"])
    assert [file.name for file in tmp_path.iterdir()] == ["x.xlsx"]


def test_a_word_by_which_few_came_is_in_no_file(sign: Sign, delivered: Delivered) -> None:
    for number in range(6):
        sign(email=f"{number}@example.org", source="radio" if number else "leaflet")
    assert {signature.source for signature in stored()} == {"radio", "leaflet"}
    assert [row["source"] for row in delivered(OURS)] == ["", *["radio"] * 5]
