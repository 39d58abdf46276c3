"""A site as an operator runs it: gunicorn, restarted after every exit."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from campaign.settings import ROOT
from tests.services import free_port


class Site:
    """A gunicorn that is restarted after every exit, as by systemd with Restart=always.

    After a service's main process has exited, systemd sends SIGTERM to the remaining processes of its control group,
    waits for them, and restarts the service after RestartSec, 0.1 seconds (systemd.kill(5), systemd.service(5)).
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], inside: Sequence[str] = ()) -> None:
        self.address = ("127.0.0.1", free_port())
        self.log = folder / "gunicorn.log"
        """Gunicorn's standard error."""
        self._environ = {**os.environ, "PORT": str(self.address[1]), "SECRET_KEY": "s" * 32, **environ}
        self._inside = inside
        self._process: subprocess.Popen[bytes]
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None

    def start(self) -> None:
        """Start the site, and return when it responds."""
        self._stopping.clear()
        self._launch()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen("http://{}:{}/healthz".format(*self.address), timeout=5).close()
                return
            except OSError:
                assert time.monotonic() < deadline, f"the site does not respond: {self.log.read_text()}"
                time.sleep(0.02)

    def _launch(self) -> None:
        command = [*self._inside, sys.executable, "-m", "gunicorn"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environ, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
            )

    def _keep(self) -> None:
        while True:
            self._process.wait()
            _signal_all(_group(self._process.pid), signal.SIGTERM)
            while _group(self._process.pid):
                time.sleep(0.02)
            if self._stopping.wait(0.1):
                return
            self._launch()

    @property
    def master(self) -> int:
        """The process ID of gunicorn's main process."""
        return self._process.pid

    def workers(self) -> list[int]:
        """Return the process IDs of gunicorn's workers."""
        return [pid for pid in _group(self.master) if pid != self.master]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop the site, and wait until all of its processes have ended.

        SIGTERM stops it like `systemctl stop`, SIGKILL like a power failure.
        """
        self._stopping.set()
        if number is signal.SIGKILL:
            _signal_all(_group(self.master), number)
        elif self._process.poll() is None:
            self._process.send_signal(number)
        assert self._keeper
        self._keeper.join(timeout=60)
        assert not self._keeper.is_alive(), "the site does not stop"


def _group(leader: int) -> list[int]:
    """Return the processes of a process group that have a living thread, which may hold a file open.

    Zombies are left out: in a container they may stay forever after their parent has exited.
    """
    members = set()
    for process in filter(str.isdigit, os.listdir("/proc")):
        for thread in _entries(f"/proc/{process}/task"):
            with suppress(FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{process}/task/{thread}/stat").read_text().rpartition(")")[2].split()
                if int(status[2]) == leader and status[0] not in "ZX":
                    members.add(int(process))
    return sorted(members)


def _entries(folder: str) -> list[str]:
    # Path.glob would raise an error, because processes end while they are listed (until Python 3.13).
    try:
        return os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError):
        return []


def _signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
