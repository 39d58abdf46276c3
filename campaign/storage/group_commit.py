"""Group commit: items that arrive while one batch is being written are stored together in the next transaction.

signing.py stores signatures this way. A commit costs the same for one signature as for fifty, and SQLite has only one
writer. So requests share commits instead of queueing for them.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from campaign.monitoring import metrics
from campaign.storage.database import STORAGE_ERRORS, STORE_SECONDS, WAIT_SECONDS

T = TypeVar("T")


class GroupCommit(Generic[T]):
    """Stores items in batches, one batch at a time."""

    def __init__(self, turn: Callable[[], AbstractContextManager[None]], store: Callable[[Sequence[T]], None]) -> None:
        """Store each batch with `store`, in the context of `turn`, which waits for the turn to write.

        `store` must store a whole batch, or raise an error and store nothing.
        """
        self._turn = turn
        self._store = store
        self._waiting: deque[tuple[T, Future[None]]] = deque()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._planned = False

    def add(self, item: T) -> None:
        """Store an item, and return once it is committed.

        Raises:
            STORAGE_ERRORS: The item is not stored, because the database failed or its turn did not come within
                WAIT_SECONDS. If the database stops responding in the middle of a batch, the item may be stored.
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
                raise PoolTimeoutError("timed out while other signatures were stored") from None
            try:
                stored.result(STORE_SECONDS)
            except TimeoutError:
                raise PoolTimeoutError("timed out, because the database does not respond") from None

    def _plan(self) -> None:
        # A batch that is planned, but has not begun, will include everything that waits by then.
        if self._planned:
            return
        self._planned = True
        try:
            self._writer.submit(self._store_waiting)
        except RuntimeError:
            # The system can't start a thread now. Waiting requests will time out, and the next request tries again.
            self._planned = False

    def _store_waiting(self) -> None:
        # Items that arrive while this waits for its turn are part of the batch.
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
            if len(batch) > 1 and _may_be_caused_by_an_item(error):
                # Store the items separately, so that an invalid one doesn't keep the others from being stored.
                for entry in batch:
                    self._store_batch([entry])
                return
            for _, stored in batch:
                stored.set_exception(error)
        else:
            for _, stored in batch:
                stored.set_result(None)


def _may_be_caused_by_an_item(error: BaseException) -> bool:
    return isinstance(error, DataError | IntegrityError) or not isinstance(error, STORAGE_ERRORS)
