"""How gunicorn serves the site; read by itself when gunicorn starts in this folder."""

import ctypes
import socket
import struct
from contextlib import suppress
from threading import Thread
from typing import Any

from campaign import places
from campaign.settings import THREADS, Settings

settings = Settings.from_environ()

wsgi_app = "wsgi:app"
bind = settings.bind
workers = settings.web_concurrency
# Threads, and more than work at once, so that slow phones hold up nobody else.
worker_class = "gthread"
threads = THREADS
# What goes wrong is written; not its warnings, which quote a malformed request: its address, names, mailboxes.
loglevel = "error"
# We don't steer a running gunicorn by its socket, which it would put into the home folder.
control_socket_disable = True


STALLED_SECONDS = 10
"""How long a phone that has lost its network in the middle of a request may hold a thread."""


def when_ready(server: Any) -> None:
    """Give every connection that deadline, which gunicorn's threads don't have, and say where the site is."""
    for listener in server.LISTENERS:
        # Linux hands the option on to the connections that the socket accepts (socket(7)).
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", STALLED_SECONDS, 0))
    print(f"{settings.site_name} is at http://{settings.bind} (stop it with Ctrl+C)", flush=True)


M_ARENA_MAX = -8
"""From glibc's malloc.h: how many heaps the threads of a process spread over; 16 on two cores, if nothing is said."""


def post_fork(_server: Any, _worker: Any) -> None:
    """Let a worker's threads share two heaps: with one for each, a worker grows by 10 MB that nobody uses."""
    # Other systems than glibc's have no such thing.
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def post_worker_init(_worker: Any) -> None:
    """Read the ZIP codes, which takes a second, before the first signer needs them."""
    Thread(target=places.load, daemon=True).start()
