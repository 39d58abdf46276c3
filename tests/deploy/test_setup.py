"""script/serve and script/test set up what is missing, repair what is broken, or print one line that says what to do.

The tests run the real scripts. Small modules stand in for Flask, gunicorn, and the tools that script/test runs. Except
in one test, a new .venv gets pip from the packages that these tests run with, which takes a tenth of the time.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.venvs import VERSION, copy_scripts, make_venv
from tests.services import free_port

pytestmark = pytest.mark.slow

TOOLS = ("sh", "dirname", "cmp", "cat", "mktemp", "rm", "cp", "ls", "awk", "grep", "tail", "flock", "env")
"""Programs that the scripts use, and that every Debian has."""
SERVERS = ("initdb", "redis-server", "nginx", "faketime", "sqlite3", "openssl")
WORKER = "flask --app wsgi work "
# In one write, because the worker and the server print at the same time.
STAND_IN = "import os, sys; os.write(1, (' '.join([{name!r}, *sys.argv[1:]]) + '\\n').encode())\n"


QUICK_VENV = f"""
if [ "$1 $2" = "-m venv" ]; then
  {sys.executable} -m venv --without-pip "$3"
  if [ -n "${{SLOW:-}}" ]; then sleep 30; fi
  echo {sysconfig.get_paths()["purelib"]} >"$3/lib/python{VERSION}/site-packages/tests.pth"
else exec {sys.executable} "$@"
fi
"""
"""A python3 that makes a .venv without installing pip. With SLOW=1, it leaves time to interrupt it."""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with a python3 that makes a .venv quickly."""
    folder = tmp_path / "python"
    folder.mkdir()
    add_program(folder, "python3", QUICK_VENV)
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder like a new clone, without .venv."""
    project = tmp_path / "campaign"
    copy_scripts(project)
    for name in ("flask", "gunicorn", "ruff", "mypy"):
        (project / f"{name}.py").write_text(STAND_IN.format(name=name))
    (project / "pytest.py").write_text(
        "import os, sys; print('pytest', *sys.argv[1:], 'skip' * ('WITHOUT_BROWSER' in os.environ), flush=True)\n"
    )
    (project / "importlinter").mkdir()
    (project / "importlinter/__init__.py").touch()
    (project / "importlinter/cli.py").write_text("def lint_imports_command(): print('lint-imports', flush=True)\n")
    (project / "campaign").mkdir()
    (project / "campaign/settings.py").write_text(
        "from pathlib import Path\n"
        "ROOT = Path(__file__).parent.parent\n"
        "HTMX_URL = 'http://127.0.0.1:9/npm/htmx/htmx.js'\n"
        "HTMX_INTEGRITY = 'sha384-AAAA'\n"
    )
    return project


@pytest.fixture
def installed(project: Path) -> Path:
    """A project folder whose .venv has been set up."""
    make_venv(project)
    return project


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder to use as the whole PATH. It has no servers and no browser, and a sudo that asks for a password."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(str(shutil.which(name)))
    add_program(folder, "id", "echo 1000")
    add_program(folder, "sudo", "exit 1")
    add_program(folder, "apt-get", "exit 100")
    return folder


def add_program(folder: Path, name: str, command: str = "exit 0") -> None:
    """Write a shell script with the name of a program to the folder."""
    (folder / name).write_text(f"#!/bin/sh\n{command}\n")
    (folder / name).chmod(0o755)


def start(project: Path, *command: str, **environ: str) -> subprocess.Popen[str]:
    """Start a script, with its output and errors in one pipe."""
    port = {"PORT": str(free_port())}
    return subprocess.Popen(
        command or ["script/serve"],
        cwd=project,
        env={**os.environ, "CI": "", **port, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(project: Path, *command: str, **environ: str) -> tuple[int, list[str]]:
    """Run a script; return its status and the lines it printed, without those of the worker beside the server."""
    process = start(project, *command, **environ)
    output = process.communicate(timeout=60)[0]
    return process.returncode, [line for line in output.splitlines() if not line.startswith(WORKER)]


def set_up(project: Path, path: str) -> None:
    """Start the site, and check that this sets up a working .venv in the project's folder."""
    assert run(project, PATH=path) == (
        0,
        ["Installing the packages of requirements.txt …", "flask --app wsgi prepare", "gunicorn"],
    )
    program = "import pip, sys; print(sys.prefix)"
    found = subprocess.run([".venv/bin/python", "-c", program], cwd=project, capture_output=True, text=True, check=True)
    assert found.stdout == f"{project}/.venv\n"


def snapshot(folder: Path) -> dict[str, float]:
    """Return all paths in a folder with the times they were changed."""
    return {str(path): path.lstat().st_mtime for path in folder.rglob("*")}


def test_second_start_installs_nothing(installed: Path) -> None:
    assert run(installed) == (0, ["flask --app wsgi prepare", "gunicorn"])


def test_empty_venv_is_rebuilt(project: Path) -> None:
    (project / ".venv").mkdir()
    set_up(project, os.environ["PATH"])


def test_venv_without_pip_is_rebuilt(project: Path, path: str) -> None:
    venv.create(project / ".venv", symlinks=True)
    set_up(project, path)


def test_interrupted_installation_is_begun_again(installed: Path, path: str) -> None:
    (installed / ".venv/.made-for").unlink()
    set_up(installed, path)


