"""Who is at the desk: `at_desk(Role.ADMIN)` is a browser in which one of that role has signed in."""

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaign.desk_models import Account, CampaignOrganiser, DeskSession, Record, Role
from campaign.extensions import Base, db, write_transaction
from campaign.models import Campaign
from tests.desk.people import AtDesk, Person, accept, browser, enter_password, invitation, set_up_app

AtDeskAs = Callable[..., AtDesk]


@pytest.fixture
def invited(app: Flask) -> Callable[[Role], Person]:
    """Invite somebody who accepts and sets up their app; they can sign in then."""

    def invited(role: Role) -> Person:
        return _newcomer(app, role)[1]

    return invited


@pytest.fixture
def at_desk(app: Flask) -> AtDeskAs:
    """Somebody new in a browser in which they have signed in; `own` are the campaigns of theirs.

    They do so, really, by password and second factor, once for all tests of a process: the next test gets what that has
    left in the database and in the browser.
    """
    used: Counter[Role] = Counter()

    def at_desk(role: Role, own: Sequence[Campaign] = ()) -> AtDesk:
        which = role, used[role]
        used[role] += 1
        client = _come_back(app, _signed_in[which]) if which in _signed_in else _newcomer(app, role)[0]
        with write_transaction() as session:
            account = session.scalars(select(Account).order_by(Account.id.desc()).limit(1)).one()
            if which not in _signed_in:
                _signed_in[which] = _left_by(client, session, account)
            for campaign in own:
                session.add(CampaignOrganiser(campaign_id=campaign.id, account_id=account.id))
        db.session.rollback()
        return client

    return at_desk


@dataclass(frozen=True)
class SignedIn:
    """What signing in has left."""

    account: dict[str, Any]
    session: dict[str, Any]
    records: list[dict[str, Any]]
    cookie: str


_signed_in: dict[tuple[Role, int], SignedIn] = {}


def _left_by(client: AtDesk, session: Session, account: Account) -> SignedIn:
    def row(of: Base) -> dict[str, Any]:
        return {column.key: getattr(of, column.key) for column in of.__table__.columns if column.key != "id"}

    cookie = client.get_cookie("desk", path="/desk")
    assert cookie
    browsers = session.scalars(select(DeskSession).where(DeskSession.account_id == account.id)).one()
    records = session.scalars(select(Record).where(Record.account_id == account.id))
    return SignedIn(row(account), row(browsers), [row(each) for each in records], cookie.value)


def _come_back(app: Flask, left: SignedIn) -> AtDesk:
    client, now = browser(app), datetime.now(UTC)
    client.set_cookie("desk", left.cookie, path="/desk", secure=True)
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
