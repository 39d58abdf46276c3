"""Compare the time to store a duplicate and a new signature: the time must not tell a stranger who has signed."""

import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

from benchmarks.measure import PAGE
from campaign import create_app
from campaign.campaigns.lookup import find
from campaign.settings import Settings
from campaign.signatures import signing
from campaign.signatures.signing import Details
from campaign.storage.database import db

PAIRS = 3000
KNOWN = 200
"""Number of mailboxes that have signed before. Each duplicate uses a random one of them."""


def compare(settings: Settings) -> tuple[float, float]:
    """Return the median time to store a new signature and a duplicate, in microseconds.

    Both kinds take turns, and each signature is stored in its own batch, as on an idle site. In a shared batch, the
    other signatures would hide the difference.
    """
    app = create_app(settings)
    with app.app_context():
        campaign = find(db.session(), PAGE.rpartition("/")[2])
        assert campaign  # noqa: S101 (`measure.prepare` has published it)
        db.session.expunge(campaign)
        db.session.rollback()
        engine, numbers = db.engine, count()

        def new() -> str:
            return f"new{next(numbers)}.{random.random()}@example.org"  # noqa: S311 (no secret)

        def store(email: str) -> float:
            details = Details(name="Ada Lovelace", email=email, country="US", postal_code="90012", city="Los Angeles")
            began = time.perf_counter()
            signing.sign(engine, campaign, details, datetime.now(UTC), settings)
            return (time.perf_counter() - began) * 1e6

        known = [new() for _ in range(KNOWN)]
        for email in known:
            store(email)
        makers: dict[str, Callable[[], str]] = {"new": new, "duplicate": lambda: random.choice(known)}  # noqa: S311
        times: dict[str, list[float]] = {kind: [] for kind in makers}
        for _ in range(PAIRS):
            # In random order, so that neither always follows the other.
            for kind in random.sample(list(makers), 2):
                times[kind].append(store(makers[kind]()))
        engine.dispose()
    return statistics.median(times["new"]), statistics.median(times["duplicate"])
