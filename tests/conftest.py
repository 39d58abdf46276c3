"""Fixtures for all tests: an app with a real database, a campaign, and a real gunicorn for the tests that need one."""

import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from contextvars import Context
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from flask_migrate import upgrade
from jinja2 import BytecodeCache
from sqlalchemy import URL, NullPool, Table, create_engine, exists, make_url, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from campaign import create_app
from campaign.accounts import audit_log
from campaign.campaigns import editing, lookup
from campaign.campaigns.fields import CampaignFile
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign, CampaignState, Translation
from campaign.models.lease import is_worker_running
from campaign.models.signature import Signature
from campaign.settings import Settings
from campaign.signatures import signing
from campaign.storage import single_flight
from campaign.storage.database import STORAGE_ERRORS, db, init_migrations
from campaign.storage.transactions import write_transaction
from tests import services
from tests.forks import Fork
from tests.shared_work import built_urls, cheap_hashes, compiled_queries, compiled_templates, full_cost, us_places

__all__ = ["built_urls", "cheap_hashes", "compiled_queries", "compiled_templates", "full_cost", "us_places"]

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
"""The key of every site in a test process, so that a cookie of one test is valid in the next."""
DOMAIN = "petitions.example.org"
"""The domain in the files of deploy/."""

SERVER_FIXTURES = {"browser", "own_server", "primary", "redis", "serve", "shell"}
"""Fixtures that start a browser or a server, or need a program that script/test installs."""

Publish = Callable[..., Campaign]
Sign = Callable[..., TestResponse]


def pytest_configure(config: pytest.Config) -> None:
    """Make a quick run fail at a test that starts a server without the mark, and prepare the tests' processes."""
    services.allowed = "not server" not in config.option.markexpr
    if services.has_memory():
        # SQLite waits for the disk at each commit.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(services.MEMORY))
    # A shell lets programs in the background ignore Ctrl+C, and so would the servers that the tests start and stop.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a server, by their fixtures and their database: a quick run leaves them out.

    They run first: if long tests came last, the other processes would have nothing to do at the end.
    WITHOUT_BROWSER is script/test's reason why there is no browser; the tests that need one are then skipped.
    """
    without_browser = os.environ.get("WITHOUT_BROWSER")
    for item in items:
        assert isinstance(item, pytest.Function)
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if SERVER_FIXTURES & {*item.fixturenames} or parameters.get("database") == "postgresql":
            item.add_marker(pytest.mark.server)
        if without_browser and "browser" in item.fixturenames:
            item.add_marker(pytest.mark.skip(reason=without_browser))
    items.sort(key=lambda item: item.get_closest_marker("server") is None)


def migrate(settings: Settings) -> None:
    app = create_app(settings)
    init_migrations(app)
    with app.app_context():
        upgrade()
        db.engine.dispose()


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file with empty tables, to be copied."""
    settings = Settings.from_environ({}, tmp_path_factory.mktemp("empty"))
    migrate(settings)
    return settings.instance / "campaign.sqlite"


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """Start a PostgreSQL server with a database `empty`, whose empty tables are to be copied."""
    with services.postgresql() as service:
        server = make_url(service.url)
        run_on(server, "CREATE DATABASE empty")
        empty = {"DATABASE_URL": server.set(database="empty").render_as_string()}
        migrate(Settings.from_environ(empty, tmp_path_factory.mktemp("empty")))
        yield server


def run_on(server: URL, statement: str) -> None:
    """Run a statement that can't be in a transaction, such as CREATE DATABASE."""
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)


@pytest.fixture
def redis() -> Iterator[services.Service]:
    """Start a Redis server for this test alone; the test may kill and restart it."""
    with services.redis() as service:
        yield service


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[services.Service]:
    """Start a PostgreSQL server with tables for this test alone; the test may kill and restart it."""
    with services.postgresql() as server:
        migrate(Settings.from_environ({"DATABASE_URL": server.url}, tmp_path))
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a database with empty tables. Tests with this fixture run on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("empty_sqlite"), tmp_path / "campaign.sqlite")
        yield f"sqlite:///{tmp_path / 'campaign.sqlite'}"
        return
    server, name = request.getfixturevalue("postgresql"), f"test_{secrets.token_hex(8)}"
    run_on(server, f"CREATE DATABASE {name} TEMPLATE empty")
    yield server.set(database=name).render_as_string()
    run_on(server, f"DROP DATABASE {name} WITH (FORCE)")


only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""Mark for tests that run on SQLite only."""


@pytest.fixture
def settings(tmp_path: Path, database: str) -> Settings:
    return Settings.from_environ({"DATABASE_URL": database, "SECRET_KEY": SECRET_KEY}, tmp_path)


@pytest.fixture
def app(settings: Settings, monkeypatch: pytest.MonkeyPatch, compiled_templates: BytecodeCache) -> Iterator[Flask]:
    # Turn off the one-second cache: tests check pages right after a change. test_feed.py tests the cache.
    monkeypatch.setattr(single_flight, "tick", count(step=1000).__next__)
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
    """Close the current app's session and database connections."""
    db.session.remove()
    for engine in db.engines.values():
        engine.dispose()


