"""Questions before large changes to signatures, and what the page says about changes and their undoing."""

import re
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from campaign.models.account import Role
from campaign.models.campaign import Campaign
from campaign.models.signature import standing
from campaign.moderation import actions
from campaign.moderation import table as signature_table
from campaign.web.limits.body_limits import MOST_FIELDS
from tests.conftest import HTMX, SLUG, only_sqlite, stored
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk
from tests.moderation.signatures import NOW, put

PAGE = f"/desk/campaigns/{SLUG}/signatures"
Fields = dict[str, Any]


@pytest.fixture
def organizer(at_desk: AtDeskAs, campaign: Campaign) -> AtDesk:
    return at_desk(Role.ORGANIZER, own=[campaign])


@pytest.fixture
def people(campaign: Campaign) -> list[int]:
    """Store 30 signatures from the US and 5 from GB, and return their ids."""
    countries = ["US"] * 30 + ["GB"] * 5
    everyone = ({"name": f"Ada {n}", "email": f"{n}@example.org", "country": c} for n, c in enumerate(countries))
    return put(campaign, *everyone)


def standings() -> list[str]:
    return [standing(each.state, each.listed_at, each.email_key).value for each in stored()]


def question(answer: TestResponse) -> str:
    found = re.search(r'<h3 id="question">([^<]+)</h3>', answer.text)
    return found[1] if found else ""


def reply(client: AtDesk, answer: TestResponse, sure: str, **changed: Any) -> TestResponse:
    """Send the form of the question with this answer."""
    [form] = re.findall(r'<div class="notice question".*?</form>', answer.text, re.DOTALL)
    [path] = re.findall(r'action="([^"]+)"', form.partition(">")[2].partition("<p class")[0])
    fields: Fields = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form):
        fields.setdefault(name, []).append(value)
    return client.post(path, data=fields | {"sure": sure} | changed)


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.slow
def test_more_than_25_matching_signatures_are_changed_only_after_a_question(
    people: list[int], organizer: AtDesk, headers: dict[str, str]
) -> None:
    assert "All 35 signatures of this campaign" in organizer.get(PAGE).text
    form: Fields = {"everyone": "y", "reason": "spam"}
    asked = organizer.post(f"{PAGE}/remove", data=form, headers=headers)
    assert question(asked) == "Remove all 35 signatures of this campaign?"
    assert set(standings()) == {"listed"}
    canceled = reply(organizer, asked, "none")
    assert question(canceled) == ""
    assert re.search(r'name="everyone"[^>]* checked', canceled.text)
    assert 'value="spam"' in canceled.text
    assert set(standings()) == {"listed"}
    done = reply(organizer, asked, "all")
    assert "35 signatures removed." in done.text
    assert "Undo: restore 35 signatures" in done.text


@pytest.mark.slow
def test_up_to_25_matching_signatures_are_changed_without_a_question(people: list[int], organizer: AtDesk) -> None:
    page = organizer.get(f"{PAGE}?country=GB").text
    assert "All 5 signatures that match" in page
    done = organizer.post(f"{PAGE}/hide", data={"everyone": "y", "reason": "spam", "country": "GB"})
    assert "5 signatures hidden." in done.text
    assert standings().count("hidden") == 5


@pytest.mark.slow
def test_question_shows_how_many_signatures_would_change(people: list[int], organizer: AtDesk) -> None:
    organizer.post(f"{PAGE}/hide", data={"id": people[:3], "reason": "spam"})
    asked = organizer.post(f"{PAGE}/hide", data={"everyone": "y", "reason": "spam", "country": "US"})
    assert question(asked) == "Hide all 27 signatures that match?"
    assert "27 signatures hidden. 3 left unchanged." in reply(organizer, asked, "all").text


@pytest.mark.slow
def test_selected_rows_are_never_ignored(people: list[int], organizer: AtDesk) -> None:
    form: Fields = {"everyone": "y", "reason": "spam", "country": "GB", "id": people[-2:]}
    asked = organizer.post(f"{PAGE}/hide", data=form)
    assert question(asked) == "Hide all 5 signatures that match?"
    assert "You have selected 2 signatures, and also all that match." in asked.text
    assert "Hide only the 2 selected" in asked.text
    assert "2 signatures hidden." in reply(organizer, asked, "selected").text
    assert standings() == ["listed"] * 33 + ["hidden"] * 2
    all_selected = organizer.post(f"{PAGE}/restore", data=form | {"id": people[-5:]})
    assert "2 signatures restored. 3 left unchanged." in all_selected.text


