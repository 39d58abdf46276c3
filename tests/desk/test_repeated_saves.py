"""Saving the same form twice, as with a double click or after a lost answer, changes nothing and alarms nobody."""

import re

import pytest
from sqlalchemy import select

from campaign.models.account import Role
from campaign.models.campaign import Campaign, CampaignState
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import HTMX, PATH, Publish, Sign
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT, TYPED, edits, save, stored, typed
from tests.desk.people import AtDesk

pytestmark = pytest.mark.slow


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


NEW, AUTOSAVE_NEW = "/desk/campaigns/new", "/desk/campaigns/autosave"


def slugs_of_all() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(select(Campaign.slug).order_by(Campaign.id)))


@pytest.mark.parametrize("slug", ["", "my-cafe"])
def test_new_campaign_saved_twice_is_one_draft(at_desk: AtDeskAs, slug: str) -> None:
    organizer, name = at_desk(Role.ORGANIZER), slug or "keep-the-cafe-open"
    for _ in range(2):
        answer = save(organizer, TYPED | {"slug": slug}, NEW)
        assert (answer.status_code, answer.location) == (303, f"/desk/campaigns/{name}/edit")
    assert slugs_of_all() == [name]


def test_new_campaign_with_a_numbered_url_saved_twice_is_one_draft(at_desk: AtDeskAs, publish: Publish) -> None:
    publish(slug="keep-the-cafe-open")
    organizer = at_desk(Role.ORGANIZER)
    for _ in range(2):
        assert save(organizer, TYPED, NEW).location == "/desk/campaigns/keep-the-cafe-open-2/edit"
    assert slugs_of_all() == ["keep-the-cafe-open", "keep-the-cafe-open-2"]


@pytest.mark.parametrize("slug", ["", "my-cafe", "not/valid"])
def test_automatic_save_sent_again_after_its_answer_was_lost_is_one_draft(at_desk: AtDeskAs, slug: str) -> None:
    organizer = at_desk(Role.ORGANIZER)
    answers = [organizer.post(AUTOSAVE_NEW, data=TYPED | {"slug": slug}, headers=HTMX).text for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(slugs_of_all()) == 1


def test_save_after_an_automatic_save_whose_answer_was_lost_is_one_draft(at_desk: AtDeskAs) -> None:
    organizer = at_desk(Role.ORGANIZER)
    assert organizer.post(AUTOSAVE_NEW, data=TYPED, headers=HTMX).status_code == 200
    assert save(organizer, TYPED, NEW).location == "/desk/campaigns/keep-the-cafe-open/edit"
    assert slugs_of_all() == ["keep-the-cafe-open"]


def test_same_text_of_another_person_is_a_draft_of_its_own(at_desk: AtDeskAs) -> None:
    for name in ("keep-the-cafe-open", "keep-the-cafe-open-2"):
        assert save(at_desk(Role.ORGANIZER), TYPED, NEW).location == f"/desk/campaigns/{name}/edit"


def test_copy_of_a_published_campaign_can_be_typed_again(at_desk: AtDeskAs) -> None:
    organizer = at_desk(Role.ORGANIZER)
    assert save(organizer, TYPED, NEW).status_code == 303
    with write_transaction() as session:
        session.scalars(select(Campaign)).one().state = CampaignState.OPEN
    assert save(organizer, TYPED, NEW).location == "/desk/campaigns/keep-the-cafe-open-2/edit"


def test_same_text_with_another_typed_url_is_another_draft(at_desk: AtDeskAs) -> None:
    organizer = at_desk(Role.ORGANIZER)
    for slug in ("one", "two"):
        assert save(organizer, TYPED | {"slug": slug}, NEW).location == f"/desk/campaigns/{slug}/edit"
