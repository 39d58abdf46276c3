"""The real servers that tests need, each with its own data folder and port, gone afterwards."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _postgresql_program(name: str) -> str:
    """The path of one of PostgreSQL's programs; Debian keeps them out of the PATH, the newest version last."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = shutil.which(name) or (str(kept[-1]) if kept else None)
    if found is None:
        raise RuntimeError(f"tests need PostgreSQL's {name}; script/test installs it")
    return found


@contextmanager
def postgresql(*, fsync: bool = False) -> Iterator[str]:
    """A PostgreSQL server; gives the URL of its empty database `postgres`. Tests need no fsync; benchmarks do."""
    # It refuses to run as root, as which containers and CI run.
    user = pwd.getpwnam("postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)
    folder = Path(tempfile.mkdtemp(prefix="campaign-postgresql-"))
    port = free_port()
    try:
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid} if os.geteuid() == 0 else {}
        initdb = [
            _postgresql_program("initdb"),
            "-D",
            "data",
            "-U",
            "campaign",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run(initdb, cwd=folder, check=True, stdout=subprocess.DEVNULL, **as_user)  # type: ignore[call-overload]
        options = [
            "-p",
            str(port),
            "-k",
            str(folder),
            "-c",
            f"fsync={'on' if fsync else 'off'}",
            "-c",
            "max_connections=300",
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(  # type: ignore[call-overload]
                [_postgresql_program("postgres"), "-D", "data", *options], cwd=folder, stderr=log, stdout=log, **as_user
            )
        try:
            _wait_until_ready(port, process)
            yield f"postgresql+psycopg://campaign@127.0.0.1:{port}/postgres"
        finally:
            # The fast shutdown, which does not wait for clients.
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    is_ready = [_postgresql_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    deadline = time.monotonic() + 30
    while subprocess.run(is_ready, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("PostgreSQL does not start")
        time.sleep(0.05)
