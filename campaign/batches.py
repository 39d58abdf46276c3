"""Many at once become one transaction: what comes while a batch is on its way to the disk makes up the next one.

signing.py stores signatures through it. A commit costs the same for one signature as for fifty, and SQLite has one
writer; so a crowd shares commits instead of queueing for them.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from campaign import metrics
from campaign.extensions import STORAGE_ERRORS, STORE_SECONDS, WAIT_SECONDS

T = TypeVar("T")


class Batches(Generic[T]):
    """Stores items in batches, one batch at a time."""

    def __init__(self, turn: Callable[[], AbstractContextManager[None]], store: Callable[[Sequence[T]], None]) -> None:
        """Wait for a `turn`, then store by `store`, which does all of a batch or raises and has done nothing."""
        self._turn = turn
        self._store = store
        self._waiting: deque[tuple[T, Future[None]]] = deque()
        self._storing = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._planned = False

    def add(self, item: T) -> None:
        """Store the item. When this returns, it is stored.

        Raises:
            STORAGE_ERRORS: it isn't: the database could not store it, or its turn did not come within WAIT_SECONDS. If
                the database goes silent in the middle of a batch, nobody can tell.
        """
        stored: Future[None] = Future()
        self._waiting.append((item, stored))
        self._plan()
        with metrics.waiting():
            self._wait(stored)

    def _wait(self, stored: Future[None]) -> None:
        try:
            stored.result(WAIT_SECONDS)
        except TimeoutError:
            if stored.cancel():
                raise PoolTimeoutError("other signatures are being stored") from None
            try:
                stored.result(STORE_SECONDS)
            except TimeoutError:
                raise PoolTimeoutError("the database does not answer") from None

    def _plan(self) -> None:
        # What is planned but has not begun will find what waits by then.
        if self._planned:
            return
        self._planned = True
        try:
            self._storing.submit(self._store_waiting)
        except RuntimeError:
            # The system gives us no thread just now; who waits is told so, and the next to come tries again.
            self._planned = False

    def _store_waiting(self) -> None:
        # Whoever comes while we wait for the turn is part of the batch.
        with self._turn():
            self._planned = False
            batch: list[tuple[T, Future[None]]] = []
            while self._waiting:
                item, stored = self._waiting.popleft()
                if stored.set_running_or_notify_cancel():
                    batch.append((item, stored))
            if batch:
                self._store_batch(batch)

    def _store_batch(self, batch: list[tuple[T, Future[None]]]) -> None:
        try:
            self._store([item for item, _ in batch])
        except BaseException as error:
            if len(batch) > 1 and _lies_in_an_item(error):
                # The others must not suffer from it.
                for one in batch:
                    self._store_batch([one])
                return
            for _, stored in batch:
                stored.set_exception(error)
        else:
            for _, stored in batch:
                stored.set_result(None)


def _lies_in_an_item(error: BaseException) -> bool:
    return isinstance(error, DataError | IntegrityError) or not isinstance(error, STORAGE_ERRORS)
