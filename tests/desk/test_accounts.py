"""Accounts: invited, changed and closed by admins; one's own, and where one is signed in."""

from collections.abc import Callable

from flask import Flask

from campaign.desk_models import Role
from campaign.models import Campaign
from tests.desk.conftest import AtDeskAs
from tests.desk.people import Person


def test_an_admin_sees_who_has_an_account_and_changes_what_they_are(
    app: Flask, at_desk: AtDeskAs, invited: Callable[[Role], Person], campaign: Campaign
) -> None:
    admin, person = at_desk(Role.ADMIN), invited(Role.OBSERVER)
    page = admin.get("/desk/accounts")
    assert page.status_code == 200
    assert person.email in page.text
    assert admin.get("/desk/accounts/2").status_code == 200
    answer = admin.post("/desk/accounts/2", data={"role": "organiser", "active": "y", "own": str(campaign.id)})
    assert answer.status_code == 303, answer.text
    assert 'value="1" checked' in admin.get("/desk/accounts/2").text
    assert "made it somebody’s own" in admin.get("/desk/campaigns/save-the-park/record").text
    assert "account.role" in admin.get("/desk/record.csv").text
    for path in ("account/password", "account/app", "account/passkeys", "account/recovery-codes"):
        assert admin.get(f"/desk/{path}").status_code == 200, path
