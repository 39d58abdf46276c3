"""Real workers are killed, run side by side, or lose their database: nothing is lost, and nothing is done twice."""

import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text, update

from campaign.deliveries.exports import Kind
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.models.export import Export, ExportState
from campaign.models.lease import Lease
from campaign.models.signature import Signature
from campaign.signatures import fake
from campaign.storage.database import db
from campaign.storage.transactions import turn_to_write, write_connection, write_transaction
from tests import services
from tests.conftest import PATH, Sign, StartWork, dispose, only_sqlite, wait_for
from tests.deliveries.conftest import Ask, content, export_of
from tests.forks import Fork

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("room")]


def kill(worker: Fork) -> None:
    """Kill a worker alone, and not the processes that it has started."""
    worker.kill()
    worker.wait(timeout=30)


def children(process: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def end_leases() -> None:
    """Let the leases of all workers end now, instead of after a minute."""
    with write_transaction() as session:
        session.execute(update(Lease).values(until=datetime(2000, 1, 1, tzinfo=UTC)))


def number(statement: str) -> int:
    db.session.rollback()
    found = int(db.session.scalar(text(statement)) or 0)
    db.session.rollback()
    return found


def indexed() -> int:
    return number("SELECT count(*) FROM signature_search_words")


def check_index(campaign: Campaign) -> None:
    """Check that the index has each signature once."""
    assert indexed() == number("SELECT count(*) FROM signature")
    with turn_to_write(db.engine), write_connection(db.engine) as connection:
        connection.exec_driver_sql("INSERT INTO signature_search (signature_search) VALUES ('integrity-check')")
        match = f"SELECT count(*) FROM signature_search WHERE signature_search MATCH '\"\ue000{campaign.id}\"'"
        assert connection.scalar(text(match)) == indexed()


@only_sqlite
def test_index_is_complete_after_workers_were_killed_in_the_middle(
    campaign: Campaign, start_work: StartWork, client: FlaskClient, sign: Sign
) -> None:
    list(fake.sign(campaign.id, 20_000, datetime.now(UTC)))
    seen = -1
    for at in (1, 4_000, 10_000):
        worker = start_work()
        least = max(at, seen + 1)
        wait_for(lambda least=least: indexed() >= least)  # type: ignore[misc]
        # People sign while the worker indexes.
        assert sign(email=f"{at}@example.org").status_code == 303
        kill(worker)
        end_leases()
        assert indexed() > seen, "what was done stays"
        seen = indexed()
    start_work()
    wait_for(lambda: indexed() == 20_003)
    check_index(campaign)
    assert client.get(PATH).status_code == 200


@only_sqlite
def test_two_workers_index_each_signature_once(campaign: Campaign, start_work: StartWork) -> None:
    list(fake.sign(campaign.id, 10_000, datetime.now(UTC)))
    start_work()
    # The second takes everything over, as if the clock of its machine were wrong.
    end_leases()
    start_work()
    wait_for(lambda: indexed() == 10_000)
    check_index(campaign)


# The databases differ only in how they store a file.
@pytest.mark.parametrize(
    ("database", "step"),
    [("sqlite", "taken"), ("sqlite", "half done"), ("sqlite", "stored in part"), ("postgresql", "stored in part")],
    indirect=["database"],
)
def test_export_of_a_killed_worker_is_made_by_another(
    campaign: Campaign,
    ask: Ask,
    start_work: StartWork,
    room: Path,
    step: str,
) -> None:
    # A CSV file of 20,000 signatures is stored in two pieces. Fewer are enough for a book to take some seconds.
    kind, number_of_signatures = (Kind.CSV, 20_000) if step == "stored in part" else (Kind.BOOK, 8_000)
    list(fake.sign(campaign.id, number_of_signatures, datetime.now(UTC)))
    export_id = ask(kind)
    worker = start_work()
    reached = {
        "taken": lambda: export_of(export_id).state is ExportState.MAKING,
        "half done": lambda: export_of(export_id).done > 0,
        "stored in part": lambda: number("SELECT count(*) FROM export_chunk") > 0,
    }
    wait_for(reached[step])
    made_by = children(worker.pid)
    kill(worker)
    wait_for(lambda: not any(Path(f"/proc/{each}").exists() for each in made_by))
    start_work()
    wait_for(lambda: export_of(export_id).state is ExportState.READY)
    export = export_of(export_id)
    assert (export.done, len(content(export_id))) == (number_of_signatures, export.bytes)
    assert list(room.iterdir()) == [], "no copy may remain on the disk"


@only_sqlite
def test_export_whose_process_is_killed_is_made_again_at_once(
    campaign: Campaign,
    ask: Ask,
    start_work: StartWork,
) -> None:
    list(fake.sign(campaign.id, 10_000, datetime.now(UTC)))
    export_id = ask(Kind.BOOK)
    worker = start_work()
    wait_for(lambda: export_of(export_id).done > 0)
    [made_by] = children(worker.pid)
    os.kill(made_by, signal.SIGKILL)
    wait_for(lambda: export_of(export_id).state is ExportState.READY)
    assert export_of(export_id).attempts == 2
    assert worker.poll() is None


def test_two_workers_make_each_export_once(sign: Sign, ask: Ask, start_work: StartWork) -> None:
    sign()
    wanted = {ask(), ask(Kind.SPREADSHEET), ask(Kind.BOOK)}
    for _ in range(2):
        start_work()
    wait_for(lambda: all(export_of(each).state is ExportState.READY for each in wanted))
    assert [export.attempts for export in db.session.scalars(select(Export))] == [1, 1, 1]
    assert db.session.scalar(select(func.count()).where(Record.action == "export.ask")) == 3


def test_stopped_worker_gives_its_export_back(campaign: Campaign, ask: Ask, start_work: StartWork) -> None:
    list(fake.sign(campaign.id, 8_000, datetime.now(UTC)))
    export_id = ask(Kind.BOOK)
    worker = start_work()
    wait_for(lambda: export_of(export_id).done > 0)
    assert os.getpriority(os.PRIO_PROCESS, children(worker.pid)[0]) == 10, "signing comes first"
    worker.terminate()
    assert worker.wait(timeout=30) == 0
    assert (export_of(export_id).state, export_of(export_id).attempts) == (ExportState.WAITING, 0)


@only_sqlite
def test_worker_goes_on_after_the_database_was_locked(
    sign: Sign,
    ask: Ask,
    start_work: StartWork,
) -> None:
    sign()
    worker = start_work()
    wait_for(lambda: indexed() == 1)
    with db.engine.connect() as connection, turn_to_write(db.engine):
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(timeout=8)
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN")
    sign(email="grace@example.org")
    export_id = ask()
    wait_for(lambda: export_of(export_id).state is ExportState.READY and indexed() == 2)
    assert worker.poll() is None


class TestDatabaseOutage:
    """PostgreSQL is away for a while."""

    @pytest.fixture
    def database(self, own_server: services.Service) -> str:
        return own_server.url

    def test_worker_goes_on_when_the_database_is_back(
        self,
        sign: Sign,
        ask: Ask,
        start_work: StartWork,
        own_server: services.Service,
    ) -> None:
        sign()
        worker = start_work()
        dispose()
        own_server.kill()
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(timeout=3)
        own_server.start()
        export_id = ask()
        wait_for(lambda: export_of(export_id).state is ExportState.READY)
        assert worker.poll() is None
        assert db.session.scalar(select(func.count()).select_from(Signature)) == 1


@only_sqlite
def test_worker_ends_when_its_server_is_a_zombie(start_work: StartWork) -> None:
    # Until the parent waits for it, an ended process is a zombie.
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as server:
        worker = start_work("--beside", str(server.pid))
        server.kill()
        assert worker.wait(timeout=30) == 0
