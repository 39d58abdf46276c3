"""What a task of the background worker is.

A task is a function that does one bounded piece of work, a fraction of a second, and returns how long to wait until it
should be called again. It runs in the app's context, so it can use `db.session` and `write_transaction`. It can be
interrupted at any moment, by a kill or a power failure. So store a piece and the note that it is done in the same
transaction.

A lease keeps two workers from running the same task at the same time, which saves work. Don't rely on it for
correctness: a worker that was suspended may wake up after its lease has ended. In each transaction, read again all
data that its writes depend on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

NOW = timedelta(0)
"""What a task returns if it has more to do now."""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Task:
    """A task of the background worker."""

    name: str
    """A unique name of up to 40 characters, for leases and the log."""
    run: Callable[[], timedelta]
    """Does one bounded piece of work, and returns how long to wait until the next call."""
    shared: bool = False
    """Whether all workers run the task at the same time, without a lease, because it leases its own pieces of work."""
    stop: Callable[[], None] = _nothing
    """Called once when the worker ends gracefully."""
