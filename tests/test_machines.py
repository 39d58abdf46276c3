"""What machines read: JSON, Atom, robots.txt, health."""

import json
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event

from campaign import create_app, once
from campaign.extensions import db, write_transaction
from campaign.models import Campaign, CampaignState
from campaign.settings import Settings
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
    assert signed_at.microsecond == 0, "no more exact than the page"


def test_json_tells_the_state_and_the_goal_that_the_page_shows(client: FlaskClient, publish: Publish) -> None:
    publish(state=CampaignState.WON, goal=1)
    assert json.loads(client.get(f"{PATH}.json").text)["state"] == "won"


def test_a_feed_reader_gets_the_recent_signatories(client: FlaskClient, sign: Sign) -> None:
    sign(name="Ada & Söhne")
    answer = client.get(f"{PATH}.atom")
    assert answer.mimetype == "application/atom+xml"
    feed = ElementTree.fromstring(answer.text)  # noqa: S314 (our own answer)
    atom = {"a": "http://www.w3.org/2005/Atom"}
    assert feed.findtext("a:title", namespaces=atom) == "Save the Park"
    (entry,) = feed.findall("a:entry", atom)
    assert entry.findtext("a:title", namespaces=atom) == "Ada & Söhne"
    assert entry.findtext("a:content", namespaces=atom) == "Ada & Söhne, Los Angeles, California, US"
    for element in (feed, entry):
        assert element.findtext("a:id", namespaces=atom)
        assert element.findtext("a:updated", namespaces=atom)


def test_an_atom_feed_without_signatories_is_whole(client: FlaskClient, campaign: Campaign) -> None:
    feed = ElementTree.fromstring(client.get(f"{PATH}.atom").text)  # noqa: S314 (our own answer)
    assert feed.findtext("{*}updated")


def test_search_engines_are_kept_from_the_lists_of_names(client: FlaskClient, campaign: Campaign) -> None:
    robots = client.get("/robots.txt")
    assert robots.mimetype == "text/plain"
    assert "Disallow: /campaigns/*/signatures" in robots.text
    assert '<meta name="robots" content="noindex">' in client.get(f"{PATH}/signatures").text


def test_a_healthy_site_says_so(client: FlaskClient, campaign: Campaign) -> None:
    assert (client.get("/healthz").text, client.get("/readyz").text) == ("ok\n", "ready\n")


def test_an_operator_is_told_that_the_database_is_not_prepared(client: FlaskClient, campaign: Campaign) -> None:
    with write_transaction() as session:
        session.connection().exec_driver_sql("DROP TABLE tally")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "database: not prepared\n")


@only_sqlite
def test_an_operator_who_has_prepared_nothing_is_told_so(tmp_path: Path, database: str) -> None:
    app = create_app(Settings.from_environ({}, tmp_path / "new"))
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.text) == (503, "database: not prepared\n")
    with app.app_context():
        db.engine.dispose()


def test_whoever_asks_whether_the_site_is_ready_costs_signers_nothing(
    client: FlaskClient, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "tick", lambda: 0.0)
    written: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "INSERT" in statement:
            written.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    for _ in range(20):
        assert client.get("/readyz").text == "ready\n"
    event.remove(Engine, "before_cursor_execute", note)
    assert len(written) == 1
