"""Accounts changed and closed by admins, and the rule that at least one admin remains."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask

from campaign.accounts import invitations
from campaign.accounts.audit_log import COMMAND
from campaign.accounts.invitations import AccountError
from campaign.models.account import Account, Role
from campaign.models.campaign import Campaign
from campaign.storage.transactions import write_transaction
from tests.desk.conftest import AtDeskAs
from tests.desk.people import Person


@pytest.mark.slow
def test_admin_lists_accounts_and_changes_a_role(
    app: Flask, at_desk: AtDeskAs, invited: Callable[[Role], Person], campaign: Campaign
) -> None:
    admin, person = at_desk(Role.ADMIN), invited(Role.OBSERVER)
    page = admin.get("/desk/accounts")
    assert page.status_code == 200
    assert person.email in page.text
    assert admin.get("/desk/accounts/2").status_code == 200
    answer = admin.post("/desk/accounts/2", data={"role": "organizer", "active": "y", "own": str(campaign.id)})
    assert answer.status_code == 303, answer.text
    assert 'value="1" checked' in admin.get("/desk/accounts/2").text
    assert "assigned an organizer" in admin.get("/desk/campaigns/save-the-park/record").text
    log = admin.get("/desk/record.csv").text
    assert log.startswith("\ufeffat,actor,"), "Excel needs a byte-order mark"
    assert "account.role" in log
    for path in ("account/password", "account/app", "account/passkeys", "account/recovery-codes"):
        assert admin.get(f"/desk/{path}").status_code == 200, path


@pytest.mark.parametrize("other", ["none", "closed", "moderator"])
def test_last_active_admin_cannot_be_closed_or_changed(app: Flask, other: str) -> None:
    now = datetime.now(UTC)
    with write_transaction() as session:
        last = Account(email="ada@example.org", role=Role.ADMIN, created_at=now, fs_uniquifier="1")
        role = Role.MODERATOR if other == "moderator" else Role.ADMIN
        second = Account(
            email="bea@example.org", role=role, created_at=now, fs_uniquifier="2", active=other != "closed"
        )
        session.add_all([last] if other == "none" else [last, second])
        session.flush()
        for role in (Role.ORGANIZER, Role.MODERATOR, Role.OBSERVER):
            with pytest.raises(AccountError, match="at least one admin"):
                invitations.change_role(session, last, role, COMMAND, now)
            with pytest.raises(AccountError, match="at least one admin"):
                invitations.invite(session, last.email, role, COMMAND, now, again=True)
        with pytest.raises(AccountError, match="at least one admin"):
            invitations.set_active(session, last, False, COMMAND, now)
        assert (last.role, last.active) == (Role.ADMIN, True)


def test_admin_can_be_closed_or_changed_while_another_remains(app: Flask) -> None:
    now = datetime.now(UTC)
    with write_transaction() as session:
        first, second, third = (
            Account(email=f"{n}@example.org", role=Role.ADMIN, created_at=now, fs_uniquifier=str(n)) for n in range(3)
        )
        session.add_all([first, second, third])
        session.flush()
        invitations.change_role(session, first, Role.OBSERVER, COMMAND, now)
        invitations.set_active(session, second, False, COMMAND, now)
        # A closed account doesn't count as a remaining admin.
        invitations.change_role(session, second, Role.OBSERVER, COMMAND, now)
        with pytest.raises(AccountError):
            invitations.set_active(session, third, False, COMMAND, now)
