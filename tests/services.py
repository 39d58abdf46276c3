"""Real servers for tests, each with its own port and a temporary data folder."""

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.forks import Fork

allowed = True
"""Whether this run may start servers; conftest.py sets it."""


def check_allowed() -> None:
    """Refuse to start a server in a quick run.

    Raises:
        RuntimeError: the run leaves out tests that need a server.
    """
    if not allowed:
        raise RuntimeError("this test starts a server: mark it with @pytest.mark.server")


PORTS = 1_000
"""How many ports each process of a test run has for its servers."""


def _own_ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw11").removeprefix("gw"))
    first = 20_000 + worker % 12 * PORTS
    return itertools.cycle(range(first, first + PORTS))


_ports = _own_ports()


def free_port() -> int:
    """Return a port for a server.

    A port that the system chose would be one of those that it also gives to clients (on Linux, 32768 to 60999). The
    client of another test could take it before the server starts, or while it restarts. These are below.

    Raises:
        RuntimeError: All ports of this process are taken.
    """
    for port in itertools.islice(_ports, PORTS):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free for a server")


def program(name: str) -> str:
    """Return the path of a server's program.

    On Debian, PostgreSQL's programs are not in PATH. The newest version is used.
    """
    check_allowed()
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") or (str(kept[-1]) if kept else None)
    if found is None:
        raise RuntimeError(f"tests need {name}; script/test installs it")
    return found


@dataclass
class Service:
    """A server process that a test may kill and restart with the same port and data."""

    command: Sequence[str]
    port: int
    folder: Path
    """The working folder; the server's output is in its file `log`."""
    url: str
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start the server, and return when it accepts connections.

        Raises:
            RuntimeError: The server does not start.
        """
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True, **_as_ordinary_user()
            )
        deadline = time.monotonic() + 30
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.command[0]} does not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def listens(self) -> bool:
        """Return whether the server accepts requests."""
        if self.url.startswith("postgresql"):
            # PostgreSQL opens its port before it accepts requests.
            ready = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
            return subprocess.run(ready, check=False).returncode == 0
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """Kill the server and all of its child processes, as a power failure would."""
        assert self.process
        # PostgreSQL's child processes have process groups of their own. One that survived would keep the data locked.
        self.process.send_signal(signal.SIGSTOP)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (*map(int, children), self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=30)
        deadline = time.monotonic() + 30
        while any(map(_lives, children)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.command[0]} is still running")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server, if it runs, without waiting for its clients."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=30)


def _lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _as_ordinary_user() -> dict[str, Any]:
    # PostgreSQL refuses to run as root, the user in containers and CI.
    if os.geteuid():
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid}


MEMORY = Path("/dev/shm")  # noqa: S108 (a folder of our own in it)
"""Linux's folder for files in memory. Creating a database of some hundred files takes a tenth of the time there."""
MOST_BYTES = 2 << 30
"""Free space needed in MEMORY for a server's data; with less, the data is stored on disk."""


def has_memory() -> bool:
    """Return whether MEMORY has room for the tests' files."""
    return os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MOST_BYTES


@contextmanager
def _folder(name: str, *, on_disk: bool = False) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"campaign-{name}-", dir=MEMORY if not on_disk and has_memory() else None))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgresql(*options: str, fsync: bool = False) -> Iterator[Service]:
    """Start a PostgreSQL server; its URL leads to its empty database `postgres`.

    Tests need no fsync and no disk; benchmarks do. `options` are further PostgreSQL settings, each as `name=value`.
    """
    with _folder("postgresql", on_disk=fsync) as folder:
        make_postgresql_data(folder)
        disk = ["fsync=on"] if fsync else ["fsync=off", "max_wal_size=256MB"]
        yield from _served(postgresql_at(folder, *disk, "max_connections=300", *options))


def make_postgresql_data(folder: Path, *options: str, inside: Sequence[str] = ()) -> None:
    """Create the data of a new PostgreSQL server in `folder / "data"`; `options` are options of initdb.

    `inside` is a command prefix that runs initdb elsewhere, such as in another mount namespace.
    """
    initdb = [program("initdb"), "-D", str(folder / "data"), "-U", "campaign", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run([*inside, *initdb, *options], check=True, stdout=subprocess.DEVNULL, **_as_ordinary_user())


def postgresql_at(folder: Path, *options: str) -> Service:
    """Return a PostgreSQL server, not yet started, for the data in `folder / "data"`."""
    port = free_port()
    settings = [part for option in options for part in ("-c", option)]
    command = [program("postgres"), "-D", str(folder / "data"), "-p", str(port), "-k", str(folder), *settings]
    return Service(command, port, folder, f"postgresql+psycopg://campaign@127.0.0.1:{port}/postgres")


@contextmanager
def replica_of(primary: Service) -> Iterator[Service]:
    """Start a streaming replica of a PostgreSQL server."""
    with _folder("replica") as folder:
        copy = [program("pg_basebackup"), "-d", f"postgresql://campaign@127.0.0.1:{primary.port}", "-D", "data", "-R"]
        subprocess.run([*copy, "-c", "fast"], cwd=folder, check=True, **_as_ordinary_user())
        yield from _served(postgresql_at(folder, "max_connections=300"))


@contextmanager
def redis() -> Iterator[Service]:
    """Start a Redis server that writes nothing to disk."""
    with _folder("redis") as folder:
        port = free_port()
        command = [program("redis-server"), "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
        yield from _served(Service(command, port, folder, f"redis://127.0.0.1:{port}/0"))


def _served(service: Service) -> Iterator[Service]:
    try:
        service.start()
        yield service
    finally:
        service.stop()


@dataclass
class Node:
    """A gunicorn that a test may stop, kill, and restart on the same port."""

    environ: dict[str, str]
    log: Path
    """Gunicorn's standard error."""
    port: int
    name: str = "127.0.0.1"
    """The host in its URL."""
    process: Fork = field(init=False)

    @property
    def url(self) -> str:
        """The URL, without a trailing slash."""
        return f"http://{self.name}:{self.port}"

    def start(self) -> None:
        """Start gunicorn, and return when it responds."""
        check_allowed()
        self.process = Fork("gunicorn", environ={**os.environ, **self.environ, "PORT": str(self.port)}, log=self.log)
        deadline = time.monotonic() + 30
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"{self.url}/healthz", timeout=5).close()
                return
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "gunicorn does not respond"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop gunicorn as systemd does."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=40)

    def kill(self) -> None:
        """Kill gunicorn and its workers, as a power failure would. A test may have stopped them already."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)
