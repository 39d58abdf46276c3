"""Measure how much load the site carries, on loopback, beside baselines from the same run. `script/bench` starts it.

Results go to the terminal and to RESULTS.md. With --ten-million, they are added to its end.
"""

import argparse
import os
import platform
import re
import shutil
import sqlite3
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import beside, confirming, delivery, desk, duplicates, mail, measure
from benchmarks.measure import GUNICORN, PAGE, RUNS, SECONDS, SIGN, Rate, Target
from benchmarks.site import Site
from campaign.languages import catalogs
from campaign.settings import ROOT, Settings
from campaign.signatures import feed
from tests.services import postgresql

MANY = 1_000_000
"""The number of signatures with which nothing may be slower than with none."""
TEN_TIMES = 10_000_000
"""The same with --ten-million."""
VISITS = 8
"""Visits to a page in each language: enough for all workers to read its catalog."""
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
TITLE = f"## With {TEN_TIMES:,} signatures"


@dataclass
class Report:
    """The table of results, to which measurements add rows."""

    many: int
    """The number of signatures with which nothing may be slower than with none."""
    lines: list[str] = field(default_factory=list)

    def row(self, what: str, figure: str, beside: str, must: str, reached: bool) -> None:
        """Add a row."""
        self.lines.append(f"| {what} | {figure} | {beside} | {must} | {'yes' if reached else 'NO'} |")
        print(self.lines[-1], flush=True)

    def against_bare(self, what: str, rate: float, bare: float, least: float, beside: str = "") -> None:
        """Add a row that compares responses a second with those of a bare WSGI callable."""
        ratio = rate / bare
        self.row(what, f"{rate:,.0f}/s", f"{ratio:.2f} of bare WSGI{beside}", f"{least}", ratio >= least)

    def against_none(self, what: str, none: Rate, many: Rate) -> None:
        """Add a row that compares responses a second with many signatures and with none."""
        times = none.per_second / many.per_second
        figure = f"{many.per_second:,.0f}/s"
        self.row(
            f"{what} with {self.many:,} signatures",
            figure,
            f"{times:.2f} × the time with none",
            "1.15 ×",
            times <= 1.15,
        )


def main() -> None:
    """Measure, and write RESULTS.md.

    Raises:
        SystemExit: The program wrk is missing, or a signature was lost or counted twice.
    """
    parser = argparse.ArgumentParser(prog="script/bench", description="Measure how much load the site carries.")
    parser.add_argument("--ten-million", action="store_true", help=f"measure only with {TEN_TIMES:,} signatures")
    ten_million = parser.parse_args().ten_million
    if not shutil.which("wrk"):
        raise SystemExit("the benchmarks need wrk: apt-get install wrk")
    report = Report(TEN_TIMES if ten_million else MANY)
    with tempfile.TemporaryDirectory() as name, postgresql(fsync=True) as server:
        folder = Path(name)
        on_postgresql = Settings.from_environ({"DATABASE_URL": server.url}, folder / "postgresql")
        (measure_ten_million if ten_million else measure_all)(report, folder, on_postgresql)
    (write_ten_million if ten_million else write)(report)


