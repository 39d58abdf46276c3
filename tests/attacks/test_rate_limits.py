"""Attacks on rate limits: a flood of clients must not fill the memory or reset the counts of locked-out clients."""

import pytest
from redis import Redis

from campaign.settings import Settings
from campaign.storage.redis import SharedRedis
from campaign.storage.request_counts import Counts
from tests.conftest import only_sqlite
from tests.services import Service

pytestmark = only_sqlite

ROOM = 50


@pytest.fixture
def counts(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Return counts of one process with little room."""
    monkeypatch.setattr("campaign.storage.request_counts.MOST_COUNTS", ROOM)
    return Counts(SharedRedis(settings))


def flood(counts: Counts, clients: int, each: int = 1) -> None:
    """Count requests of many clients, `each` times per client."""
    for number in range(clients):
        for _ in range(each):
            counts.incr(f"client {number}", 60)


def test_flood_of_clients_keeps_the_memory_bounded(counts: Counts) -> None:
    flood(counts, 10 * ROOM)
    # Each new count evicts only one old count, so the room stays full.
    assert len(counts._own) == ROOM


@pytest.mark.parametrize("each", [1, 2, 8])
def test_flood_of_clients_does_not_reset_a_client_that_has_reached_its_limit(counts: Counts, each: int) -> None:
    for _ in range(16):
        counts.incr("locked", 900)
    flood(counts, 10 * ROOM, each)
    assert counts.get("locked") == 16
    assert counts.incr("locked", 900) == 17


def test_oldest_of_equal_counts_is_evicted(counts: Counts) -> None:
    flood(counts, ROOM + 1)
    assert counts.get("client 0") == 0
    assert [counts.get(f"client {number}") for number in (1, ROOM)] == [1, 1]


@pytest.mark.slow
def test_large_counts_are_evicted_when_there_are_no_small_counts(counts: Counts) -> None:
    flood(counts, 2 * ROOM, each=300)
    assert len(counts._own) <= ROOM
    assert counts.get(f"client {2 * ROOM - 1}") == 300


def test_counts_of_any_size_are_deleted_after_their_window(counts: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    now, own = 1000.0, counts._own
    monkeypatch.setattr("campaign.storage.request_counts.clock", lambda: now)
    for _ in range(300):
        own.add("large", 60, 1)
    own.add("small", 60, 1)
    own.add("long", 3600, 1)
    now += 59
    assert own.get("large") == (300, 1)
    now += 2
    assert own.get("large") == (0, 0)
    assert own.add("other", 60, 1) == 1
    assert len(own) == 2
    assert own.add("large", 60, 1) == 1


def test_full_redis_keeps_counts_and_counting_continues(settings: Settings, redis: Service) -> None:
    with Redis.from_url(redis.url) as operator:
        # The policy from docs/operate.md. With LRU, a flood of clients would evict the counts of locked-out clients.
        operator.config_set("maxmemory-policy", "noeviction")
        counts = Counts(SharedRedis(Settings.from_environ({"REDIS_URL": redis.url}, settings.instance)))
        assert [counts.incr("locked", 900) for _ in range(16)][-1] == 16
        operator.config_set("maxmemory", "1")
        assert [counts.incr("locked", 900) for _ in range(16)] == list(range(1, 17))
        operator.config_set("maxmemory", "0")
        assert int(operator.get("campaign:locked") or 0) == 16
