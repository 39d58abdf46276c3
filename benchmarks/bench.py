"""Measures what the site can carry, on loopback, beside yardsticks of the same run; `script/bench` starts it.

Every figure is the median of RUNS runs of SECONDS seconds by wrk. Results go to the terminal and to RESULTS.md.
"""

import os
import platform
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from flask_migrate import upgrade
from sqlalchemy import text

from campaign import campaign_file, campaigns, create_app, fake, feed, tally
from campaign.extensions import db, init_migrations, write_transaction
from campaign.settings import ROOT, Settings
from tests.services import free_port, postgresql

RUNS = 3
SECONDS = 3
MANY = 1_000_000
"""Signatures that the page must not be slower with."""
PAGE = "/campaigns/end-ring-police-partnerships"
SIGN = f"{PAGE}/signatures"
GUNICORN = (sys.executable, "-m", "gunicorn")


@dataclass(frozen=True)
class Rate:
    """What wrk measured."""

    per_second: float
    p99: float
    """Milliseconds."""
    thanked: int
    errors: int


@dataclass
class Report:
    """The table, as it grows."""

    lines: list[str] = field(default_factory=list)

    def row(self, what: str, figure: str, beside: str, must: str, reached: bool | None) -> None:
        """Add a row; `reached` is None where nothing is asked for."""
        verdict = "" if reached is None else "yes" if reached else "NO"
        self.lines.append(f"| {what} | {figure} | {beside} | {must} | {verdict} |")
        print(self.lines[-1], flush=True)


def wrk(url: str, connections: int, *, sign: bool = False, etag: str = "") -> Rate:
    """The median of RUNS runs: of signing, or of reading (again, where an ETag is given) as browsers do."""
    runs = [_wrk_once(url, connections, sign, etag) for _ in range(RUNS)]
    middle = sorted(runs, key=lambda run: run.per_second)[RUNS // 2]
    p99 = statistics.median(run.p99 for run in runs)
    return Rate(middle.per_second, p99, sum(run.thanked for run in runs), sum(run.errors for run in runs))


def _wrk_once(url: str, connections: int, sign: bool, etag: str) -> Rate:
    command = ["wrk", "-t2", f"-c{connections}", f"-d{SECONDS}s", "--latency", "--timeout", "30s"]
    if sign:
        # A word that no other run has makes its mailboxes its own.
        command += ["-s", str(ROOT / "benchmarks" / "sign.lua"), url, "--", SIGN, f"{time.time_ns():x}"]
    else:
        command += ["-H", "Accept-Encoding: gzip", *(("-H", f"If-None-Match: {etag}") if etag else ()), url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    p99, unit = re.findall(r"99%\s+([\d.]+)(us|ms|s)", said)[0]
    thanked = re.search(r"Thanked: (\d+)", said)
    wrong = re.findall(r"(?:Non-2xx or 3xx responses: |connect |read |write |timeout )(\d+)", said)
    return Rate(
        per_second=float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0]),
        p99=float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
        thanked=int(thanked[1]) if thanked else 0,
        errors=sum(map(int, wrong)),
    )


