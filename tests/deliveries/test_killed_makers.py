"""A process that makes an export may be killed at any step: another one makes the same file."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, event, update

from campaign.deliveries import making
from campaign.models.export import Export, ExportState
from campaign.storage.transactions import write_transaction
from tests.conftest import Sign
from tests.deliveries.conftest import Ask, content, export_of, make_next


class Killed(BaseException):
    """Ends the making of an export as a kill does: nothing else is stored."""


@contextmanager
def killed_before_commit(number: int) -> Iterator[None]:
    """Kill the process before it commits for the time with this number, counted from 0."""
    done = 0

    def commit(_connection: object) -> None:
        nonlocal done
        if done == number:
            done += 1
            raise Killed
        done += 1

    def execute(*_: object) -> None:
        if done > number:
            raise Killed

    event.listen(Engine, "commit", commit)
    event.listen(Engine, "before_cursor_execute", execute)
    try:
        yield
    finally:
        event.remove(Engine, "commit", commit)
        event.remove(Engine, "before_cursor_execute", execute)


def was_killed(step: int) -> bool:
    """Make the next export, and return whether the process was killed before this step was committed."""
    try:
        with killed_before_commit(step):
            assert make_next()
    except Killed:
        # The next process waits until this one counts as dead.
        with write_transaction() as session:
            session.execute(update(Export).values(touched_at=datetime.now(UTC) - timedelta(seconds=31)))
        return True
    return False


@pytest.mark.slow
@pytest.mark.usefixtures("room")
def test_export_is_made_after_kills_at_every_step(sign: Sign, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    # Only the steps of making commit, and a small file has several pieces.
    monkeypatch.setattr(making, "PULSE_SECONDS", 60)
    monkeypatch.setattr(making, "PIECE", 100)
    for number in range(2):
        sign(email=f"{number}@example.org")
    step = 0
    while True:
        export_id = ask()
        if not was_killed(step):
            break
        # The second process begins with what the first has left, and is killed at the same step.
        if was_killed(step):
            assert make_next()
        export, file = export_of(export_id), content(export_id)
        assert (export.state, export.done, export.bytes) == (ExportState.READY, 2, len(file)), step
        assert len(list(csv.DictReader(io.StringIO(file.decode("utf-8-sig"))))) == 2, step
        step += 1
    assert step > 5, "the file has several pieces"
