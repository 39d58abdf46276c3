"""gunicorn's configuration for the site. gunicorn reads it when it starts in this folder."""

import ctypes
import gc
import os
import resource
import signal
import sqlite3
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

from gunicorn import glogging
from sqlalchemy import Engine, ExceptionContext, event

from campaign.monitoring import logging_setup, metrics
from campaign.server.deadline_socket import Limits
from campaign.server.worker_class import Worker
from campaign.settings import THREADS, Settings
from campaign.signatures import places

settings = Settings.from_environ()

CLIENT_CONNECTIONS = 500
"""How many connections of one client a worker process accepts: an eighth of all. A school or a mobile network is one
client. A thousand people who watch the list from behind one IP address need 400 connections: each of them has one for
two of every five seconds. Two workers share these."""


class SiteWorker(Worker):
    """The worker class with the limits of the settings."""

    limits = Limits(
        # Behind a proxy, all connections come from the proxy, so the proxy must limit the connections of each client.
        client_connections=CLIENT_CONNECTIONS if settings.ratelimit_enabled and not settings.trusted_proxies else None,
        exempt=tuple(ip_network(network.strip()) for network in settings.ratelimit_trusted.split(",")),
    )


wsgi_app = "wsgi:app"
bind = settings.bind
workers = settings.web_concurrency
worker_class = SiteWorker
threads = THREADS
# A waiting connection uses a file descriptor, but no thread. A process may raise its limit of open files.
_, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
# If raising it fails, the limit that the operator has set applies (LimitNOFILE in deploy/campaign.service).
with suppress(OSError, ValueError):
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files if 0 < most_files < 8192 else 8192, most_files))
# A worker that can't open another file would exit and drop all its connections. So half of the files are for the rest.
worker_connections = min(4000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
# os.sendfile() has no deadline. The files that the site sends are small or in memory.
sendfile = False
# How long requests may take to finish after SIGTERM: longer than any request waits for the database.
graceful_timeout = 30

# gunicorn trusts no proxy, not even one on this machine: a program or a visitor there could move the whole site to
# another URL with a SCRIPT_NAME header. Only campaign/web/hosts.py reads a proxy's headers, if TRUSTED_PROXIES is set.
# An empty list also overrides the environment's FORWARDED_ALLOW_IPS.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
# X_Forwarded_For would become the same variable as X-Forwarded-For.
header_map = "drop"

# The longest URL of the site, a link to set up an account, has less than 400 characters. Newsletters and social
# networks add a few hundred for tracking.
limit_request_line = 4096
# Browsers send 15 to 25 header fields, and a CDN and a proxy add at most 20.
limit_request_fields = 64
# The longest field is Cookie. The desk's cookies have a few hundred bytes. But an organization's other sites under the
# same domain may set cookies too, and their visitors must be able to sign. nginx and most browsers also stop at 8 KB.
limit_request_field_size = 8190


class Logger(glogging.Logger):  # type: ignore[misc]  # gunicorn publishes no types.
    """gunicorn's own log, in the format of the site's log."""

    def setup(self, cfg: Any) -> None:
        """Set up the log, at startup and when gunicorn reloads its settings."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            logging_setup.dress(handler)


logger_class = Logger
# Errors only, because gunicorn's warnings quote malformed requests, with URLs, names, and email addresses.
loglevel = "error"
# The control socket isn't needed, and gunicorn would create it in the home folder.
control_socket_disable = True

M_ARENA_MAX = -8
"""The option of glibc's mallopt() for the number of heaps that the threads of a process share, from malloc.h. On two
cores, the default is 16 heaps."""


STOP_SIGNALS = {signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}


def on_starting(_server: Any) -> None:
    """Before workers start, load the ZIP codes that they share, and open the port for metrics if there is one."""
    places.load(settings.instance)
    metrics.open_port(settings.metrics_host, settings.metrics_port)
    # After each fork, the main process accepts the signals again that pre_fork() blocks.
    os.register_at_fork(after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS))


def pre_fork(_server: Any, _worker: Any) -> None:
    """Block the stop signals until post_fork().

    A new worker has the main process's signal handlers, which would ignore the signal. The main process would then wait
    30 seconds for the worker to stop, and kill it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def post_fork(_server: Any, _worker: Any) -> None:
    """Prepare a worker: accept signals, limit its memory, and serve metrics."""
    # With the default handlers, a stop signal ends the worker at once. Later, the worker sets its own handlers.
    for stop in STOP_SIGNALS:
        signal.signal(stop, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    # With a heap for each thread, a worker would have 10 MB of unused memory. Only glibc has this function.
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)
    metrics.answer()


def child_exit(_server: Any, worker: Any) -> None:
    """Remove an ended worker's gauges from the metrics."""
    metrics.forget(worker.pid)


def when_ready(_server: Any) -> None:
    """Print the site's URL."""
    print(f"{settings.site_name} is at http://{settings.bind} (stop it with Ctrl+C)", flush=True)


def post_worker_init(worker: Any) -> None:
    """Tune garbage collection, and replace the worker when a read-only database becomes writable again."""
    # Loaded code is never garbage. Scanning it again and again made one signer in a hundred wait.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)

    def stop_if_writable_again(context: ExceptionContext) -> None:
        file = context.engine and context.engine.url.database
        read_only = getattr(context.original_exception, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY
        if read_only and file and os.access(file, os.W_OK) and os.access(os.path.dirname(file), os.W_OK):
            os.kill(worker.pid, signal.SIGTERM)

    # A SQLite file that was opened while its disk was read-only stays read-only for this process, even if it opens the
    # file again. Once the disk is writable, a new worker must replace this one.
    event.listen(Engine, "handle_error", stop_if_writable_again)
