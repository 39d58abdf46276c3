"""The audit log page of a campaign."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, update

from campaign.accounts import audit_log
from campaign.campaigns import stages
from campaign.desk import audit_log as views
from campaign.models.account import Role
from campaign.models.campaign import Campaign
from campaign.models.signature import Signature
from campaign.moderation import undo as undoing
from campaign.moderation.actions import Action
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import Publish, Sign, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.moderation.signatures import put

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
    assert "<strong>hid 1 signature</strong>" in page
    assert ": <bdi>A rude name</bdi></p>" in page
    assert "<dt>From listed to hidden</dt><dd><bdi>Ada Lovelace, Los Angeles, California, US</bdi></dd>" in page
    assert "<strong>viewed the email addresses of 1 signature</strong>" in page
    assert "<dt>Signatures</dt><dd><bdi>Ada Lovelace, Los Angeles, California, US</bdi></dd>" in page
    assert "<dt>Filter</dt>" in page
    assert "country: US" in page
    assert "signature.hide" not in page
    assert page.count("Before:") == page.count("After:") == 1, "only publishing has values before and after"


@pytest.mark.slow
def test_moderation_can_be_undone_from_the_audit_log(at_desk: AtDeskAs, campaign: Campaign, sign: Sign) -> None:
    sign()
    organizer, moderator = at_desk(Role.ORGANIZER, own=[campaign]), at_desk(Role.MODERATOR)
    organizer.post(f"{PATH}/signatures/remove", data={"id": "1", "reason": "A rude name"})
    organizer.post(f"{PATH}/signatures/addresses", data={})
    [entry] = buttons(organizer.get(f"{PATH}/record").text)  # Viewing email addresses can't be undone.
    assert buttons(moderator.get(f"{PATH}/record").text) == [], "moderators can't restore removed signatures"
    answer = organizer.post(f"{PATH}/signatures/undo", data={"entry": entry})
    assert "1 signature restored." in answer.text
    assert "</html>" in answer.text
    page = organizer.get(f"{PATH}/record").text
    assert "<strong>undid a change: restored 1 signature</strong>" in page
    assert len(re.findall(r"Undone by <bdi>[^<]+@[^<]+</bdi> on <time", page)) == 1
    assert "Undo: remove 1 signature again" in page, "the undo can be undone"
    [redo] = buttons(page)
    assert redo != entry, "each change is undone once"
    assert "already undone by" in organizer.post(f"{PATH}/signatures/undo", data={"entry": entry}).text
    organizer.post(f"{PATH}/signatures/hide", data={"id": "1", "reason": "A rude name"})
    page = organizer.get(f"{PATH}/record").text
    assert "Undo: restore 1 signature" in page
    assert page.count("Nothing to undo: these signatures have changed since") == 1
    for other in (int(entry) - 1, int(entry) + 1):
        assert organizer.post(f"{PATH}/signatures/undo", data={"entry": str(other)}).status_code == 404


@pytest.mark.slow
@only_sqlite
def test_button_of_an_undo_that_is_not_looked_up_promises_no_more_than_the_undo_does(
    at_desk: AtDeskAs, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = put(campaign, *({"email": f"{n}@example.org"} for n in range(3)))
    admin = at_desk(Role.ADMIN)
    for action, some in (("hide", ids), ("restore", ids), ("hide", ids[:1])):
        admin.post(f"{PATH}/signatures/{action}", data={"id": some, "reason": "Rude names"})
    monkeypatch.setattr(undoing, "MOST_LOOKED_UP", 2)
    page = admin.get(f"{PATH}/record").text
    orders = re.findall("Undo: ([^<]+)<", page)
    assert orders == ["restore 1 signature", "hide up to 3 signatures again", "restore up to 3 signatures"]
    answer = admin.post(f"{PATH}/signatures/undo", data={"entry": buttons(page)[2]})
    assert "1 signature restored. 2 left unchanged because of a later change." in answer.text


def buttons(page: str) -> list[str]:
    return re.findall(r'name="entry" value="(\d+)"', page)


@pytest.mark.slow
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


@pytest.mark.slow
def test_internal_keys_are_not_shown(at_desk: AtDeskAs, campaign: Campaign) -> None:
    organizer = at_desk(Role.ORGANIZER, own=[campaign])
    organizer.post(f"{PATH}/close", data={"version": str(campaign.version)})
    page = organizer.get(f"{PATH}/record").text
    assert "<strong>closed the campaign</strong>" in page
    assert "<dt>Version</dt>" not in page


def test_requested_file_has_no_number_that_looks_like_a_count(at_desk: AtDeskAs, campaign: Campaign) -> None:
    after = {"export": 12, "kind": "csv"}
    with write_transaction() as session:
        for action in ("export.ask", "export.download"):
            audit_log.write(session, audit_log.COMMAND, action, datetime.now(UTC), campaign_id=campaign.id, after=after)
    page = at_desk(Role.ORGANIZER, own=[campaign]).get(f"{PATH}/record").text
    assert "requested a file" in page
    assert "<dt>Kind</dt>" in page
    assert "<dt>Export</dt>" not in page


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


@pytest.mark.slow
def test_audit_log_works_after_signatures_were_erased(at_desk: AtDeskAs, campaign: Campaign) -> None:
    ids = put(campaign, *({"name": f"Ada {n}", "email": f"{n}@example.org", "city": "Leeds"} for n in range(14)))
    admin = at_desk(Role.ADMIN)
    admin.post(f"{PATH}/signatures/hide", data={"id": ids, "reason": "Rude names"})
    admin.post(f"{PATH}/signatures/addresses", data={})
    with write_transaction() as session:
        session.execute(delete(Signature).where(Signature.id == ids[0]))
        session.execute(update(Signature).where(Signature.id == ids[1]).values(name="", city="", email=""))
    page = admin.get(f"{PATH}/record").text
    assert "<strong>hid 14 signatures</strong>" in page
    erased = "a signature whose data was erased"
    named = [f"Ada {n}, Leeds, US" for n in range(2, 10)]
    assert "; ".join([erased, erased, *named, "and 4 more"]) in page
    log = admin.get("/desk/record.csv").text
    assert f"From listed to hidden: {erased}; {erased}; Ada 2, Leeds, US" in log
    assert f'""listed"": [""signature {ids[0]}"", ' in log
    answer = admin.post(f"{PATH}/signatures/undo", data={"entry": buttons(page)[0]})
    assert "13 signatures restored. 1 left unchanged because of a later change." in answer.text


def test_download_holds_no_transaction_while_it_is_sent(app: Flask) -> None:
    with write_transaction() as session:
        for number in range(5):
            audit_log.write(session, audit_log.COMMAND, "campaign.edit", datetime.now(UTC), reason=f"reason {number}")
    pool: Any = db.engine.pool
    parts = []
    for part in views._csv(audit_log.everything(db.session(), 2)):
        parts.append(part)
        assert pool.checkedout() == 0
    assert len(parts) == 3
    assert re.findall(r"reason \d", "".join(parts)) == [f"reason {number}" for number in range(5)]
