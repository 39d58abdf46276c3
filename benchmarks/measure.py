"""Tools for the benchmarks: load from wrk, servers, baselines, memory, and the check of stored signatures."""

import os
import re
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flask_migrate import upgrade
from sqlalchemy import text

from campaign import create_app
from campaign.accounts import audit_log
from campaign.campaigns import editing, lookup
from campaign.campaigns.files import reading
from campaign.settings import ROOT, Settings
from campaign.signatures import fake, tally
from campaign.storage.database import db, init_migrations
from campaign.storage.transactions import write_transaction
from tests.services import free_port

RUNS = 3
SECONDS = 4
SETTLE_SECONDS = 0.5
"""Pause before a run. While the site closes the connections of the last run, it spreads new ones unevenly."""
PAGE = "/campaigns/end-ring-police-partnerships"
SIGN = f"{PAGE}/signatures"
GUNICORN = (sys.executable, "-m", "gunicorn")


@dataclass(frozen=True)
class Rate:
    """A measurement by wrk."""

    per_second: float
    p99: float
    """Milliseconds."""
    thanked: int
    errors: int


@dataclass(frozen=True)
class Target:
    """A URL for wrk to request, with `If-None-Match` if there is an ETag."""

    url: str
    sign: bool = False
    etag: str = ""
    cookie: str = ""
    body: str = ""
    """A form to send by POST."""


def load(*targets: Target, connections: int, runs: int = RUNS) -> list[Rate]:
    """Return the median of `runs` runs of SECONDS seconds for each target.

    The targets take turns, so that other work on the machine affects all of them.
    """
    turns = [[_run(target, connections) for target in targets] for _ in range(runs)]
    return [_median([turn[number] for turn in turns]) for number in range(len(targets))]


def processor_time(*sites: tuple[Target, int], connections: int, runs: int) -> list[float]:
    """Return the CPU time that each site's workers use for a response: the median of `runs` runs, in microseconds.

    A site is a target and the process ID of its gunicorn. The sites take turns.
    """
    turns = [[_processor_time(target, master, connections) for target, master in sites] for _ in range(runs)]
    return [statistics.median(turn[number] for turn in turns) for number in range(len(sites))]


def _processor_time(target: Target, master: int, connections: int) -> float:
    before = _cpu_seconds(master)
    answers = _run(target, connections).per_second * SECONDS
    return 1e6 * (_cpu_seconds(master) - before) / answers


def _cpu_seconds(master: int) -> float:
    """Return the CPU time of a gunicorn's workers, in seconds."""
    stats = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in _workers(master))
    return sum(int(user) + int(system) for *_, user, system in (stat[:13] for stat in stats)) / os.sysconf("SC_CLK_TCK")


def _median(runs: list[Rate]) -> Rate:
    return Rate(
        per_second=statistics.median(run.per_second for run in runs),
        p99=statistics.median(run.p99 for run in runs),
        thanked=sum(run.thanked for run in runs),
        errors=sum(run.errors for run in runs),
    )


def _run(target: Target, connections: int) -> Rate:
    command = ["wrk", "-t2", f"-c{connections}", f"-d{SECONDS}s", "--latency", "--timeout", "30s"]
    if target.sign:
        # The unique word keeps this run's mailboxes different from those of other runs.
        command += ["-s", str(ROOT / "benchmarks" / "sign.lua"), target.url, "--", SIGN, f"{time.time_ns():x}"]
    else:
        headers = ["Accept-Encoding: gzip"]
        headers += [f"If-None-Match: {target.etag}"] if target.etag else []
        # The desk's script requests only the part of the page that changes.
        headers += [f"Cookie: {target.cookie}", "HX-Request: true"] if target.cookie else []
        command += [part for header in headers for part in ("-H", header)]
        form = ["-s", str(ROOT / "benchmarks" / "post.lua"), target.url, "--", target.body]
        command += form if target.body else [target.url]
    time.sleep(SETTLE_SECONDS)
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    p99, unit = re.findall(r"99%\s+([\d.]+)(us|ms|s)", output)[0]
    thanked = re.search(r"Thanked: (\d+)", output)
    wrong = re.findall(r"(?:Non-2xx or 3xx responses: |connect |read |write |timeout )(\d+)", output)
    return Rate(
        per_second=float(re.findall(r"Requests/sec:\s+([\d.]+)", output)[0]),
        p99=float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
        thanked=int(thanked[1]) if thanked else 0,
        errors=sum(map(int, wrong)),
    )


