"""The worker starts a process for each export, and cleans up after a process that was killed."""

import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from campaign.models.export import ExportState
from campaign.worker import export_process
from campaign.worker.export_process import ExportProcess
from tests.conftest import only_sqlite, wait_for
from tests.deliveries.conftest import Ask, export_of

pytestmark = [pytest.mark.slow, pytest.mark.server]


@only_sqlite
def test_export_of_a_stopping_worker_is_given_back_if_its_process_must_be_killed(
    ask: Ask,
    room: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export_process, "GRACE_SECONDS", 0.1)
    export_id = ask()
    process = ExportProcess()
    process.look()
    assert process._process
    try:
        wait_for(lambda: export_of(export_id).state is ExportState.MAKING)
        os.kill(process._process.pid, signal.SIGSTOP)
        # It may be at any step, so its folder may not exist yet.
        (room / "campaign-export-left").mkdir()
        process.stop()
    finally:
        process._process.kill()
    assert process._process.returncode == -signal.SIGKILL
    assert export_of(export_id).state is ExportState.WAITING
    assert list(room.iterdir()) == []


class TestRelativePath:
    """The path of the database in the settings is relative to the instance folder."""

    @pytest.fixture
    def database(self, empty_sqlite: Path, tmp_path: Path) -> str:
        shutil.copy(empty_sqlite, tmp_path / "petitions.sqlite")
        return "sqlite:///petitions.sqlite"

    def test_export_of_a_site_with_a_relative_path_is_made(
        self,
        ask: Ask,
        room: Path,
    ) -> None:
        export_id = ask()
        process = ExportProcess()
        assert process.look() > timedelta(0)
        assert process._process
        assert process._process.wait(timeout=60) == 0
        assert export_of(export_id).state is ExportState.READY
