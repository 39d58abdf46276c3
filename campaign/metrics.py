"""What Prometheus may read of this site, if the operator has set METRICS_PORT. Numbers only, of no one.

gunicorn.conf.py opens the port before there are workers, and each worker answers there for all of them: every process
writes its numbers into a file of a common folder, and who is asked adds them up (prometheus_client's multiprocess
mode). While it is off, what the site calls here returns at once, and prometheus_client is not imported.
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
"""What became of a sign request, by the status of its answer; the rest was `turned_away` at the door or `failed`."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""The histogram's bounds: from a write without a wait to one that has waited as long as anyone does."""


class _Metrics:
    """All that is measured; made in gunicorn's main process and inherited by its workers."""

    def __init__(self, listener: socket.socket) -> None:
        # It looks at the environment while it is imported, so not before open() has set it.
        from prometheus_client import Counter, Gauge, Histogram

        self.listener = listener
        self.requests = Counter(
            "campaign_requests", "Requests that were answered, kept answers too.", ["route", "method", "status"]
        )
        self.signs = Counter("campaign_signs", "Sign requests by what became of them.", ["outcome"])
        for outcome in (*OUTCOMES.values(), "turned_away", "failed"):
            self.signs.labels(outcome)
        self.storing = Histogram(
            "campaign_store_seconds", "Time to store a signature or to fail, with the wait to write.", buckets=SECONDS
        )
        self.feed_age = Gauge(
            "campaign_feed_age_seconds",
            "How old the feed was that a worker used last; the oldest of all workers.",
            multiprocess_mode="livemax",
        )
        self.waiting = Gauge("campaign_write_queue", "Signers who wait to be stored.", multiprocess_mode="livesum")


_on: _Metrics | None = None


def request(route: str, method: str, status: str) -> None:
    """Count a request; the caller sees to it that there are only so many routes and methods."""
    if _on:
        _on.requests.labels(route, method, status).inc()


def sign(status: int) -> None:
    """Count a sign request by the status of its answer."""
    if _on:
        _on.signs.labels(OUTCOMES.get(status, "failed" if status >= 500 else "turned_away")).inc()


def feed_used(age: float) -> None:
    """Remember how many seconds old the feed is that is used now."""
    if _on:
        _on.feed_age.set(age)


def storing() -> AbstractContextManager[Any]:
    """Measure how long it takes to store a signature."""
    return _on.storing.time() if _on else _NOTHING


def waiting() -> AbstractContextManager[Any]:
    """Count a signer who waits to be stored."""
    return _on.waiting.track_inprogress() if _on else _NOTHING


_NOTHING = nullcontext()


def open_port(host: str, port: int) -> None:
    """Turn the metrics on and listen, in gunicorn's main process before there are workers; port 0 is off.

    Raises:
        SettingError: nothing can listen there.
    """
    global _on
    if not port:
        return
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingError("METRICS_PORT", f"can't listen there: {error.strerror}") from None
    folder = tempfile.mkdtemp(prefix="campaign-metrics-")
    atexit.register(_remove, folder, os.getpid())
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    _on = _Metrics(listener)


def _remove(folder: str, owner: int) -> None:
    # Workers inherit this, and others still write when one of them ends.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def answer() -> None:
    """Let this worker answer on the port, in a thread of its own: a crowd must not hold the numbers up."""
    if not _on:
        return
    from prometheus_client import CollectorRegistry, MetricsHandler
    from prometheus_client.multiprocess import MultiProcessCollector

    class Together(MultiProcessCollector):
        def collect(self) -> Any:
            """Add up what all have written, also while a worker is beginning or ending."""
            return self.merge(_with_numbers(os.environ["PROMETHEUS_MULTIPROC_DIR"]))  # type: ignore[no-untyped-call]

    class Answer(MetricsHandler):
        registry = CollectorRegistry()
        # Seconds for which one who connects and asks nothing holds up the next.
        timeout = 5

    Together(Answer.registry)  # type: ignore[no-untyped-call]
    server = _QuietServer(_on.listener.getsockname(), Answer, bind_and_activate=False)
    server.socket.close()
    server.socket = _on.listener
    threading.Thread(target=server.serve_forever, daemon=True).start()


def _with_numbers(folder: str) -> list[str]:
    """The files of numbers; a worker's is empty for a moment when it begins, and gone when it has ended."""
    files = []
    for file in Path(folder).glob("*.db"):
        with suppress(FileNotFoundError):
            if file.stat().st_size:
                files.append(str(file))
    return files


class _QuietServer(HTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a scraper that has gone, least of all its address."""


def forget(pid: int) -> None:
    """Let what a worker that has ended was doing at last count no more; what it has counted stays."""
    if _on:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)  # type: ignore[no-untyped-call]
