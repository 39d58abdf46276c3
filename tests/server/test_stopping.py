"""Stopping gunicorn by Ctrl+C takes seconds, whatever its workers are doing when the signals arrive."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import pytest

from campaign.settings import ROOT
from tests.services import free_port

pytestmark = [pytest.mark.server, pytest.mark.slow]
SECONDS = 6
"""How long a stop may take. A deadlock would last for graceful_timeout, which is 30 seconds."""

LOCKED = """
import os, signal, threading

exec(compile(open("gunicorn.conf.py").read(), "gunicorn.conf.py", "exec"))


class SignalingLock:
    # The lock of a worker's thread pool. Two signals interrupt the main thread when it first holds the lock.
    def __init__(self, lock):
        self.lock = lock
        self.signals = [signal.SIGINT, signal.SIGQUIT]

    def __enter__(self):
        self.lock.acquire()
        while self.signals and threading.current_thread() is threading.main_thread():
            os.kill(os.getpid(), self.signals.pop(0))

    def __exit__(self, *_):
        self.lock.release()


def post_worker_init(worker):
    worker.tpool._shutdown_lock = SignalingLock(worker.tpool._shutdown_lock)
"""


@dataclass
class Gunicorn:
    """A gunicorn with the site's configuration, and a small app that loads at once."""

    process: subprocess.Popen[str]
    port: int

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def request(self) -> None:
        with suppress(OSError, HTTPException):
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=1).close()

    def output_at_exit(self) -> str:
        """Return gunicorn's output once it has ended; fail if it doesn't end in time."""
        return self.process.communicate(timeout=SECONDS)[0]


@contextmanager
def gunicorn(tmp_path: Path, config: str = "gunicorn.conf.py", workers: int = 1) -> Iterator[Gunicorn]:
    port = free_port()
    environ = {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'unused.sqlite'}",
        "SECRET_KEY": "k" * 32,
        "PORT": str(port),
        "WEB_CONCURRENCY": str(workers),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", config, "wsgiref.simple_server:demo_app"],
        cwd=ROOT,
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout
        # when_ready() in gunicorn.conf.py prints this line.
        assert "Ctrl+C" in process.stdout.readline()
        yield Gunicorn(process, port)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout
        process.stdout.close()


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + SECONDS
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"worker {pid} has not stopped in {SECONDS} seconds"
        time.sleep(0.01)


def new_worker(server: Gunicorn, old: int) -> int:
    deadline = time.monotonic() + SECONDS
    while True:
        new = [pid for pid in server.workers() if pid != old]
        if new:
            return new[0]
        assert time.monotonic() < deadline, "gunicorn has started no new worker"


def test_worker_that_holds_a_lock_stops_on_signals(tmp_path: Path) -> None:
    config = tmp_path / "locked.conf.py"
    config.write_text(LOCKED)
    with gunicorn(tmp_path, str(config)) as server:
        while not server.workers():
            time.sleep(0.01)
        worker = server.workers()[0]
        server.request()
        wait_until_gone(worker)


def test_worker_stops_at_every_moment(tmp_path: Path) -> None:
    """Send both signals at various moments, from the fork of a worker until it serves requests."""
    with gunicorn(tmp_path) as server:
        over = threading.Event()

        def crowd() -> None:
            while not over.is_set():
                server.request()

        clients = [threading.Thread(target=crowd) for _ in range(4)]
        for client in clients:
            client.start()
        worker = 0
        try:
            for number in range(24):
                worker = new_worker(server, worker)
                # A new worker serves requests after some 30 ms.
                time.sleep(number % 10 * 0.008)
                os.kill(worker, signal.SIGINT)
                time.sleep(number * 0.00002)
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGQUIT)
                wait_until_gone(worker)
        finally:
            over.set()
            for client in clients:
                client.join()
        server.process.send_signal(signal.SIGINT)
        assert "out of memory" not in server.output_at_exit()


@pytest.mark.parametrize("seconds", [0, 0.02, 0.1, 0.5])
def test_ctrl_c_stops_gunicorn(tmp_path: Path, seconds: float) -> None:
    with gunicorn(tmp_path, workers=2) as server:
        time.sleep(seconds)
        # A terminal signals the whole group; the main process then sends SIGQUIT to its workers.
        os.killpg(server.process.pid, signal.SIGINT)
        assert "out of memory" not in server.output_at_exit()
