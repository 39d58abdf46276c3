"""Rules exactly at their limits, just below, and just above.

The limits are written out as in the docs. A test that imported a constant would not notice when it changes.
"""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from itsdangerous import TimestampSigner
from sqlalchemy import func, select

from campaign.accounts import audit_log, invitations, sessions
from campaign.campaigns import preview_links, stages
from campaign.campaigns.stages import Progress, Stage
from campaign.deliveries import exports, queue
from campaign.deliveries.contents import Purpose, neutral, order
from campaign.deliveries.exports import Kind
from campaign.models.account import Account, DeskSession, Role
from campaign.models.campaign import Campaign, CampaignState
from campaign.models.export import ExportState
from campaign.signatures import signing, sources
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import SECRET_KEY
from tests.moderation.signatures import put

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOW - MOMENT, Stage.UPCOMING),
        (NOW, Stage.OPEN),
        (NOW + timedelta(days=1) - MOMENT, Stage.OPEN),
        (NOW + timedelta(days=1), Stage.CLOSED),
    ],
    ids=["before it opens", "as it opens", "before it closes", "as it closes"],
)
@pytest.mark.slow
def test_campaign_is_open_from_its_opening_time_until_before_its_closing_time(now: datetime, expected: Stage) -> None:
    campaign = Campaign(slug="x", state=CampaignState.OPEN, opens_at=NOW, closes_at=NOW + timedelta(days=1))
    assert stages.stage(campaign, now) is expected
    if expected is Stage.OPEN:
        signing.check_open(campaign, now)
    else:
        with pytest.raises(signing.NotOpenError):
            signing.check_open(campaign, now)


@pytest.mark.parametrize(
    ("step", "count", "goal", "reached"),
    [
        (0, 99, 100, None),
        (0, 100, 200, 100),
        (0, 101, 200, 100),
        (0, 199, 200, 100),
        (0, 200, 500, 200),
        (0, 500, 1000, 500),
        (50, 99, 100, None),
        (50, 100, 150, 100),
        (50, 149, 150, 100),
        (50, 150, 200, 150),
    ],
)
def test_goal_rises_when_it_is_reached_exactly(step: int, count: int, goal: int, reached: int | None) -> None:
    campaign = Campaign(goal=100, goal_step=step)
    assert stages.progress(campaign, count) == Progress(count, goal, reached)


def account(role: Role) -> Account:
    with write_transaction() as session:
        found = Account(email=f"{role}@example.org", role=role, created_at=NOW, fs_uniquifier=f"of-{role}")
        session.add(found)
        session.flush()
        session.expunge(found)
    return found


@pytest.mark.parametrize(
    ("role", "lasts"), [(Role.ADMIN, timedelta(minutes=30)), (Role.ORGANIZER, timedelta(hours=12))], ids=str
)
def test_idle_session_ends_after_half_an_hour_for_admins_and_twelve_hours_for_others(
    app: Flask, role: Role, lasts: timedelta
) -> None:
    person = account(role)
    with write_transaction() as session:
        token = sessions.begin(session, person, "Firefox", NOW)
    for now, alive in ((NOW + lasts - MOMENT, True), (NOW + lasts, False)):
        assert (sessions.find(db.session(), person, token, now) is not None) is alive
        assert bool(sessions.of(db.session(), person, now)) is alive


def test_active_session_ends_after_twelve_hours(app: Flask) -> None:
    person, end = account(Role.ADMIN), NOW + timedelta(hours=12)
    with write_transaction() as session:
        token = sessions.begin(session, person, "Firefox", NOW)
    with write_transaction() as session:
        found = sessions.find(session, person, token, NOW)
        assert found
        found.seen_at = end - SECOND
    for now, alive in ((end - MOMENT, True), (end, False)):
        assert (sessions.find(db.session(), person, token, now) is not None) is alive
        assert bool(sessions.of(db.session(), person, now)) is alive


def test_only_sessions_of_twelve_hours_or_more_are_deleted(app: Flask) -> None:
    person = account(Role.ORGANIZER)
    with write_transaction() as session:
        sessions.begin(session, person, "Firefox", NOW)
    for since, kept in ((timedelta(hours=12) - SECOND, 1), (timedelta(hours=12), 0)):
        with write_transaction() as session:
            sessions.delete_expired(session, NOW + since)
        assert db.session.scalar(select(func.count()).select_from(DeskSession)) == kept


