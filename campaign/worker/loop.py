"""The loop of the background worker: it calls each task when it is due, and continues when one fails."""

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from campaign.models.lease import LEASE
from campaign.storage.database import STORAGE_ERRORS, db
from campaign.storage.transactions import write_transaction
from campaign.worker import leases
from campaign.worker.task import NOW, Task

TICK = timedelta(seconds=0.5)
"""The longest time that the loop sleeps, so that it notices soon that it should end."""
FIRST_RETRY, LAST_RETRY = timedelta(seconds=1), timedelta(minutes=1)
"""How long a task waits after its first failure. Each further failure in a row doubles it, up to LAST_RETRY."""

_log = logging.getLogger(__name__)


@dataclass
class _Plan:
    """When to call a task next."""

    task: Task
    due: float = 0.0
    """On the clock of time.monotonic()."""
    failures: int = 0
    """How often the task has failed in a row."""


class Worker:
    """A background worker. It needs an app's context."""

    def __init__(self, tasks: Sequence[Task], is_needed: Callable[[], bool] = lambda: True) -> None:
        """Run these tasks until `stop` is called, or `is_needed` returns False."""
        self._is_needed = is_needed
        self._stopping = False
        self._name = secrets.token_hex(16)
        self._leased = [task.name for task in tasks if not task.shared]
        self._held, self._held_until = set[str](), datetime.min.replace(tzinfo=UTC)
        self._tasks = tasks
        # Renewing the leases comes first, because the other tasks need them.
        self._plans = [_Plan(each) for each in (Task("leases", self._renew, shared=True), *tasks)]

    def stop(self) -> None:
        """End `run` after the current piece of work. A signal handler may call this."""
        self._stopping = True

    def run(self) -> None:
        """Call the tasks when they are due. Return when the worker should end."""
        while not self._stopping and self._is_needed():
            # A task that always has more to do doesn't delay the others: those that are due earlier come first.
            plan = min(self._plans, key=lambda each: each.due)
            early = plan.due - time.monotonic()
            if early > 0:
                time.sleep(min(early, TICK.total_seconds()))
            else:
                wait = self._call(plan)
                # The wait begins after the call, which may have taken seconds.
                plan.due = time.monotonic() + wait.total_seconds()
        self._end()

    def _call(self, plan: _Plan) -> timedelta:
        """Call a task unless another worker has its lease, and return how long to wait until the next call."""
        task = plan.task
        if not task.shared and not (task.name in self._held and datetime.now(UTC) < self._held_until):
            return TICK
        try:
            wait = task.run()
        except Exception:
            _log.exception("a task of the worker failed", extra={"fields": {"task": task.name}})
            wait = min(FIRST_RETRY * 2 ** min(plan.failures, 10), LAST_RETRY)
            plan.failures += 1
        else:
            plan.failures = 0
        finally:
            db.session.remove()
        return max(wait, NOW)

    def _renew(self) -> timedelta:
        now = datetime.now(UTC)
        with write_transaction() as session:
            held = leases.take(session, self._leased, self._name, now)
        self._held, self._held_until = held, now + LEASE
        return LEASE / 3

    def _end(self) -> None:
        # The leases come first, because stopping a task may take longer than the worker is given.
        try:
            with write_transaction() as session:
                leases.give_back(session, self._name, datetime.now(UTC))
        except STORAGE_ERRORS:
            _log.exception("the worker could not give back its leases: they end in a minute")
        for task in self._tasks:
            try:
                task.stop()
            except Exception:
                _log.exception("a task of the worker could not be stopped", extra={"fields": {"task": task.name}})
