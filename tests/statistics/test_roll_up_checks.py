"""`flask campaigns check` finds wrong statistics and repairs them while people sign."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskCliRunner
from sqlalchemy import delete, event, update

from campaign.models.campaign import Campaign
from campaign.models.roll_up import GroupCount, Kind, MinuteCount, QuarterCount, RollUp
from campaign.moderation.actions import Action
from campaign.signatures import tally
from campaign.statistics import roll_up_checks, roll_ups
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import SLUG, Publish, stored
from tests.statistics.rolling import roll_up
from tests.statistics.test_roll_ups import act, add_fake, assert_exact

NOW = datetime.now(UTC)


def groups_of(campaign: Campaign, kind: Kind) -> list[object]:
    return [GroupCount.campaign_id == campaign.id, GroupCount.kind == kind]


DAMAGE: dict[str, Callable[[Campaign], object]] = {
    "wrong counts": lambda _: update(QuarterCount).values(count=QuarterCount.count + 1),
    "counts of minutes": lambda _: update(MinuteCount).values(count=0),
    "missing groups": lambda _: delete(GroupCount),
    "another group": lambda campaign: (
        update(GroupCount).where(*groups_of(campaign, Kind.SOURCE), GroupCount.name == "").values(name="x")  # type: ignore[arg-type]
    ),
    "wrong language": lambda campaign: (
        update(GroupCount).where(*groups_of(campaign, Kind.LANGUAGE)).values(name="es")  # type: ignore[arg-type]
    ),
    "missing languages": lambda campaign: delete(GroupCount).where(*groups_of(campaign, Kind.LANGUAGE)),  # type: ignore[arg-type]
    "missing days": lambda _: delete(QuarterCount),
    "position too low": lambda _: update(RollUp).values(position=RollUp.position - 3),
    "position too high": lambda _: update(RollUp).values(position=RollUp.position + 3),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_check_finds_wrong_statistics_and_repairs_them(
    campaign: Campaign, runner: FlaskCliRunner, damage: Callable[[Campaign], object]
) -> None:
    add_fake(campaign, 20)
    roll_up(NOW)
    add_fake(campaign, 5)
    right = runner.invoke(args=["campaigns", "check"])
    assert (right.exit_code, right.output.splitlines()[1]) == (0, f"{SLUG}: statistics of 20 signatures: right")
    with write_transaction() as session:
        session.execute(damage(campaign))  # type: ignore[call-overload]
    found = runner.invoke(args=["campaigns", "check", SLUG])
    assert found.exit_code == 1
    assert "counts WRONG" in found.output
    repaired = runner.invoke(args=["campaigns", "check", "--repair"])
    assert repaired.exit_code == 0
    assert "counts repaired" in repaired.output
    assert runner.invoke(args=["campaigns", "check"]).exit_code == 0
    assert_exact(campaign)
    roll_up(NOW)
    assert_exact(campaign)


def test_check_before_any_roll_up_is_right(campaign: Campaign, runner: FlaskCliRunner) -> None:
    add_fake(campaign, 3)
    for options in ([], ["--repair"]):
        done = runner.invoke(args=["campaigns", "check", *options])
        assert (done.exit_code, done.output.splitlines()[1]) == (0, f"{SLUG}: statistics of 0 signatures: right")


def test_repair_allows_for_changes_made_since_the_check(publish: Publish, campaign: Campaign) -> None:
    other = publish(slug="other")
    add_fake(other, 5)
    add_fake(campaign, 20)
    roll_up(NOW)
    with write_transaction() as session:
        session.execute(update(GroupCount).values(count=GroupCount.count + 2))
        session.execute(update(QuarterCount).where(QuarterCount.campaign_id == campaign.id).values(count=0))
    found = roll_up_checks.check(db.engine, campaign.id, NOW)
    add_fake(campaign, 4)
    act(campaign, Action.REMOVE, [each.id for each in stored()][8:12])
    roll_up(NOW)
    assert roll_up_checks._add_errors(db.engine, found)
    assert_exact(campaign)
    assert not roll_up_checks._add_errors(db.engine, found), "two commands don't repair the same"
    assert_exact(campaign)
    assert roll_up_checks.check(db.engine, other.id, NOW).wrong, "another campaign is repaired on its own"
    roll_up_checks.repair(db.engine, other.id, NOW)
    assert_exact(campaign, other)
    assert roll_ups.position(db.session()) == stored()[-1].id


def test_repair_of_what_is_right_writes_nothing(campaign: Campaign, runner: FlaskCliRunner) -> None:
    add_fake(campaign, 3)
    roll_up(NOW)
    db.session.rollback()
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    assert runner.invoke(args=["campaigns", "check", "--repair"]).exit_code == 0
    assert all(each.startswith("SELECT") or each == "BEGIN" for each in statements), "signing goes on meanwhile"


def test_tally_is_repaired_once_and_allows_for_signatures_since_the_check(campaign: Campaign) -> None:
    add_fake(campaign, 5)
    with write_transaction() as session:
        tally.add(session.connection(), campaign.id, 7)
    repairs, found = roll_ups.repairs(db.session()), tally.check(db.session(), campaign.id)
    add_fake(campaign, 4)
    for is_first in (True, False):
        with write_transaction() as session:
            assert roll_ups.begin_repair(session, repairs) is is_first
            if is_first:
                tally.repair(session, campaign.id, found)
    assert tally.check(db.session(), campaign.id) == tally.Check(9, 9)