def test_start_after_ctrl_c_recovers(project: Path, path: str) -> None:
    first = start(project, PATH=path, SLOW="1")
    deadline = time.monotonic() + 30
    while not (project / ".venv/bin/python").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode != 0
    set_up(project, path)


def test_simultaneous_starts_take_turns(project: Path, path: str) -> None:
    starts = [start(project, PATH=path) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in starts]
    assert [process.returncode for process in starts] == [0, 0], outputs
    assert sum(output.count("Installing the packages") for output in outputs) == 1


def test_moved_folder_is_repaired(installed: Path, path: str) -> None:
    moved = installed.rename(installed.parent / "moved")
    set_up(moved, path)


def test_copied_folder_gets_its_own_venv(installed: Path, path: str) -> None:
    before = snapshot(installed / ".venv")
    copy = shutil.copytree(installed, installed.parent / "copy", symlinks=True)
    set_up(copy, path)
    assert snapshot(installed / ".venv") == before


def test_symbolic_link_is_replaced_and_its_target_left_alone(project: Path, path: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    copy_scripts(other)
    make_venv(other)
    before = snapshot(other)
    (project / ".venv").symlink_to(other / ".venv")
    set_up(project, path)
    assert not (project / ".venv").is_symlink()
    assert snapshot(other) == before


def test_venv_of_another_python_version_is_rebuilt(installed: Path, path: str) -> None:
    (installed / ".venv/.made-for").write_text(f"3.1 {installed}/.venv\n")
    set_up(installed, path)
    assert (installed / ".venv/.made-for").read_text() == f"{VERSION} {installed}/.venv\n"


def test_removed_python_is_noticed(installed: Path, path: str) -> None:
    python = installed / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    set_up(installed, path)


def test_missing_network_is_explained_in_one_line(project: Path, path: str) -> None:
    (project / "requirements.txt").write_text(f"absent==1.0 --hash=sha256:{'0' * 64}\n")
    no_network = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "1", "PIP_NO_CACHE_DIR": "1"}
    status, lines = run(project, PATH=path, **no_network)
    assert status == 1
    assert lines[0].startswith("Installing the packages")
    assert lines[1:] == [
        "The packages can't be downloaded. Check your network connection, then run script/serve again."
    ]


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's tmp_path."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_checkout_of_another_user_is_explained_in_one_line(shared_folder: Path) -> None:
    project = shared_folder / "campaign"
    copy_scripts(project)
    project.chmod(0o555)
    # Root can write anywhere.
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    status, lines = run(project, *prefix, "script/serve")
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith(f"You can't write to {project}: it belongs to ")
    project.chmod(0o755)


def test_sudo_password_prompt_is_explained_in_one_line(installed: Path, programs: Path) -> None:
    status, lines = run(installed, "script/test", PATH=str(programs))
    assert (status, len(lines)) == (1, 1)
    assert "sudo apt-get install" in lines[0]
    assert "redis-server" in lines[0]


def test_error_for_a_taken_port_suggests_a_free_port(installed: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments in ([], ["--dev"]):
            status, lines = run(installed, "script/serve", *arguments, PORT=str(port))
            assert (status, lines[0], len(lines)) == (1, "flask --app wsgi prepare", 2)
            assert lines[1].startswith(f"Port {port} is taken. Choose another one: PORT=")
            assert lines[1].endswith(" script/serve")


def test_error_for_a_privileged_port_suggests_a_free_port(installed: Path) -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80:
        pytest.skip("here every user may listen on port 80")
    prefix = ["setpriv", "--bounding-set=-net_bind_service"] if os.geteuid() == 0 else []
    status, lines = run(installed, *prefix, "script/serve", PORT="80")
    assert (status, len(lines)) == (1, 2)
    assert lines[1].startswith("Port 80 is reserved for root. Choose another one: PORT=8")


def test_missing_htmx_skips_only_the_browser_tests(installed: Path, programs: Path) -> None:
    for name in (*SERVERS, "chromium"):
        add_program(programs, name)
    status, lines = run(installed, "script/test", "-x", PATH=str(programs))
    assert status == 0, lines
    assert lines[0].startswith("BROWSER TESTS ARE SKIPPED: htmx can't be downloaded")
    assert "pytest --numprocesses 3 --dist loadgroup -x skip" in lines
    assert lines[-1].startswith("BROWSER TESTS WERE SKIPPED: htmx can't be downloaded")

    status, lines = run(installed, "script/test", PATH=str(programs), CI="true")
    assert (status, len(lines)) == (1, 1)


def test_missing_browser_is_explained(installed: Path, programs: Path) -> None:
    for name in SERVERS:
        add_program(programs, name)
    status, lines = run(installed, "script/test", PATH=str(programs))
    assert status == 0, lines
    assert lines[0] == "BROWSER TESTS ARE SKIPPED: Chromium is missing. Run: sudo apt-get install chromium"


def test_quick_run_needs_no_server_and_no_browser(installed: Path, programs: Path) -> None:
    status, lines = run(installed, "script/test", "--quick", "-x", PATH=str(programs))
    assert status == 0, lines
    assert lines == [
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "lint-imports",
        "pytest --numprocesses 2 -m not slow and not server --durations 5 --durations-min 1 "
        "--ignore tests/browser --ignore tests/faults -x ",
    ]
