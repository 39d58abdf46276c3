"""Search signatures by words of names and places, or by email address, in the database's search index.

Migration 0009 creates the index, and search_words.py makes the words. PostgreSQL updates the index with each signature.
In SQLite that would slow signers down, so each search first brings the index up to date (`catch_up`). `table.py`
combines searches with filters.
"""

from collections.abc import Callable
from contextlib import suppress

from email_validator import EmailNotValidError
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaign.models.signature import Signature, mailbox
from campaign.moderation import search_words
from campaign.moderation.search_words import LONGEST_SEARCH, Option, Term
from campaign.signatures.signing import email_key
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.text.bounded_text import check, normalized
from campaign.text.email_address import EMAIL_LENGTH

BATCH = 1000
"""Signatures added to SQLite's index in one transaction."""
LEAST_OF_ADDRESS = 3
"""The fewest characters that are searched as the beginning of an email address.

Fewer would match too many signatures.
"""

# Prefixes of index words that don't come from a name or place. The migration uses the same ones.
_CAMPAIGN, _MAILBOX, _DOMAIN = "\ue000", "\ue001", "\ue002"
_BLOCK = 14
"""PostgreSQL's index contains each word once for each block of 2**_BLOCK ids."""


def catch_up() -> None:
    """Add the signatures since the last search to SQLite's index. Call this before a search, outside a transaction.

    Signatures are added in batches, so that signers don't wait. Adding about 30,000 takes a second.

    Raises:
        STORAGE_ERRORS: A batch could not be stored; the batches before it are stored.
    """
    if db.engine.dialect.name == "sqlite" and db.session.scalar(_IS_BEHIND):
        indexed = BATCH
        while indexed == BATCH:
            with write_transaction() as session:
                indexed = _index_batch(session)


def _index_batch(session: Session) -> int:
    """Index up to BATCH signatures, first those that were changed since they were indexed. Return how many."""
    rows = list(session.execute(_CHANGED, {"most": BATCH}))
    session.execute(_FORGET_CHANGED, {"most": BATCH})
    new = session.execute(_NEW, {"most": BATCH - len(rows)}).all()
    if new:
        # SQLite has one writer, so later signatures have higher ids.
        session.execute(text("UPDATE signature_search_done SET id = :last"), {"last": new[-1].id})
    rows += new
    if rows:
        words = [{"id": row.id, "words": _words_in_sqlite(*row[1:])} for row in rows]
        session.execute(text("INSERT INTO signature_search_words (id, words) VALUES (:id, :words)"), words)
        session.execute(text("INSERT INTO signature_search (rowid, words) VALUES (:id, :words)"), words)
    return len(rows)


_IS_BEHIND = text(
    "SELECT (SELECT coalesce(max(id), 0) FROM signature) > id OR EXISTS (SELECT 1 FROM signature_search_again) "
    "FROM signature_search_done"
)
_ROW = "SELECT id, name, city, region, postal_code, campaign_id, email_key FROM signature WHERE"
_SOME_CHANGED = "id IN (SELECT id FROM signature_search_again ORDER BY id LIMIT :most)"
_CHANGED = text(f"{_ROW} {_SOME_CHANGED}")
_FORGET_CHANGED = text(f"DELETE FROM signature_search_again WHERE {_SOME_CHANGED}")  # noqa: S608
_NEW = text(f"{_ROW} id > (SELECT id FROM signature_search_done) ORDER BY id LIMIT :most")  # noqa: S608


def _words_in_sqlite(name: str, city: str, region: str, postal_code: str, campaign_id: int, email_key: str) -> str:
    """Return the text that FTS5 indexes. Everything but ASCII letters and digits in it is separated by spaces."""
    address = mailbox(email_key)
    words = search_words.indexed(name, city, region, postal_code)
    # FTS5 would split an email address at its dots, so it is indexed in hexadecimal.
    keys = ((_MAILBOX, address), (_DOMAIN, address.partition("@")[2]))
    return " ".join([f"{_CAMPAIGN}{campaign_id}", *words, *(mark + part.encode().hex() for mark, part in keys)])


def newest(session: Session, campaign_id: int, words: str, address: str, before: int | None, most: int) -> list[int]:
    """Return the ids of the `most` newest matching signatures, newest first.

    A signature matches if each word of `words` begins a word of its name, city, region, or postal code, as
    search_words.py defines words, and if `address` matches its email address.

    Args:
        address: An email address, the beginning of one, a domain such as @example.org, or an empty string.
        before: If given, return only ids below this one.

    Raises:
        RefusedTextError: `words` or `address` is longer than LONGEST_SEARCH, or has too many combining marks.
    """
    check(words, LONGEST_SEARCH)
    wanted = search_words.searched(words)
    if not (wanted or _cleaned(address)):
        return []
    if address:
        wanted.append([[term] for term in _addresses(address)])
    if session.connection().dialect.name == "sqlite":
        return _newest_in_sqlite(session, campaign_id, wanted, before, most)
    return _newest_in_postgresql(session, campaign_id, wanted, before, most)


