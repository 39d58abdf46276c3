"""Storing a duplicate takes as much database work as storing a new signature, so timing doesn't reveal who has signed.

The same is true for mailboxes whose signature was removed, withdrawn, or blocked.

The tests count statements and writes to the write-ahead log. benchmarks/bench.py compares the times.
"""

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text, update

from campaign.accounts.audit_log import COMMAND
from campaign.models.campaign import Campaign
from campaign.models.signature import Signature, SignatureState
from campaign.moderation import actions
from campaign.moderation.actions import Action
from campaign.signatures import signing, tally
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import Publish, Sign, only_sqlite, store_batch, stored

Written = Callable[[], int]


@pytest.fixture
def written(app: Flask) -> Written:
    """Return a function that measures the write-ahead log so far, in pages (SQLite) or bytes (PostgreSQL)."""

    def written() -> int:
        with db.engine.connect() as connection:
            if db.engine.dialect.name == "postgresql":
                return int(connection.scalar(text("SELECT pg_current_wal_insert_lsn() - '0/0'")) or 0)
            # The index of the log has the number of its pages (sqlite.org/walformat.html, "mxFrame").
            frames: int = struct.unpack_from("<I", Path(f"{db.engine.url.database}-shm").read_bytes(), 16)[0]
            return frames

    return written


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """Return a list that collects the SQL statements run."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield found
    event.remove(db.engine, "before_cursor_execute", note)


def row(campaign: Campaign, number: int) -> dict[str, Any]:
    now, email = datetime.now(UTC), f"signer{number:03}@example.org"
    place = {"country": "US", "region": "California", "city": "Los Angeles", "postal_code": "90012"}
    who = {"name": "Ada Lovelace", "email": email, "email_key": email, "source": ""}
    how = {"anonymous": False, "wants_updates": False, "state": SignatureState.PUBLIC}
    return {"campaign_id": campaign.id, "signed_at": now, "listed_at": now} | who | place | how


def remove(campaign: Campaign, action: Action) -> None:
    """Remove or block all signatures."""
    ids = [signature.id for signature in stored()]
    with write_transaction() as session:
        actions.act(session, COMMAND, campaign.id, action, ids, "spam", datetime.now(UTC), may_remove=True)


def median_cost(campaign: Campaign, written: Written, numbers: range) -> float:
    costs = []
    for number in numbers:
        before = written()
        store_batch([row(campaign, number)])
        costs.append(written() - before)
    return sorted(costs)[len(costs) // 2]


@pytest.mark.slow
def test_duplicate_writes_as_much_as_a_new_signature(campaign: Campaign, written: Written) -> None:
    # The first signatures allocate pages that later ones reuse.
    median_cost(campaign, written, range(30))
    new = median_cost(campaign, written, range(100, 130))
    duplicate = median_cost(campaign, written, range(100, 130))
    assert new > 0
    assert 0.8 < duplicate / new < 1.25, f"{duplicate} instead of {new}"
    assert tally.check(db.session(), campaign.id) == tally.Check(60, 60)


@pytest.mark.parametrize(("action", "counted"), [(Action.BLOCK, 0), (Action.REMOVE, 30)])
@pytest.mark.slow
def test_blocked_or_released_mailbox_writes_as_much_as_a_new_signature(
    campaign: Campaign, written: Written, action: Action, counted: int
) -> None:
    median_cost(campaign, written, range(30))
    remove(campaign, action)
    again = median_cost(campaign, written, range(30))
    new = median_cost(campaign, written, range(100, 130))
    assert 0.8 < again / new < 1.25, f"{again} instead of {new}"
    assert tally.check(db.session(), campaign.id) == tally.Check(30 + counted, 30 + counted)


def test_batch_of_duplicates_writes_as_much_as_a_batch_of_new_signatures(campaign: Campaign, written: Written) -> None:
    def cost(numbers: range) -> int:
        before = written()
        store_batch([row(campaign, number) for number in numbers])
        return written() - before

    cost(range(32))
    new, duplicate = cost(range(100, 116)), cost(range(100, 116))
    assert 0.6 < duplicate / new < 1.6, f"{duplicate} instead of {new}"


@pytest.mark.slow
def test_every_kind_of_mailbox_runs_the_same_statements(campaign: Campaign, sign: Sign, statements: list[str]) -> None:
    kinds = ("blocked", "removed", "withdrawn", "duplicate")
    for kind, action in zip(kinds, (Action.BLOCK, Action.REMOVE, Action.REMOVE), strict=False):
        sign(email=f"{kind}@example.org")
        with write_transaction() as session:
            last = [stored()[-1].id]
            actions.act(session, COMMAND, campaign.id, action, last, "spam", datetime.now(UTC), may_remove=True)
    with write_transaction() as session:
        session.execute(update(Signature).where(Signature.id == last[0]).values(state=SignatureState.WITHDRAWN))
    sign(email="duplicate@example.org")
    found = {}
    for kind in (*kinds, "new", "newer"):
        statements.clear()
        assert sign(htmx=True, email=f"{kind}@example.org", shown="7").status_code == 200
        assert not any("sum(tally" in statement for statement in statements), "the count isn't read"
        found[kind] = [statement for statement in statements if "tally" in statement or "signature" in statement]
    assert len(found["new"]) >= 2
    for kind in kinds:
        assert found[kind] == found["newer"]


def test_batch_can_hold_more_duplicates_than_scratch_rows(campaign: Campaign) -> None:
    rows = [row(campaign, number) for number in range(70)]
    store_batch(rows)
    store_batch(rows)
    assert len(stored()) == 70
    assert tally.check(db.session(), campaign.id) == tally.Check(70, 70)


def test_batch_with_duplicates_for_two_campaigns_is_counted_once(publish: Publish) -> None:
    one, two = publish(slug="one"), publish(slug="two")
    store_batch([row(one, 1), row(two, 1), row(one, 1)])
    store_batch([row(two, 2), row(two, 1), row(one, 1), row(one, 3)])
    assert tally.check(db.session(), one.id) == tally.Check(2, 2)
    assert tally.check(db.session(), two.id) == tally.Check(2, 2)


def test_scratch_rows_hold_no_data_of_signers(sign: Sign) -> None:
    for _ in range(3):
        sign(name="Marie Curie", email="marie@example.org", city="Warsaw", country="PL", postal_code="00-001")
    with db.engine.connect() as connection:
        rows = [dict(each) for each in connection.execute(text("SELECT * FROM scratch_signature")).mappings()]
    assert len(rows) == 32
    assert any(each["email_key"] for each in rows), "none was rewritten"
    for each in rows:
        kept = " ".join(str(value) for name, value in each.items())
        for secret in ("Marie", "Curie", "marie", "Warsaw", "PL", "00-001"):
            assert secret not in kept


def test_rows_of_blocked_mailboxes_hold_no_email_address(campaign: Campaign, sign: Sign) -> None:
    sign(email="marie@example.org")
    remove(campaign, Action.BLOCK)
    sign(email="marie@example.org")
    with db.engine.connect() as connection:
        [row] = connection.execute(text("SELECT * FROM scratch_signature WHERE slot < 0")).mappings()
    assert row["attempts"] == 1
    assert "marie" not in str(row)


@only_sqlite
def test_readiness_check_writes_to_the_disk(campaign: Campaign, written: Written) -> None:
    before = written()
    signing.try_storing(db.engine)
    assert written() > before


def test_batch_is_stored_in_a_fixed_order(publish: Publish) -> None:
    one, two = publish(slug="one"), publish(slug="two")
    batch = [row(two, 1), row(one, 3), row(two, 0), row(one, 1), row(one, 2)]
    store_batch(batch)
    found = [(signature.campaign_id, signature.email_key) for signature in stored()]
    assert found == [
        (one.id, "signer001@example.org"),
        (one.id, "signer002@example.org"),
        (one.id, "signer003@example.org"),
        (two.id, "signer000@example.org"),
        (two.id, "signer001@example.org"),
    ]
