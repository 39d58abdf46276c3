"""What operators and organisers get from the commands, but for publishing (test_publishing.py)."""

import csv
import io
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from flask_migrate import downgrade
from sqlalchemy import delete, func, select, text, update

from campaign import create_app
from campaign.extensions import db, write_transaction
from campaign.models import Campaign, CampaignState, Signature, SignatureState, Tally
from campaign.settings import ROOT, Settings
from tests.conftest import ADA, PATH, SLUG, Publish, Sign, stored


def count(client: FlaskClient) -> int:
    data = client.get(f"{PATH}.json").get_json()
    return int(data["signatures"]["count"])


def exported(runner: FlaskCliRunner) -> list[dict[str, str]]:
    answer = runner.invoke(args=["signatures", "export", SLUG])
    assert answer.exit_code == 0
    return list(csv.DictReader(io.StringIO(answer.stdout_bytes.decode("utf-8"), newline="")))


def test_the_list_names_every_campaign_with_its_stage_and_count(
    runner: FlaskCliRunner, publish: Publish, sign: Sign
) -> None:
    sign()
    publish(slug="later", title="Later", opens_at=datetime.now(UTC) + timedelta(days=1))
    publish(slug="over", title="Over", state=CampaignState.WON)
    publish(slug="draft", title="Draft", state=CampaignState.DRAFT)
    lines = runner.invoke(args=["campaigns", "list"]).output.splitlines()
    assert set(lines) == {
        "save-the-park\topen\t1 of 100\tSave the Park",
        "later\tupcoming\t0 of 100\tLater",
        "over\twon\t0 of 100\tOver",
        "draft\tdraft\t0 of 100\tDraft",
    }


@pytest.mark.parametrize(("command", "words"), [("close", "This petition is closed"), ("win", "We won!")])
def test_an_ended_campaign_takes_no_signature_and_keeps_its_list(
    client: FlaskClient, runner: FlaskCliRunner, sign: Sign, command: str, words: str
) -> None:
    sign()
    answer = runner.invoke(args=["campaigns", command, SLUG])
    assert (answer.exit_code, answer.output) == (0, f"{SLUG} is {'closed' if command == 'close' else 'won'}\n")
    page = client.get(PATH).text
    assert words in page
    assert "Ada Lovelace" in page
    assert sign(email="late@example.org").status_code == 410
    assert count(client) == 1


@pytest.mark.parametrize(
    "command",
    [
        ["campaigns", "close"],
        ["campaigns", "win"],
        ["campaigns", "check"],
        ["signatures", "export"],
        ["signatures", "fake"],
    ],
    ids=" ".join,
)
def test_an_unknown_slug_is_named_in_one_line(runner: FlaskCliRunner, campaign: Campaign, command: list[str]) -> None:
    answer = runner.invoke(args=[*command, "missing", *(["5"] if command[1] == "fake" else [])])
    assert answer.exit_code == 1
    assert answer.output == "Error: there is no campaign 'missing'; `flask campaigns list` shows all\n"


def test_check_proves_the_count_of_one_campaign_or_of_all(runner: FlaskCliRunner, publish: Publish, sign: Sign) -> None:
    sign()
    publish(slug="other")
    one = runner.invoke(args=["campaigns", "check", SLUG])
    assert (one.exit_code, one.output) == (0, f"{SLUG}: tally 1, signatures 1: right\n")
    every = runner.invoke(args=["campaigns", "check"])
    assert every.exit_code == 0
    assert set(every.output.splitlines()) == {
        f"{SLUG}: tally 1, signatures 1: right",
        "other: tally 0, signatures 0: right",
    }


def test_check_finds_a_wrong_tally_and_repairs_it(client: FlaskClient, runner: FlaskCliRunner, sign: Sign) -> None:
    for number in range(5):
        sign(email=f"{number}@example.org")
    with write_transaction() as session:
        session.execute(update(Tally).values(count=1000))
    found = runner.invoke(args=["campaigns", "check"])
    assert found.exit_code == 1
    assert "signatures 5: WRONG" in found.output
    repaired = runner.invoke(args=["campaigns", "check", "--repair"])
    assert repaired.exit_code == 0
    assert "signatures 5: repaired" in repaired.output
    assert runner.invoke(args=["campaigns", "check"]).exit_code == 0
    assert count(client) == 5