def measure_all(report: Report, folder: Path, on_postgresql: Settings) -> None:
    """Measure everything, with up to MANY signatures."""
    few, many = (Settings.from_environ({}, folder / word) for word in ("few", "many"))
    measure.prepare(few)
    measure.prepare(many, MANY)
    measure.prepare(on_postgresql)
    bare = read_and_sign(report, folder, few, many)
    sign_on_postgresql(report, on_postgresql, bare)
    beside.report(report.row, "SQLite", few)
    beside.report(report.row, "PostgreSQL", on_postgresql)
    confirming.report(report.row, "SQLite", few, folder / "confirming")
    mail.report(report.row, "SQLite", few)
    mail.report(report.row, "PostgreSQL", on_postgresql)
    duplicate(report, "SQLite", few)
    asking = Settings.from_environ(confirming.MAIL, folder / "confirming")
    duplicate(report, "SQLite, with confirmation", asking)
    duplicate(report, "PostgreSQL", on_postgresql)
    export = measure.peak_of_export(many)
    report.row(f"export of {MANY:,} signatures, memory above idle", f"{export:.0f} MB", "", "100 MB", export < 100)
    start(report, many)
    without_desk(report, few)
    # Files are made before the desk's benchmark, which adds signatures.
    hundred_thousand = Settings.from_environ({}, folder / "hundred thousand")
    measure.prepare(hundred_thousand, 100_000)
    delivery.report(report.row, hundred_thousand, many)
    desk.report(report.row, "SQLite", many, new=MANY // 10, p99=100)
    measure.prepare(on_postgresql, MANY)
    desk.report(report.row, "PostgreSQL", on_postgresql, new=MANY // 10, p99=100)


def measure_ten_million(report: Report, folder: Path, on_postgresql: Settings) -> None:
    """Measure what must not depend on the number of signatures, with TEN_TIMES signatures."""
    few, many = (Settings.from_environ({}, folder / word) for word in ("few", "many"))
    measure.prepare(few)
    measure.prepare(many, TEN_TIMES)
    bare = read_and_sign(report, folder, few, many)
    desk.report(report.row, "SQLite", many, new=TEN_TIMES // 10, p99=250)
    # Free the disk space, several gigabytes.
    shutil.rmtree(many.instance)
    measure.prepare(on_postgresql, TEN_TIMES)
    sign_on_postgresql(report, on_postgresql, bare)
    desk.report(report.row, "PostgreSQL", on_postgresql, new=TEN_TIMES // 10, p99=250)


def sign_on_postgresql(report: Report, settings: Settings, bare: float) -> None:
    """Measure signing on PostgreSQL."""
    with measure.serve_site(settings) as (url, _):
        site = Site(settings, url)
        [rate] = measure.load(site.sign, connections=16)
        site.signed(rate, 16)
        sign(report, "PostgreSQL", site, rate, bare, least=0.05, slowest=150)


def read_and_sign(report: Report, folder: Path, few: Settings, many: Settings) -> float:
    """Measure reading and signing on SQLite, with no signatures and with many; return the baseline of signing."""
    with measure.serve_site(few) as (url, _), measure.serve_site(many) as (url_of_many, master):
        read(report, folder, url, url_of_many)
        bare = bare_sign(folder, url)
        sites = Site(few, url), Site(many, url_of_many)
        rates = measure.load(*(site.sign for site in sites), connections=16)
        for site, rate in zip(sites, rates, strict=True):
            site.signed(rate, 16)
        sign(report, "SQLite", sites[0], rates[0], bare, least=0.08, slowest=100)
        report.against_none("sign", *rates)
        sites[1].proof()
        for tag in catalogs.tags() * VISITS:
            measure.fetch(f"{url_of_many}/campaigns", language=tag)
        worker = measure.largest_worker(master)
        what = f"memory of a worker after that, with {len(catalogs.tags())} languages in use"
        report.row(what, f"{worker:.0f} MB", "", "90 MB", worker < 90)
    return bare


def without_desk(report: Report, settings: Settings) -> None:
    """Measure the public page with the desk loaded in every worker, and on a site without the desk."""
    database = {"DATABASE_URL": settings.database_url}
    with (
        measure.serve(*GUNICORN, "wsgi:app", **database) as (url, master),
        measure.serve(*GUNICORN, "benchmarks.no_desk:app", **database) as (url_without, master_without),
    ):
        # Each worker loads the desk at the first request for it.
        for _ in range(20):
            measure.fetch(f"{url}/desk/sign-in")
        # Responses a second vary by more than the 3% limit even between two runs of the same site. CPU time depends
        # less on other work on the machine.
        sites = (Target(url + PAGE), master), (Target(url_without + PAGE), master_without)
        beside, without = measure.processor_time(*sites, connections=16, runs=9)
    times = beside / without
    what = f"{times:.2f} × the time without"
    report.row("campaign page, with the desk loaded", f"{beside:.0f} µs of CPU time", what, "1.03 ×", times <= 1.03)


def read(report: Report, folder: Path, *urls: str) -> None:
    """Measure the page and the feed, with no signatures and with many."""
    page, _ = measure.fetch(urls[0] + PAGE)
    few, many = measure.load(*(Target(url + PAGE) for url in urls), connections=16)
    report.against_bare("campaign page", few.per_second, measure.bare(folder, page), 0.5)
    report.against_none("page", few, many)
    tabs = [Target(f"{url}{PAGE}/feed", etag=measure.fetch(f"{url}{PAGE}/feed")[1]) for url in urls]
    few, many = measure.load(*tabs, connections=16)
    bare = measure.bare(folder, b"", status="304 Not Modified")
    report.against_bare("feed, unchanged (304)", few.per_second, bare, 0.5)
    report.against_none("feed", few, many)
    share = 10_000 / feed.BUSY_SECONDS / few.per_second
    what = f"10,000 open tabs, a request from each every {feed.BUSY_SECONDS} s"
    report.row(what, f"{share:.0%} of the cores", "including the load generator", "100 %", share <= 1)


def bare_sign(folder: Path, url: str) -> float:
    """Return the baseline of signing: a callable that reads the same form and returns the same thank-you."""
    thanks, _ = measure.fetch(url + SIGN, b"name=Ada&email=first@example.org&country=US")
    return measure.bare(folder, thanks, sign=True)


def sign(report: Report, what: str, site: Site, rate: Rate, bare: float, *, least: float, slowest: int) -> None:
    """Measure signing at 64 connections, and report it with the rate at 16 connections."""
    [crowd] = measure.load(site.sign, connections=64)
    site.signed(crowd, 64)
    beside = f", {rate.per_second / measure.commits(site.settings):.2f} of bare commits; {site.proof()}"
    report.against_bare(f"sign, {what}", rate.per_second, bare, least, beside)
    reached = crowd.p99 <= slowest and not crowd.errors
    beside = f"{crowd.per_second:,.0f}/s, {crowd.errors} errors"
    report.row(f"sign, {what}, p99 at 64 connections", f"{crowd.p99:.0f} ms", beside, f"{slowest} ms", reached)


def duplicate(report: Report, what: str, settings: Settings) -> None:
    """Measure storing a duplicate and a new signature: the time must not reveal who has signed."""
    new, again = duplicates.compare(settings)
    times = again / new
    beside = f"{times:.3f} × the {new:,.0f} µs of a new one, medians"
    report.row(f"store a duplicate, {what}", f"{again:,.0f} µs", beside, "0.97 to 1.03 ×", 0.97 <= times <= 1.03)


def start(report: Report, settings: Settings) -> None:
    """Measure the second start with `script/serve`."""
    seconds = 0.0
    for _ in ("first", "second"):
        began = time.monotonic()
        with measure.serve("script/serve", DATABASE_URL=settings.database_url) as (url, _):
            measure.fetch(url + PAGE)
            seconds = time.monotonic() - began
    report.row("second start to first response", f"{seconds:.1f} s", "", "3 s", seconds < 3)


def write(report: Report) -> None:
    """Write the results to RESULTS.md, and keep those with TEN_TIMES signatures."""
    RESULTS.write_text(
        f"""# Results

Written by `script/bench`. [README.md](README.md) says what is measured, and what limits the figures.

{_text(report)}"""
        + _ten_million_so_far()
    )


def write_ten_million(report: Report) -> None:
    """Write the results with TEN_TIMES signatures to the end of RESULTS.md, and keep the others."""
    others = RESULTS.read_text().removesuffix(_ten_million_so_far())
    RESULTS.write_text(f"{others}\n{TITLE}\n\nWritten by `script/bench --ten-million`.\n\n{_text(report)}")


def _ten_million_so_far() -> str:
    _, title, results = RESULTS.read_text().partition(f"\n{TITLE}")
    return title + results


def _text(report: Report) -> str:
    """Return the machine and versions of the measurements, and their table."""
    cpu = re.findall(r"model name\s+: (.*)", Path("/proc/cpuinfo").read_text())
    packages = ", ".join(f"{name} {version(name)}" for name in ("flask", "gunicorn", "sqlalchemy", "psycopg"))
    return (
        f"""{datetime.now(UTC):%Y-%m-%d}. {os.cpu_count()} cores ({cpu[0] if cpu else "unnamed"}),
{platform.system()} {platform.release()}, Python {platform.python_version()}, {packages},
SQLite {sqlite3.sqlite_version}. wrk generates the load on the same cores, with 16 connections unless stated otherwise.
Figures are medians of {RUNS} runs of {SECONDS} s.

| Measurement | Figure | Comparison | Target | Met |
|---|---|---|---|---|
"""
        + "\n".join(report.lines)
        + "\n"
    )


if __name__ == "__main__":
    main()