@pytest.mark.slow
def test_signatures_that_arrive_after_the_question_are_not_changed(
    people: list[int], organizer: AtDesk, campaign: Campaign
) -> None:
    asked = organizer.post(f"{PAGE}/remove", data={"everyone": "y", "reason": "spam"})
    put(campaign, *({"name": "Late", "email": f"late{n}@example.org"} for n in range(40)))
    reply(organizer, asked, "all")
    late = standings()[35:]
    assert standings()[:35] == ["removed"] * 35
    assert late.count("listed") >= 5, "signatures with a later time than the newest one in the question"


@pytest.mark.parametrize(("wanted", "number"), [({"country": "GB"}, 5), ({"words": "ada 3"}, 6)])
def test_signatures_that_arrive_after_the_table_was_shown_are_not_changed(
    people: list[int], organizer: AtDesk, campaign: Campaign, wanted: Fields, number: int
) -> None:
    page = organizer.post(f"{PAGE}/search", data=wanted, headers=HTMX).text
    assert f"All {number} signatures that match" in page
    [form] = re.findall(r'<form class="signatures".*?</form>', page, re.DOTALL)
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    put(
        campaign, {"name": "Ada 39", "email": "late@example.org", "country": "GB", "signed_at": NOW + timedelta(days=1)}
    )
    done = organizer.post(f"{PAGE}/hide", data=fields | {"everyone": "y", "reason": "spam"})
    assert f"{number} signatures hidden." in done.text
    assert standings().count("hidden") == number
    assert standings()[-1] == "listed"


@pytest.mark.slow
def test_large_numbers_are_not_counted_to_the_end(campaign: Campaign, organizer: AtDesk) -> None:
    put(campaign, *({"name": "Ada", "email": f"{n}@example.org"} for n in range(520)))
    page = organizer.get(PAGE).text
    assert "All signatures of this campaign (520 in the count)" in page
    [older] = re.findall(r'name="next" value="([^"]+)"', page)
    assert "All signatures of this campaign (520 in the count)" in organizer.get(f"{PAGE}?before={older}").text
    assert "All signatures that match (at least 500)" in organizer.get(f"{PAGE}?country=US").text
    asked = organizer.post(f"{PAGE}/hide", data={"everyone": "y", "reason": "spam"})
    assert question(asked) == "Hide all signatures of this campaign?"
    assert "There are at least 500. One step changes at most 50,000." in asked.text
    assert "520 signatures hidden." in reply(organizer, asked, "all").text


def test_large_change_goes_on_with_older_signatures_when_asked(
    people: list[int], organizer: AtDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 10)
    monkeypatch.setattr(actions, "MOST_PAGES", 2)
    form: Fields = {"everyone": "y", "reason": "spam"}
    step = reply(organizer, organizer.post(f"{PAGE}/remove", data=form | {"block": "y"}), "all")
    assert "20 signatures removed and blocked." in step.text
    assert "Undo: restore 20 signatures" in step.text
    assert question(step) == "Continue with older signatures?"
    assert step.text.count(" autofocus") == 1
    step = reply(organizer, step, "all")
    assert "15 signatures removed and blocked." in step.text
    assert question(step) == ""
    step = organizer.post(f"{PAGE}/hide", data=form)
    assert "No signature was changed so far. 20 left unchanged." in step.text
    step = reply(organizer, step, "all")
    assert "No signature was changed. 15 left unchanged." in step.text


def test_question_says_if_no_signature_is_known_to_change(
    people: list[int], organizer: AtDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signature_table, "MOST_COUNTED", 20)
    asked = organizer.post(f"{PAGE}/restore", data={"everyone": "y", "reason": "real"})
    assert "None of the newest signatures would change. Others may." in asked.text


def test_invalid_start_of_a_confirmed_change_is_not_found(people: list[int], organizer: AtDesk) -> None:
    form: Fields = {"everyone": "y", "reason": "spam", "sure": "all", "first": "x"}
    assert organizer.post(f"{PAGE}/hide", data=form).status_code == 404
    assert set(standings()) == {"listed"}


