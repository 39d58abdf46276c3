"""Metrics for Prometheus from a real gunicorn with two workers, and its clean stop."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import make_url

from campaign.models.campaign import CampaignState
from campaign.settings import ROOT, Settings
from tests.conftest import ADA, Publish, Serve, Server, only_sqlite, stored
from tests.monitoring.test_logs import ask, children, lines
from tests.services import free_port
from tests.signatures.test_crowd import post

SIGN = "/campaigns/<slug>/signatures"


@dataclass
class Measured:
    """A gunicorn with metrics."""

    server: Server
    url: str
    temporary: Path
    """Its temporary folder."""

    def read(self) -> dict[tuple[str, ...], float]:
        """Return the metrics by name and values of labels, in the order of the labels' names."""
        with urlopen(self.url, timeout=10) as answer:
            text = answer.read().decode()
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def both_workers_have_counted(self) -> bool:
        (folder,) = self.temporary.iterdir()
        return all((folder / f"counter_{pid}.db").exists() for pid in children(self.server.process.pid))


@pytest.fixture
def measured(serve: Serve, tmp_path: Path) -> Measured:
    temporary, port = tmp_path / "temporary", free_port()
    temporary.mkdir()
    server = serve(METRICS_PORT=str(port), TMPDIR=str(temporary))
    return Measured(server, f"http://127.0.0.1:{port}/metrics", temporary)


def test_requests_of_all_workers_are_counted_by_route_method_and_status(measured: Measured) -> None:
    requests = 0
    while requests < 50 or not measured.both_workers_have_counted():
        assert ask(measured.server.page)[0] == 200
        requests += 1
    for path in ("/ada@example.org", "/nothing?name=Ada"):
        assert ask(measured.server.url + path)[0] == 404
    assert ask(f"{measured.server.url}/healthz", method="LOVELACE")[0] == 405
    numbers = measured.read()
    assert numbers["campaign_requests_total", "GET", "/campaigns/<slug>", "200"] == requests, "with cached responses"
    assert numbers["campaign_requests_total", "GET", "none", "404"] == 2
    assert numbers["campaign_requests_total", "other", "none", "405"] == 1
    assert not any(secret in str(numbers) for secret in ("Ada", "ada", "LOVELACE", "127.0.0.1"))


def test_sign_requests_are_counted_by_outcome(measured: Measured, publish: Publish) -> None:
    server = measured.server
    publish(slug="won", state=CampaignState.WON)
    publish(slug="soon", opens_at=datetime(9999, 1, 1, tzinfo=UTC))
    assert [post(server), post(server), post(server, email=""), post(server, website="x")] == [200, 200, 422, 422]
    assert ask(f"{server.url}/campaigns/won/signatures", ADA)[0] == 410
    assert ask(f"{server.url}/campaigns/soon/signatures", ADA)[0] == 409
    assert ask(f"{server.page}/signatures", ADA, headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    numbers = measured.read()
    outcomes = {name[1]: value for name, value in numbers.items() if name[0] == "campaign_signs_total"}
    assert outcomes == {
        "thanked": 2,
        "refused_by_form": 2,
        "not_open": 2,
        "turned_away": 1,
        "not_stored": 0,
        "limited": 0,
        "failed": 0,
    }
    assert numbers["campaign_store_seconds_count",] == 2
    assert 0 < numbers["campaign_store_seconds_sum",] < 60
    assert 0 <= numbers["campaign_feed_age_seconds",] <= 3
    assert numbers["campaign_write_queue",] == 0


def test_metrics_are_available_while_a_worker_starts(measured: Measured) -> None:
    ask(f"{measured.server.url}/healthz")
    (folder,) = measured.temporary.iterdir()
    (folder / "counter_1.db").touch()
    assert measured.read()["campaign_requests_total", "GET", "/healthz", "200"] >= 1


def test_counters_survive_their_worker(measured: Measured) -> None:
    while not measured.both_workers_have_counted():
        ask(f"{measured.server.url}/healthz")
    before = measured.read()
    workers = children(measured.server.process.pid)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while set(workers) & set(children(measured.server.process.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert measured.read() == before


@only_sqlite
def test_requests_in_flight_finish_when_the_site_stops(measured: Measured, settings: Settings) -> None:
    server = measured.server
    with sqlite3.connect(str(make_url(settings.database_url).database), isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(8) as crowd:
            answers = [crowd.submit(post, server, email=f"ada{number}@example.org") for number in range(8)]
            deadline = time.monotonic() + 4
            while measured.read()["campaign_write_queue",] < 8:
                assert time.monotonic() < deadline
            server.process.terminate()
            time.sleep(0.5)
            assert server.process.poll() is None
            other.rollback()
            assert [answer.result() for answer in answers] == [200] * 8
    other.close()
    assert server.process.wait(timeout=30) == 0
    assert len(stored()) == 8
    assert [line for line in lines(server.log.read_text()) if line["message"] != "answered"] == []
    assert list(measured.temporary.iterdir()) == []


@only_sqlite
def test_prometheus_client_is_not_imported_without_a_metrics_port(server: Server, settings: Settings) -> None:
    for pid in (server.process.pid, *children(server.process.pid)):
        assert "PROMETHEUS" not in Path(f"/proc/{pid}/environ").read_text()
    program = (
        "import sys, wsgi, campaign.monitoring.metrics as m\n"
        "m.open_port('127.0.0.1', 0); m.answer(); print(*sys.modules)"
    )
    environ = {**os.environ, "DATABASE_URL": settings.database_url}
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "campaign.monitoring.metrics" in loaded
    assert not any(name.startswith("prometheus") for name in loaded)


@pytest.mark.slow
@only_sqlite
def test_metrics_port_in_use_stops_the_start_with_one_line(settings: Settings, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environ = {"DATABASE_URL": settings.database_url, "METRICS_PORT": str(port), "PORT": str(free_port())}
        started = subprocess.run(
            [sys.executable, "-m", "gunicorn"],
            cwd=ROOT,
            env={**os.environ, **environ, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert started.returncode == 1
    assert re.match(r"METRICS_PORT: can't listen on 127.0.0.1 port \d+: Address already in use", started.stderr)
    assert started.stderr.count("\n") == 1
    assert list(tmp_path.glob("campaign-metrics-*")) == []
