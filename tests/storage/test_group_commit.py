"""Group commit: how a failing item affects the other items of its batch."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from campaign.storage.group_commit import GroupCommit


@pytest.mark.parametrize("error", [DataError, IntegrityError])
def test_refused_item_does_not_fail_the_others(error: type[DataError | IntegrityError]) -> None:
    assert failed(error) == ["bad"]


def test_unreachable_database_fails_the_whole_batch() -> None:
    assert failed(OperationalError) == ["bad", "good", "other"]


def failed(error: type[DataError | IntegrityError | OperationalError]) -> list[str]:
    """Store three items in one batch, one of which raises the error; return those that failed."""
    turn_comes = Event()

    @contextmanager
    def turn() -> Iterator[None]:
        turn_comes.wait(10)
        yield

    def store(items: Sequence[str]) -> None:
        if "bad" in items:
            raise error("INSERT", {}, Exception("refused"))

    batches = GroupCommit(turn, store)
    with ThreadPoolExecutor(3) as threads:
        added = {item: threads.submit(batches.add, item) for item in ("bad", "good", "other")}
        while len(batches._waiting) < 3:
            Event().wait(0.01)
        turn_comes.set()
        return sorted(item for item, done in added.items() if done.exception(10))
