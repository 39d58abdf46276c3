"""Metrics for Prometheus, if the operator has set METRICS_PORT. They are only numbers and identify nobody.

gunicorn.conf.py opens the port before it starts workers, and any worker responds there for all of them. Each process
writes its numbers to a file in a shared folder, and the worker that responds adds them up (prometheus_client's
multiprocess mode). Without METRICS_PORT, the functions here return at once, and prometheus_client is not imported.
"""

import atexit
import os
import shutil
import socket
import tempfile
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from http.server import HTTPServer
from pathlib import Path
from typing import Any

from campaign.settings import SettingError

OUTCOMES = {
    200: "thanked",
    303: "thanked",
    422: "refused_by_form",
    409: "not_open",
    410: "not_open",
    429: "limited",
    503: "not_stored",
}
"""Outcomes of sign requests by the response's status. Other requests count as `failed` (5xx) or `turned_away`."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""The histogram's bounds in seconds, from a write that doesn't wait to one that waits until the timeout."""


class _Metrics:
    """All metrics, created in gunicorn's main process and inherited by its workers."""

    def __init__(self, listener: socket.socket) -> None:
        # prometheus_client reads the environment when it is imported, so open_port() must have set it before.
        from prometheus_client import Counter, Gauge, Histogram

        self.listener = listener
        self.requests = Counter(
            "campaign_requests", "Requests, including those served from the cache.", ["route", "method", "status"]
        )
        self.signs = Counter("campaign_signs", "Sign requests by outcome.", ["outcome"])
        for outcome in (*OUTCOMES.values(), "turned_away", "failed"):
            self.signs.labels(outcome)
        self.storing = Histogram(
            "campaign_store_seconds",
            "Time to store a signature or to fail, including the wait for the turn to write.",
            buckets=SECONDS,
        )
        self.feed_age = Gauge(
            "campaign_feed_age_seconds",
            "Age of the feed that a worker served last; the maximum of all workers.",
            multiprocess_mode="livemax",
        )
        self.mail = Gauge("campaign_mail_waiting", "Messages that wait to be mailed.", multiprocess_mode="mostrecent")
        self.mail_age = Gauge("campaign_mail_age_seconds", "Age of the oldest of them.", multiprocess_mode="mostrecent")
        self.waiting = Gauge("campaign_write_queue", "Signatures waiting to be stored.", multiprocess_mode="livesum")


_on: _Metrics | None = None


def request(route: str, method: str, status: str) -> None:
    """Count a request. The caller must limit the number of different routes and methods."""
    if _on:
        _on.requests.labels(route, method, status).inc()


def sign(status: int) -> None:
    """Count a sign request by the status of its response."""
    if _on:
        _on.signs.labels(OUTCOMES.get(status, "failed" if status >= 500 else "turned_away")).inc()


def mail(waiting: int, age: float) -> None:
    """Record how many messages wait to be mailed, and for how many seconds the oldest of them."""
    if _on:
        _on.mail.set(waiting)
        _on.mail_age.set(age)


def feed_used(age: float) -> None:
    """Record the age in seconds of the feed that is served now."""
    if _on:
        _on.feed_age.set(age)


def storing() -> AbstractContextManager[Any]:
    """Return a context manager that measures the time to store a signature."""
    return _on.storing.time() if _on else _NOTHING


def waiting() -> AbstractContextManager[Any]:
    """Return a context manager that counts a signature as waiting."""
    return _on.waiting.track_inprogress() if _on else _NOTHING


_NOTHING = nullcontext()


def open_port(host: str, port: int) -> None:
    """Turn metrics on and listen on the port, unless it is 0. Call it in gunicorn's main process, before workers start.

    Raises:
        SettingError: The port can't be opened.
    """
    global _on
    if not port:
        return
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingError("METRICS_PORT", f"can't listen on {host} port {port}: {error.strerror}") from None
    folder = tempfile.mkdtemp(prefix="campaign-metrics-")
    atexit.register(_remove, folder, os.getpid())
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    _on = _Metrics(listener)


def _remove(folder: str, owner: int) -> None:
    # Workers inherit this exit handler, but the folder is still in use when one of them ends.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def answer() -> None:
    """Serve metrics in a separate thread of this worker, so that a crowd of visitors doesn't delay them."""
    if not _on:
        return
    from prometheus_client import CollectorRegistry, MetricsHandler
    from prometheus_client.multiprocess import MultiProcessCollector

    class Together(MultiProcessCollector):
        def collect(self) -> Any:
            """Add up the numbers of all workers, even while one is starting or ending."""
            return self.merge(_with_numbers(os.environ["PROMETHEUS_MULTIPROC_DIR"]))  # type: ignore[no-untyped-call]

    class Answer(MetricsHandler):
        registry = CollectorRegistry()
        # How long a client that connects and sends nothing can block the next client, in seconds.
        timeout = 5

    Together(Answer.registry)  # type: ignore[no-untyped-call]
    server = _QuietServer(_on.listener.getsockname(), Answer, bind_and_activate=False)
    server.socket.close()
    server.socket = _on.listener
    threading.Thread(target=server.serve_forever, daemon=True).start()


def _with_numbers(folder: str) -> list[str]:
    """Return the files that contain numbers. A starting worker's file may be empty, and an ended one's missing."""
    files = []
    for file in Path(folder).glob("*.db"):
        with suppress(FileNotFoundError):
            if file.stat().st_size:
                files.append(str(file))
    return files


class _QuietServer(HTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing about a client that has disconnected, not even its IP address."""


def forget(pid: int) -> None:
    """Remove the gauges of a worker that has ended. Its counters stay."""
    if _on:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)  # type: ignore[no-untyped-call]
