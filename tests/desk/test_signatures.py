"""Organisers and moderators look through a campaign's signatures, and keep them clean."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from campaign import tally
from campaign.desk_models import Record, Role
from campaign.extensions import db
from campaign.models import Campaign, standing
from tests.conftest import HTMX, SLUG, stored
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk
from tests.test_signature_table import put

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
def organiser(at_desk: AtDeskAs, campaign: Campaign) -> AtDesk:
    return at_desk(Role.ORGANISER, own=[campaign])


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


def test_the_table_shows_who_signed_newest_first(people: list[int], moderator: AtDesk) -> None:
    answer = moderator.get(PAGE)
    assert names(answer) == ["Cleo", "Bea &lt;b&gt;Bold&lt;/b&gt;", "Ada Lovelace"]
    assert "3 counted in all" in answer.text
    assert "listed anonymously" in answer.text
    assert "London, GB" in answer.text


def test_a_word_is_shown_and_looked_for_once_five_have_come_by_it(
    campaign: Campaign, people: list[int], moderator: AtDesk
) -> None:
    assert "radio" not in moderator.get(PAGE).text
    assert "fewer than five" in moderator.get(PAGE).text
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
def test_an_address_can_hold_a_filter_and_never_a_name(
    people: list[int], moderator: AtDesk, query: str, found: list[str]
) -> None:
    assert names(moderator.get(f"{PAGE}?{query}")) == found


@pytest.mark.parametrize(
    "query",
    [
        "country=XX",
        "standing=odd",
        "since=tomorrow",
        "until=0001-01-01",
        "since=9999-12-31",
        "anonymous=maybe",
        "source=radio",
    ],
)
def test_what_cant_be_looked_for_is_said_so(people: list[int], moderator: AtDesk, query: str) -> None:
    answer = moderator.get(f"{PAGE}?{query}")
    assert answer.status_code == 422
    assert "Nothing looked for" in answer.text


def test_a_day_is_that_of_the_campaign(people: list[int], moderator: AtDesk, campaign: Campaign) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE campaign SET time_zone = 'Pacific/Kiritimati'")
    answer = moderator.get(f"{PAGE}?since=2027-03-01&until=2027-03-01")
    assert len(names(answer)) == 3
    assert "2027-03-01 23:00" in answer.text


def test_a_filter_sent_by_the_form_gets_an_address(people: list[int], moderator: AtDesk) -> None:
    answer = moderator.post(f"{PAGE}/search", data={"country": "GB", "words": "", "since": "2027-03-01"})
    assert answer.status_code == 303
    assert answer.location == f"{PAGE}?country=GB&since=2027-03-01"


def test_a_name_is_searched_for_and_stands_in_no_address(people: list[int], moderator: AtDesk) -> None:
    answer = moderator.post(f"{PAGE}/search", data={"words": "lovel", "country": "GB"})
    assert names(answer) == ["Ada Lovelace"]
    assert "1 matches." in answer.text
    assert not re.findall(r'(?:href|action|address)="[^"]*lovel', answer.text)
    partial = moderator.post(f"{PAGE}/search", data={"words": "lovel"}, headers=HTMX)
    assert names(partial) == ["Ada Lovelace"]
    assert "<html" not in partial.text


def test_an_organiser_searches_by_address_and_sees_none(people: list[int], organiser: AtDesk) -> None:
    assert names(organiser.post(f"{PAGE}/search", data={"address": "@example.org"})) == ["Cleo", "Ada Lovelace"]
    answer = organiser.post(f"{PAGE}/search", data={"words": "ada"})
    assert "ada@example.org" not in answer.text


@pytest.mark.parametrize("field", ["address", "words"])
@pytest.mark.parametrize("probe", ["ada@example.org", "@example.org", "example"])
def test_a_moderator_finds_nothing_out_about_an_address(
    people: list[int], moderator: AtDesk, field: str, probe: str
) -> None:
    page = moderator.get(PAGE).text
    assert 'name="address"' not in page
    assert "Show email addresses" not in page
    answer = moderator.post(f"{PAGE}/search", data={field: probe, "country": "GB"}, headers=HTMX)
    other = moderator.post(f"{PAGE}/search", data={field: "nobody" + probe, "country": "GB"}, headers=HTMX)
    assert names(answer) == names(other)
    assert moderator.post(f"{PAGE}/addresses").status_code == 403


def test_addresses_are_shown_once_after_asking_and_the_record_says_so(people: list[int], organiser: AtDesk) -> None:
    assert "ada@example.org" not in organiser.get(PAGE).text
    answer = organiser.post(f"{PAGE}/addresses", data={"country": "GB", "words": "ada"})
    assert names(answer) == ["Ada Lovelace"]
    assert "ada@example.org" in answer.text
    assert "cleo@example.org" not in answer.text
    [entry] = entries("signature.addresses")
    assert entry.after == {"shown": people[:1], "filter": {"country": "GB", "searched": True}, "page": "first"}
    assert "ada@example.org" not in organiser.get(PAGE).text


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_moderator_hides_restores_and_undoes(
    people: list[int], moderator: AtDesk, campaign: Campaign, headers: dict[str, str]
) -> None:
    answer = moderator.post(f"{PAGE}/hide", data={"id": people[:2], "reason": "spam"}, headers=headers)
    assert "2 signatures hidden." in answer.text
    assert standings() == ["hidden", "hidden", "listed"]
    answer = act(moderator, "restore", people, reason="they are real")
    assert "2 signatures restored. 1 left as it is." in answer.text
    assert standings() == ["listed"] * 3
    answer = undo(moderator, answer)
    assert "2 signatures put back." in answer.text
    assert standings() == ["hidden", "hidden", "listed"]
    assert [entry.reason for entry in entries("signature.restore")] == ["they are real"]


def test_an_organiser_removes_and_takes_it_back(people: list[int], organiser: AtDesk, campaign: Campaign) -> None:
    answer = act(organiser, "remove", people[:1])
    assert standings() == ["removed", "listed", "listed"]
    assert "2 counted in all" in answer.text
    undo(organiser, answer)
    assert standings() == ["listed"] * 3
    assert tally.count(db.session(), campaign.id) == 3


def test_a_moderator_can_neither_remove_nor_undo_a_removal(
    people: list[int], organiser: AtDesk, moderator: AtDesk
) -> None:
    assert act(moderator, "remove", people).status_code == 403
    removed = act(organiser, "remove", people[:1])
    assert undo(moderator, removed).status_code == 403
    assert "0 signatures restored. 1 left as it is." in act(moderator, "restore", people[:1]).text
    assert standings() == ["removed", "listed", "listed"]


def test_all_that_match_are_hidden_and_no_others(people: list[int], moderator: AtDesk) -> None:
    answer = act(moderator, "hide", [], everyone="y", country="US")
    assert "2 signatures hidden." in answer.text
    assert standings() == ["listed", "hidden", "hidden"]
    undo(moderator, answer)
    assert standings() == ["listed"] * 3
    act(moderator, "hide", [], everyone="y", words="lovelace")
    assert standings() == ["hidden", "listed", "listed"]


def test_without_a_reason_nothing_changes_and_the_ticks_are_kept(people: list[int], moderator: AtDesk) -> None:
    answer = act(moderator, "hide", people[:1], reason=" ")
    assert answer.status_code == 422
    assert "Give a reason" in answer.text
    assert re.search(rf'value="{people[0]}"[^>]* checked', answer.text)
    assert not re.search(rf'value="{people[1]}"[^>]* checked', answer.text)
    assert standings() == ["listed"] * 3


def test_without_a_tick_nothing_changes(people: list[int], moderator: AtDesk) -> None:
    answer = act(moderator, "hide", [])
    assert answer.status_code == 422
    assert "Tick the signatures that you mean" in answer.text


def test_where_there_is_nothing_the_table_says_why(campaign: Campaign, moderator: AtDesk) -> None:
    assert "Nobody has signed yet." in moderator.get(PAGE).text
    assert "No signature matches." in moderator.post(f"{PAGE}/search", data={"words": "ada"}).text


def test_pages_go_on_with_what_was_searched_for(campaign: Campaign, moderator: AtDesk) -> None:
    put(campaign, *({"name": f"Ada {n}", "email": f"{n}@example.org"} for n in range(60)))
    form: dict[str, Any] = {"words": "ada"}
    answer = moderator.post(f"{PAGE}/search", data=form)
    first = names(answer)
    assert "60 match." in answer.text
    [older] = re.findall(r'name="next" value="([^"]+)"', answer.text)
    answer = moderator.post(f"{PAGE}/search", data=form | {"next": older})
    assert len({*first, *names(answer)}) == 60
    assert 'name="next"' not in answer.text
    assert moderator.post(f"{PAGE}/search", data={"next": older}).location == f"{PAGE}?before={older}"


@pytest.mark.parametrize("cursor", ["x", "1", "1-x"])
def test_a_bad_cursor_gets_a_404(campaign: Campaign, moderator: AtDesk, cursor: str) -> None:
    assert moderator.get(f"{PAGE}?before={cursor}").status_code == 404


def test_look_alikes_lead_to_the_table(campaign: Campaign, organiser: AtDesk, moderator: AtDesk) -> None:
    now = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
    same = {"name": "Ada Lovelace", "city": "London", "signed_at": now}
    put(campaign, *(same | {"email": f"{n}@mailinator.com"} for n in range(30)))
    page = organiser.get(f"/desk/campaigns/{SLUG}/look-alikes").text
    assert "Ada Lovelace</bdi>, <bdi>London, US</bdi>: 30 times" in page
    assert page.count("mailinator.com</bdi>") == 2
    assert "mailinator" not in moderator.get(f"/desk/campaigns/{SLUG}/look-alikes").text
    forms = re.findall(r"<form action=\"[^\"]*/search\".*?</form>", page, re.S)
    assert len(forms) == 3
    for form in forms:
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
        assert "30 match." in organiser.post(f"{PAGE}/search", data=fields).text