def test_a_tally_that_is_gone_refuses_nobody(client: FlaskClient, runner: FlaskCliRunner, sign: Sign) -> None:
    sign()
    with write_transaction() as session:
        session.execute(delete(Tally))
    for number in range(40):
        assert sign(email=f"more-{number}@example.org").status_code == 303
    assert count(client) == 40
    runner.invoke(args=["campaigns", "check", "--repair"])
    assert count(client) == 41


def test_check_counts_only_what_the_public_count_counts(runner: FlaskCliRunner, sign: Sign) -> None:
    sign()
    with write_transaction() as session:
        session.execute(update(Signature).values(state=SignatureState.REMOVED, listed_at=None))
    assert f"{SLUG}: tally 1, signatures 0: WRONG" in runner.invoke(args=["campaigns", "check"]).output


def test_an_export_has_everything_that_was_given_oldest_first(runner: FlaskCliRunner, sign: Sign) -> None:
    sign(name="Zoë Ōkami 大神", city="Köln", country="DE", postal_code="50667", updates="y")
    sign(name="Grace Hopper", email="Grace.Hopper+park@Example.org", anonymous="y")
    first, second = exported(runner)
    assert first == {
        "name": "Zoë Ōkami 大神",
        "email": "ada@example.org",
        "country": "DE",
        "region": "",
        "city": "Köln",
        "postal_code": "50667",
        "anonymous": "no",
        "wants_updates": "yes",
        "source": "",
        "signed_at": stored()[0].signed_at.isoformat(),
    }
    assert (second["name"], second["email"]) == ("Grace Hopper", "Grace.Hopper+park@Example.org")
    assert (second["anonymous"], second["wants_updates"]) == ("yes", "no")
    assert datetime.fromisoformat(first["signed_at"]).utcoffset() == timedelta(0)


def test_an_export_of_no_signatures_is_a_row_of_names(runner: FlaskCliRunner, campaign: Campaign) -> None:
    answer = runner.invoke(args=["signatures", "export", SLUG])
    assert answer.stdout_bytes == (
        b"name,email,country,region,city,postal_code,wants_updates,source,signed_at,anonymous\r\n"
    )


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "=HYPERLINK(1)", "=1,2", '="a"', " =1", "＝1+1"])
def test_no_cell_of_an_export_is_run_by_a_spreadsheet(runner: FlaskCliRunner, sign: Sign, formula: str) -> None:
    # A place with an @ is refused at the form; an older signature or an import may still hold one.
    sign()
    with write_transaction() as session:
        session.execute(update(Signature).values(city=formula, name=formula, postal_code=formula, email=formula))
    (row,) = exported(runner)
    for key in ("name", "email", "city", "postal_code"):
        assert row[key] == f"'{formula}"


def test_no_part_of_a_cell_is_run_where_a_semicolon_begins_a_new_one(runner: FlaskCliRunner, sign: Sign) -> None:
    sign(city="Paris;=cmd")
    assert exported(runner)[0]["city"] == "Paris;'=cmd"


def test_a_comma_a_quote_and_a_line_break_stay_in_their_cell(runner: FlaskCliRunner, sign: Sign) -> None:
    sign()
    with write_transaction() as session:
        session.execute(update(Signature).values(name='Ada, "the\nfirst"'))
    assert [row["name"] for row in exported(runner)] == ['Ada, "the\nfirst"']


def test_an_export_leaves_out_who_is_not_counted(runner: FlaskCliRunner, sign: Sign) -> None:
    for name, state in (("Ada", "withdrawn"), ("Ben", "removed"), ("Cem", "pending"), ("Dora", "public")):
        sign(name=name, email=f"{name}@example.org")
        with write_transaction() as session:
            session.execute(update(Signature).where(Signature.name == name).values(state=SignatureState(state)))
    assert [row["name"] for row in exported(runner)] == ["Dora"]