@contextmanager
def serve(*command: str, **environ: str) -> Iterator[tuple[str, int]]:
    """Serve by a command, with the site's own gunicorn settings; gives URL and process id."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PORT": str(port), **environ},
        stdout=subprocess.DEVNULL,
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


def fetch(url: str, data: bytes | None = None) -> tuple[bytes, str]:
    """Body, as compressed as browsers get it, and ETag."""
    request = urllib.request.Request(url, data, {"Accept-Encoding": "gzip", "HX-Request": "true"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read(), answer.headers.get("ETag", "")


def bare(folder: Path, body: bytes, *, status: str = "200 OK", sign: bool = False) -> float:
    """Answers a second of a callable that does nothing but return the same bytes, at 16 connections."""
    file = folder / "body"
    file.write_bytes(body)
    with serve(*GUNICORN, "benchmarks.bare:app", BARE_BODY=str(file), BARE_STATUS=status) as (url, _):
        return wrk(url, 16, sign=sign).per_second


def commits(settings: Settings) -> float:
    """Bare INSERT and COMMIT of a signature a second, through the same driver on one connection."""
    with create_app(settings).app_context():
        campaign_id = campaigns.every(db.session())[0].id
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


def prepare(settings: Settings) -> None:
    """Tables and the sample campaign, without signatures."""
    app = create_app(settings)
    init_migrations(app)
    with app.app_context():
        upgrade()
        samples = campaign_file.read_all((ROOT / "campaigns").glob("*.md"))
        with write_transaction() as session:
            campaigns.publish(session, samples, datetime.now(UTC))
        db.engine.dispose()


def proven(settings: Settings, thanked: int, in_flight: int, before: int = 0) -> str:
    """That every signature that was thanked for is stored once, and counted once.

    Those whose answer the end of a run cut off, `in_flight` at the most, may be stored too.
    """
    with create_app(settings).app_context():
        found = tally.check(db.session(), campaigns.every(db.session())[0].id)
        db.engine.dispose()
    stored = found.stored - before
    if not (found.right and thanked <= stored <= thanked + in_flight):
        raise SystemExit(f"LOST OR TWICE: thanked {thanked}, stored {stored}, tally {found.tallied}")
    return f"{thanked:,} thanked, {stored:,} stored, tally right"


def largest_worker(master: int) -> float:
    """Megabytes of memory that the largest of a gunicorn's workers holds."""
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    sizes = [re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0] for pid in workers]
    return max(map(int, sizes)) / 1024


def peak_of_export(settings: Settings) -> float:
    """Megabytes by which an export of all signatures raises the peak of a process that has connected before."""
    child = (
        "import resource; from campaign import create_app, campaigns, delivery\n"
        "from campaign.extensions import db\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "with create_app().app_context():\n"
        "    campaign = campaigns.every(db.session())[0].id; idle = peak()\n"
        "    for chunk in delivery.csv_chunks(db.session(), campaign): pass\n"
        "    print(peak() - idle)"
    )
    environ = {**os.environ, "DATABASE_URL": settings.database_url}
    said = subprocess.run(
        [sys.executable, "-c", child], cwd=ROOT, env=environ, check=True, capture_output=True, text=True
    )
    return float(said.stdout)


