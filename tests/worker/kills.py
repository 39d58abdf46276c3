"""Kill the process at a step of its work on the database, without a process of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event


class Killed(BaseException):
    """Ends the work as a kill does: nothing else is stored."""


@contextmanager
def killed_before_step(number: int, *, statements: bool) -> Iterator[None]:
    """Kill the process before the step with this number, counted from 0. Nothing is executed after it.

    Each commit is a step, and with `statements`, each statement is one, too.
    """
    done = 0

    def step(*_: object) -> None:
        nonlocal done
        done += 1
        if done > number:
            raise Killed

    def execute(*_: object) -> None:
        if statements:
            step()
        elif done > number:
            raise Killed

    event.listen(Engine, "commit", step)
    event.listen(Engine, "before_cursor_execute", execute)
    try:
        yield
    finally:
        event.remove(Engine, "commit", step)
        event.remove(Engine, "before_cursor_execute", execute)
