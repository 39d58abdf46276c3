"""The site as a machine runs it: gunicorn, under what starts it again."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from campaign.settings import ROOT
from tests.services import free_port


class Site:
    """A gunicorn, started again whenever it is gone: here we play systemd with Restart=always.

    When a service's main process is gone, systemd ends what is left of its control group by SIGTERM, waits for it, and
    starts the service again after RestartSec, 0.1 seconds (systemd.kill(5), systemd.service(5)).
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], inside: Sequence[str] = ()) -> None:
        self.address = ("127.0.0.1", free_port())
        self.log = folder / "gunicorn.log"
        """What it wrote to standard error."""
        self._environ = {**os.environ, "PORT": str(self.address[1]), "SECRET_KEY": "s" * 32, **environ}
        self._inside = inside
        self._process: subprocess.Popen[bytes]
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None

    def start(self) -> None:
        """Start it, and come back when it answers."""
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
                assert time.monotonic() < deadline, f"no site: {self.log.read_text()}"
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
        """Its process id."""
        return self._process.pid

    def workers(self) -> list[int]:
        """Their process ids."""
        return [pid for pid in _group(self.master) if pid != self.master]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it and wait until nothing of it is left, as `systemctl stop`; with SIGKILL, as when the power goes."""
        self._stopping.set()
        if how is signal.SIGKILL:
            _signal_all(_group(self.master), how)
        elif self._process.poll() is None:
            self._process.send_signal(how)
        assert self._keeper
        self._keeper.join(timeout=60)
        assert not self._keeper.is_alive(), "it does not stop"


def _group(leader: int) -> list[int]:
    """The processes of a group of which a thread still lives, and may hold a file.

    A dead one whose parent is gone may never be collected in a container.
    """
    members = set()
    for status in Path("/proc").glob("[0-9]*/task/*/stat"):
        try:
            process, rest = int(status.parts[2]), status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(rest[2]) == leader and rest[0] not in "ZX":
            members.add(process)
    return sorted(members)


def _signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
