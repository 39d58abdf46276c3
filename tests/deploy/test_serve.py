"""`script/serve` in a fresh copy of the project."""

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from campaign.settings import ROOT
from campaign.web.errors import WORDS
from tests.conftest import ADA, wait_for
from tests.deploy.venvs import make_venv
from tests.services import free_port

SAMPLE = "/campaigns/end-ring-police-partnerships"


class Served:
    """A running `script/serve`, with a file that collects its output."""

    def __init__(self, project: Path, *arguments: str, **environ: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.output = project / "output"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                ["script/serve", *arguments],
                cwd=project,
                env={**os.environ, "PORT": str(port), **environ},
                stdout=file,
                stderr=subprocess.STDOUT,
                # A separate process group lets the fixture kill the workers as well.
                start_new_session=True,
            )

    def get(self, path: str, data: bytes | None = None) -> tuple[int, str]:
        """Return the status and body of a response; wait until the site responds at all."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(self.url + path, data, timeout=10) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"no site at {self.url}: {self.output.read_text()}") from None
                time.sleep(0.05)

    def workers(self) -> list[int]:
        """Return the process IDs of the background workers."""
        return [pid for pid, command in self.processes().items() if "flask --app wsgi work" in command]

    def processes(self) -> dict[int, str]:
        """Return the command lines of all processes that the site consists of, by process ID."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                # The fourth field after the program's name in parentheses is the session (proc_pid_stat(5)).
                state, _parent, _group, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        return found

    def wait_for_worker(self) -> int:
        """Wait until a background worker has its leases, and return its process ID."""
        wait_for(lambda: self.get("/readyz") == (200, "ready\n") and len(self.workers()) == 1)
        return self.workers()[0]

    def stop(self) -> str:
        """Stop the site as Ctrl+C does, and return its output without the log lines of requests."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
        lines = self.output.read_text().splitlines(keepends=True)
        return "".join(line for line in lines if '"message": "answered"' not in line)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the project's files that uses the packages installed for the tests."""
    folder = tmp_path / "campaign"
    # Bytecode and the list of ZIP codes are copied too, because making them takes seconds.
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "instance", "tests"))
    (folder / "instance").mkdir(mode=0o700)
    for file in (ROOT / "instance").glob("us-places-*.tsv"):
        shutil.copy(file, folder / "instance")
    make_venv(folder)
    return folder


@pytest.fixture
def serve(project: Path) -> Iterator[Callable[..., Served]]:
    running = []

    def serve(*arguments: str, **environ: str) -> Served:
        running.append(Served(project, *arguments, **environ))
        return running[-1]

    yield serve
    for served in running:
        with suppress(ProcessLookupError):
            os.killpg(served.process.pid, signal.SIGKILL)
        served.process.wait(timeout=30)


def test_serve_publishes_the_sample_petition_and_prints_its_url(serve: Callable[..., Served], project: Path) -> None:
    site = serve()
    status, page = site.get("/")
    assert status == 200
    assert "Tell Amazon Ring to End Its Dangerous Police Partnerships" in page
    sent = "&".join(f"{name}={value}" for name, value in ADA.items()).encode()
    assert "Thank You!" in site.get(f"{SAMPLE}/signatures", sent)[1]
    assert site.stop().splitlines() == [
        "published end-ring-police-partnerships",
        f"Campaign is at {site.url} (stop it with Ctrl+C)",
    ]

    again = serve()
    assert "Ada Lovelace" in again.get(SAMPLE)[1]
    assert again.stop() == f"Campaign is at {again.url} (stop it with Ctrl+C)\n"


def test_dev_mode_serves_changed_code_and_templates_and_restarts_the_worker(
    serve: Callable[..., Served], project: Path
) -> None:
    # Emacs marks an open file by such a link to nothing.
    (project / "campaign/worker/.#tasks.py").symlink_to("ada@desk.1234")
    site = serve("--dev")
    worker = site.wait_for_worker()
    title = WORDS[404].title
    assert title in site.get("/missing")[1]
    for file, old, new in (
        ("campaign/web/errors.py", f'"{title}"', '"A changed title"'),
        ("templates/errors/error.html", "<h1>", "<h1>A changed template: "),
    ):
        path = project / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        deadline = time.monotonic() + 30
        while new.strip('"') not in site.get("/missing")[1]:
            assert time.monotonic() < deadline, f"{file} is not reloaded"
            time.sleep(0.2)
    wait_for(lambda: len(set(site.workers()) - {worker}) == 1)


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ([], signal.SIGTERM),
        ([], signal.SIGKILL),
        (["--dev"], signal.SIGINT),
    ],
)
def test_worker_is_replaced_when_it_is_killed_and_ends_with_the_site(
    serve: Callable[..., Served], arguments: list[str], sent: signal.Signals
) -> None:
    site = serve(*arguments)
    first = site.wait_for_worker()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(set(site.workers()) - {first}) == 1)
    assert site.get("/healthz")[0] == 200
    if sent is signal.SIGINT:
        # Ctrl+C in a terminal reaches all of its processes.
        os.killpg(site.process.pid, sent)
    else:
        site.process.send_signal(sent)
    site.process.wait(timeout=30)
    wait_for(lambda: not site.processes())


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "eighty"), ("DATABASE_URL", "nonsense"), ("SITE_URL", "park"), ("HTMX_URL", "ftp://x")]
)
def test_invalid_setting_stops_the_start_with_one_line(serve: Callable[..., Served], name: str, value: str) -> None:
    site = serve(**{name: value})
    assert site.process.wait(timeout=60) == 1
    output = site.output.read_text().splitlines()
    assert len(output) == 1
    assert re.match(f"{name}: must be ", output[0])


def test_pages_show_the_configured_site_name_and_url(serve: Callable[..., Served]) -> None:
    site = serve(SITE_NAME="Fight for the Park", SITE_URL="https://park.example")
    page = site.get(SAMPLE)[1]
    assert ">Fight for the Park</a></header>" in page
    assert f'<link rel="canonical" href="https://park.example{SAMPLE}">' in page
    assert site.stop().splitlines()[-1].startswith("Fight for the Park is at http://127.0.0.1:")