@contextmanager
def serve(*command: str, **environ: str) -> Iterator[tuple[str, int]]:
    """Run a server command with the site's gunicorn settings; yield the URL and the process ID."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PORT": str(port), **environ},
        stdout=subprocess.DEVNULL,
        # As in production, the log doesn't go to a terminal, so its lines are JSON.
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    try:
        while True:
            try:
                fetch(url + "/healthz")
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("gunicorn does not start") from None
                time.sleep(0.02)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def serve_site(settings: Settings, **environ: str) -> AbstractContextManager[tuple[str, int]]:
    """Serve the site as in production, with these settings and a rate limit that is too high to be reached."""
    limits = {"RATELIMIT_TRUSTED": "192.0.2.0/24", "RATELIMIT_SIGN": "1000000 per minute, 10000000 per hour"}
    return serve(*GUNICORN, "wsgi:app", DATABASE_URL=settings.database_url, **limits, **environ)


def fetch(url: str, data: bytes | None = None, *, language: str = "en") -> tuple[bytes, str]:
    """Request a URL, and return the body, compressed as for browsers, and the ETag."""
    headers = {"Accept-Encoding": "gzip", "HX-Request": "true", "Accept-Language": language}
    request = urllib.request.Request(url, data, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read(), answer.headers.get("ETag", "")


def milliseconds(target: Target) -> float:
    """Request a target once, as an htmx request, and return how long the response took, in milliseconds."""
    headers = {"Accept-Encoding": "gzip", "HX-Request": "true", "Cookie": target.cookie}
    request = urllib.request.Request(target.url, target.body.encode() or None, headers)
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
    return 1e3 * (time.perf_counter() - began)


def bare(folder: Path, body: bytes, *, status: str = "200 OK", sign: bool = False) -> float:
    """Return the responses a second of a callable that only returns these bytes, at 16 connections."""
    file = folder / "body"
    file.write_bytes(body)
    with serve(*GUNICORN, "benchmarks.bare:app", BARE_BODY=str(file), BARE_STATUS=status) as (url, _):
        return load(Target(url, sign=sign), connections=16)[0].per_second


def commits(settings: Settings) -> float:
    """Return how many signatures a second a loop of INSERT and COMMIT stores, on one connection of the same driver."""
    with create_app(settings).app_context():
        campaign_id = lookup.all_campaigns(db.session())[0].id
        row = fake.signature(campaign_id, "bare", datetime.now(UTC)) | {"email": "bare"}
        columns = ", ".join(row)
        insert = text(f"INSERT INTO signature ({columns}) VALUES ({', '.join(f':{name}' for name in row)})")
        db.session.close()
        with db.engine.execution_options(writes=True).connect() as connection:
            done, until = 0, time.monotonic() + SECONDS
            while time.monotonic() < until:
                connection.execute(insert, row | {"email_key": f"bare-{time.time_ns()}", "state": "public"})
                connection.commit()
                done += 1
            connection.execute(text("DELETE FROM signature WHERE email = 'bare'"))
            connection.commit()
        db.engine.dispose()
    return done / SECONDS


def prepare(settings: Settings, signatures: int = 0) -> None:
    """Create the tables and the sample campaign, with this number of invented signatures."""
    app = create_app(settings)
    init_migrations(app)
    with app.app_context():
        upgrade()
        samples = reading.read_all((ROOT / "campaigns").glob("*.md"))
        with write_transaction() as session:
            [sample] = samples
            campaign_id = editing.publish(session, audit_log.COMMAND, sample.campaign, datetime.now(UTC)).campaign.id
        for _ in fake.sign(campaign_id, signatures, datetime.now(UTC)):
            pass
        db.engine.dispose()


def stored(settings: Settings) -> int:
    """Return the number of stored signatures.

    Raises:
        SystemExit: The tally differs.
    """
    with create_app(settings).app_context():
        found = tally.check(db.session(), lookup.all_campaigns(db.session())[0].id)
        db.engine.dispose()
    if not found.is_correct:
        raise SystemExit(f"COUNTED WRONG: stored {found.stored}, tally {found.tallied}")
    return found.stored


def _workers(master: int) -> list[str]:
    return Path(f"/proc/{master}/task/{master}/children").read_text().split()


def largest_worker(master: int) -> float:
    """Return the memory of a gunicorn's largest worker, in megabytes."""
    workers = _workers(master)
    sizes = [re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0] for pid in workers]
    return max(map(int, sizes)) / 1024


def peak_of_export(settings: Settings) -> float:
    """Return how much an export of all signatures raises the peak memory of a connected process, in megabytes."""
    child = (
        "import resource; from campaign import create_app\n"
        "from campaign.campaigns import lookup\n"
        "from campaign.deliveries import contents\n"
        "from campaign.storage.database import db\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "with create_app().app_context():\n"
        "    [campaign, *_] = lookup.all_campaigns(db.session()); of = contents.snapshot(db.session(), campaign.id)\n"
        "    order = contents.order(contents.Purpose.OURS, contents.COLUMNS['ours'])\n"
        "    header, idle = contents.header(campaign, order), peak()\n"
        "    for chunk in contents.csv_chunks(header, contents.rows(db.engine, campaign, order, of)): pass\n"
        "    print(peak() - idle)"
    )
    environ = {**os.environ, "DATABASE_URL": settings.database_url}
    output = subprocess.run(
        [sys.executable, "-c", child], cwd=ROOT, env=environ, check=True, capture_output=True, text=True
    )
    return float(output.stdout)
