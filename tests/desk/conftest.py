"""Fixtures for users of the desk: `at_desk(Role.ADMIN)` returns a browser in which an admin has signed in."""

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaign.models.account import Account, CampaignOrganizer, DeskSession, Role
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign, CampaignState
from campaign.storage.database import Base, db
from campaign.storage.transactions import write_transaction
from tests.conftest import Publish
from tests.desk.passkeys import EMAIL
from tests.desk.people import AtDesk, Person, accept, browser, enter_password, invitation, set_up_app

AtDeskAs = Callable[..., AtDesk]


@pytest.fixture
def invited(app: Flask) -> Callable[[Role], Person]:
    """Return a function that creates a user of a role, with a password and an authenticator app."""

    def invited(role: Role) -> Person:
        return _newcomer(app, role)[1]

    return invited


@pytest.fixture
def at_desk(app: Flask) -> AtDeskAs:
    """Return a function that creates a user and a browser in which they have signed in; `own` lists their campaigns.

    The real sign-in, with password and second factor, happens once per role in a test process. Later tests restore the
    rows and the cookie that it left.
    """
    used: Counter[Role] = Counter()

    def at_desk(role: Role, own: Sequence[Campaign] = ()) -> AtDesk:
        key = role, used[role]
        used[role] += 1
        client = _restore(app, _signed_in[key]) if key in _signed_in else _newcomer(app, role)[0]
        with write_transaction() as session:
            account = session.scalars(select(Account).order_by(Account.id.desc()).limit(1)).one()
            if key not in _signed_in:
                _signed_in[key] = _state_of(client, session, account)
            for campaign in own:
                session.add(CampaignOrganizer(campaign_id=campaign.id, account_id=account.id))
        db.session.rollback()
        return client

    return at_desk


@pytest.fixture
def organizer(at_desk: AtDeskAs, campaign: Campaign) -> AtDesk:
    """Return a browser in which the campaign's organizer has signed in."""
    return at_desk(Role.ORGANIZER, own=[campaign])


@pytest.fixture
def draft(publish: Publish) -> Campaign:
    """Return a campaign that is still a draft."""
    return publish(state=CampaignState.DRAFT)


@dataclass(frozen=True)
class SignedIn:
    """The rows and the cookie that a sign-in has left."""

    account: dict[str, Any]
    session: dict[str, Any]
    records: list[dict[str, Any]]
    cookie: str


_signed_in: dict[tuple[Role, int], SignedIn] = {}


def _state_of(client: AtDesk, session: Session, account: Account) -> SignedIn:
    def values(row: Base) -> dict[str, Any]:
        return {column.key: getattr(row, column.key) for column in row.__table__.columns if column.key != "id"}

    cookie = client.get_cookie("desk", path="/desk")
    assert cookie
    desk_session = session.scalars(select(DeskSession).where(DeskSession.account_id == account.id)).one()
    records = session.scalars(select(Record).where(Record.account_id == account.id))
    return SignedIn(values(account), values(desk_session), [values(record) for record in records], cookie.value)


def _restore(app: Flask, left: SignedIn) -> AtDesk:
    client, now = browser(app), datetime.now(UTC)
    cookies = SecureCookieSessionInterface().get_signing_serializer(app.extensions["desk"].app)
    assert cookies
    # Set the time of the password to now: the tests of a process may run longer than a password counts as recent.
    cookie = cookies.dumps(cookies.loads(left.cookie) | {"fs_paa": now.timestamp()})
    client.set_cookie("desk", cookie, path="/desk", secure=True)
    with write_transaction() as session:
        account = Account(**left.account)
        session.add(account)
        session.flush()
        session.add(DeskSession(**left.session | {"account_id": account.id, "began_at": now, "seen_at": now}))
        session.add_all(Record(**record | {"account_id": account.id}) for record in left.records)
    return client


def _newcomer(app: Flask, role: Role) -> tuple[AtDesk, Person]:
    person = Person(f"{role}-{secrets.token_hex(4)}@example.org")
    client = browser(app)
    assert accept(client, invitation(app, person.email, role)).status_code == 303
    assert enter_password(client, person.email).location.endswith("/desk/account/app")
    answer = set_up_app(client, person)
    assert answer.location.endswith("/desk/arrive"), answer.text
    return client, person


@pytest.fixture
def newcomer(app: Flask) -> str:
    """Return the email address of a user who has accepted an invitation and has no second factor yet."""
    accept(browser(app), invitation(app, EMAIL, "admin"))
    return EMAIL