def test_fakes_are_counted_listed_and_never_collide(client: FlaskClient, runner: FlaskCliRunner, sign: Sign) -> None:
    sign()
    for _ in range(2):
        answer = runner.invoke(args=["signatures", "fake", SLUG, "30"])
        assert answer.exit_code == 0
    assert count(client) == 61
    assert runner.invoke(args=["campaigns", "check"]).exit_code == 0
    assert db.session.scalar(select(func.count(Signature.listed_at.distinct()))) == 61
    newest = stored()[-1].signed_at
    assert newest <= datetime.now(UTC)


@pytest.mark.parametrize("number", ["0", "-5", "many"])
def test_a_number_that_is_none_is_refused(runner: FlaskCliRunner, campaign: Campaign, number: str) -> None:
    assert runner.invoke(args=["signatures", "fake", SLUG, number]).exit_code == 2


def test_on_a_terminal_one_sees_how_far_the_fakes_have_come(campaign: Campaign, settings: Settings) -> None:
    ours, terminal = pty.openpty()
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "signatures", "fake", SLUG, "100"]
    environ = {**os.environ, "DATABASE_URL": settings.database_url}
    subprocess.run(command, cwd=ROOT, env=environ, stdout=terminal, stderr=terminal, check=True)
    os.close(terminal)
    written = os.read(ours, 4096).decode()
    os.close(ours)
    assert f"Signing {SLUG}" in written
    assert "100%" in written


def test_prepare_publishes_the_sample_where_there_is_no_campaign(client: FlaskClient, runner: FlaskCliRunner) -> None:
    downgrade(revision="base")
    answer = runner.invoke(args=["prepare"])
    assert (answer.exit_code, answer.output) == (0, "published end-ring-police-partnerships\n")
    assert client.get("/").headers["Location"] == "/campaigns/end-ring-police-partnerships"


def test_prepare_leaves_an_organisers_own_campaigns_alone(
    client: FlaskClient, runner: FlaskCliRunner, sign: Sign
) -> None:
    sign()
    runner.invoke(args=["campaigns", "close", SLUG])
    answer = runner.invoke(args=["prepare"])
    assert (answer.exit_code, answer.output) == (0, "")
    assert [campaign.state for campaign in db.session.scalars(select(Campaign))] == [CampaignState.CLOSED]
    assert [signature.email for signature in stored()] == [ADA["email"]]


def test_without_tables_a_command_says_what_to_do(app: Flask, runner: FlaskCliRunner) -> None:
    downgrade(revision="base")
    answer = runner.invoke(args=["campaigns", "list"])
    assert answer.exit_code == 1
    told = r"Error: the database can't be used: .*campaign.* \(has `flask prepare` run\?\)\n"
    assert re.fullmatch(told, answer.output)


@pytest.mark.parametrize("command", [["prepare"], ["campaigns", "list"]], ids=" ".join)
def test_a_database_that_cannot_be_opened_is_told_in_one_line(tmp_path: Path, command: list[str]) -> None:
    app = create_app(replace(Settings.from_environ({}, tmp_path), database_url=f"sqlite:///{tmp_path}"))
    answer = app.test_cli_runner().invoke(args=command)
    assert answer.exit_code == 1
    assert answer.output.startswith("Error: the database can't be used: unable to open database file")
    assert answer.output.count("\n") == 1


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_command_may_count_for_as_long_as_it_takes_but_no_visitor_waits_so_long(settings: Settings) -> None:
    def patience() -> str:
        with create_app(settings).app_context():
            shown = str(db.session.scalar(text("SHOW statement_timeout")))
            db.session.remove()
            db.engine.dispose()
        return shown

    assert patience() == "8s"
    with click.Context(click.Command("check")):
        assert patience() == "0"
