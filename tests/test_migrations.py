"""The database that migrations make is the one that the models describe."""

import os
import subprocess
import sys
import time

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, select, text

from campaign import signature_table, tally
from campaign.extensions import db
from campaign.models import Campaign, described_here
from campaign.settings import ROOT, Settings
from campaign.signature_table import Filter
from tests.conftest import PATH, Sign


def test_models_and_migrations_have_not_drifted_apart(app: Flask) -> None:
    with db.engine.connect() as connection:
        options = {"compare_type": True, "include_name": described_here}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, db.metadata) == []


def test_migrations_go_down_and_up_again(app: Flask) -> None:
    downgrade(revision="base")
    assert inspect(db.engine).get_table_names() == ["alembic_version"]
    upgrade()
    assert {"campaign", "signature", "tally"} <= set(inspect(db.engine).get_table_names())


def test_going_down_to_the_first_version_and_up_again_loses_no_signature(
    app: Flask, campaign: Campaign, sign: Sign, client: FlaskClient
) -> None:
    sign()
    downgrade(revision="0001")
    upgrade()
    page = client.get(f"{PATH}/signatures").text
    assert "Ada Lovelace" in page
    assert tally.check(db.session(), campaign.id) == tally.Check(1, 1)
    # Searched for, she is found: the index is made anew of who is there.
    assert len(signature_table.page(db.session(), campaign.id, Filter(words="love")).entries) == 1


def test_who_signs_while_a_database_is_brought_to_this_version_is_not_refused(
    app: Flask, settings: Settings, campaign: Campaign
) -> None:
    downgrade(revision="0001")
    with db.engine.execution_options(writes=True).connect() as signer:
        # As a signature is stored: first its row, then what that refers to, then the tally.
        if signer.dialect.name == "postgresql":
            signer.execute(text("LOCK TABLE signature IN ROW EXCLUSIVE MODE"))
        node = _prepare(settings)
        if signer.dialect.name == "postgresql":
            _wait_for_waiting(1)
        signer.execute(text("SELECT id FROM campaign"))
        signer.execute(text("UPDATE tally SET count = count"))
        signer.commit()
    said = node.communicate(timeout=60)[0]
    assert (node.returncode, said) == (0, "")


REVISIONS = [script.revision for script in ScriptDirectory(ROOT / "migrations").walk_revisions()]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_of_any_version_can_be_brought_to_this_one(app: Flask, settings: Settings, revision: str) -> None:
    downgrade(revision="base")
    upgrade(revision=revision)
    done = _prepare(settings)
    assert done.communicate(timeout=60)[0] == "published end-ring-police-partnerships\n"
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": described_here})
        assert context.get_current_revision() == REVISIONS[0]
        assert compare_metadata(context, db.metadata) == []
    campaign = db.session.scalars(select(Campaign)).one()
    form = {"name": "Ada Lovelace", "email": "ada@example.org", "country": "US"}
    answer = app.test_client().post(f"/campaigns/{campaign.slug}/signatures", data=form)
    assert "Ada Lovelace" in app.test_client().get(answer.location).text


def test_nodes_that_start_together_migrate_once_and_publish_the_sample_once(app: Flask, settings: Settings) -> None:
    downgrade(revision="base")
    with db.engine.execution_options(writes=True).connect() as first:
        # What is in the way of all of them; when it goes, they go on at the same moment.
        first.execute(text("DROP TABLE alembic_version"))
        first.commit()
        first.execute(text("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"))
        nodes = [_prepare(settings) for _ in range(6)]
        if first.dialect.name == "postgresql":
            _wait_for_waiting(6)
        first.rollback()
    said = [node.communicate(timeout=60)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0] * 6, said
    assert sorted(said) == [""] * 5 + ["published end-ring-police-partnerships\n"]


def _prepare(settings: Settings) -> subprocess.Popen[str]:
    environ = {**os.environ, "DATABASE_URL": settings.database_url}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "prepare"]
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _wait_for_waiting(number: int) -> None:
    """Until that many sessions of this PostgreSQL database wait for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 30
    with db.engine.connect() as looking:
        while looking.execute(waiting).scalar_one() < number:
            assert time.monotonic() < deadline, "nobody waits"
            looking.rollback()
            time.sleep(0.05)