def _cleaned(address: str) -> str:
    shown = "".join(c for c in normalized(address, LONGEST_SEARCH, "NFKC") if c.isprintable())
    return shown.strip().lower()[:EMAIL_LENGTH]


def _addresses(address: str) -> list[Term]:
    """Return the index words that an email address can match."""
    typed = _cleaned(address)
    local, at, domain = typed.partition("@")
    if at and not local:
        with suppress(EmailNotValidError):
            domain = email_key(f"x@{domain}").partition("@")[2]
        return [Term(_DOMAIN + domain, is_prefix=False)]
    # The index has mailboxes as `email_key` returns them: no +tag, and no dots where the provider ignores them.
    beginning = (local.partition("+")[0] or local) + at + domain
    more = len(beginning) >= LEAST_OF_ADDRESS
    wanted = [Term(_MAILBOX + beginning, more)] + ([] if at else [Term(_MAILBOX + beginning.replace(".", ""), more)])
    with suppress(EmailNotValidError):
        wanted.append(Term(_MAILBOX + email_key(typed), is_prefix=False))
    return wanted


def _newest_in_sqlite(
    session: Session, campaign_id: int, wanted: list[list[Option]], before: int | None, most: int
) -> list[int]:
    def word(term: Term) -> str:
        # FTS5 interprets nothing within quotes, and the word contains no quotes.
        rest = term.word
        if rest[0] in (_MAILBOX, _DOMAIN):
            rest = rest[0] + rest[1:].encode().hex()
        return f'"{rest}"{" *" if term.is_prefix else ""}'

    match = " AND ".join([f'"{_CAMPAIGN}{campaign_id}"', *(_any(options, word, " AND ", " OR ") for options in wanted)])
    statement = text(
        "SELECT rowid FROM signature_search WHERE signature_search MATCH :wanted AND rowid < :before "
        "ORDER BY rowid DESC LIMIT :most"
    )
    given = {"wanted": match, "before": 2**62 if before is None else before, "most": most}
    return list(session.scalars(statement, given))


def _newest_in_postgresql(
    session: Session, campaign_id: int, wanted: list[list[Option]], before: int | None, most: int
) -> list[int]:
    if before is None:
        before = _above_all(session, campaign_id)
    # For a plan that looks costly, PostgreSQL would start parallel workers or its JIT compiler. Both take longer here.
    session.execute(
        text("SELECT set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true)")
    )
    # The index returns all matches at once and unordered, and a fifth of all signatures may contain a common word. So
    # query it block by block, newest first. If that isn't enough, matches are rare: read more blocks at once, up to 32.
    found: list[int] = []
    end, blocks = (before - 1 >> _BLOCK) + 1, 1
    while end > 0 and len(found) < most:
        begin = max(0, end - blocks)
        in_each = (_in_block(f"{campaign_id}.{block}.", wanted) for block in range(begin, end))
        given = {"wanted": " | ".join(in_each), "before": before, "most": most - len(found)}
        found += session.scalars(_IN_POSTGRESQL, given)
        end, blocks = begin, min(2 * blocks, 32)
    return found


# OFFSET 0 and + 0 keep the planner from scanning all signatures by id.
_IN_POSTGRESQL = text(
    "SELECT id FROM (SELECT id FROM signature WHERE signature_search_words(id, campaign_id, name, city, region, "
    "postal_code, email_key) @@ CAST(:wanted AS tsquery) AND id + 0 < :before OFFSET 0) AS found "
    "ORDER BY id DESC LIMIT :most"
)


def _in_block(block: str, wanted: list[list[Option]]) -> str:
    """Return a tsquery for one block."""

    # A tsquery interprets nothing within quotes.
    def lexeme(term: Term) -> str:
        quoted = (block + term.word).replace("\\", "\\\\").replace("'", "''")
        return f"'{quoted}'{':*' if term.is_prefix else ''}"

    return " & ".join(_any(options, lexeme, " & ", " | ") for options in wanted)


def _any(options: list[Option], write: Callable[[Term], str], all_of: str, any_of: str) -> str:
    """Return the condition that one of the options is met, in the syntax of a database."""
    return f"({any_of.join(f'({all_of.join(map(write, option))})' for option in options)})"


def _above_all(session: Session, campaign_id: int) -> int:
    """Return an id above the ids of all of the campaign's signatures."""
    # The clocks of several machines differ, so the latest signature may not have the highest id, but it is close.
    newest = (
        select(Signature.id)
        .where(Signature.campaign_id == campaign_id)
        .order_by(Signature.signed_at.desc(), Signature.id.desc())
        .limit(1000)
    )
    highest = session.scalar(select(func.max(newest.subquery().c.id))) or 0
    return ((int(highest) >> _BLOCK) + 2) << _BLOCK
