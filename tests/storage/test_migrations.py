"""Migrations create the tables of the models, from any version, while the site is in use."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, select, text

from campaign.deliveries import queue
from campaign.models.campaign import Campaign
from campaign.models.export import Export, ExportState
from campaign.models.signature import described_here
from campaign.moderation import table as signature_table
from campaign.moderation.table import Filter
from campaign.settings import ROOT, Settings
from campaign.signatures import tally
from campaign.storage.database import db
from campaign.storage.transactions import turn_to_write
from tests.conftest import PATH, Sign, only_sqlite, stored
from tests.moderation.signatures import index_all


def test_migrations_create_the_tables_of_the_models(app: Flask) -> None:
    with db.engine.connect() as connection:
        options = {"compare_type": True, "include_name": described_here}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, db.metadata) == []


@pytest.mark.slow
def test_migrations_go_down_and_up_again(app: Flask) -> None:
    downgrade(revision="base")
    assert inspect(db.engine).get_table_names() == ["alembic_version"]
    upgrade()
    assert {"campaign", "signature", "tally"} <= set(inspect(db.engine).get_table_names())


@pytest.mark.slow
def test_downgrade_to_the_first_version_and_upgrade_keep_signatures(
    app: Flask, campaign: Campaign, sign: Sign, client: FlaskClient
) -> None:
    sign()
    downgrade(revision="0001")
    upgrade()
    page = client.get(f"{PATH}/signatures").text
    assert "Ada Lovelace" in page
    assert tally.check(db.session(), campaign.id) == tally.Check(1, 1)
    # The search index is rebuilt from the signatures. On SQLite, the worker does that.
    index_all()
    assert len(signature_table.page(db.session(), campaign.id, Filter(words="love")).entries) == 1


@pytest.mark.slow
def test_upgrade_lets_removed_and_withdrawn_signatures_release_their_mailboxes(
    app: Flask, campaign: Campaign, sign: Sign
) -> None:
    names = ("listed", "removed", "withdrawn", "pending")
    for name in names:
        sign(name=name, email=f"{name}@example.org")
    downgrade(revision="0007")
    with db.engine.begin() as connection:
        gone = "UPDATE signature SET state = name, listed_at = NULL WHERE name <> 'listed'"
        connection.execute(text(gone))
        connection.execute(text("UPDATE tally SET count = 0"))
        connection.execute(text("UPDATE tally SET count = 1 WHERE slot = (SELECT min(slot) FROM tally)"))
    upgrade()
    for name in names:
        sign(name=f"{name} again", email=f"{name}@example.org")
    assert [each.name for each in stored()] == [*names, "removed again", "withdrawn again"]
    assert tally.check(db.session(), campaign.id) == tally.Check(3, 3)
    db.session.rollback()
    # Of each mailbox, one signature keeps it in the previous version.
    for _ in range(2):
        downgrade(revision="0007")
        upgrade()
        assert tally.check(db.session(), campaign.id) == tally.Check(3, 3)
        keys = [each.email_key for each in stored()]
        # The previous version can't confirm a pending signature, so the downgrade deletes it.
        assert [" " in key for key in keys] == [False, True, True, False, False]
        assert len({*keys}) == 5
        db.session.rollback()


def test_upgrade_leaves_an_export_to_the_process_that_makes_it(app: Flask, campaign: Campaign) -> None:
    downgrade(revision="0013")
    at = "'2020-03-01 09:00:00.000000'"
    with db.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO account (id, email, name, role, active, created_at, fs_uniquifier) "
            f"VALUES (1, 'a@example.org', '', 'admin', true, {at}, 'a')"
        )
        connection.exec_driver_sql(
            "INSERT INTO export (campaign_id, account_id, kind, options, state, done, total, bytes, asked_at, "
            "touched_at, expires_at, spelled_out, fault) "
            f"VALUES ({campaign.id}, 1, 'csv', '{{}}', 'making', 0, 0, 0, {at}, {at}, {at}, 0, '')"
        )
    upgrade()
    assert db.session.scalars(select(Export.state)).all() == [ExportState.MAKING]
    db.session.rollback()
    assert queue.take(db.engine, "worker"), "it is silent"


@pytest.mark.slow
def test_signing_succeeds_during_an_upgrade(app: Flask, settings: Settings, campaign: Campaign) -> None:
    downgrade(revision="0001")
    with db.engine.execution_options(writes=True).connect() as signer:
        # Storing a signature takes locks in this order: its table, the campaign that it refers to, the tally.
        if signer.dialect.name == "postgresql":
            signer.execute(text("LOCK TABLE signature IN ROW EXCLUSIVE MODE"))
        node = _prepare(settings)
        if signer.dialect.name == "postgresql":
            _wait_for_waiting(1)
        signer.execute(text("SELECT id FROM campaign"))
        signer.execute(text("UPDATE tally SET count = count"))
        signer.commit()
    output = node.communicate(timeout=60)[0]
    assert (node.returncode, output) == (0, "")


@only_sqlite
@pytest.mark.slow
def test_migration_waits_for_its_turn_to_write(app: Flask) -> None:
    with ThreadPoolExecutor(1) as other, turn_to_write(db.engine):
        migration = other.submit(copy_context().run, upgrade)
        assert wait([migration], timeout=0.5).not_done
    migration.result()


REVISIONS = [script.revision for script in ScriptDirectory(ROOT / "migrations").walk_revisions()]


@pytest.mark.slow
def test_database_of_any_version_can_be_upgraded(app: Flask) -> None:
    for revision in REVISIONS:
        downgrade(revision=revision)
        upgrade()
        with db.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_name": described_here})
            assert context.get_current_revision() == REVISIONS[0]
            assert compare_metadata(context, db.metadata) == [], revision


@pytest.mark.slow
@pytest.mark.parametrize("revision", [REVISIONS[0], REVISIONS[len(REVISIONS) // 2], REVISIONS[-1]])
def test_prepared_database_takes_signatures(app: Flask, settings: Settings, revision: str) -> None:
    downgrade(revision="base")
    upgrade(revision=revision)
    done = _prepare(settings)
    assert done.communicate(timeout=60)[0] == "published end-ring-police-partnerships\n"
    campaign = db.session.scalars(select(Campaign)).one()
    form = {"name": "Ada Lovelace", "email": "ada@example.org", "country": "US"}
    answer = app.test_client().post(f"/campaigns/{campaign.slug}/signatures", data=form)
    assert "Ada Lovelace" in app.test_client().get(answer.location).text


@pytest.mark.slow
def test_nodes_that_start_together_migrate_and_publish_the_sample_once(app: Flask, settings: Settings) -> None:
    downgrade(revision="base")
    with db.engine.execution_options(writes=True).connect() as first:
        # This transaction blocks all nodes. When it is rolled back, they continue at the same moment.
        first.execute(text("DROP TABLE alembic_version"))
        first.commit()
        first.execute(text("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"))
        nodes = [_prepare(settings) for _ in range(4)]
        if first.dialect.name == "postgresql":
            _wait_for_waiting(4)
        first.rollback()
    output = [node.communicate(timeout=60)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0] * 4, output
    assert sorted(output) == [""] * 3 + ["published end-ring-police-partnerships\n"]


def _prepare(settings: Settings) -> subprocess.Popen[str]:
    environ = {**os.environ, "DATABASE_URL": settings.database_url}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "prepare"]
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _wait_for_waiting(number: int) -> None:
    """Return once this number of sessions of the PostgreSQL database wait for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 120
    with db.engine.connect() as looking:
        while looking.execute(waiting).scalar_one() < number:
            assert time.monotonic() < deadline, "nobody waits"
            looking.rollback()
            time.sleep(0.05)
