"""The signatures page: filters, searches, moderation, email addresses, and possible duplicates."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, select
from werkzeug.test import TestResponse

from campaign.models.account import Role
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.models.signature import standing
from campaign.signatures import tally
from campaign.storage.database import db
from tests.conftest import ADA, HTMX, PATH, SLUG, only_sqlite, stored
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk
from tests.moderation.signatures import put

PAGE = f"/desk/campaigns/{SLUG}/signatures"


@pytest.fixture
def people(campaign: Campaign) -> list[int]:
    return put(
        campaign,
        {"name": "Ada Lovelace", "email": "ada@example.org", "city": "London", "country": "GB", "source": "radio"},
        {"name": "Bea <b>Bold</b>", "email": "bea@example.com", "anonymous": True},
        {"name": "Cleo", "email": "cleo@example.org", "postal_code": "90012"},
    )


@pytest.fixture
def moderator(at_desk: AtDeskAs) -> AtDesk:
    return at_desk(Role.MODERATOR)


def names(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    return re.findall(r'<label for="tick-\d+"[^>]*><bdi>([^<]+)', answer.text)


def act(client: AtDesk, what: str, ids: list[int], **fields: Any) -> TestResponse:
    return client.post(f"{PAGE}/{what}", data={"id": ids, "reason": "spam"} | fields)


def undo(client: AtDesk, answer: TestResponse) -> TestResponse:
    return client.post(f"{PAGE}/undo", data={"entry": re.findall(r'name="entry" value="(\d+)"', answer.text)})


def standings() -> list[str]:
    return [standing(signature.state, signature.listed_at).value for signature in stored()]


def entries(action: str) -> list[Record]:
    db.session.rollback()
    return list(db.session.scalars(select(Record).where(Record.action == action).order_by(Record.id)))


def test_signature_page_lists_newest_first(people: list[int], moderator: AtDesk) -> None:
    answer = moderator.get(PAGE)
    assert names(answer) == ["Cleo", "Bea &lt;b&gt;Bold&lt;/b&gt;", "Ada Lovelace"]
    assert "3 signatures in the count" in answer.text
    assert "listed anonymously" in answer.text
    assert "London, GB" in answer.text


def test_source_is_shown_and_searchable_from_five_signers_on(
    campaign: Campaign, people: list[int], moderator: AtDesk
) -> None:
    assert "radio" not in moderator.get(PAGE).text
    assert "fewer than five signers" in moderator.get(PAGE).text
    put(campaign, *({"name": f"Listener {n}", "email": f"{n}@example.org", "source": "radio"} for n in range(4)))
    assert moderator.get(PAGE).text.count("<bdi>radio</bdi>") == 5
    assert len(names(moderator.get(f"{PAGE}?source=radio"))) == 5


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("country=GB", ["Ada Lovelace"]),
        ("anonymous=no", ["Cleo", "Ada Lovelace"]),
        ("standing=removed", []),
        ("since=2027-03-01&until=2027-03-01", ["Cleo", "Bea &lt;b&gt;Bold&lt;/b&gt;", "Ada Lovelace"]),
        ("until=2027-02-28", []),
        ("words=ada", ["Cleo", "Bea &lt;b&gt;Bold&lt;/b&gt;", "Ada Lovelace"]),
    ],
)
def test_url_applies_filters_but_never_a_search_for_names(
    people: list[int], moderator: AtDesk, query: str, found: list[str]
) -> None:
    assert names(moderator.get(f"{PAGE}?{query}")) == found


@pytest.mark.parametrize(
    "query",
    [
        "country=XX",
        "region=Atlantis",
        "standing=odd",
        "since=tomorrow",
        "until=0001-01-01",
        "since=9999-12-31",
        "anonymous=maybe",
        "source=radio",
    ],
)
@pytest.mark.slow
def test_invalid_filter_shows_an_error(people: list[int], moderator: AtDesk, query: str) -> None:
    answer = moderator.get(f"{PAGE}?{query}")
    assert answer.status_code == 422
    assert 'id="summary-title"' in answer.text


def test_date_filter_uses_the_campaigns_time_zone(people: list[int], moderator: AtDesk, campaign: Campaign) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE campaign SET time_zone = 'Pacific/Kiritimati'")
    answer = moderator.get(f"{PAGE}?since=2027-03-01&until=2027-03-01")
    assert len(names(answer)) == 3
    assert "Mar 1, 2027, 11:00\u202fPM" in answer.text


def test_submitted_filter_redirects_to_its_url(people: list[int], moderator: AtDesk) -> None:
    answer = moderator.post(f"{PAGE}/search", data={"country": "GB", "words": "", "since": "2027-03-01"})
    assert answer.status_code == 303
    assert answer.location == f"{PAGE}?country=GB&since=2027-03-01"


def test_searched_name_is_never_in_a_url(people: list[int], moderator: AtDesk) -> None:
    answer = moderator.post(f"{PAGE}/search", data={"words": "lovel", "country": "GB"})
    assert names(answer) == ["Ada Lovelace"]
    assert "1 signature matches." in answer.text
    assert not re.findall(r'(?:href|action|address)="[^"]*lovel', answer.text)
    partial = moderator.post(f"{PAGE}/search", data={"words": "lovel"}, headers=HTMX)
    assert names(partial) == ["Ada Lovelace"]
    assert "<html" not in partial.text


def test_organizer_can_search_email_addresses_without_seeing_them(people: list[int], organizer: AtDesk) -> None:
    assert names(organizer.post(f"{PAGE}/search", data={"address": "@example.org"})) == ["Cleo", "Ada Lovelace"]
    answer = organizer.post(f"{PAGE}/search", data={"words": "ada"})
    assert "ada@example.org" not in answer.text


@pytest.mark.parametrize("field", ["address", "words"])
@pytest.mark.parametrize("probe", ["ada@example.org", "@example.org", "example"])
def test_moderator_learns_nothing_about_email_addresses(
    people: list[int], moderator: AtDesk, field: str, probe: str
) -> None:
    page = moderator.get(PAGE).text
    assert 'name="address"' not in page
    assert "Show email addresses" not in page
    answer = moderator.post(f"{PAGE}/search", data={field: probe, "country": "GB"}, headers=HTMX)
    other = moderator.post(f"{PAGE}/search", data={field: "nobody" + probe, "country": "GB"}, headers=HTMX)
    assert names(answer) == names(other)
    assert moderator.post(f"{PAGE}/addresses").status_code == 403


@pytest.mark.slow
def test_showing_email_addresses_is_recorded_in_the_audit_log(people: list[int], organizer: AtDesk) -> None:
    assert "ada@example.org" not in organizer.get(PAGE).text
    answer = organizer.post(f"{PAGE}/addresses", data={"country": "GB", "words": "ada"})
    assert names(answer) == ["Ada Lovelace"]
    assert "ada@example.org" in answer.text
    assert "cleo@example.org" not in answer.text
    [entry] = entries("signature.addresses")
    assert entry.after == {"shown": people[:1], "filter": {"country": "GB", "searched": True}, "page": "first"}
    assert "ada@example.org" not in organizer.get(PAGE).text


@only_sqlite
def test_showing_email_addresses_keeps_the_selection_and_the_reason(people: list[int], organizer: AtDesk) -> None:
    page = organizer.post(f"{PAGE}/addresses", data={"id": people[1], "reason": "spam", "block": "y"}).text
    assert re.findall(r'name="id" value="(\d+)"[^>]* checked', page) == [str(people[1])]
    assert 'name="reason" type="text" value="spam"' in page
    assert re.search(r'name="block"[^>]* checked', page)


@only_sqlite
def test_email_addresses_are_searched_while_people_can_sign(people: list[int], organizer: AtDesk) -> None:
    statements: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement.partition("(")[0] if statement.startswith("INSERT") else statement)

    event.listen(Engine, "before_cursor_execute", record)
    organizer.post(f"{PAGE}/addresses", data={"words": "ada"})
    event.remove(Engine, "before_cursor_execute", record)
    written = statements.index("INSERT INTO record ")
    began = max(n for n, statement in enumerate(statements[:written]) if statement == "BEGIN IMMEDIATE")
    assert not any("FROM signature" in statement for statement in statements[began:written])
    assert any("FROM signature" in statement for statement in statements[:began])


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.slow
def test_moderator_can_hide_restore_and_undo(
    people: list[int], moderator: AtDesk, campaign: Campaign, headers: dict[str, str]
) -> None:
    answer = moderator.post(f"{PAGE}/hide", data={"id": people[:2], "reason": "spam"}, headers=headers)
    assert "2 signatures hidden." in answer.text
    assert standings() == ["hidden", "hidden", "listed"]
    answer = act(moderator, "restore", people, reason="they are real")
    assert "2 signatures restored. 1 left unchanged." in answer.text
    assert standings() == ["listed"] * 3
    answer = undo(moderator, answer)
    assert "2 signatures hidden again." in answer.text
    assert standings() == ["hidden", "hidden", "listed"]
    assert [entry.reason for entry in entries("signature.restore")] == ["they are real"]


@pytest.mark.slow
def test_organizer_can_remove_and_undo(people: list[int], organizer: AtDesk, campaign: Campaign) -> None:
    answer = act(organizer, "remove", people[:1])
    assert standings() == ["removed", "listed", "listed"]
    assert "2 signatures in the count" in answer.text
    undo(organizer, answer)
    assert standings() == ["listed"] * 3
    assert tally.count(db.session(), campaign.id) == 3


@pytest.mark.slow
def test_removed_signature_cannot_be_restored_once_its_address_signed_again(
    people: list[int], organizer: AtDesk, client: FlaskClient
) -> None:
    removed = act(organizer, "remove", people[:1])
    assert "signed again since" not in organizer.get(PAGE).text
    client.post(f"{PATH}/signatures", data=ADA)
    assert organizer.get(PAGE).text.count('<span class="hint">signed again since</span>') == 1
    for answer in (act(organizer, "restore", people[:2]), undo(organizer, removed)):
        assert "1 left unchanged because of a newer signature from the same email address." in answer.text
    assert standings() == ["removed", "listed", "listed", "listed"]


@pytest.mark.slow
def test_blocked_address_is_shown_with_its_attempts(
    people: list[int], organizer: AtDesk, moderator: AtDesk, client: FlaskClient
) -> None:
    answer = act(organizer, "remove", people[:1], block="y")
    assert "1 signature removed and blocked." in answer.text
    client.post(f"{PATH}/signatures", data=ADA)
    client.post(f"{PATH}/signatures", data=ADA)
    page = organizer.get(f"{PAGE}?standing=blocked")
    assert names(page) == names(organizer.get(f"{PAGE}?standing=removed")) == ["Ada Lovelace"]
    assert "2 attempts to sign again, the last on <time" in page.text
    assert 'name="block"' not in moderator.get(PAGE).text
    assert "No signature was changed. 1 left unchanged." in act(moderator, "restore", people[:1]).text
    assert undo(moderator, answer).status_code == 403
    undo(organizer, answer)
    assert standings() == ["listed"] * 3
    log = organizer.get(f"/desk/campaigns/{SLUG}/record").text
    assert "removed 1 signature and blocked its email address" in log


@pytest.mark.slow
def test_moderator_cannot_remove_or_undo_a_removal(people: list[int], organizer: AtDesk, moderator: AtDesk) -> None:
    assert act(moderator, "remove", people).status_code == 403
    removed = act(organizer, "remove", people[:1])
    assert undo(moderator, removed).status_code == 403
    assert "No signature was changed. 1 left unchanged." in act(moderator, "restore", people[:1]).text
    assert standings() == ["removed", "listed", "listed"]


@pytest.mark.slow
def test_all_matching_signatures_and_no_others_are_hidden(people: list[int], moderator: AtDesk) -> None:
    answer = act(moderator, "hide", [], everyone="y", country="US")
    assert "2 signatures hidden." in answer.text
    assert standings() == ["listed", "hidden", "hidden"]
    undo(moderator, answer)
    assert standings() == ["listed"] * 3
    act(moderator, "hide", [], everyone="y", words="lovelace")
    assert standings() == ["hidden", "listed", "listed"]


@pytest.mark.slow
def test_missing_reason_keeps_the_selection(people: list[int], moderator: AtDesk) -> None:
    answer = act(moderator, "hide", people[:1], reason=" ")
    assert answer.status_code == 422
    assert "Enter a reason" in answer.text
    assert re.search(rf'value="{people[0]}"[^>]* checked', answer.text)
    assert not re.search(rf'value="{people[1]}"[^>]* checked', answer.text)
    assert standings() == ["listed"] * 3


def test_empty_selection_is_refused(people: list[int], moderator: AtDesk) -> None:
    answer = act(moderator, "hide", [])
    assert answer.status_code == 422
    assert "Select at least one signature" in answer.text


def test_empty_table_says_why_it_is_empty(campaign: Campaign, moderator: AtDesk) -> None:
    assert "No signatures yet." in moderator.get(PAGE).text
    assert "No signatures match." in moderator.post(f"{PAGE}/search", data={"words": "ada"}).text


@pytest.mark.slow
def test_next_page_continues_the_search(campaign: Campaign, moderator: AtDesk) -> None:
    put(campaign, *({"name": f"Ada {n}", "email": f"{n}@example.org"} for n in range(60)))
    form: dict[str, Any] = {"words": "ada"}
    answer = moderator.post(f"{PAGE}/search", data=form)
    first = names(answer)
    assert "60 signatures match." in answer.text
    [older] = re.findall(r'name="next" value="([^"]+)"', answer.text)
    answer = moderator.post(f"{PAGE}/search", data=form | {"next": older})
    assert len({*first, *names(answer)}) == 60
    assert 'name="next"' not in answer.text
    assert moderator.post(f"{PAGE}/search", data={"next": older}).location == f"{PAGE}?before={older}"


@pytest.mark.parametrize("cursor", ["x", "1", "1-x"])
def test_invalid_cursor_is_not_found(campaign: Campaign, moderator: AtDesk, cursor: str) -> None:
    assert moderator.get(f"{PAGE}?before={cursor}").status_code == 404


@pytest.mark.slow
def test_possible_duplicates_lead_to_the_filtered_table(
    campaign: Campaign, organizer: AtDesk, moderator: AtDesk
) -> None:
    now = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
    same = {"name": "Ada Lovelace", "city": "London", "signed_at": now}
    put(campaign, *(same | {"email": f"{n}@mailinator.com"} for n in range(30)))
    page = organizer.get(f"/desk/campaigns/{SLUG}/look-alikes").text
    assert "Ada Lovelace</bdi>, <bdi>London, US</bdi>: 30 times" in page
    assert page.count("mailinator.com</bdi>") == 2
    assert "mailinator" not in moderator.get(f"/desk/campaigns/{SLUG}/look-alikes").text
    forms = re.findall(r"<form action=\"[^\"]*/search\".*?</form>", page, re.S)
    assert len(forms) == 3
    for form in forms:
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
        assert "30 signatures match." in organizer.post(f"{PAGE}/search", data=fields).text
