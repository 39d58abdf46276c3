"""Saving the same form twice, as with a double click or after a lost answer, changes nothing and alarms nobody."""

import re

import pytest
from sqlalchemy import select

from campaign.models.account import Role
from campaign.models.campaign import Campaign, CampaignState
from campaign.storage.transactions import write_transaction
from tests.conftest import PATH, Sign
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT, edits, save, stored, typed
from tests.desk.people import AtDesk


@pytest.fixture
def author(at_desk: AtDeskAs, draft: Campaign) -> AtDesk:
    return at_desk(Role.ORGANIZER, own=[draft])


@pytest.mark.parametrize(("do", "leads_to"), [("", EDIT), ("publish", f"/desk{PATH}/publish")])
def test_draft_saved_twice_is_saved_once(author: AtDesk, do: str, leads_to: str) -> None:
    fields = typed(author.get(EDIT).text) | {"title": "Ours", "do": do}
    for _ in range(2):
        answer = author.post(EDIT, data=fields)
        assert (answer.status_code, answer.location) == (303, leads_to)
    assert len(edits()) == 1
    assert "someone else" not in author.get(EDIT).text


def test_second_save_of_a_draft_names_nobody_else(author: AtDesk) -> None:
    fields = typed(author.get(EDIT).text) | {"title": "Ours"}
    author.post(EDIT, data=fields)
    assert "Saved." in author.get(EDIT).text
    author.post(EDIT, data=fields)
    page = author.get(EDIT).text
    assert "Saved." in page
    assert "together with" not in page


def test_public_campaign_saved_twice_after_review_is_saved_once(organizer: AtDesk, sign: Sign) -> None:
    sign()
    fields = typed(organizer.get(EDIT).text) | {"letter": "Other words", "reason": "Clearer"}
    review = organizer.post(EDIT, data=fields)
    seen = re.search(r'name="seen" value="(\w+)"', review.text)
    assert seen
    for _ in range(2):
        answer = organizer.post(EDIT, data=typed(review.text) | {"seen": seen[1]})
        assert (answer.status_code, answer.location) == (303, EDIT)
        assert "Saved." in organizer.get(EDIT).text
    assert len(edits()) == 1
    assert stored().letter == "Other words"


def test_second_save_tells_what_others_changed_in_between(organizer: AtDesk, at_desk: AtDeskAs) -> None:
    fields = typed(organizer.get(EDIT).text) | {"goal": "500"}
    assert save(organizer, fields).status_code == 303
    admin = at_desk(Role.ADMIN)
    assert save(admin, typed(admin.get(EDIT).text) | {"title": "Theirs"}).status_code == 303
    assert organizer.get(EDIT).status_code == 200
    assert organizer.post(EDIT, data=fields).status_code == 303
    assert re.search(r"Saved, together with changes by admin-\w+@example.org: Title\.", organizer.get(EDIT).text)
    assert (stored().goal, stored().title) == (500, "Theirs")


def test_merge_into_a_signed_draft_keeps_the_reason(organizer: AtDesk, at_desk: AtDeskAs, sign: Sign) -> None:
    sign()
    with write_transaction() as session:
        session.scalars(select(Campaign)).one().state = CampaignState.DRAFT
    mine, admin = typed(organizer.get(EDIT).text), at_desk(Role.ADMIN)
    assert save(admin, typed(admin.get(EDIT).text) | {"goal": "500"}).status_code == 303
    answer = organizer.post(EDIT, data=mine | {"letter": "Other words", "reason": "Clearer"})
    assert (answer.status_code, answer.location) == (303, EDIT)
    assert edits()[-1].reason == "Clearer"
    assert (stored().letter, stored().goal) == ("Other words", 500)
