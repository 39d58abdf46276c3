"""How gunicorn serves the site; read by itself when gunicorn starts in this folder."""

import ctypes
import gc
import os
import resource
import selectors
import signal
import socket
import sqlite3
import struct
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn import glogging
from gunicorn.workers.gthread import TConn, ThreadWorker
from sqlalchemy import Engine, ExceptionContext, event

from campaign import logs, metrics, places
from campaign.settings import THREADS, Settings

settings = Settings.from_environ()

SILENT_SECONDS = 5
"""How long a connection may say nothing; browsers open some in advance."""
HESITATE_SECONDS = 0.00005
"""How long a worker waits, for each connection that it has, before it takes another."""
DRAINED_BYTES = 65_536
"""How much is read at once of what comes after a last answer."""
STALLED_SECONDS = 10
"""How long a phone that has lost its network in the middle of a request may hold a thread."""


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn publishes no types.
    """gunicorn's worker with threads, which leaves connections to less busy workers, and has threads only for requests.

    gunicorn gives a new connection a thread for five seconds, to wait: a thousand silent ones would hold all threads
    for a minute. At its end it waits two seconds for the other side to hang up, in the thread that all others are taken
    by. And of many that come at once, the worker that is awake first would take nearly all.
    """

    def accept(self, listener: Any) -> None:
        """Take a connection, unless a worker with fewer of them is quicker."""
        if settings.web_concurrency > 1:
            time.sleep(min(self.nr_conns, 20) * HESITATE_SECONDS)
        super().accept(listener)

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread, or wait for its first word where gunicorn waits for all the others'."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + SILENT_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """Hang up once everything is answered; whoever does not hang up in turn is waited for beside all others."""
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
            return
        try:
            # Closed at once, with something unread, it would take the answer back that is still on its way (RFC 9112,
            # section 9.6).
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
        except OSError:
            self.nr_conns -= 1
            conn.close()
            return
        conn.timeout = time.monotonic() + SILENT_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.drain, conn))

    def drain(self, conn: TConn, sock: socket.socket) -> None:
        """Read what nobody will, until the other side hangs up too."""
        with suppress(OSError):
            if sock.recv(DRAINED_BYTES):
                return
        self.poller.unregister(sock)
        self.pending_conns.remove(conn)
        self.nr_conns -= 1
        conn.close()


wsgi_app = "wsgi:app"
bind = settings.bind
workers = settings.web_concurrency
# Threads, and more than work at once, so that slow phones hold up nobody else.
worker_class = Worker
threads = THREADS
# Connections that wait cost a file descriptor each, and no thread. A process begins with few, but may take more.
worker_connections = 4000
_, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
# Where it may not, the operator has said how many (LimitNOFILE of deploy/campaign.service).
with suppress(OSError, ValueError):
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files if 0 < most_files < 8192 else 8192, most_files))
# A request that is at work when a worker is asked to stop has this long: longer than anything waits for the database.
graceful_timeout = 30


class Logger(glogging.Logger):  # type: ignore[misc]  # gunicorn publishes no types.
    """Gunicorn's own log, in the form of ours."""

    def setup(self, cfg: Any) -> None:
        """Set it up as gunicorn does, also when it reads its settings again."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            logs.dress(handler)


logger_class = Logger
# What goes wrong is written; not its warnings, which quote a malformed request: its address, names, mailboxes.
loglevel = "error"
# We don't steer a running gunicorn by its socket, which it would put into the home folder.
control_socket_disable = True

M_ARENA_MAX = -8
"""From glibc's malloc.h: how many heaps the threads of a process spread over; 16 on two cores, if nothing is said."""


def on_starting(_server: Any) -> None:
    """Before there are workers to share them, read the ZIP codes and open the port for metrics, if there is one."""
    places.load(settings.instance)
    metrics.open_port(settings.metrics_host, settings.metrics_port)


def post_fork(_server: Any, _worker: Any) -> None:
    """Let each worker be stopped from its beginning, take two heaps at most, and answer at the port for metrics."""
    # Until it sets its own handlers it has those of the main process, which would swallow the signal: a stop just then
    # would wait 30 seconds for it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # With a heap for each thread a worker grows by 10 MB that nobody uses. Systems without glibc have no such thing.
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)
    metrics.answer()


def child_exit(_server: Any, worker: Any) -> None:
    """Tell the metrics that a worker has ended."""
    metrics.forget(worker.pid)


def when_ready(server: Any) -> None:
    """Give every connection that deadline, which gunicorn's threads don't have, and say where the site is."""
    for listener in server.LISTENERS:
        # Linux hands the option on to the connections that the socket accepts (socket(7)).
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", STALLED_SECONDS, 0))
    print(f"{settings.site_name} is at http://{settings.bind} (stop it with Ctrl+C)", flush=True)


def post_worker_init(worker: Any) -> None:
    """Once the site is loaded, look for garbage only in what comes."""
    # What is loaded stays for good; looking through it again and again made one signer in a hundred wait.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)

    def let_go(context: ExceptionContext) -> None:
        file = context.engine and context.engine.url.database
        read_only = getattr(context.original_exception, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY
        if read_only and file and os.access(file, os.W_OK) and os.access(os.path.dirname(file), os.W_OK):
            os.kill(worker.pid, signal.SIGTERM)

    # A SQLite file that was opened while its disk could only be read stays so for a process, whoever in it opens it
    # anew. When the disk can be written to again, another worker must come.
    event.listen(Engine, "handle_error", let_go)
