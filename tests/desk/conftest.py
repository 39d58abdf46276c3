"""Who is at the desk: `at_desk(Role.ADMIN)` is a browser in which one of that role has signed in."""

import secrets
from collections.abc import Callable, Sequence

import pytest
from flask import Flask

from campaign.desk_models import Account, CampaignOrganiser, Role
from campaign.extensions import db, write_transaction
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
    """Sign somebody new in, really, by password and second factor; `own` are the campaigns of theirs."""

    def at_desk(role: Role, own: Sequence[Campaign] = ()) -> AtDesk:
        client, person = _newcomer(app, role)
        with write_transaction() as session:
            account_id = session.query(Account).filter_by(email=person.email).one().id
            for campaign in own:
                session.add(CampaignOrganiser(campaign_id=campaign.id, account_id=account_id))
        db.session.rollback()
        return client

    return at_desk


def _newcomer(app: Flask, role: Role) -> tuple[AtDesk, Person]:
    person = Person(f"{role}-{secrets.token_hex(4)}@example.org")
    client = browser(app)
    assert accept(client, invitation(app, person.email, role)).status_code == 303
    assert enter_password(client, person.email).location.endswith("/desk/account/app")
    answer = set_up_app(client, person)
    assert answer.location.endswith("/desk/arrive"), answer.text
    return client, person
