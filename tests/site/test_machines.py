"""Routes for machines: JSON, Atom, robots.txt, and health checks."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event

from campaign import create_app
from campaign.mail import outbox
from campaign.models.campaign import Campaign, CampaignState
from campaign.models.message import Queue
from campaign.settings import Settings
from campaign.storage import single_flight
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.worker import leases
from tests.conftest import PATH, Publish, Sign, only_sqlite


def test_json_has_count_goal_state_and_recent_signatories(client: FlaskClient, sign: Sign) -> None:
    for number in range(12):
        sign(name=f"Nr {number}", email=f"{number}@example.org")
    answer = client.get(f"{PATH}.json")
    assert answer.mimetype == "application/json"
    data = json.loads(answer.text)
    recent = data["signatures"].pop("recent")
    assert data == {
        "slug": "save-the-park",
        "title": "Save the Park",
        "language": "en",
        "languages": {"en": "http://127.0.0.1:8000/campaigns/save-the-park"},
        "state": "open",
        "goal": 100,
        "signatures": {"count": 12},
    }
    assert len(recent) == 10
    assert recent[0].keys() == {"name", "place", "signed_at"}
    assert recent[0]["name"] == "Nr 11"
    assert recent[0]["place"] == "Los Angeles, California, US"
    signed_at = datetime.fromisoformat(recent[0]["signed_at"])
    assert signed_at.utcoffset() is not None
    assert signed_at.microsecond == 0, "as precise as the page, to the second"


def test_json_shows_that_a_campaign_is_won(client: FlaskClient, publish: Publish) -> None:
    publish(state=CampaignState.WON, goal=1)
    assert json.loads(client.get(f"{PATH}.json").text)["state"] == "won"


def test_atom_feed_lists_recent_signatories(client: FlaskClient, sign: Sign) -> None:
    sign(name="Ada & Söhne")
    answer = client.get(f"{PATH}.atom")
    assert answer.mimetype == "application/atom+xml"
    feed = ElementTree.fromstring(answer.text)  # noqa: S314 (our own response)
    atom = {"a": "http://www.w3.org/2005/Atom"}
    assert feed.findtext("a:title", namespaces=atom) == "Save the Park"
    (entry,) = feed.findall("a:entry", atom)
    assert entry.findtext("a:title", namespaces=atom) == "Ada & Söhne"
    assert entry.findtext("a:content", namespaces=atom) == "Ada & Söhne, Los Angeles, California, US"
    for element in (feed, entry):
        assert element.findtext("a:id", namespaces=atom)
        assert element.findtext("a:updated", namespaces=atom)


def test_atom_feed_without_signatories_is_valid(client: FlaskClient, campaign: Campaign) -> None:
    feed = ElementTree.fromstring(client.get(f"{PATH}.atom").text)  # noqa: S314 (our own response)
    assert feed.findtext("{*}updated")


def test_search_engines_are_kept_out_of_signatory_lists(client: FlaskClient, campaign: Campaign) -> None:
    robots = client.get("/robots.txt")
    assert robots.mimetype == "text/plain"
    assert "Disallow: /campaigns/*/signatures" in robots.text
    assert '<meta name="robots" content="noindex">' in client.get(f"{PATH}/signatures").text


def renew_lease(at: datetime) -> None:
    with write_transaction() as session:
        leases.take(session, ["index"], "worker", at)


def test_health_checks_pass_on_a_healthy_site(client: FlaskClient, campaign: Campaign) -> None:
    renew_lease(datetime.now(UTC))
    assert (client.get("/healthz").text, client.get("/readyz").text) == ("ok\n", "ready\n")


def test_readyz_notes_that_no_worker_runs(client: FlaskClient, campaign: Campaign) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (200, "ready\nworker: none has run yet; run `flask work`\n")
    long_ago = datetime.now(UTC) - timedelta(minutes=5, seconds=1)
    renew_lease(long_ago)
    since = long_ago.isoformat(timespec="seconds")
    assert client.get("/readyz").text == f"ready\nworker: none has run since {since}; run `flask work`\n"
    renew_lease(datetime.now(UTC) - timedelta(minutes=4))
    assert client.get("/readyz").text == "ready\n"


def test_readyz_notes_that_mail_is_late(client: FlaskClient, campaign: Campaign) -> None:
    renew_lease(datetime.now(UTC))
    with write_transaction() as session:
        outbox.add(session, Queue.CHECK, "ada@example.org", "en", datetime.now(UTC) - timedelta(minutes=4))
    assert client.get("/readyz").text == "ready\n"
    since = (datetime.now(UTC) - timedelta(minutes=6)).replace(microsecond=0)
    with write_transaction() as session:
        outbox.add(session, Queue.CHECK, "eve@example.org", "en", since)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.text == (
        f"ready\nmail: 2 messages wait, the first since {since.isoformat()}; run `flask mail check`\n"
    )


def test_readyz_reports_a_missing_table(client: FlaskClient, campaign: Campaign) -> None:
    with write_transaction() as session:
        session.connection().exec_driver_sql("DROP TABLE tally")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "database: not prepared\n")


@only_sqlite
def test_readyz_reports_an_unprepared_database(tmp_path: Path, database: str) -> None:
    app = create_app(Settings.from_environ({}, tmp_path / "new"))
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.text) == (503, "database: not prepared\n")
    with app.app_context():
        db.engine.dispose()


def test_readyz_writes_to_the_database_once_a_tick(
    client: FlaskClient, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_flight, "tick", lambda: 0.0)
    written: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "INSERT" in statement:
            written.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    for _ in range(20):
        assert client.get("/readyz").text.startswith("ready\n")
    event.remove(Engine, "before_cursor_execute", note)
    assert len(written) == 1
