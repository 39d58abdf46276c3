"""The record of a campaign, as an organiser reads it."""

import re
from datetime import UTC, datetime

from sqlalchemy import update

from campaign import editing, record
from campaign.desk_models import Role
from campaign.extensions import db, write_transaction
from campaign.models import Campaign
from campaign.moderation import Action
from tests.conftest import Sign
from tests.desk.conftest import AtDeskAs

PATH = "/desk/campaigns/save-the-park"


def test_everything_that_is_done_to_a_campaign_has_words() -> None:
    steps = {f"campaign.{step}" for step in ("create", "edit", *editing.STEPS)}
    moderated = {f"signature.{action}" for action in (*Action, "undo", "addresses")}
    assert steps | moderated <= set(record.DONE)


def test_an_organiser_reads_in_plain_words_what_was_done(at_desk: AtDeskAs, campaign: Campaign, sign: Sign) -> None:
    sign()
    organiser = at_desk(Role.ORGANISER, own=[campaign])
    organiser.post(f"{PATH}/signatures/hide", data={"id": "1", "reason": "A rude name"})
    organiser.post(f"{PATH}/signatures/addresses", data={"country": "US"})
    page = organiser.get(f"{PATH}/record").text
    assert "<strong>hid signatures</strong>" in page
    assert ": A rude name</p>" in page
    assert "<dt>Listed signatures</dt>" in page
    assert "<dt>Filter</dt>" in page
    assert "country: US" in page
    assert "signature.hide" not in page
    assert page.count("Before:") == page.count("After:") == 2, "to publish and to hide; to look changes nothing"


def test_what_was_done_to_signatures_can_be_undone_from_the_record_later(
    at_desk: AtDeskAs, campaign: Campaign, sign: Sign
) -> None:
    sign()
    organiser, moderator = at_desk(Role.ORGANISER, own=[campaign]), at_desk(Role.MODERATOR)
    organiser.post(f"{PATH}/signatures/remove", data={"id": "1", "reason": "A rude name"})
    organiser.post(f"{PATH}/signatures/addresses", data={})
    [entry] = buttons(organiser.get(f"{PATH}/record").text)  # To have looked can't be undone.
    assert buttons(moderator.get(f"{PATH}/record").text) == [], "a moderator takes nothing back in"
    answer = organiser.post(f"{PATH}/signatures/undo", data={"entry": entry})
    assert "1 signature put back." in answer.text
    assert "</html>" in answer.text
    for other in (int(entry) - 1, int(entry) + 1):
        assert organiser.post(f"{PATH}/signatures/undo", data={"entry": str(other)}).status_code == 404


def buttons(page: str) -> list[str]:
    return re.findall(r'name="entry" value="(\d+)"', page)


def test_what_is_for_machines_stays_out_of_it(at_desk: AtDeskAs, campaign: Campaign) -> None:
    organiser = at_desk(Role.ORGANISER, own=[campaign])
    organiser.post(f"{PATH}/close", data={"version": str(campaign.version)})
    page = organiser.get(f"{PATH}/record").text
    assert "<strong>closed it</strong>" in page
    assert "<dt>Version</dt>" not in page


def test_times_are_told_by_the_campaigns_clock_as_they_were_typed(at_desk: AtDeskAs, campaign: Campaign) -> None:
    with write_transaction() as session:
        session.execute(update(Campaign).values(time_zone="Asia/Kolkata"))
        closes_at = datetime(2099, 3, 1, 9, tzinfo=UTC).isoformat()
        after = {"closes_at": closes_at}
        record.write(session, record.COMMAND, "campaign.edit", datetime.now(UTC), campaign_id=campaign.id, after=after)
    db.session.rollback()
    page = at_desk(Role.ORGANISER, own=[campaign]).get(f"{PATH}/record").text
    assert "1 March 2099, 14:30 GMT+05:30" in page
