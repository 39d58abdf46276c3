"""The worker's task that makes exports, each in a process of its own; deliveries/making.py says why.

One file is made at a time, so that memory stays bounded. Several workers make several files.
"""

import os
import secrets
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flask import current_app

from campaign.deliveries import queue
from campaign.deliveries.work_folder import delete_left_folders
from campaign.settings import ROOT, Settings
from campaign.storage.database import db

LOOK_AGAIN = timedelta(seconds=1)
"""How often the worker looks for an export to make, or whether the process that makes one has ended."""
GRACE_SECONDS = 8
"""How long the process may take to end gracefully."""


class ExportProcess:
    """The process that makes exports for this worker."""

    def __init__(self) -> None:
        """Start without a process."""
        self._process: subprocess.Popen[bytes] | None = None
        self._maker = ""

    def look(self) -> timedelta:
        """Start a process if an export waits, unless the process for the one before still runs.

        Raises:
            RuntimeError: The process before has died. Its export waits for another one.
        """
        if self._process:
            status = self._process.poll()
            if status is None:
                return LOOK_AGAIN
            self._process = None
            if status != 0:
                self._clean_up()
                raise RuntimeError(f"a process that made a file has ended with status {status}")
        if queue.has_work(db.session(), datetime.now(UTC)):
            self._maker = secrets.token_hex(16)
            # The engine's URL, because Flask-SQLAlchemy has resolved a relative path in it.
            url = db.engine.url.render_as_string(hide_password=False)
            self._process = start(replace(current_app.config["SETTINGS"], database_url=url), self._maker)
        return LOOK_AGAIN

    def stop(self) -> None:
        """End the process. Another worker makes its export."""
        if not self._process:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_SECONDS)
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        if self._process.returncode != 0:
            self._clean_up()

    def _clean_up(self) -> None:
        """Do what the process could not do if it was killed: delete its temporary files, and give its export back."""
        delete_left_folders()
        queue.give_back_of(db.engine, self._maker)


def start(settings: Settings, maker: str) -> "subprocess.Popen[bytes]":
    """Start a process that makes the next export. It ends if this process ends.

    The path of a SQLite file in the settings must be absolute.
    """
    # Other users can't read the environment of a process. They can read its command line.
    ours = {
        "DATABASE_URL": settings.database_url,
        "SECRET_KEY": settings.secret_key,
        "SITE_NAME": settings.site_name,
        "SITE_COUNTRY": settings.site_country,
    }
    command = [sys.executable, "-m", "campaign.deliveries.making", str(os.getpid()), maker]
    return subprocess.Popen(  # noqa: S603 (the command contains no user input)
        command,
        cwd=ROOT,
        env=os.environ | ours,
        stdin=subprocess.DEVNULL,
        # Ctrl+C goes to the worker, which then ends the process.
        start_new_session=True,
    )