def test_session_is_valid_only_for_its_own_account(app: Flask) -> None:
    person, other = account(Role.ORGANIZER), account(Role.ADMIN)
    with write_transaction() as session:
        token = sessions.begin(session, person, "Firefox", NOW)
    assert sessions.find(db.session(), person, token, NOW)
    assert sessions.find(db.session(), other, token, NOW) is None


def set_link_clock(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Set the clock of signed links to NOW plus `by`; their times are whole seconds."""
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: int((NOW + by).timestamp()))


def test_invitation_is_valid_for_24_hours(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    person = account(Role.OBSERVER)
    set_link_clock(monkeypatch, timedelta())
    token = invitations.invitation(SECRET_KEY, person)
    for by, good in ((timedelta(hours=24), True), (timedelta(hours=24, seconds=1), False)):
        set_link_clock(monkeypatch, by)
        assert (invitations.invited(db.session(), SECRET_KEY, token) is not None) is good


def test_preview_link_is_valid_for_seven_days(monkeypatch: pytest.MonkeyPatch) -> None:
    set_link_clock(monkeypatch, timedelta())
    key = preview_links.make(SECRET_KEY, 1)
    set_link_clock(monkeypatch, timedelta(days=7))
    assert preview_links.is_valid(SECRET_KEY, key, 1)
    assert not preview_links.is_valid(SECRET_KEY, key, 2)
    set_link_clock(monkeypatch, timedelta(days=7, seconds=1))
    with pytest.raises(preview_links.ExpiredError):
        preview_links.is_valid(SECRET_KEY, key, 1)
    assert not preview_links.is_valid(SECRET_KEY, key, 2), "for another campaign, an expired key is only wrong"


@pytest.mark.parametrize(("signers", "shown"), [(4, False), (5, True), (6, True)])
def test_source_is_shown_only_with_five_or_more_signers(campaign: Campaign, signers: int, shown: bool) -> None:
    put(campaign, *({"email": f"{number}@example.org", "source": "radio"} for number in range(signers)))
    assert (sources.all_common_words(db.session(), campaign.id) == {"radio"}) is shown
    assert (sources.common_words(db.session(), campaign.id, ["radio"]) == {"radio"}) is shown


def test_export_can_be_downloaded_for_24_hours_and_is_deleted_ten_minutes_later(campaign: Campaign) -> None:
    by = audit_log.actor(account(Role.ADMIN))
    with write_transaction() as session:
        found = exports.ask(session, by, campaign, Kind.CSV, order(Purpose.HAND_OVER, ["name"]), NOW)
        found.state, number = ExportState.READY, found.id
    end = NOW + timedelta(hours=24)
    for now, there in ((end - MOMENT, True), (end, False)):
        assert (exports.find(db.session(), campaign, number, now) is not None) is there
        assert bool(exports.of_campaign(db.session(), campaign, now)) is there
    for now, deleted in ((end + timedelta(minutes=10) - MOMENT, 0), (end + timedelta(minutes=10), 1)):
        with write_transaction() as session:
            assert exports.delete_expired(session, now) == deleted


def test_export_waits_again_after_half_a_minute_without_a_heartbeat(campaign: Campaign) -> None:
    by, silent = audit_log.actor(account(Role.ADMIN)), NOW + timedelta(seconds=30)
    with write_transaction() as session:
        found = exports.ask(session, by, campaign, Kind.CSV, order(Purpose.HAND_OVER, ["name"]), NOW)
        found.state, found.maker = ExportState.MAKING, "m"
        session.flush()
        for now, dead in ((silent, False), (silent + MOMENT, True)):
            assert queue.is_interrupted(found, now) is queue.has_work(session, now) is dead


@pytest.mark.parametrize("sign", [*"=+-@", *"＝＋－＠"])
def test_cell_starting_with_a_formula_sign_is_neutralized(sign: str) -> None:
    assert neutral(f"{sign}SUM(A1)") == f"'{sign}SUM(A1)"
    assert neutral(f"A{sign}1") == f"A{sign}1"
