"""The commands about accounts: `flask organizers`."""

import pytest
from flask.testing import FlaskCliRunner
from sqlalchemy import select, text

from campaign.models.account import Account, Role
from campaign.storage.database import db


@pytest.mark.parametrize("group", ["organizers", "organisers"])
@pytest.mark.parametrize("role", ["organizer", "organiser"])
def test_both_spellings_of_organizer_invite_an_organizer(runner: FlaskCliRunner, group: str, role: str) -> None:
    answer = runner.invoke(args=[group, "invite", "ada@example.org", "--role", role])
    assert answer.exit_code == 0
    assert db.session.scalars(select(Account.role)).all() == [Role.ORGANIZER]


def test_help_lists_only_the_american_spelling(runner: FlaskCliRunner) -> None:
    listed = runner.invoke(args=["--help"]).output
    assert "organizers" in listed
    assert "organisers" not in listed
    assert "organiser" not in runner.invoke(args=["organisers", "invite", "--help"]).output.replace("organisers", "")


def test_database_keeps_the_british_spelling(runner: FlaskCliRunner) -> None:
    runner.invoke(args=["organizers", "invite", "ada@example.org"])
    assert db.session.scalars(text("SELECT role FROM account")).all() == ["organiser"]
