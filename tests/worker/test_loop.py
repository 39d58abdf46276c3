"""The worker's loop calls tasks when they are due, and goes on when one fails."""

import logging
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from campaign.models.lease import LEASE, Lease, is_worker_running
from campaign.storage.database import db
from campaign.worker import loop
from campaign.worker.loop import Worker
from campaign.worker.task import NOW, Task
from campaign.worker.tasks import TASKS
from tests.conftest import StartWork

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def short_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TICK", timedelta(milliseconds=1))


class Calls:
    """A task that records its calls, and stops the worker after a number of them."""

    def __init__(self, name: str, *waits: timedelta | Exception) -> None:
        self.name, self._waits, self.times = name, list(waits), list[float]()
        self.worker: Worker | None = None

    def __call__(self) -> timedelta:
        self.times.append(time.monotonic())
        wait = self._waits.pop(0)
        if not self._waits and self.worker:
            self.worker.stop()
        if isinstance(wait, Exception):
            raise wait
        return wait

    def task(self) -> Task:
        return Task(self.name, self)


def work(*tasks: Task, last: Calls) -> None:
    """Run the tasks until `last` has had its last call."""
    worker = last.worker = Worker(tasks)
    worker.run()


def test_task_is_called_again_after_the_time_that_it_returns(app: Flask) -> None:
    often, seldom = Calls("often", NOW, NOW, timedelta(milliseconds=30), NOW), Calls("seldom", HOUR, HOUR)
    work(seldom.task(), often.task(), last=often)
    assert len(often.times) == 4
    assert often.times[3] - often.times[2] >= 0.03
    assert len(seldom.times) == 1


def test_wait_begins_when_the_call_has_ended(app: Flask) -> None:
    calls = Calls("slow", timedelta(milliseconds=20), NOW)
    ended: list[float] = []

    def slow() -> timedelta:
        wait = calls()
        time.sleep(0.03)
        ended.append(time.monotonic())
        return wait

    work(Task("slow", slow), last=calls)
    assert calls.times[1] - ended[0] >= 0.02


def test_task_with_endless_work_does_not_delay_the_others(app: Flask) -> None:
    endless, other = Calls("endless", *[NOW] * 10_000), Calls("other", *[timedelta(milliseconds=5)] * 3)
    work(endless.task(), other.task(), last=other)
    assert len(other.times) == 3


def test_failing_task_is_logged_and_tried_again_later_while_others_go_on(
    app: Flask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "FIRST_RETRY", timedelta(milliseconds=20))
    failing = Calls("failing", ValueError("ada@example.org"), ValueError("ada@example.org"), NOW, NOW)
    other = Calls("other", *[timedelta(milliseconds=2)] * 1000)
    with caplog.at_level(logging.ERROR, "campaign"):
        work(failing.task(), other.task(), last=failing)
    first, second, third, _fourth = failing.times
    assert second - first >= 0.02
    assert third - second >= 0.04, "each failure in a row doubles the wait"
    assert len(other.times) > 3
    lines = [record for record in caplog.records if record.name == "campaign.worker.loop"]
    assert [record.fields for record in lines] == [{"task": "failing"}] * 2  # type: ignore[attr-defined]
    assert all("ada" not in record.getMessage() for record in lines)


def test_wait_after_failures_grows_to_a_minute(app: Flask) -> None:
    task = Calls("failing", *[ValueError()] * 50)
    worker = Worker([task.task()])
    worker._renew()
    plan = worker._plans[1]
    waits = [worker._call(plan) for _ in range(50)]
    assert waits[:7] == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16, 32, 60)]
    assert set(waits[6:]) == {timedelta(minutes=1)}


def test_worker_ends_when_it_is_no_longer_needed(app: Flask) -> None:
    needed = [True, True, False]
    Worker([], lambda: needed.pop(0)).run()
    assert needed == []


def test_worker_that_ends_stops_its_tasks_and_gives_its_leases_back(app: Flask) -> None:
    stopped, still_leased = [], []
    calls = Calls("index", HOUR)

    def fail() -> None:
        raise OSError

    def stop() -> None:
        stopped.append("index")
        still_leased.append(is_worker_running(db.session(), datetime.now(UTC)))

    work(Task("broken", lambda: HOUR, stop=fail), Task("index", calls, stop=stop), last=calls)
    assert stopped == ["index"]
    assert still_leased == [False], "another worker need not wait for a task that takes long to stop"
    leases = db.session.scalars(select(Lease)).all()
    assert {lease.task for lease in leases} == {"broken", "index"}
    assert all(lease.until <= datetime.now(UTC) for lease in leases)


def test_second_worker_runs_a_task_only_after_the_first_has_ended(app: Flask) -> None:
    first, second = Calls("index", NOW), Calls("index", NOW)
    one, other = Worker([first.task()]), Worker([second.task()])
    first.worker, second.worker = one, other
    for worker in (one, other):
        worker._renew()
    assert other._call(other._plans[1]) == loop.TICK
    assert second.times == []
    one.run()
    other.run()
    assert (len(first.times), len(second.times)) == (1, 1)


def test_task_does_not_run_after_its_lease_has_ended(app: Flask) -> None:
    calls = Calls("index", HOUR, HOUR)
    worker = Worker([calls.task()])
    worker._renew()
    worker._held_until = datetime.now(UTC)
    assert worker._call(worker._plans[1]) == loop.TICK
    assert calls.times == []


def test_shared_task_runs_in_all_workers(app: Flask) -> None:
    calls = Calls("exports", NOW, NOW, NOW)
    for _ in range(2):
        worker = Worker([Task("exports", calls, shared=True)])
        worker._renew()
        worker._call(worker._plans[1])
    assert len(calls.times) == 2


def test_leases_are_renewed_three_times_before_they_end(app: Flask) -> None:
    assert Worker([Task("index", lambda: HOUR)])._renew() == LEASE / 3


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.slow
def test_stop_signal_ends_the_worker_in_order(app: Flask, start_work: StartWork, sent: signal.Signals) -> None:
    worker = start_work()
    worker.send_signal(sent)
    assert worker.wait(timeout=30) == 0
    db.session.rollback()
    assert all(lease.until <= datetime.now(UTC) for lease in db.session.scalars(select(Lease)))


@pytest.mark.slow
def test_worker_ends_with_the_process_that_it_runs_beside(start_work: StartWork) -> None:
    site = subprocess.Popen(["sleep", "60"])
    worker = start_work("--beside", str(site.pid))
    site.kill()
    site.wait()
    assert worker.wait(timeout=30) == 0


def test_every_task_has_a_name_of_its_own() -> None:
    names = [task.name for task in TASKS]
    assert len(set(names)) == len(names)
    assert all(0 < len(name) <= 40 for name in names)
