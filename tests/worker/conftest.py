"""Fixtures for the background worker: real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from flask import Flask

from campaign.models.lease import worker_seen_at
from campaign.settings import ROOT, Settings
from campaign.storage.database import STORAGE_ERRORS, db


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def start_work(app: Flask, settings: Settings) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Return a function that starts `flask work` as an operator does, and returns once it has its leases.

    The workers are killed after the test.
    """
    started = []

    def start(*arguments: str) -> "subprocess.Popen[bytes]":
        environ = os.environ | {"DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "work", *arguments]
        started.append(subprocess.Popen(command, cwd=ROOT, env=environ, start_new_session=True))
        wait_for(lambda: started[-1].poll() is not None or _is_seen())
        assert started[-1].poll() is None
        return started[-1]

    yield start
    for worker in started:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, 9)
        worker.wait(timeout=30)


def _is_seen() -> bool:
    with suppress(*STORAGE_ERRORS):
        db.session.rollback()
        return worker_seen_at(db.session()) is not None
    return False
