"""What every test stands on: a real app on a real SQLite file, a campaign, and a real gunicorn where one is needed."""

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import Context
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from flask_migrate import upgrade
from jinja2 import BytecodeCache, FileSystemBytecodeCache
from sqlalchemy import URL, NullPool, create_engine, make_url, select
from werkzeug.test import TestResponse

from campaign import create_app, editing, once, record
from campaign.campaign_keys import CampaignFile
from campaign.extensions import db, init_migrations, write_transaction
from campaign.models import Campaign, CampaignState, Signature
from campaign.settings import Settings
from tests import services

SLUG = "save-the-park"
PATH = f"/campaigns/{SLUG}"
FILE = CampaignFile(
    slug=SLUG,
    title="Save the Park",
    category="Environment",
    summary="The council wants to sell it.",
    addressees="The Mayor\nThe Council",
    goal=100,
    thanks="You did a good thing.",
    share_text="I signed for the park.",
    donate_url="https://donate.example/park",
    donate_text="We live from donations.",
    language="en",
    opens_at=None,
    closes_at=None,
    letter="Dear Mayor,\n\nplease *keep* the park.",
)
ADA = {
    "name": "Ada Lovelace",
    "email": "ada@example.org",
    "country": "US",
    "postal_code": "90012",
    "city": "",
    "region": "",
}
HTMX = {"HX-Request": "true"}
SECRET_KEY = secrets.token_hex(32)
"""Of all sites of a process, so that a cookie is good in the next."""
DOMAIN = "petitions.example.org"
"""As in the files of deploy/."""

Publish = Callable[..., Campaign]
Sign = Callable[..., TestResponse]


def migrate(settings: Settings) -> None:
    app = create_app(settings)
    init_migrations(app)
    with app.app_context():
        upgrade()
        db.engine.dispose()


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with tables and no rows, to be copied."""
    settings = Settings.from_environ({}, tmp_path_factory.mktemp("empty"))
    migrate(settings)
    return settings.instance / "campaign.sqlite"


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """A PostgreSQL server whose database `empty` has tables and no rows, to be copied."""
    with services.postgresql() as service:
        server = make_url(service.url)
        run_on(server, "CREATE DATABASE empty")
        empty = {"DATABASE_URL": server.set(database="empty").render_as_string()}
        migrate(Settings.from_environ(empty, tmp_path_factory.mktemp("empty")))
        yield server


def run_on(server: URL, statement: str) -> None:
    """Run what can't be in a transaction, such as CREATE DATABASE."""
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)


@pytest.fixture
def redis() -> Iterator[services.Service]:
    """A Redis server of the test's own, which it may kill and start again."""
    with services.redis() as service:
        yield service


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with tables and no rows; every test that has one runs on both kinds."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("empty_sqlite"), tmp_path / "campaign.sqlite")
        yield f"sqlite:///{tmp_path / 'campaign.sqlite'}"
        return
    server, name = request.getfixturevalue("postgresql"), f"test_{secrets.token_hex(8)}"
    run_on(server, f"CREATE DATABASE {name} TEMPLATE empty")
    yield server.set(database=name).render_as_string()
    run_on(server, f"DROP DATABASE {name} WITH (FORCE)")


only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""Marks a test of what only SQLite has, such as its file."""


@pytest.fixture
def settings(tmp_path: Path, database: str) -> Settings:
    return Settings.from_environ({"DATABASE_URL": database, "SECRET_KEY": SECRET_KEY}, tmp_path)


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> BytecodeCache:
    """Templates are the same for every test; to compile them took a tenth of all."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(settings: Settings, monkeypatch: pytest.MonkeyPatch, compiled_templates: BytecodeCache) -> Iterator[Flask]:
    # A test looks right after it has done something; test_feed.py tests that the feed is kept for a second.
    monkeypatch.setattr(once, "tick", count().__next__)
    monkeypatch.setitem(Flask.jinja_options, "bytecode_cache", compiled_templates)
    app = create_app(settings)
    init_migrations(app)
    app.test_client_class, app.test_cli_runner_class = Visitor, Operator
    with app.app_context():
        yield app
        dispose()
    if app.extensions["desk"].loaded:
        with app.extensions["desk"].app.app_context():
            dispose()


def dispose() -> None:
    """Close what the current app holds of its databases."""
    db.session.remove()
    for engine in db.engines.values():
        engine.dispose()


class Visitor(FlaskClient):
    """A client whose requests have nothing of the test's own context, as a visitor's have not."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        # Buffered, as a server reads an answer to its end and closes it.
        return Context().run(super().open, *args, **kwargs, buffered=True)


class Operator(FlaskCliRunner):
    """The same for commands."""

    def invoke(self, *args: Any, **kwargs: Any) -> Result:
        return Context().run(super().invoke, *args, **kwargs)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()


@pytest.fixture
def publish(app: Flask) -> Publish:
    """Publish a campaign like FILE but for what is given; `state` too."""

    def publish(state: CampaignState = CampaignState.OPEN, **changes: object) -> Campaign:
        with write_transaction() as session:
            file = replace(FILE, **changes)  # type: ignore[arg-type]
            campaign = editing.publish(session, record.COMMAND, file, datetime.now(UTC), reason="To mend it").campaign
            campaign.state = state
            session.flush()
            session.refresh(campaign)
            session.expunge(campaign)
        return campaign

    return publish


@pytest.fixture
def campaign(publish: Publish) -> Campaign:
    return publish()


@pytest.fixture
def sign(client: FlaskClient, campaign: Campaign) -> Sign:
    """Sign the campaign as Ada, but for what is given; with `htmx=True` as the page's script does."""

    def sign(*, htmx: bool = False, **fields: str) -> TestResponse:
        return client.post(f"{PATH}/signatures", data=ADA | fields, headers=HTMX if htmx else {})

    return sign


def stored() -> list[Signature]:
    """All signatures in the database, oldest first."""
    db.session.rollback()
    return list(db.session.scalars(select(Signature).order_by(Signature.id)))


class Server(services.Node):
    """A gunicorn that runs, as an operator would run it."""

    @property
    def page(self) -> str:
        return self.url + PATH


Serve = Callable[..., Server]


@pytest.fixture
def serve(app: Flask, campaign: Campaign, settings: Settings) -> Iterator[Serve]:
    """Serve the test's own database by gunicorn with two workers, as `script/serve` does; settings as keywords."""
    with ExitStack() as running:

        def serve(**environ: str) -> Server:
            port = services.free_port()
            ours = {"DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
            server = Server(ours | environ, settings.instance / f"gunicorn-{port}.log", port)
            server.start()
            running.callback(server.stop)
            return server

        yield serve


@pytest.fixture
def server(serve: Serve, request: pytest.FixtureRequest) -> Server:
    """One that serves, with the settings of the test's mark `settings`."""
    mark = request.node.get_closest_marker("settings")
    return serve(**mark.kwargs if mark else {})


@pytest.fixture
def start_node(serve: Serve) -> Serve:
    """Start a small node that expects one proxy before it; settings as keywords."""
    proxied = {"SITE_URL": f"https://{DOMAIN}", "TRUSTED_PROXIES": "1", "WEB_CONCURRENCY": "1"}
    # All of a test's crowd come from one address.
    return lambda **environ: serve(**proxied | {"RATELIMIT_ENABLED": "false"} | environ)
