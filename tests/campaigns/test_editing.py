"""Creating and editing campaigns, their steps, the audit log, and conflicts between editors."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import select

from campaign.accounts.audit_log import COMMAND, Actor
from campaign.campaigns import editing, lookup, stages
from campaign.campaigns.editing import StepNotAllowedError
from campaign.campaigns.fields import InvalidCampaignError
from campaign.campaigns.versions.conflicts import EditConflictError
from campaign.models.account import Account, CampaignOrganizer, Role
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign, CampaignState
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.campaigns.test_letter_changes import change
from tests.conftest import FILE, PATH, SLUG, Publish


def audit_log() -> list[Record]:
    db.session.rollback()
    return list(db.session.scalars(select(Record).order_by(Record.id)))


def now() -> datetime:
    return datetime.now(UTC)


def take_step(campaign: Campaign, step: str, version: int | None = None) -> bool:
    with write_transaction() as session:
        return editing.take_step(session, COMMAND, campaign.id, step, now(), version=version)


def test_new_campaign_is_a_draft_assigned_to_its_creator(app: Flask, client: FlaskClient) -> None:
    with write_transaction() as session:
        account = Account(email="ada@example.org", role=Role.ORGANIZER, created_at=now(), fs_uniquifier="x")
        session.add(account)
        session.flush()
        by = Actor(account.id, account.email)
        campaign = editing.create(session, by, FILE, now())
        assert campaign.state is CampaignState.DRAFT
        assert session.get(CampaignOrganizer, (campaign.id, account.id))
    assert client.get(PATH).status_code == 404
    (entry,) = audit_log()
    assert (entry.action, entry.actor, entry.after["title"], entry.before) == (
        "campaign.create",
        "ada@example.org",
        "Save the Park",
        {},
    )


def test_audit_log_has_only_the_changed_fields(campaign: Campaign) -> None:
    change(campaign, opens_at=datetime(2027, 1, 1, tzinfo=UTC), goal=200)
    change(campaign)
    *_, entry = audit_log()
    assert entry.action == "campaign.edit"
    assert entry.before == {"goal": 100, "opens_at": None, "version": 2}
    assert entry.after == {"goal": 200, "opens_at": "2027-01-01T00:00:00+00:00", "version": 3}


@pytest.mark.slow
def test_every_step_changes_the_page_and_is_recorded_once(client: FlaskClient, publish: Publish) -> None:
    campaign = publish(state=CampaignState.DRAFT)
    before = len(audit_log())
    for step, shown in [
        ("publish", "Sign this letter"),
        ("close", "is closed"),
        ("win", "We won!"),
        ("reopen", "Sign this"),
    ]:
        assert take_step(campaign, step)
        assert shown in client.get(PATH).text
        assert not take_step(campaign, step), "a second click does nothing"
    steps = [(entry.action, entry.before["state"], entry.after["state"]) for entry in audit_log()[before:]]
    assert steps == [
        ("campaign.publish", "draft", "open"),
        ("campaign.close", "open", "closed"),
        ("campaign.win", "closed", "won"),
        ("campaign.reopen", "won", "open"),
    ]


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("draft", "close"),
        ("draft", "win"),
        ("draft", "reopen"),
        ("closed", "publish"),
        ("won", "publish"),
        ("won", "close"),
    ],
)
@pytest.mark.slow
def test_step_is_refused_in_the_wrong_state(publish: Publish, state: str, step: str) -> None:
    campaign = publish(state=CampaignState(state))
    with pytest.raises(StepNotAllowedError, match=f"{SLUG} is .*{state}"):
        take_step(campaign, step)


@pytest.mark.parametrize(
    ("state", "step", "becomes"),
    [
        ("draft", "publish", "open"),
        ("open", "close", "closed"),
        ("open", "win", "won"),
        ("closed", "win", "won"),
        ("closed", "reopen", "open"),
        ("won", "reopen", "open"),
    ],
)
def test_step_is_taken_in_every_allowed_state(publish: Publish, state: str, step: str, becomes: str) -> None:
    assert take_step(publish(state=CampaignState(state)), step)
    db.session.rollback()
    assert db.session.scalars(select(Campaign.state)).one() == becomes


def test_commands_are_recorded_in_the_audit_log(runner: FlaskCliRunner, campaign: Campaign) -> None:
    runner.invoke(args=["campaigns", "close", SLUG])
    runner.invoke(args=["campaigns", "win", SLUG])
    assert [(entry.action, entry.actor) for entry in audit_log()] == [
        (f"campaign.{what}", "command") for what in ("create", "publish", "close", "win")
    ]
    answer = runner.invoke(args=["campaigns", "close", SLUG])
    assert (answer.exit_code, answer.output) == (1, f"Error: {SLUG} is won, so it can’t be closed\n")


def test_second_editor_gets_a_conflict_with_the_first_editors_changes(campaign: Campaign) -> None:
    version = campaign.version
    change(campaign, title="First", goal=300)
    take_step(campaign, "close")
    with pytest.raises(EditConflictError) as error, write_transaction() as session:
        editing.edit(session, COMMAND, campaign.id, replace(FILE, title="Second"), now(), version=version)
    assert [(entry.actor, entry.action) for entry in error.value.since] == [
        ("command", "campaign.edit"),
        ("command", "campaign.close"),
    ]
    assert error.value.since[0].after["title"] == "First"
    with write_transaction() as session:
        assert editing.edit(session, COMMAND, campaign.id, replace(FILE, title="Second"), now(), version=version + 2)


def test_step_is_refused_for_an_outdated_version(publish: Publish) -> None:
    campaign = publish(state=CampaignState.DRAFT)
    change(campaign, title="Other")
    with pytest.raises(EditConflictError):
        take_step(campaign, "publish", version=campaign.version)
    assert take_step(campaign, "publish", version=campaign.version + 1)


def run_simultaneously(app: Flask, *work: Any) -> list[object]:
    """Call all functions at the same moment, each in its own thread and transaction; return results and errors."""
    ready, done = threading.Barrier(len(work)), [None] * len(work)

    def run(number: int) -> None:
        with app.app_context():
            ready.wait(10)
            try:
                with write_transaction() as session:
                    done[number] = work[number](session)
            except Exception as error:
                done[number] = error  # type: ignore[call-overload]
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return list(done)


@pytest.mark.slow
def test_simultaneous_edits_save_one_and_report_a_conflict_to_the_other(app: Flask, campaign: Campaign) -> None:
    for round_ in range(5):
        db.session.rollback()
        version = db.session.get_one(Campaign, campaign.id).version
        db.session.rollback()

        def save(title: str, version: int = version) -> Any:
            file = replace(FILE, title=title)
            return lambda session: editing.edit(session, COMMAND, campaign.id, file, now(), version=version)

        done = run_simultaneously(app, save(f"Ada’s {round_}"), save(f"Ben’s {round_}"))
        assert sorted(type(each).__name__ for each in done) == ["EditConflictError", "bool"]
        db.session.rollback()
        title = db.session.get_one(Campaign, campaign.id).title
        assert title == (f"Ada’s {round_}" if done[0] is True else f"Ben’s {round_}")


def test_simultaneous_campaigns_with_the_same_slug_create_only_one(app: Flask) -> None:
    done = run_simultaneously(app, *[lambda session: editing.create(session, COMMAND, FILE, now()).slug] * 2)
    assert sorted(type(each).__name__ for each in done) == ["InvalidCampaignError", "str"]
    db.session.rollback()
    assert len(lookup.all_campaigns(db.session())) == 1


def test_deliver_anonymous_can_be_turned_on_only_in_a_draft(publish: Publish) -> None:
    draft = publish(slug="draft", state=CampaignState.DRAFT)
    change(draft, deliver_anonymous=True)
    change(draft, deliver_anonymous=False)
    for state in (CampaignState.OPEN, CampaignState.CLOSED, CampaignState.WON):
        campaign = publish(slug=f"is-{state}", state=state)
        with pytest.raises(InvalidCampaignError, match="deliver_anonymous: Turn this off"):
            change(campaign, deliver_anonymous=True)
    change(publish(slug="delivers", deliver_anonymous=True), deliver_anonymous=False)


@pytest.mark.parametrize(
    ("goal", "step", "count", "shown", "reached"),
    [(100, 50, 99, 100, None), (100, 50, 100, 150, 100), (100, 50, 249, 250, 200), (3, 1, 10**9, 10**9 + 1, 10**9)],
)
def test_reached_goal_rises_by_its_step(
    publish: Publish, goal: int, step: int, count: int, shown: int, reached: int | None
) -> None:
    progress = stages.progress(publish(goal=goal, goal_step=step), count)
    assert (progress.goal, progress.reached) == (shown, reached)


@pytest.mark.slow
def test_rate_limited_form_still_says_where_anonymous_names_go(client: FlaskClient, publish: Publish) -> None:
    publish(slug="other")
    publish(deliver_anonymous=True)
    delivered = "the people the letter is addressed to still get your name and city"
    not_delivered = "to the people the letter is addressed to, or only your country"
    page, other_page = client.get(PATH).text, client.get("/campaigns/other").text
    assert delivered in page
    assert not_delivered not in page
    assert not_delivered in other_page
    assert "delivered" not in other_page
    # The error page shows the form with the same privacy text, without a database query.
    stranger = {"REMOTE_ADDR": "203.0.113.7"}
    while client.post("/campaigns/other/signatures", data={"name": ""}, environ_base=stranger).status_code != 429:
        pass
    refused = client.post(f"{PATH}/signatures", data={"delivered": "y"}, environ_base=stranger)
    assert refused.status_code == 429
    assert delivered in refused.text
    assert 'name="delivered" value="y"' in refused.text
    other_refused = client.post("/campaigns/other/signatures", data={"name": ""}, environ_base=stranger)
    assert other_refused.status_code == 429
    assert not_delivered in other_refused.text
