"""Programs of the project, started as forks of a process that has imported their modules.

The imports take more than a second of CPU time, and a whole run starts hundreds of servers and workers. Everything else
is as when they are started by command: their arguments, environment, settings, signals, and children. The tests in
tests/deploy and tests/faults start them by command.
"""

import atexit
import multiprocessing
import multiprocessing.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

from campaign.settings import ROOT

MAIN = {"gunicorn": "gunicorn.app.wsgiapp:run", "flask": "flask.cli:main"}
"""The function of each program that `python -m` would call."""

# The socket of the fork server is in this folder. It is created before a test changes where temporary files go, because
# the path of a socket must be short.
if multiprocessing.current_process().name == "MainProcess":
    multiprocessing.util.get_temp_dir()
_server = multiprocessing.get_context("forkserver")
# They import no more than the programs do at the start: campaign/__init__.py imports everything but the desk.
_server.set_forkserver_preload(["campaign", *(function.partition(":")[0] for function in MAIN.values())])


class Fork:
    """A running program. Its methods are those of `subprocess.Popen`."""

    def __init__(self, program: str, *arguments: str, environ: Mapping[str, str], log: Path) -> None:
        """Start a program of MAIN in a session of its own, with its standard error at the end of `log`."""
        command = [program, *arguments]
        ours, its = _server.Pipe(duplex=False)
        self._process = _server.Process(target=_run, args=(command, dict(environ), str(log), its), daemon=True)
        self._process.start()
        its.close()
        assert self._process.pid
        self.pid: int = self._process.pid
        # Until it has a session of its own, it couldn't be killed together with its children.
        with ours:
            ours.recv()

    @property
    def returncode(self) -> int | None:
        """The exit code, or minus the number of the signal that ended it, or None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return `returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the program has ended, and return its `returncode`.

        Raises:
            subprocess.TimeoutExpired: It was still running after `timeout` seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the program has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()


def _run(command: Sequence[str], environ: Mapping[str, str], log: str, started: Connection) -> None:
    os.setsid()
    os.chdir(ROOT)
    for number, path in ((1, os.devnull), (2, log)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environ)
    # The environment may say where temporary files go.
    tempfile.tempdir = None
    sys.argv = list(command)
    started.send(None)
    started.close()
    module, _, function = MAIN[command[0]].partition(":")
    try:
        getattr(import_module(module), function)()
    finally:
        # multiprocessing ends its processes without them.
        atexit._run_exitfuncs()
