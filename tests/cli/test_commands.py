"""The operator's commands, except publishing (test_publishing.py)."""

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
from sqlalchemy import Connection, Engine, delete, event, func, select, text, update

from campaign import create_app
from campaign.deliveries import making
from campaign.models.campaign import Campaign, CampaignState
from campaign.models.signature import Signature, SignatureState, Tally
from campaign.settings import ROOT, Settings
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import ADA, PATH, SLUG, Publish, Sign, stored


def count(client: FlaskClient) -> int:
    data = client.get(f"{PATH}.json").get_json()
    return int(data["signatures"]["count"])


def exported(runner: FlaskCliRunner) -> list[dict[str, str]]:
    answer = runner.invoke(args=["signatures", "export", SLUG])
    assert answer.exit_code == 0
    return list(csv.DictReader(io.StringIO(answer.stdout_bytes.decode("utf-8"), newline="")))


def test_list_shows_every_campaign_with_its_stage_and_count(
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
def test_ended_campaign_refuses_signatures_and_keeps_its_list(
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
def test_unknown_slug_is_reported_in_one_line(runner: FlaskCliRunner, campaign: Campaign, command: list[str]) -> None:
    answer = runner.invoke(args=[*command, "missing", *(["5"] if command[1] == "fake" else [])])
    assert answer.exit_code == 1
    assert answer.output.startswith("Error: there is no campaign 'missing'. ")
    assert answer.output.count("\n") == 1


def test_check_verifies_the_count_of_one_or_all_campaigns(runner: FlaskCliRunner, publish: Publish, sign: Sign) -> None:
    sign()
    publish(slug="other")
    one = runner.invoke(args=["campaigns", "check", SLUG])
    lines = [f"{SLUG}: tally 1, signatures 1: right", f"{SLUG}: statistics of 0 signatures: right"]
    assert (one.exit_code, one.output.splitlines()) == (0, lines)
    every = runner.invoke(args=["campaigns", "check"])
    assert every.exit_code == 0
    assert set(every.output.splitlines()) == {
        f"{SLUG}: tally 1, signatures 1: right",
        f"{SLUG}: statistics of 0 signatures: right",
        "other: tally 0, signatures 0: right",
        "other: statistics of 0 signatures: right",
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


@pytest.mark.slow
def test_missing_tally_does_not_prevent_signing(client: FlaskClient, runner: FlaskCliRunner, sign: Sign) -> None:
    sign()
    with write_transaction() as session:
        session.execute(delete(Tally))
    for number in range(40):
        assert sign(email=f"more-{number}@example.org").status_code == 303
    assert count(client) == 40
    runner.invoke(args=["campaigns", "check", "--repair"])
    assert count(client) == 41


def test_check_counts_only_public_signatures(runner: FlaskCliRunner, sign: Sign) -> None:
    sign()
    with write_transaction() as session:
        session.execute(update(Signature).values(state=SignatureState.REMOVED, listed_at=None))
    assert f"{SLUG}: tally 1, signatures 0: WRONG" in runner.invoke(args=["campaigns", "check"]).output


def test_export_has_all_fields_oldest_first(runner: FlaskCliRunner, sign: Sign) -> None:
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
        "language": "en",
        "signed_at": stored()[0].signed_at.isoformat(),
    }
    assert (second["name"], second["email"]) == ("Grace Hopper", "Grace.Hopper+park@example.org")
    assert (second["anonymous"], second["wants_updates"]) == ("yes", "no")
    assert datetime.fromisoformat(first["signed_at"]).utcoffset() == timedelta(0)


def test_export_without_signatures_has_only_a_header(runner: FlaskCliRunner, campaign: Campaign) -> None:
    answer = runner.invoke(args=["signatures", "export", SLUG])
    assert answer.stdout_bytes == (
        b"name,email,country,region,city,postal_code,wants_updates,source,language,signed_at,anonymous\r\n"
    )


def test_export_begins_with_a_byte_order_mark_only_on_request(runner: FlaskCliRunner, sign: Sign) -> None:
    sign(name="Zoë")
    plain, for_excel = (
        runner.invoke(args=["signatures", "export", SLUG, *options]).stdout_bytes for options in ([], ["--bom"])
    )
    assert plain.startswith(b"name,")
    assert for_excel == b"\xef\xbb\xbf" + plain


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "=HYPERLINK(1)", "=1,2", '="a"', " =1", "＝1+1"])
def test_formulas_in_an_export_are_neutralized(runner: FlaskCliRunner, sign: Sign, formula: str) -> None:
    # The form refuses a place with an @, but an older or imported signature may have one.
    sign()
    with write_transaction() as session:
        session.execute(update(Signature).values(city=formula, name=formula, postal_code=formula, email=formula))
    (row,) = exported(runner)
    for key in ("name", "email", "city", "postal_code"):
        assert row[key] == f"'{formula}"


def test_formula_after_a_semicolon_is_neutralized(runner: FlaskCliRunner, sign: Sign) -> None:
    sign(city="Paris;=cmd")
    assert exported(runner)[0]["city"] == "Paris;'=cmd"