def main() -> None:
    """Measure, and write RESULTS.md.

    Raises:
        SystemExit: wrk is missing, or a signature was lost or counted twice.
    """
    if not shutil.which("wrk"):
        raise SystemExit("the benchmarks need wrk: apt-get install wrk")
    report = Report()
    with tempfile.TemporaryDirectory() as name, postgresql(fsync=True) as server:
        folder = Path(name)
        sqlite = Settings.from_environ({}, folder / "sqlite")
        for settings in (
            sqlite,
            on_postgresql := Settings.from_environ({"DATABASE_URL": server.url}, folder / "pg"),
        ):
            prepare(settings)

        with serve(*GUNICORN, "wsgi:app", DATABASE_URL=sqlite.database_url) as (url, pid):
            page, _ = fetch(url + PAGE)
            _, etag = fetch(url + f"{PAGE}/feed")
            reading = wrk(url + PAGE, 16).per_second
            polling = wrk(url + f"{PAGE}/feed", 16, etag=etag).per_second
            thanks, _ = fetch(url + SIGN, b"name=Ada&email=first@example.org&country=US")
        bare_page = bare(folder, page)
        report.row(
            "campaign page",
            f"{reading:,.0f}/s",
            f"{reading / bare_page:.2f} of bare WSGI",
            "0.5",
            reading >= 0.5 * bare_page,
        )
        bare_poll = bare(folder, b"", status="304 Not Modified")
        report.row(
            "feed, unchanged (304)",
            f"{polling:,.0f}/s",
            f"{polling / bare_poll:.2f} of bare WSGI",
            "0.5",
            polling >= 0.5 * bare_poll,
        )
        share = 10_000 / feed.BUSY_SECONDS / polling
        report.row(
            f"10,000 open tabs, each asking every {feed.BUSY_SECONDS} s",
            f"{share:.0%} of the cores",
            "load generator and all",
            "100 %",
            share <= 1,
        )

        bare_sign = bare(folder, thanks, sign=True)
        signing: dict[str, float] = {}
        for what, settings, ratio, slowest in (("SQLite", sqlite, 0.08, 100), ("PostgreSQL", on_postgresql, 0.05, 150)):
            single = commits(settings)
            with serve(*GUNICORN, "wsgi:app", DATABASE_URL=settings.database_url) as (url, _):
                quick, crowd = wrk(url + SIGN, 16, sign=True), wrk(url + SIGN, 64, sign=True)
            signing[what] = quick.per_second
            first = 1 if settings is sqlite else 0
            proof = proven(settings, quick.thanked + crowd.thanked + first, RUNS * (16 + 64))
            report.row(
                f"sign, {what}",
                f"{quick.per_second:,.0f}/s",
                f"{quick.per_second / bare_sign:.2f} of bare WSGI, {quick.per_second / single:.2f} of bare commits; "
                + proof,
                f"{ratio}",
                quick.per_second >= ratio * bare_sign,
            )
            report.row(
                f"sign, {what}, p99 at 64 connections",
                f"{crowd.p99:.0f} ms",
                f"{crowd.per_second:,.0f}/s, {crowd.errors} errors",
                f"{slowest} ms",
                crowd.p99 <= slowest and not crowd.errors,
            )

        with create_app(sqlite).app_context():
            campaign_id = campaigns.every(db.session())[0].id
            before = tally.check(db.session(), campaign_id).stored
            for _ in fake.sign(campaign_id, MANY, datetime.now(UTC)):
                pass
            db.engine.dispose()
        before += MANY
        with serve(*GUNICORN, "wsgi:app", DATABASE_URL=sqlite.database_url) as (url, pid):
            _, etag = fetch(url + f"{PAGE}/feed")
            for what, few, many in (
                ("page", reading, wrk(url + PAGE, 16).per_second),
                ("feed", polling, wrk(url + f"{PAGE}/feed", 16, etag=etag).per_second),
            ):
                report.row(
                    f"{what} with {MANY:,} signatures",
                    f"{many:,.0f}/s",
                    f"{few / many:.2f} × the time without",
                    "1.15 ×",
                    few / many <= 1.15,
                )
            quick = wrk(url + SIGN, 16, sign=True)
            many = quick.per_second
            worker = largest_worker(pid)
            proof = proven(sqlite, quick.thanked, RUNS * 16, before)
            report.row(
                f"sign with {MANY:,} signatures",
                f"{many:,.0f}/s",
                f"{signing['SQLite'] / many:.2f} × the time without; {proof}",
                "1.15 ×",
                signing["SQLite"] / many <= 1.15,
            )
        export = peak_of_export(sqlite)
        report.row(f"export of {MANY:,} signatures, memory above idle", f"{export:.0f} MB", "", "100 MB", export < 100)
        report.row("memory of a worker after that", f"{worker:.0f} MB", "", "90 MB", worker < 90)
        for _ in ("first", "second"):
            started = time.monotonic()
            with serve("script/serve", DATABASE_URL=sqlite.database_url) as (url, _):
                fetch(url + PAGE)
                seconds = time.monotonic() - started
        report.row("second start to first answer", f"{seconds:.1f} s", "", "3 s", seconds < 3)
    write(report)


def write(report: Report) -> None:
    """Put the table into RESULTS.md, with what it was measured on."""
    cpu = re.findall(r"model name\s+: (.*)", Path("/proc/cpuinfo").read_text())
    packages = ", ".join(f"{name} {version(name)}" for name in ("flask", "gunicorn", "sqlalchemy", "psycopg"))
    (ROOT / "benchmarks" / "RESULTS.md").write_text(
        f"""# Results

Written by `script/bench`; what is measured and why it is what it is: [README.md](README.md).

{datetime.now(UTC):%Y-%m-%d}. {os.cpu_count()} cores ({cpu[0] if cpu else "unnamed"}),
{platform.system()} {platform.release()}, Python {platform.python_version()}, {packages},
SQLite {sqlite3.sqlite_version}. Load by wrk on the same cores, 16 connections unless said otherwise; medians of
{RUNS} runs of {SECONDS} s.

| what | figure | beside it | must reach | reached |
|---|---|---|---|---|
"""
        + "\n".join(report.lines)
        + "\n"
    )


if __name__ == "__main__":
    main()
