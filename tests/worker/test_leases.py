"""Leases give each task to one worker at a time, and end if the worker dies."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

from flask import Flask

from campaign.models.lease import LEASE, is_worker_running, worker_seen_at
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.worker import leases

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)


def take(holder: str, now: datetime, *tasks: str) -> set[str]:
    with write_transaction() as session:
        return leases.take(session, tasks or ["index"], holder, now)


def test_lease_belongs_to_one_holder_until_it_ends(app: Flask) -> None:
    assert take("a", NOW) == {"index"}
    assert take("b", NOW + LEASE / 2) == set()
    assert take("a", NOW + LEASE / 2) == {"index"}, "the holder may renew it"
    assert take("b", NOW + LEASE) == set()
    assert take("b", NOW + LEASE * 3 / 2) == {"index"}
    assert take("a", NOW + LEASE * 3 / 2) == set()


def test_lease_that_was_taken_while_the_clock_was_wrong_is_free(app: Flask) -> None:
    take("a", NOW + timedelta(days=1))
    assert not is_worker_running(db.session(), NOW)
    assert worker_seen_at(db.session(), NOW) is None
    db.session.rollback()
    assert take("b", NOW) == {"index"}
    assert is_worker_running(db.session(), NOW)
    db.session.rollback()
    assert take("c", NOW - LEASE / 2) == set(), "a clock may be slow by half a minute"


def test_tasks_have_separate_leases(app: Flask) -> None:
    assert take("a", NOW, "index", "statistics") == {"index", "statistics"}
    assert take("b", NOW, "index", "statistics", "expiry") == {"expiry"}
    assert take("c", NOW) == set()
    with write_transaction() as session:
        assert leases.take(session, [], "c", NOW) == set()


def test_returned_leases_are_free_at_once(app: Flask) -> None:
    take("a", NOW)
    take("b", NOW, "statistics")
    with write_transaction() as session:
        leases.give_back(session, "a", NOW)
    assert take("b", NOW) == {"index"}
    assert take("a", NOW, "statistics") == set()


def test_lease_is_taken_by_one_of_many_simultaneous_workers(app: Flask) -> None:
    together = Barrier(6)

    def compete(holder: int) -> set[str]:
        with app.app_context():
            together.wait()
            return take(str(holder), NOW, "statistics", "index")

    with ThreadPoolExecutor(6) as crowd:
        results = list(crowd.map(compete, range(6)))
    assert sorted(map(len, results)) == [0, 0, 0, 0, 0, 2]


def test_worker_is_last_seen_when_it_renewed_a_lease(app: Flask) -> None:
    assert worker_seen_at(db.session(), NOW) is None
    db.session.rollback()
    take("a", NOW)
    take("b", NOW + LEASE / 3, "statistics")
    assert worker_seen_at(db.session(), NOW) == NOW + LEASE / 3
