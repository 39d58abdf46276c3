"""The command `flask work`."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import click
from flask import Flask
from flask.cli import with_appcontext

from campaign.settings import ROOT

NICENESS = 10
"""A low priority, so that signing comes first."""
GRACE_SECONDS = 15
"""How long the worker may take to end after SIGTERM: to finish a piece of work, and to wait for the process that makes
a file (export_process.py). After that, it ends at once. Nothing is lost: what isn't committed by then is done again.
The files in deploy/ allow for 20 seconds."""


def init_app(app: Flask) -> None:
    """Add the command to the app."""
    app.cli.add_command(work)


@click.command()
@click.option("--beside", type=int, metavar="PID", help="End when the process with this ID ends.")
@click.option("--reload", is_flag=True, help="End when the code changes; for development.")
@with_appcontext
def work(beside: int | None, reload: bool) -> None:
    """Run the background worker.

    It does slow work, so that visitors and organizers don't wait. Run it beside the site, under a program that
    restarts it. You can run several, on several machines. To stop one, send SIGTERM or press Ctrl+C.
    """
    from campaign.deliveries.work_folder import delete_left_folders
    from campaign.worker.loop import Worker
    from campaign.worker.tasks import TASKS

    lower_priority()
    changed = _last_change() if reload else 0.0
    worker = Worker(TASKS, lambda: (beside is None or is_running(beside)) and (not reload or _last_change() == changed))

    def stop(*_: object) -> None:
        worker.stop()
        # SIGALRM ends a process that doesn't handle it.
        signal.alarm(GRACE_SECONDS)

    signal.signal(signal.SIGTERM, stop)
    # A shell starts a process in the background so that it ignores Ctrl+C. script/serve relies on that.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, stop)
    delete_left_folders()
    worker.run()


def lower_priority() -> None:
    """Lower the priority of this process to NICENESS, unless it is that low already."""
    # The system may forbid this, as deploy/campaign-worker.service does, which sets the priority itself.
    with suppress(OSError):
        os.nice(max(0, NICENESS - os.nice(0)))


def is_running(process: int) -> bool:
    """Return whether the process with this ID runs. A process that has ended may stay a zombie for a while."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # Not every system has /proc.
    with suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    return True


def _last_change() -> float:
    """Return when the code was last changed."""
    changes = [0.0]
    for file in (ROOT / "campaign").rglob("*.py"):
        # An editor's lock file is a link to nothing, and an editor replaces a file when it saves it.
        with suppress(FileNotFoundError):
            changes.append(file.stat().st_mtime)
    return max(changes)