@pytest.mark.slow
def test_undo_that_removes_more_than_ten_signatures_asks_first(people: list[int], organizer: AtDesk) -> None:
    organizer.post(f"{PAGE}/remove", data={"id": people[:11], "reason": "spam"})
    restored = organizer.post(f"{PAGE}/restore", data={"id": people[:11], "reason": "real"})
    assert "Undo: remove 11 signatures again" in restored.text
    entry = re.findall(r'name="entry" value="(\d+)"', restored.text)
    asked = organizer.post(f"{PAGE}/undo", data={"entry": entry})
    assert question(asked) == "Remove 11 signatures again?"
    assert question(reply(organizer, asked, "none")) == ""
    assert set(standings()) == {"listed"}
    undone = reply(organizer, asked, "all")
    assert "11 signatures removed again." in undone.text
    assert standings().count("removed") == 11
    again = organizer.post(f"{PAGE}/undo", data={"entry": entry, "sure": "all"})
    assert re.search(r"already undone by \S+@\S+ on .+\. Nothing was changed\.", again.text)
    redone = organizer.post(f"{PAGE}/undo", data={"entry": re.findall(r'name="entry" value="(\d+)"', undone.text)})
    assert "11 signatures restored." in redone.text


@pytest.mark.slow
@only_sqlite
def test_change_with_the_most_entries_can_be_undone(
    people: list[int], campaign: Campaign, organizer: AtDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 1)
    put(campaign, *({"name": f"B {n}", "email": f"b{n}@example.org"} for n in range(actions.MOST_PAGES - 30)))
    form: Fields = {"everyone": "y", "reason": "spam", "sure": "all"}
    organizer.post(f"{PAGE}/remove", data=form)
    restored = organizer.post(f"{PAGE}/restore", data=form)
    entry = re.findall(r'name="entry" value="(\d+)"', restored.text)
    assert len(entry) == actions.MOST_PAGES
    asked = organizer.post(f"{PAGE}/undo", data={"entry": entry, "id": people})
    assert question(asked) == f"Remove {actions.MOST_PAGES} signatures again?"
    assert f"{actions.MOST_PAGES} signatures removed again." in reply(organizer, asked, "all").text
    assert actions.MOST_PAGES + 50 <= MOST_FIELDS, "the form also has the filter"


@pytest.mark.slow
def test_small_undo_needs_no_question(people: list[int], organizer: AtDesk) -> None:
    hidden = organizer.post(f"{PAGE}/hide", data={"id": people[:30], "reason": "spam"})
    entry = re.findall(r'name="entry" value="(\d+)"', hidden.text)
    assert "30 signatures restored." in organizer.post(f"{PAGE}/undo", data={"entry": entry}).text
    organizer.post(f"{PAGE}/hide", data={"id": people[:10], "reason": "spam"})
    restored = organizer.post(f"{PAGE}/restore", data={"id": people[:10], "reason": "real"})
    entry = re.findall(r'name="entry" value="(\d+)"', restored.text)
    assert "10 signatures hidden again." in organizer.post(f"{PAGE}/undo", data={"entry": entry}).text


def test_us_state_filter_finds_only_signers_in_that_state(campaign: Campaign, organizer: AtDesk) -> None:
    put(
        campaign,
        {"name": "Ada", "email": "a@example.org", "region": "Georgia"},
        {"name": "Georgia", "email": "b@example.org", "region": "Ohio"},
        {"name": "Giorgi", "email": "c@example.org", "region": "Georgia", "country": "GE"},
    )
    page = organizer.get(f"{PAGE}?region=Georgia").text
    assert re.findall(r'<label for="tick-\d+"[^>]*><bdi>([^<]+)', page) == ["Ada"]
    assert "All 1 " not in page
    searched = organizer.post(f"{PAGE}/search", data={"region": "Ohio", "words": "geo"}).text
    assert re.findall(r'<label for="tick-\d+"[^>]*><bdi>([^<]+)', searched) == ["Georgia"]
    assert organizer.get(f"{PAGE}?region=Atlantis").status_code == 422
