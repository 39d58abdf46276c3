"""The operator's one command, `script/serve`, on a copy of the project that has served nothing yet."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from campaign.settings import ROOT
from tests.conftest import ADA
from tests.services import free_port

SAMPLE = "/campaigns/end-ring-police-partnerships"


class Served:
    """A `script/serve` that runs, and what it has written so far."""

    def __init__(self, project: Path, *arguments: str, **environ: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.written = project / "written"
        with self.written.open("wb") as file:
            self.process = subprocess.Popen(
                ["script/serve", *arguments],
                cwd=project,
                env={**os.environ, "PORT": str(port), **environ},
                stdout=file,
                stderr=subprocess.STDOUT,
                # A group of its own, so that the workers end with it.
                start_new_session=True,
            )

    def get(self, path: str, data: bytes | None = None) -> tuple[int, str]:
        """Status and body, once it answers at all."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(self.url + path, data, timeout=10) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"no site at {self.url}: {self.written.read_text()}") from None
                time.sleep(0.05)

    def stop(self) -> str:
        """Stop it as Ctrl+C does, and give all that it wrote but for what it logs of requests."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
        lines = self.written.read_text().splitlines(keepends=True)
        return "".join(line for line in lines if '"message": "answered"' not in line)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What a clone has, with the packages that are installed for these tests."""
    folder = tmp_path / "campaign"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "instance", "tests", "__pycache__"))
    (folder / ".venv").symlink_to(sys.prefix)
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


def test_one_command_serves_the_first_petition_and_says_where(serve: Callable[..., Served], project: Path) -> None:
    site = serve()
    status, page = site.get("/")
    assert status == 200
    assert "Tell Amazon Ring to End Its Dangerous Police Partnerships" in page
    sent = "&".join(f"{name}={value}" for name, value in ADA.items()).encode()
    assert "Thank You!" in site.get(f"{SAMPLE}/signatures", sent)[1]
    said = site.stop().splitlines()
    # The first start also installs, unless these tests have.
    assert [line for line in said if not line.startswith("Installing what")] == [
        "published end-ring-police-partnerships",
        f"Campaign is at {site.url} (stop it with Ctrl+C)",
    ]

    again = serve()
    assert "Ada Lovelace" in again.get(SAMPLE)[1]
    assert again.stop() == f"Campaign is at {again.url} (stop it with Ctrl+C)\n"


def test_with_dev_a_change_is_served_without_a_restart(serve: Callable[..., Served], project: Path) -> None:
    site = serve("--dev")
    assert "There is nothing here" in site.get("/missing")[1]
    for file, old, new in (
        ("campaign/errors.py", "There is nothing here", "Nothing to be found"),
        ("templates/errors/error.html", "To our petitions", "All petitions"),
    ):
        path = project / file
        path.write_text(path.read_text().replace(old, new))
        deadline = time.monotonic() + 30
        while new not in site.get("/missing")[1]:
            assert time.monotonic() < deadline, f"{file} is not reloaded"
            time.sleep(0.2)


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "eighty"), ("DATABASE_URL", "nonsense"), ("SITE_URL", "park"), ("HTMX_URL", "ftp://x")]
)
def test_a_wrong_setting_stops_the_start_with_one_line(serve: Callable[..., Served], name: str, value: str) -> None:
    site = serve(**{name: value})
    assert site.process.wait(timeout=60) == 1
    said = [line for line in site.written.read_text().splitlines() if not line.startswith("Installing what")]
    assert len(said) == 1
    assert re.match(f"{name}: must be ", said[0])


def test_a_name_and_an_address_of_ones_own_are_on_every_page(serve: Callable[..., Served]) -> None:
    site = serve(SITE_NAME="Fight for the Park", SITE_URL="https://park.example")
    page = site.get(SAMPLE)[1]
    assert ">Fight for the Park</a></header>" in page
    assert f'<link rel="canonical" href="https://park.example{SAMPLE}">' in page
    assert site.stop().splitlines()[-1].startswith("Fight for the Park is at http://127.0.0.1:")
