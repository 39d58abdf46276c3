"""A process that makes an export may be killed at any step: another one makes the same file."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from campaign.deliveries import making
from campaign.models.export import Export, ExportState
from campaign.storage.transactions import write_transaction
from tests.conftest import Sign
from tests.deliveries.conftest import Ask, content, export_of, make_next
from tests.worker.kills import Killed, killed_before_step


def was_killed(step: int) -> bool:
    """Make the next export, and return whether the process was killed before this step was committed."""
    try:
        with killed_before_step(step, statements=False):
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
