"""Organisers at work: drafts, steps, the record of both, and two who change one campaign at once."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import select

from campaign import campaigns, editing
from campaign.campaign_keys import WrongError
from campaign.desk_models import Account, CampaignOrganiser, Record, Role
from campaign.editing import ChangedMeanwhileError, NotPossibleError
from campaign.extensions import db, write_transaction
from campaign.models import Campaign, CampaignState
from campaign.record import COMMAND, Actor
from tests.conftest import FILE, PATH, SLUG, Publish
from tests.test_letter_changes import change


def record() -> list[Record]:
    db.session.rollback()
    return list(db.session.scalars(select(Record).order_by(Record.id)))


def now() -> datetime:
    return datetime.now(UTC)


def take(campaign: Campaign, step: str, version: int | None = None) -> bool:
    with write_transaction() as session:
        return editing.take_step(session, COMMAND, campaign.id, step, now(), version=version)


def test_a_new_campaign_is_its_makers_and_a_draft(app: Flask, client: FlaskClient) -> None:
    with write_transaction() as session:
        account = Account(email="ada@example.org", role=Role.ORGANISER, created_at=now(), fs_uniquifier="x")
        session.add(account)
        session.flush()
        by = Actor(account.id, account.email)
        campaign = editing.create(session, by, FILE, now())
        assert campaign.state is CampaignState.DRAFT
        assert session.get(CampaignOrganiser, (campaign.id, account.id))
    assert client.get(PATH).status_code == 404
    (entry,) = record()
    assert (entry.action, entry.actor, entry.after["title"], entry.before) == (
        "campaign.create",
        "ada@example.org",
        "Save the Park",
        {},
    )


def test_the_record_has_what_changed_and_nothing_else(campaign: Campaign) -> None:
    change(campaign, opens_at=datetime(2027, 1, 1, tzinfo=UTC), goal=200)
    change(campaign)
    *_, entry = record()
    assert entry.action == "campaign.edit"
    assert entry.before == {"goal": 100, "opens_at": None, "version": 2}
    assert entry.after == {"goal": 200, "opens_at": "2027-01-01T00:00:00+00:00", "version": 3}


def test_a_campaign_is_opened_closed_won_and_opened_again_and_the_record_says_so(
    client: FlaskClient, publish: Publish
) -> None:
    campaign = publish(state=CampaignState.DRAFT)
    before = len(record())
    for step, shown in [
        ("publish", "Sign this letter"),
        ("close", "is closed"),
        ("win", "We won!"),
        ("reopen", "Sign this"),
    ]:
        assert take(campaign, step)
        assert shown in client.get(PATH).text
        assert not take(campaign, step), "a second click does nothing"
    said = [(entry.action, entry.before["state"], entry.after["state"]) for entry in record()[before:]]
    assert said == [
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
def test_no_step_is_taken_from_where_it_makes_no_sense(publish: Publish, state: str, step: str) -> None:
    campaign = publish(state=CampaignState(state))
    with pytest.raises(NotPossibleError, match=f"{SLUG} is {state}"):
        take(campaign, step)


def test_commands_are_in_the_record_too(runner: FlaskCliRunner, campaign: Campaign) -> None:
    runner.invoke(args=["campaigns", "close", SLUG])
    runner.invoke(args=["campaigns", "win", SLUG])
    assert [(entry.action, entry.actor) for entry in record()] == [
        (f"campaign.{what}", "command") for what in ("create", "publish", "close", "win")
    ]
    answer = runner.invoke(args=["campaigns", "close", SLUG])
    assert (answer.exit_code, answer.output) == (1, f"Error: {SLUG} is won; that can’t be done to it\n")


def test_the_second_editor_is_told_what_the_first_has_done_and_nothing_is_lost(campaign: Campaign) -> None:
    version = campaign.version
    change(campaign, title="First", goal=300)
    take(campaign, "close")
    with pytest.raises(ChangedMeanwhileError) as error, write_transaction() as session:
        editing.edit(session, COMMAND, campaign.id, replace(FILE, title="Second"), now(), version=version)
    assert [(entry.actor, entry.action) for entry in error.value.since] == [
        ("command", "campaign.edit"),
        ("command", "campaign.close"),
    ]
    assert error.value.since[0].after["title"] == "First"
    with write_transaction() as session:
        assert editing.edit(session, COMMAND, campaign.id, replace(FILE, title="Second"), now(), version=version + 2)


def test_a_step_is_not_taken_with_what_somebody_has_not_seen(publish: Publish) -> None:
    campaign = publish(state=CampaignState.DRAFT)
    change(campaign, title="Other")
    with pytest.raises(ChangedMeanwhileError):
        take(campaign, "publish", version=campaign.version)
    assert take(campaign, "publish", version=campaign.version + 1)


def at_once(app: Flask, *work: Any) -> list[object]:
    """Do all of it in the same moment, each in a thread of its own; give back what came of it."""
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


def test_of_two_editors_at_once_one_saves_and_the_other_is_told(app: Flask, campaign: Campaign) -> None:
    for round_ in range(5):
        db.session.rollback()
        version = db.session.get_one(Campaign, campaign.id).version
        db.session.rollback()

        def save(title: str, version: int = version) -> Any:
            file = replace(FILE, title=title)
            return lambda session: editing.edit(session, COMMAND, campaign.id, file, now(), version=version)

        done = at_once(app, save(f"Ada’s {round_}"), save(f"Ben’s {round_}"))
        assert sorted(type(each).__name__ for each in done) == ["ChangedMeanwhileError", "bool"]
        db.session.rollback()
        title = db.session.get_one(Campaign, campaign.id).title
        assert title == (f"Ada’s {round_}" if done[0] is True else f"Ben’s {round_}")


def test_of_two_campaigns_made_at_once_with_one_slug_one_is_refused_in_words(app: Flask) -> None:
    done = at_once(app, *[lambda session: editing.create(session, COMMAND, FILE, now()).slug] * 2)
    assert sorted(type(each).__name__ for each in done) == ["WrongError", "str"]
    db.session.rollback()
    assert len(campaigns.every(db.session())) == 1


def test_anonymous_signers_are_promised_something_else_only_in_a_draft(publish: Publish) -> None:
    draft = publish(slug="draft", state=CampaignState.DRAFT)
    change(draft, deliver_anonymous=True)
    change(draft, deliver_anonymous=False)
    campaign = publish()
    with pytest.raises(WrongError, match="deliver_anonymous: can only be turned on in a draft"):
        change(campaign, deliver_anonymous=True)
    change(publish(slug="told", deliver_anonymous=True), deliver_anonymous=False)


@pytest.mark.parametrize(
    ("goal", "step", "count", "shown", "reached"),
    [(100, 50, 99, 100, None), (100, 50, 100, 150, 100), (100, 50, 249, 250, 200), (3, 1, 10**9, 10**9 + 1, 10**9)],
)
def test_a_goal_with_a_step_moves_on_by_it(
    publish: Publish, goal: int, step: int, count: int, shown: int, reached: int | None
) -> None:
    progress = campaigns.progress(publish(goal=goal, goal_step=step), count)
    assert (progress.goal, progress.reached) == (shown, reached)


def test_the_form_says_who_gets_the_names_of_anonymous_signers_also_while_nobody_can_look_it_up(
    client: FlaskClient, publish: Publish
) -> None:
    publish(slug="other")
    publish(deliver_anonymous=True)
    told, other = "still get your name and city", "or only your country if you tick the box"
    page, other_page = client.get(PATH).text, client.get("/campaigns/other").text
    assert told in page
    assert other not in page
    assert other in other_page
    assert "delivered" not in other_page
    # What was filled in comes back with the promise under which it was, without a question to the database.
    stranger = {"REMOTE_ADDR": "203.0.113.7"}
    while client.post("/campaigns/other/signatures", data={"name": ""}, environ_base=stranger).status_code != 429:
        pass
    refused = client.post(f"{PATH}/signatures", data={"delivered": "y"}, environ_base=stranger)
    assert refused.status_code == 429
    assert told in refused.text
    assert 'name="delivered" value="y"' in refused.text
    other_refused = client.post("/campaigns/other/signatures", data={"name": ""}, environ_base=stranger)
    assert other_refused.status_code == 429
    assert other in other_refused.text