def test_commas_quotes_and_line_breaks_stay_in_their_cell(runner: FlaskCliRunner, sign: Sign) -> None:
    sign()
    with write_transaction() as session:
        session.execute(update(Signature).values(name='Ada, "the\nfirst"'))
    assert [row["name"] for row in exported(runner)] == ['Ada, "the\nfirst"']


def test_export_has_only_counted_signatures(runner: FlaskCliRunner, sign: Sign) -> None:
    for name, state in (("Ada", "withdrawn"), ("Ben", "removed"), ("Cem", "pending"), ("Dora", "public")):
        sign(name=name, email=f"{name}@example.org")
        with write_transaction() as session:
            session.execute(update(Signature).where(Signature.name == name).values(state=SignatureState(state)))
    assert [row["name"] for row in exported(runner)] == ["Dora"]


def test_fake_signatures_are_counted_listed_and_unique(client: FlaskClient, runner: FlaskCliRunner, sign: Sign) -> None:
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
def test_invalid_number_of_fake_signatures_is_refused(runner: FlaskCliRunner, campaign: Campaign, number: str) -> None:
    assert runner.invoke(args=["signatures", "fake", SLUG, number]).exit_code == 2


@pytest.mark.slow
def test_fake_shows_its_progress_on_a_terminal(campaign: Campaign, settings: Settings) -> None:
    ours, terminal = pty.openpty()
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "signatures", "fake", SLUG, "100"]
    environ = {**os.environ, "DATABASE_URL": settings.database_url}
    subprocess.run(command, cwd=ROOT, env=environ, stdout=terminal, stderr=terminal, check=True)
    os.close(terminal)
    written = os.read(ours, 4096).decode()
    os.close(ours)
    assert f"Adding fake signatures to {SLUG}" in written
    assert "100%" in written


@pytest.mark.slow
def test_prepare_publishes_the_sample_if_there_are_no_campaigns(client: FlaskClient, runner: FlaskCliRunner) -> None:
    downgrade(revision="base")
    answer = runner.invoke(args=["prepare"])
    assert (answer.exit_code, answer.output) == (0, "published end-ring-police-partnerships\n")
    assert client.get("/").headers["Location"] == "/campaigns/end-ring-police-partnerships"


@pytest.mark.slow
def test_prepare_does_not_change_existing_campaigns(client: FlaskClient, runner: FlaskCliRunner, sign: Sign) -> None:
    sign()
    runner.invoke(args=["campaigns", "close", SLUG])
    answer = runner.invoke(args=["prepare"])
    assert (answer.exit_code, answer.output) == (0, "")
    assert [campaign.state for campaign in db.session.scalars(select(Campaign))] == [CampaignState.CLOSED]
    assert [signature.email for signature in stored()] == [ADA["email"]]


@pytest.mark.slow
def test_command_without_tables_suggests_flask_prepare(app: Flask, runner: FlaskCliRunner) -> None:
    downgrade(revision="base")
    answer = runner.invoke(args=["campaigns", "list"])
    assert answer.exit_code == 1
    assert re.fullmatch(
        r"Error: can't use the database: .*campaign.*\. Have you run `flask prepare`\?\n", answer.output
    )


@pytest.mark.parametrize("command", [["prepare"], ["campaigns", "list"]], ids=" ".join)
def test_unusable_database_is_reported_in_one_line(tmp_path: Path, command: list[str]) -> None:
    app = create_app(replace(Settings.from_environ({}, tmp_path), database_url=f"sqlite:///{tmp_path}"))
    answer = app.test_cli_runner().invoke(args=command)
    assert answer.exit_code == 1
    assert answer.output.startswith(f"Error: can't use the database: unable to open database file: {tmp_path}; ")
    assert answer.output.count("\n") == 1


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_requests_have_short_statements_without_jit_and_all_have_an_idle_timeout(settings: Settings) -> None:
    def shown(engine: Engine) -> list[str]:
        with engine.connect() as connection:
            names = ("statement_timeout", "jit", "idle_in_transaction_session_timeout")
            values = [str(connection.scalar(text(f"SHOW {name}"))) for name in names]
        engine.dispose()
        return values

    with create_app(settings).app_context():
        assert shown(db.engine) == ["8s", "off", "30s"]
    with click.Context(click.Command("work")), create_app(settings).app_context():
        assert shown(db.engine) == ["0", "on", "30s"]
    assert shown(making.connect(settings.database_url)) == ["0", "on", "30s"], "a process that makes a file"


@pytest.mark.parametrize("command", [["signatures", "export", SLUG], ["campaigns", "check"]], ids=" ".join)
def test_command_that_reads_all_signatures_holds_no_idle_transaction(
    runner: FlaskCliRunner, sign: Sign, command: list[str]
) -> None:
    sign()
    open_connections = []

    def note(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "FROM signature" in statement:
            open_connections.append(connection.engine.pool.checkedout())  # type: ignore[attr-defined]

    event.listen(db.engine, "before_cursor_execute", note)
    assert runner.invoke(args=command).exit_code == 0
    assert set(open_connections) == {1}
