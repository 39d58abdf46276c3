"""What docs/operate.md says to do for backup, restore and moving, done just as it stands there, while people sign."""

import os
import re
import secrets
import sqlite3
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import URL, Engine, event, make_url

from campaign import exports
from campaign.extensions import db
from campaign.settings import ROOT, Settings
from tests.conftest import ADA, HTMX, PATH, SLUG, Serve, Sign, only_sqlite, run_on
from tests.services import Node

COMMANDS = dict(re.findall(r"^```sh ([\w-]+)\n(.*?)^```$", (ROOT / "docs/operate.md").read_text(), re.M | re.S))
"""The document's blocks that have a name, by it."""


class Shell:
    """The shell of the site's own user, as the document sets it up."""

    def __init__(self, settings: Settings) -> None:
        self.backups = settings.instance / "backups"
        self.backups.mkdir()
        # As an operator writes it; the driver is our own affair.
        url = settings.database_url.replace("+psycopg", "")
        self.environ = {**os.environ, "DATABASE_URL": url, "BACKUPS": str(self.backups)}

    def run(self, commands: str) -> str:
        """What the commands write; an error stops them and the test."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def shell(settings: Settings) -> Shell:
    return Shell(settings)


def kind(settings: Settings) -> str:
    """As the document's blocks call the database."""
    return make_url(settings.database_url).get_backend_name()


def sign_at(node: Node, email: str) -> int:
    form = urlencode(ADA | {"email": email}).encode()
    request = urllib.request.Request(f"{node.url}{PATH}/signatures", form, HTMX)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.status)


def counted(said: str) -> int:
    """The count of the campaign, which must be right."""
    found = re.search(rf"^{SLUG}: tally (\d+), signatures \1: right$", said, re.M)
    assert found, said
    return int(found[1])


def test_a_copy_made_while_people_sign_has_all_that_were_thanked_before(
    start_node: Serve, shell: Shell, settings: Settings
) -> None:
    node, thanked, enough = start_node(), [0], threading.Event()

    def sign_on() -> None:
        while not enough.is_set():
            assert sign_at(node, f"{thanked[0]}@example.org") == 200
            thanked[0] += 1

    crowd = threading.Thread(target=sign_on)
    crowd.start()
    try:
        while thanked[0] < 20:
            assert crowd.is_alive()
            time.sleep(0.05)
        before = thanked[0]
        copy = Path(shell.run(COMMANDS["backup"]).strip())
        during = thanked[0]
    finally:
        enough.set()
        crowd.join()
    assert copy.stat().st_mode & 0o077 == 0, "a copy holds mailboxes"
    assert during > before, "signing went on"
    restored = counted(shell.run(COMMANDS[f"{kind(settings)}-trial"]))
    assert before <= restored <= during + 1
    # A trial leaves nothing, and the site as it is.
    assert list(shell.backups.iterdir()) == [copy]
    assert counted(shell.run(".venv/bin/flask campaigns check")) == thanked[0]


@pytest.fixture
def restored_database(settings: Settings) -> Iterator[str]:
    """Where the document restores to; gone afterwards."""
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        yield settings.database_url
        return
    yield url.set(database="campaign_restored").render_as_string(hide_password=False)
    run_on(url.set(database="postgres"), "DROP DATABASE IF EXISTS campaign_restored WITH (FORCE)")


def test_what_a_broken_database_has_lost_is_back_after_a_restore_and_people_sign_on(
    start_node: Serve, shell: Shell, settings: Settings, restored_database: str
) -> None:
    node = start_node()
    for number in range(5):
        sign_at(node, f"{number}@example.org")
    export = f".venv/bin/flask signatures export {SLUG}"
    before = shell.run(export)
    shell.run(COMMANDS["backup"])
    sign_at(node, "later@example.org")
    node.stop()

    assert counted(shell.run(COMMANDS[f"{kind(settings)}-restore"])) == 5
    shell.environ["DATABASE_URL"] = restored_database
    assert shell.run(export) == before
    node.environ["DATABASE_URL"] = restored_database
    node.start()
    assert sign_at(node, "later@example.org") == 200
    assert counted(shell.run(".venv/bin/flask campaigns check")) == 6
    node.stop()


