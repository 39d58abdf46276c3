"""The database that migrations make is the one that the models describe."""

import os
import subprocess
import sys

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect

from campaign.extensions import db
from campaign.settings import ROOT, Settings


def test_models_and_migrations_have_not_drifted_apart(app: Flask) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []


def test_migrations_go_down_and_up_again(app: Flask) -> None:
    downgrade(revision="base")
    assert inspect(db.engine).get_table_names() == ["alembic_version"]
    upgrade()
    assert {"campaign", "signature", "tally"} <= set(inspect(db.engine).get_table_names())


def test_nodes_that_start_together_migrate_once_and_publish_the_sample_once(app: Flask, settings: Settings) -> None:
    downgrade(revision="base")
    environ = {**os.environ, "DATABASE_URL": settings.database_url}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "prepare"]
    nodes = [
        subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(6)
    ]
    said = [node.communicate(timeout=60)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0] * 6, said
    assert sorted(said) == [""] * 5 + ["published end-ring-police-partnerships\n"]
