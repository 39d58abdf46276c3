"""Keeps SQLite's search index current: `index_piece`, a task of the background worker.

The worker follows the signers within seconds. PostgreSQL updates its index with each signature, so the task has nothing
to do there. A search finds signatures that aren't in the index yet by looking at them (unindexed.py).
"""

import time
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from campaign.models.signature import mailbox
from campaign.moderation import search_words
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction

BATCH = 500
"""Signatures added to the index in one transaction. Meanwhile, signers wait for about a hundredth of a second."""
LOOK_AGAIN = timedelta(seconds=1)
"""How long to wait for the next look once the index is current."""
REST = 39
"""How long the task rests after a batch while others write, as a multiple of the time that the batch took. So at most
a fortieth of the time to write is spent on the index, and as much on the statistics: a twentieth together."""
ALONE_SECONDS = 0.002
"""If the turn to write comes within this time, nobody else was writing."""

# Prefixes of index words that don't come from a name or place. The migration uses the same ones.
CAMPAIGN, MAILBOX, DOMAIN = "\ue000", "\ue001", "\ue002"

COLUMNS = "id, name, city, region, postal_code, campaign_id, email_key"
"""The columns of a signature that `words` needs."""
_SOME_CHANGED = "id IN (SELECT id FROM signature_search_again ORDER BY id LIMIT :most)"
_CHANGED = text(f"SELECT {COLUMNS} FROM signature WHERE {_SOME_CHANGED}")  # noqa: S608
_FORGET_CHANGED = text(f"DELETE FROM signature_search_again WHERE {_SOME_CHANGED}")  # noqa: S608
_IS_NEW = "id > (SELECT id FROM signature_search_done) ORDER BY id LIMIT :most"
_NEW = text(f"SELECT {COLUMNS} FROM signature WHERE {_IS_NEW}")  # noqa: S608


def index_piece() -> timedelta:
    """Add up to BATCH signatures to the index: first those that were changed since they were indexed, then new ones.

    Returns:
        How long to wait before the next piece.

    Raises:
        STORAGE_ERRORS: The piece could not be stored; the pieces before it are stored.
    """
    if db.engine.dialect.name != "sqlite":
        return timedelta(days=1)
    # Making the words takes longer than storing them. So make them before the transaction, while signers write.
    known = {tuple(row): _indexed_text(row) for row in _next(db.session())}
    if not known:
        return LOOK_AGAIN
    asked = time.monotonic()
    with write_transaction() as session:
        began = time.monotonic()
        _store(session, known)
    if len(known) < BATCH:
        return LOOK_AGAIN
    is_alone = began - asked < ALONE_SECONDS
    return timedelta(0) if is_alone else timedelta(seconds=REST * (time.monotonic() - began))


def _next(session: Session) -> list[Row[Any]]:
    """Return the rows of the next BATCH signatures to index."""
    changed = list(session.execute(_CHANGED, {"most": BATCH}))
    return changed + list(session.execute(_NEW, {"most": BATCH - len(changed)}))


def _store(session: Session, known: dict[tuple[Any, ...], str]) -> None:
    """Add the next BATCH signatures to the index, with texts that are known for their rows."""
    # Read the rows again: they may have changed in the meantime, or another worker may have indexed them.
    rows = _next(session)
    session.execute(_FORGET_CHANGED, {"most": BATCH})
    if not rows:
        return
    # SQLite has one writer, so later signatures have higher ids. Changed ones have lower ids than all new ones.
    session.execute(text("UPDATE signature_search_done SET id = max(id, :last)"), {"last": rows[-1].id})
    texts = [{"id": row.id, "words": known.get(tuple(row)) or _indexed_text(row)} for row in rows]
    session.execute(text("INSERT INTO signature_search_words (id, words) VALUES (:id, :words)"), texts)
    session.execute(text("INSERT INTO signature_search (rowid, words) VALUES (:id, :words)"), texts)


def words(row: Row[Any]) -> list[str]:
    """Return the words by which the signature of a row of COLUMNS is found, with its campaign and its email address."""
    address = mailbox(row.email_key)
    found = search_words.indexed(row.name, row.city, row.region, row.postal_code)
    return [f"{CAMPAIGN}{row.campaign_id}", *found, MAILBOX + address, DOMAIN + address.partition("@")[2]]


def _indexed_text(row: Row[Any]) -> str:
    """Return the text that FTS5 indexes. Everything but ASCII letters and digits in it is separated by spaces."""
    return " ".join(map(in_index, words(row)))


def in_index(word: str) -> str:
    """Return a word as SQLite's index has it."""
    # FTS5 would split an email address at its dots, so it is indexed in hexadecimal.
    return word[0] + word[1:].encode().hex() if word[0] in (MAILBOX, DOMAIN) else word
