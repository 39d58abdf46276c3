"""The commands for backup, restore, and moving, run exactly as docs/operate.md prints them, while people sign."""

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

from campaign.deliveries import exports
from campaign.settings import ROOT, Settings
from campaign.storage.database import db
from tests.conftest import ADA, HTMX, PATH, SLUG, Serve, Sign, only_sqlite, run_on
from tests.services import Node

COMMANDS = dict(re.findall(r"^```sh ([\w-]+)\n(.*?)^```$", (ROOT / "docs/operate.md").read_text(), re.M | re.S))
"""The named code blocks of the guide, by name."""


class Shell:
    """The shell of the site's user, as the guide sets it up."""

    def __init__(self, settings: Settings) -> None:
        self.backups = settings.instance / "backups"
        self.backups.mkdir()
        # Operators write the URL without the driver.
        url = settings.database_url.replace("+psycopg", "")
        self.environ = {**os.environ, "DATABASE_URL": url, "BACKUPS": str(self.backups)}

    def run(self, commands: str) -> str:
        """Run commands and return their output; an error stops them and fails the test."""
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
    """Return the kind of database, with which the names of the guide's blocks begin: sqlite or postgresql."""
    return make_url(settings.database_url).get_backend_name()


def sign_at(node: Node, email: str) -> int:
    form = urlencode(ADA | {"email": email}).encode()
    request = urllib.request.Request(f"{node.url}{PATH}/signatures", form, HTMX)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.status)


def counted(output: str) -> int:
    """Return the campaign's count from the output of `campaigns check`, which must call it right."""
    found = re.search(rf"^{SLUG}: tally (\d+), signatures \1: right$", output, re.M)
    assert found, output
    return int(found[1])


def test_backup_while_people_sign_contains_all_signatures_thanked_before(
    start_node: Serve, shell: Shell, settings: Settings
) -> None:
    node, thanked, stop = start_node(), [0], threading.Event()

    def keep_signing() -> None:
        while not stop.is_set():
            assert sign_at(node, f"{thanked[0]}@example.org") == 200
            thanked[0] += 1

    crowd = threading.Thread(target=keep_signing)
    crowd.start()
    try:
        while thanked[0] < 20:
            assert crowd.is_alive()
            time.sleep(0.05)
        before = thanked[0]
        backup = Path(shell.run(COMMANDS["backup"]).strip())
        during = thanked[0]
    finally:
        stop.set()
        crowd.join()
    assert backup.stat().st_mode & 0o077 == 0, "only its owner may read a backup, which contains email addresses"
    assert during > before, "signing continued"
    restored = counted(shell.run(COMMANDS[f"{kind(settings)}-trial"]))
    assert before <= restored <= during + 1
    # The trial leaves no files behind, and doesn't change the site.
    assert list(shell.backups.iterdir()) == [backup]
    assert counted(shell.run(".venv/bin/flask campaigns check")) == thanked[0]


@pytest.fixture
def restored_database(settings: Settings) -> Iterator[str]:
    """Return the URL of the database that the guide restores to; drop it after the test."""
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        yield settings.database_url
        return
    yield url.set(database="campaign_restored").render_as_string(hide_password=False)
    run_on(url.set(database="postgres"), "DROP DATABASE IF EXISTS campaign_restored WITH (FORCE)")


def test_restore_brings_back_every_signature_of_the_backup_and_signing_works(
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
def test_moving_to_postgresql_keeps_every_signature(
    start_node: Serve, shell: Shell, sign: Sign, postgresql: URL
) -> None:
    for number in range(20):
        sign(email=f"{number}@example.org", name="Zoë" if number % 2 else "Ada", anonymous="y" if number % 3 else "")
    name = f"moved_{secrets.token_hex(8)}"
    run_on(postgresql, f"CREATE DATABASE {name}")
    url = postgresql.set(drivername="postgresql", database=name).render_as_string()
    example = "postgresql://campaign:PASSWORD@10.0.0.2/campaign"
    assert example in COMMANDS["move"]
    export = f".venv/bin/flask signatures export {SLUG}; .venv/bin/flask campaigns list"
    before = shell.run(export)
    assert counted(shell.run(COMMANDS["move"].replace(example, url))) == 20
    shell.environ["DATABASE_URL"] = url
    assert shell.run(export) == before

    node = start_node(DATABASE_URL=url)
    assert [sign_at(node, f"{number}@example.org") for number in range(18, 25)] == [200] * 7
    assert counted(shell.run(".venv/bin/flask campaigns check")) == 25
    node.stop()
    run_on(postgresql, f"DROP DATABASE {name} WITH (FORCE)")


def test_copy_from_copies_exports_at_most_ten_chunks_at_a_time(
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
            f"NULL, NULL, '{now}', '{now}', 0, 'UTC', '', '', 0, 1, NULL, NULL, 0, 0, NULL, NULL"
        )
        connection.execute(
            "INSERT INTO export VALUES "
            f"(1, 1, 1, 'csv', '{{}}', 'ready', 0, 0, 25, '{now}', '{now}', '2099-01-01 00:00:00.000000', 0, '', '', 0)"
        )
        connection.executemany("INSERT INTO export_chunk VALUES (1, ?, x'41')", [(number,) for number in range(25)])
    connection.close()
    batches: list[int] = []

    def record_batch(_: object, _cursor: object, statement: str, parameters: object, *_more: object) -> None:
        if statement.startswith("INSERT INTO export_chunk"):
            batches.append(len(parameters) if isinstance(parameters, list) else 1)

    event.listen(Engine, "before_cursor_execute", record_batch)
    result = runner.invoke(args=["copy-from", str(source)])
    event.remove(Engine, "before_cursor_execute", record_batch)
    assert result.exit_code == 0, result.output
    assert b"".join(exports.chunks(db.engine, 1)) == b"A" * 25
    assert max(batches) <= 10
    assert sum(batches) == 25


def test_copy_from_refuses_a_database_that_has_campaigns(
    runner: FlaskCliRunner, sign: Sign, empty_sqlite: Path, tmp_path: Path
) -> None:
    sign()
    result = runner.invoke(args=["copy-from", str(empty_sqlite)])
    assert result.exit_code == 1
    assert result.output == "Error: this database already has campaigns. Copy the file to an empty database.\n"


@pytest.mark.slow
def test_copy_from_refuses_a_file_of_another_version(
    runner: FlaskCliRunner, empty_sqlite: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old.sqlite"
    old.write_bytes(empty_sqlite.read_bytes())
    with sqlite3.connect(old) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()
    result = runner.invoke(args=["copy-from", str(old)])
    assert result.exit_code == 1
    assert result.output.startswith("Error: the file has version 0000, but this database has version ")
    assert "campaign: 0 rows" in runner.invoke(args=["copy-from", str(empty_sqlite)]).output
