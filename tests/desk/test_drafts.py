"""Drafts and old campaigns: who sees a draft, deleting, duplicating, archiving, and returning to a draft."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from campaign.campaigns.pictures import storage
from campaign.campaigns.pictures.preparing import prepare
from campaign.models.account import CampaignOrganizer, Role
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign, CampaignState, FormerSlug
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.campaigns.test_letter_changes import change
from tests.campaigns.test_pictures import uploaded
from tests.conftest import PATH, Publish, Sign
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT, save, stored, typed
from tests.desk.people import AtDesk

pytestmark = pytest.mark.slow


def take_step(client: AtDesk, step: str, path: str = PATH) -> int:
    """Take a step as its page offers it, and return the status."""
    page = client.get(f"/desk{path}/{step}")
    if page.status_code != 200:
        return page.status_code
    version = re.search(r'name="version" value="(\d+)"', page.text)
    assert version
    return client.post(f"/desk{path}/{step}", data={"version": version[1]}).status_code


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.OBSERVER])
def test_moderators_and_observers_see_a_campaign_only_once_it_is_public(
    at_desk: AtDeskAs, publish: Publish, role: Role
) -> None:
    publish(state=CampaignState.DRAFT)
    client = at_desk(role)
    paths = ("signatures", "record", "figures", "figures/live", "figures/countries.csv", "look-alikes")
    assert "Save the Park" not in client.get("/desk/").text
    for path in paths:
        assert client.get(f"/desk{PATH}/{path}").status_code in (403, 404)
    publish()
    assert "Save the Park" in client.get("/desk/").text
    assert client.get(f"/desk{PATH}/figures").status_code == 200


def test_draft_is_visible_to_its_organizers_and_admins_only(at_desk: AtDeskAs, draft: Campaign) -> None:
    owner, admin, other = at_desk(Role.ORGANIZER, own=[draft]), at_desk(Role.ADMIN), at_desk(Role.ORGANIZER)
    for path in ("edit", "signatures", "record", "figures", "deliveries", "publish", "delete", "campaign.md"):
        statuses = [client.get(f"/desk{PATH}/{path}").status_code for client in (owner, admin, other)]
        assert statuses == [200, 200, 404], path
    assert ["Save the Park" in client.get("/desk/").text for client in (owner, admin, other)] == [True, True, False]


def test_draft_is_deleted_after_one_question(at_desk: AtDeskAs, draft: Campaign, client: FlaskClient) -> None:
    change(draft, slug="other-name")
    change(draft, slug="save-the-park")
    owner, admin = at_desk(Role.ORGANIZER, own=[draft]), at_desk(Role.ADMIN)
    shown = owner.post(EDIT, data=typed(owner.get(EDIT).text) | {"do": "preview_link"}).text
    link = re.search(r'value="http://127.0.0.1:8000([^"]+)"', shown)
    assert link
    assert "Delete this draft?" in owner.get(f"/desk{PATH}/delete").text
    assert take_step(owner, "delete") == 303
    assert "The draft is deleted." in owner.get("/desk/").text
    for page in (owner.get(EDIT), admin.get(EDIT), client.get(PATH), client.get(link[1].replace("&amp;", "&"))):
        assert page.status_code == 404
    assert "Save the Park" not in admin.get("/desk/").text
    assert "Save the Park" not in admin.get("/desk/accounts/1").text
    db.session.rollback()
    row = db.session.scalars(select(Campaign)).one()
    assert (row.title, row.letter, row.summary, row.picture) == ("", "", "", "")
    assert [*db.session.scalars(select(CampaignOrganizer)), *db.session.scalars(select(FormerSlug))] == []


def test_picture_of_a_deleted_draft_is_deleted_a_day_later(
    at_desk: AtDeskAs, publish: Publish, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = prepare(uploaded())
    publish(state=CampaignState.DRAFT, picture=picture, picture_text="A tree")
    other = publish(slug="other", state=CampaignState.DRAFT, picture=picture, picture_text="A tree")
    admin, tomorrow = at_desk(Role.ADMIN), datetime.now(UTC) + storage.UNSAVED_LIFETIME
    for path, deleted in ((PATH, 0), (f"/campaigns/{other.slug}", 1)):
        assert take_step(admin, "delete", path) == 303
        with write_transaction() as session:
            assert storage.delete_expired(session, tomorrow - timedelta(hours=1)) == 0
            assert storage.delete_expired(session, tomorrow + timedelta(hours=1)) == deleted
    # Processes that have read it forget it within an hour.
    monkeypatch.setattr(storage, "hour", lambda: -1)
    assert client.get(f"/pictures/{picture.digest}.jpg").status_code == 404


def test_picture_of_a_deleted_draft_stays_if_the_text_is_saved_as_a_new_draft(
    at_desk: AtDeskAs, publish: Publish
) -> None:
    picture = prepare(uploaded())
    draft = publish(state=CampaignState.DRAFT, picture=picture, picture_text="A tree")
    owner, admin = at_desk(Role.ORGANIZER, own=[draft]), at_desk(Role.ADMIN)
    fields = typed(owner.get(EDIT).text)
    assert take_step(admin, "delete") == 303
    assert save(owner, typed(owner.post(EDIT, data=fields).text), "/desk/campaigns/new").status_code == 303
    with write_transaction() as session:
        assert storage.delete_expired(session, datetime.now(UTC) + timedelta(days=2)) == 0


def test_text_typed_while_a_draft_was_deleted_can_be_saved_as_a_new_draft(at_desk: AtDeskAs, draft: Campaign) -> None:
    owner, admin = at_desk(Role.ORGANIZER, own=[draft]), at_desk(Role.ADMIN)
    fields = typed(owner.get(EDIT).text) | {"letter": "Hours of work", "title": "Mine"}
    assert take_step(admin, "delete") == 303
    answer = owner.post(EDIT, data=fields)
    assert answer.status_code == 404
    assert "What you typed is still here" in answer.text
    assert typed(answer.text)["letter"] == "Hours of work"
    saved = save(owner, typed(answer.text), "/desk/campaigns/new")
    assert (saved.status_code, saved.location) == (303, "/desk/campaigns/mine/edit")
    assert stored("mine").letter == "Hours of work"


def test_audit_log_still_works_after_a_draft_was_deleted(at_desk: AtDeskAs, draft: Campaign) -> None:
    admin = at_desk(Role.ADMIN)
    assert take_step(admin, "delete") == 303
    db.session.rollback()
    entry = db.session.scalars(select(Record).order_by(Record.id.desc()).limit(1)).one()
    assert (entry.action, entry.campaign_id, entry.before["title"]) == ("campaign.delete", draft.id, "Save the Park")
    log = admin.get("/desk/record.csv")
    assert log.status_code == 200
    assert "campaign.delete" in log.text


def test_slug_of_a_deleted_draft_is_free_again(at_desk: AtDeskAs, draft: Campaign, publish: Publish) -> None:
    assert take_step(at_desk(Role.ADMIN), "delete") == 303
    again = publish()
    assert (again.slug, again.id != draft.id) == ("save-the-park", True)


@pytest.mark.parametrize("state", [CampaignState.OPEN, CampaignState.CLOSED, CampaignState.WON])
def test_public_campaign_cannot_be_deleted(at_desk: AtDeskAs, publish: Publish, state: CampaignState) -> None:
    campaign = publish(state=state)
    admin = at_desk(Role.ADMIN)
    assert admin.get(f"/desk{PATH}/delete").status_code == 303
    admin.post(f"/desk{PATH}/delete", data={"version": str(campaign.version)})
    assert stored().letter == campaign.letter
    assert "can’t be deleted" in admin.get(EDIT).text


def test_draft_changed_in_the_meantime_is_not_deleted(at_desk: AtDeskAs, draft: Campaign) -> None:
    admin = at_desk(Role.ADMIN)
    change(draft, title="Newer")
    answer = admin.post(f"/desk{PATH}/delete", data={"version": str(draft.version)})
    assert answer.status_code == 409
    assert "edited the campaign" in answer.text
    assert stored().title == "Newer"


def test_archived_campaign_leaves_the_front_page_and_can_come_back(
    at_desk: AtDeskAs, publish: Publish, client: FlaskClient
) -> None:
    campaign = publish(state=CampaignState.CLOSED)
    publish(slug="other", title="Another one", state=CampaignState.CLOSED)
    admin = at_desk(Role.ADMIN)
    assert take_step(admin, "archive") == 303
    assert "Its page still works" in admin.get(EDIT).text
    assert "Save the Park" not in client.get("/").text
    assert "Another one" in client.get("/").text
    assert "Save the Park" in client.get(PATH).text
    assert ">Closed, archived</td>" in admin.get("/desk/").text
    assert stored().state is campaign.state
    assert take_step(admin, "unarchive") == 303
    assert "Save the Park" in client.get("/").text
    db.session.rollback()
    actions = db.session.scalars(select(Record.action).order_by(Record.id.desc()).limit(2)).all()
    assert actions == ["campaign.unarchive", "campaign.archive"]


def test_archived_campaign_is_listed_last_at_the_desk(at_desk: AtDeskAs, publish: Publish) -> None:
    publish(state=CampaignState.CLOSED, title="Old")
    publish(slug="older", title="Older")
    admin = at_desk(Role.ADMIN)
    assert take_step(admin, "archive", "/campaigns/older") == 303
    page = admin.get("/desk/").text
    assert page.index(">Old<") < page.index(">Older<")


def test_draft_cannot_be_archived(at_desk: AtDeskAs, draft: Campaign) -> None:
    admin = at_desk(Role.ADMIN)
    assert 'value="archive"' not in admin.get(EDIT).text
    assert take_step(admin, "archive") == 303
    assert stored().archived_at is None


@pytest.mark.parametrize("state", [CampaignState.OPEN, CampaignState.CLOSED])
def test_unsigned_campaign_can_return_to_draft(
    at_desk: AtDeskAs, publish: Publish, client: FlaskClient, state: CampaignState
) -> None:
    publish(state=state)
    admin = at_desk(Role.ADMIN)
    assert 'value="unpublish"' in admin.get(EDIT).text
    assert take_step(admin, "unpublish") == 303
    assert "is a draft again" in admin.get(EDIT).text
    assert (stored().state, client.get(PATH).status_code) == (CampaignState.DRAFT, 404)
    assert take_step(admin, "publish") == 303
    assert client.get(PATH).status_code == 200


def test_signed_campaign_cannot_return_to_draft(at_desk: AtDeskAs, campaign: Campaign, sign: Sign) -> None:
    admin = at_desk(Role.ADMIN)
    sign()
    admin.post(f"/desk{PATH}/signatures/remove", data={"id": "1", "reason": "A test"})
    assert 'value="unpublish"' not in admin.get(EDIT).text
    assert admin.get(f"/desk{PATH}/unpublish").status_code == 303
    admin.post(f"/desk{PATH}/unpublish", data={"version": str(campaign.version)})
    assert stored().state is CampaignState.OPEN
    assert "people have signed save-the-park" in admin.get(EDIT).text


def test_promise_to_anonymous_signers_outlasts_a_return_to_draft(at_desk: AtDeskAs, publish: Publish) -> None:
    publish()
    admin = at_desk(Role.ADMIN)
    assert take_step(admin, "unpublish") == 303
    answer = save(admin, typed(admin.get(EDIT).text) | {"deliver_anonymous": "y"})
    assert answer.status_code == 422
    assert 'id="deliver_anonymous-message"' in answer.text


def test_duplicate_is_a_new_draft_with_the_same_texts(at_desk: AtDeskAs, campaign: Campaign) -> None:
    organizer = at_desk(Role.ORGANIZER, own=[campaign])
    fields = typed(organizer.get(EDIT).text) | {"do": "duplicate"}
    for slug in ("save-the-park-copy", "save-the-park-copy-2"):
        answer = organizer.post(EDIT, data=fields)
        assert (answer.status_code, answer.location) == (303, f"/desk/campaigns/{slug}/edit")
        copy = stored(slug)
        assert (copy.title, copy.state) == ("Save the Park (copy)", CampaignState.DRAFT)
        assert (copy.letter, copy.goal, copy.opens_at) == (campaign.letter, campaign.goal, None)
        assert organizer.get(answer.location).status_code == 200


def test_duplicate_of_a_long_title_fits(at_desk: AtDeskAs, publish: Publish) -> None:
    campaign = publish(title="a" * 200)
    organizer = at_desk(Role.ORGANIZER, own=[campaign])
    answer = organizer.post(EDIT, data=typed(organizer.get(EDIT).text) | {"do": "duplicate"})
    assert answer.status_code == 303
    assert len(stored(answer.location.split("/")[3]).title) == 200


def test_signed_draft_is_not_deleted(at_desk: AtDeskAs, campaign: Campaign, sign: Sign) -> None:
    sign()
    with write_transaction() as session:
        session.get_one(Campaign, campaign.id).state = CampaignState.DRAFT
    admin = at_desk(Role.ADMIN)
    assert admin.get(f"/desk{PATH}/delete").status_code == 303
    admin.post(f"/desk{PATH}/delete", data={"version": str(stored().version)})
    assert stored().deleted_at is None