class Visitor(FlaskClient):
    """A test client whose requests run in an empty context, like those of a visitor."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        # Buffer the response: a server also reads it to the end and closes it.
        return Context().run(super().open, *args, **kwargs, buffered=True)


class Operator(FlaskCliRunner):
    """A command runner whose commands run in an empty context."""

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
    """Return a function that publishes FILE as a campaign; keywords override its fields and the state.

    On SQLite, the first campaign of a database is published once in a test process, because half of all tests need one.
    Later tests restore the rows that this left.
    """

    def publish(state: CampaignState = CampaignState.OPEN, **changes: object) -> Campaign:
        with write_transaction() as session:
            file = replace(FILE, **changes)  # type: ignore[arg-type]  # Tests pass a field's value under its name.
            now = datetime.now(UTC)
            # With a picture, publishing changes the picture's row, too. On PostgreSQL, ids come from a sequence.
            is_sqlite = session.connection().dialect.name == "sqlite"
            is_first = is_sqlite and not file.picture and not any(session.scalar(rows) for rows in _HAS_ROWS)
            left = _left.get(f"{state} {file}") if is_first else None
            if left:
                left.restore(session, now)
                campaign = lookup.find(session, file.slug)
                assert campaign
            else:
                reasons = {"": "To mend it"}
                campaign = editing.publish(session, audit_log.COMMAND, file, now, reasons=reasons).campaign
                campaign.state = state
                session.flush()
                session.refresh(campaign)
                if is_first:
                    _left[f"{state} {file}"] = _Left.by_publishing(session, now)
            session.expunge(campaign)
        return campaign

    return publish


_WRITTEN = [cast(Table, each.__table__) for each in (Campaign, Translation, Record)]
"""The tables in which publishing a new campaign writes rows."""
_HAS_ROWS = [select(exists(table.select())) for table in _WRITTEN]


@dataclass(frozen=True)
class _Left:
    """The rows that publishing a campaign has left, and when it was published."""

    at: datetime
    rows: list[tuple[Table, dict[str, Any]]]

    @classmethod
    def by_publishing(cls, session: Session, at: datetime) -> "_Left":
        rows = [(table, dict(row)) for table in _WRITTEN for row in session.execute(table.select()).mappings()]
        return cls(at, rows)

    def restore(self, session: Session, now: datetime) -> None:
        """Store the rows as if the campaign was published now."""
        for table, row in self.rows:
            session.execute(table.insert(), {name: now if value == self.at else value for name, value in row.items()})


_left: dict[str, _Left] = {}
"""What publishing has left in this process, by state and file."""


@pytest.fixture
def campaign(publish: Publish) -> Campaign:
    return publish()


@pytest.fixture
def sign(client: FlaskClient, campaign: Campaign) -> Sign:
    """Return a function that signs the campaign as Ada; keywords override her data, `htmx=True` sends htmx's header."""

    def sign(*, htmx: bool = False, **fields: str) -> TestResponse:
        return client.post(f"{PATH}/signatures", data=ADA | fields, headers=HTMX if htmx else {})

    return sign


def stored() -> list[Signature]:
    """Return all signatures in the database, oldest first."""
    db.session.rollback()
    return list(db.session.scalars(select(Signature).order_by(Signature.id)))


def store_batch(rows: Iterable[dict[str, Any]]) -> None:
    """Store rows of signatures as one batch, as signing does."""
    signing._store(db.engine, [signing._Item(row) for row in rows])


class Server(services.Node):
    """A running gunicorn, started as an operator starts it."""

    @property
    def page(self) -> str:
        return self.url + PATH


Serve = Callable[..., Server]


@pytest.fixture
def serve(app: Flask, campaign: Campaign, settings: Settings) -> Iterator[Serve]:
    """Return a function that starts a gunicorn on the test's database, like `script/serve`; keywords are settings."""
    with ExitStack() as running:

        def serve(**environ: str) -> Server:
            port = services.free_port()
            ours = {"DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
            server = Server(ours | environ, settings.instance / f"gunicorn-{port}.log", port)
            server.start()
            # All clients have left. A graceful stop takes a second longer; test_stopping.py tests it.
            running.callback(server.kill)
            return server

        yield serve


@pytest.fixture
def server(serve: Serve, request: pytest.FixtureRequest) -> Server:
    """Start a gunicorn with the settings of the test's mark `settings`."""
    mark = request.node.get_closest_marker("settings")
    return serve(**mark.kwargs if mark else {})


@pytest.fixture
def start_node(serve: Serve) -> Serve:
    """Return a function that starts a gunicorn with one worker behind one proxy; keywords are settings."""
    proxied = {"SITE_URL": f"https://{DOMAIN}", "TRUSTED_PROXIES": "1", "WEB_CONCURRENCY": "1"}
    # All clients of a test share one IP address.
    return lambda **environ: serve(**proxied | {"RATELIMIT_ENABLED": "false"} | environ)


StartWork = Callable[..., Fork]


@pytest.fixture
def start_work(app: Flask, settings: Settings) -> Iterator[StartWork]:
    """Return a function that starts a background worker as an operator does, and returns once it works.

    Its arguments are those of the command. The workers are killed after the test, with the processes they started.
    """
    started = []

    def start(*arguments: str) -> Fork:
        environ = os.environ | {"DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
        command = ["flask", "--app", "wsgi", "work", *arguments]
        started.append(Fork(*command, environ=environ, log=settings.instance / "work.log"))
        wait_for(lambda: started[-1].poll() is not None or _works())
        assert started[-1].poll() is None
        return started[-1]

    yield start
    for worker in started:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(timeout=30)


def _works() -> bool:
    with suppress(*STORAGE_ERRORS):
        db.session.rollback()
        found = is_worker_running(db.session(), datetime.now(UTC))
        db.session.rollback()
        return found
    return False


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition is met, for a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