@only_sqlite
def test_a_site_that_has_outgrown_its_machine_moves_to_postgresql_with_every_signature(
    start_node: Serve, shell: Shell, sign: Sign, postgresql: URL
) -> None:
    for number in range(20):
        sign(email=f"{number}@example.org", name="Zoë" if number % 2 else "Ada", anonymous="y" if number % 3 else "")
    name = f"moved_{secrets.token_hex(8)}"
    run_on(postgresql, f"CREATE DATABASE {name}")
    url = postgresql.set(drivername="postgresql", database=name).render_as_string()
    theirs = "postgresql://campaign:PASSWORD@10.0.0.2/campaign"
    assert theirs in COMMANDS["move"]
    export = f".venv/bin/flask signatures export {SLUG}; .venv/bin/flask campaigns list"
    before = shell.run(export)
    assert counted(shell.run(COMMANDS["move"].replace(theirs, url))) == 20
    shell.environ["DATABASE_URL"] = url
    assert shell.run(export) == before

    node = start_node(DATABASE_URL=url)
    assert [sign_at(node, f"{number}@example.org") for number in range(18, 25)] == [200] * 7
    assert counted(shell.run(".venv/bin/flask campaigns check")) == 25
    node.stop()
    run_on(postgresql, f"DROP DATABASE {name} WITH (FORCE)")


def test_files_that_were_made_move_too_and_no_more_than_ten_megabytes_of_them_at_once(
    app: Flask, runner: FlaskCliRunner, empty_sqlite: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source.sqlite"
    source.write_bytes(empty_sqlite.read_bytes())
    now = "2027-03-01 09:00:00.000000"
    with sqlite3.connect(source) as connection:
        connection.execute(
            "INSERT INTO account (id, email, name, role, active, created_at, fs_uniquifier) "
            f"VALUES (1, 'a@example.org', '', 'admin', 1, '{now}', 'a')"
        )
        connection.execute(
            "INSERT INTO campaign SELECT 1, 's', 't', 'c', 's', 'a', 'l', 't', 's', '', '', 1, 'en', 'draft', "
            f"NULL, NULL, '{now}', '{now}', 0, 'UTC', '', '', 0, 1"
        )
        connection.execute(
            "INSERT INTO export VALUES "
            f"(1, 1, 1, 'csv', '{{}}', 'ready', 0, 0, 25, '{now}', '{now}', '2099-01-01 00:00:00.000000', 0, '')"
        )
        connection.executemany("INSERT INTO export_chunk VALUES (1, ?, x'41')", [(number,) for number in range(25)])
    connection.close()
    held: list[int] = []

    def note(_: object, _cursor: object, statement: str, parameters: object, *_more: object) -> None:
        if statement.startswith("INSERT INTO export_chunk"):
            held.append(len(parameters) if isinstance(parameters, list) else 1)

    event.listen(Engine, "before_cursor_execute", note)
    said = runner.invoke(args=["copy-from", str(source)])
    event.remove(Engine, "before_cursor_execute", note)
    assert said.exit_code == 0, said.output
    assert b"".join(exports.chunks(db.engine, 1)) == b"A" * 25
    assert max(held) <= 10
    assert sum(held) == 25


def test_nothing_is_copied_over_what_is_there(
    runner: FlaskCliRunner, sign: Sign, empty_sqlite: Path, tmp_path: Path
) -> None:
    sign()
    said = runner.invoke(args=["copy-from", str(empty_sqlite)])
    assert said.exit_code == 1
    assert said.output == ("Error: this database has campaigns already; a file can only be copied into an empty one\n")


def test_a_file_of_another_version_is_not_copied(runner: FlaskCliRunner, empty_sqlite: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite"
    old.write_bytes(empty_sqlite.read_bytes())
    with sqlite3.connect(old) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()
    said = runner.invoke(args=["copy-from", str(old)])
    assert said.exit_code == 1
    assert said.output.startswith("Error: the file is of version 0000, this database is of ")
    assert "campaign: 0 rows" in runner.invoke(args=["copy-from", str(empty_sqlite)]).output
