"""The audit log page of a campaign."""

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from campaign.accounts import audit_log
from campaign.campaigns import stages
from campaign.models.account import Role
from campaign.models.campaign import Campaign
from campaign.moderation.actions import Action
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import Publish, Sign
from tests.desk.conftest import AtDeskAs

PATH = "/desk/campaigns/save-the-park"


def test_every_campaign_action_has_a_sentence() -> None:
    steps = {f"campaign.{step}" for step in ("create", "edit", *stages.STEPS)}
    moderated = {f"signature.{action}" for action in (*Action, "undo", "addresses")}
    assert steps | moderated <= set(audit_log.DONE)


@pytest.mark.slow
def test_entries_are_shown_as_sentences_with_reason_and_changes(
    at_desk: AtDeskAs, campaign: Campaign, sign: Sign
) -> None:
    sign()
    organizer = at_desk(Role.ORGANIZER, own=[campaign])
    organizer.post(f"{PATH}/signatures/hide", data={"id": "1", "reason": "A rude name"})
    organizer.post(f"{PATH}/signatures/addresses", data={"country": "US"})
    page = organizer.get(f"{PATH}/record").text
    assert "hid signatures" in page
    assert ": <bdi>A rude name</bdi></p>" in page
    assert "<dt>Listed signatures</dt>" in page
    assert "<dt>Filter</dt>" in page
    assert "country: US" in page
    assert "signature.hide" not in page
    assert page.count("Before:") == page.count("After:") == 2, (
        "publishing and hiding have both sides, viewing addresses has none"
    )


@pytest.mark.slow
def test_moderation_can_be_undone_from_the_audit_log(at_desk: AtDeskAs, campaign: Campaign, sign: Sign) -> None:
    sign()
    organizer, moderator = at_desk(Role.ORGANIZER, own=[campaign]), at_desk(Role.MODERATOR)
    organizer.post(f"{PATH}/signatures/remove", data={"id": "1", "reason": "A rude name"})
    organizer.post(f"{PATH}/signatures/addresses", data={})
    [entry] = buttons(organizer.get(f"{PATH}/record").text)  # Viewing email addresses can't be undone.
    assert buttons(moderator.get(f"{PATH}/record").text) == [], "moderators can't restore removed signatures"
    answer = organizer.post(f"{PATH}/signatures/undo", data={"entry": entry})
    assert "1 signature reverted." in answer.text
    assert "</html>" in answer.text
    for other in (int(entry) - 1, int(entry) + 1):
        assert organizer.post(f"{PATH}/signatures/undo", data={"entry": str(other)}).status_code == 404


def buttons(page: str) -> list[str]:
    return re.findall(r'name="entry" value="(\d+)"', page)


def test_audit_log_has_fifty_entries_per_page(at_desk: AtDeskAs, campaign: Campaign, publish: Publish) -> None:
    other = publish(slug="other")
    with write_transaction() as session:
        for number in range(100):
            of = campaign if number % 50 else other
            reason = f"The {number} of {of.slug}."
            now = datetime.now(UTC)
            audit_log.write(session, audit_log.COMMAND, "campaign.close", now, campaign_id=of.id, reason=reason)
    client, address, pages = at_desk(Role.MODERATOR), f"{PATH}/record", []
    while address:
        page = client.get(address).text
        assert "of other" not in page
        pages.append(re.findall(r"The (\d+) of save-the-park", page))
        older = re.search(r'<a href="([^"]+)">Older entries', page)
        address = older[1] if older else ""
    assert len(pages[0]) == 50
    assert len(pages) == 2
    assert pages[0] + pages[1] == [str(number) for number in range(99, 0, -1) if number != 50]


def test_internal_keys_are_not_shown(at_desk: AtDeskAs, campaign: Campaign) -> None:
    organizer = at_desk(Role.ORGANIZER, own=[campaign])
    organizer.post(f"{PATH}/close", data={"version": str(campaign.version)})
    page = organizer.get(f"{PATH}/record").text
    assert "<strong>closed the campaign</strong>" in page
    assert "<dt>Version</dt>" not in page


def test_logged_times_are_shown_in_the_campaigns_time_zone(at_desk: AtDeskAs, campaign: Campaign) -> None:
    with write_transaction() as session:
        session.execute(update(Campaign).values(time_zone="Asia/Kolkata"))
        closes_at = datetime(2099, 3, 1, 9, tzinfo=UTC).isoformat()
        after = {"closes_at": closes_at}
        audit_log.write(
            session, audit_log.COMMAND, "campaign.edit", datetime.now(UTC), campaign_id=campaign.id, after=after
        )
    db.session.rollback()
    page = at_desk(Role.ORGANIZER, own=[campaign]).get(f"{PATH}/record").text
    assert "March 1, 2099, 2:30 PM GMT+05:30" in page
