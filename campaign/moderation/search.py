"""Search signatures by words of names and places, or by email address, in the database's search index.

Migration 0009 creates the index, and search_words.py makes the words. PostgreSQL updates the index with each signature.
In SQLite that would slow signers down, so the background worker does it (indexing.py), and a search looks at the newest
signatures itself (unindexed.py). `table.py` combines searches with filters.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

from email_validator import EmailNotValidError
from sqlalchemy import BigInteger, func, literal_column, select, table, text
from sqlalchemy.orm import Session

from campaign.models.signature import Signature
from campaign.moderation import search_words, unindexed
from campaign.moderation.indexing import CAMPAIGN, DOMAIN, MAILBOX, in_index
from campaign.moderation.search_words import LONGEST_SEARCH, Option, Term
from campaign.signatures.signing import email_key
from campaign.storage.database import read_ids
from campaign.text.bounded_text import check, normalized
from campaign.text.email_address import EMAIL_LENGTH

LEAST_OF_ADDRESS = 3
"""The fewest characters that are searched as the beginning of an email address.

Fewer would match too many signatures.
"""

_BLOCK = 14
"""PostgreSQL's index contains each word once for each block of 2**_BLOCK ids."""
_MOST_BLOCKS = 32
"""The most blocks that one query of PostgreSQL's index looks at."""


def newest(
    session: Session, campaign_id: int, words: Sequence[str], address: str, before: int | None, most: int
) -> list[int]:
    """Return the ids of the `most` newest matching signatures, newest first.

    A signature matches if each word of all texts in `words` begins a word of its name, city, region, or postal code, as
    search_words.py defines words, and if `address` matches its email address.

    Args:
        address: An email address, the beginning of one, a domain such as @example.org, or an empty string.
        before: If given, return only ids below this one.

    Raises:
        RefusedTextError: One of `words` or `address` is longer than LONGEST_SEARCH, or has too many combining marks.
    """
    for each in words:
        check(each, LONGEST_SEARCH)
    wanted = [options for each in words for options in search_words.searched(each)]
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
        return [Term(DOMAIN + domain, is_prefix=False)]
    # The index has mailboxes as `email_key` returns them: no +tag, and no dots where the provider ignores them.
    beginning = (local.partition("+")[0] or local) + at + domain
    more = len(beginning) >= LEAST_OF_ADDRESS
    wanted = [Term(MAILBOX + beginning, more)] + ([] if at else [Term(MAILBOX + beginning.replace(".", ""), more)])
    with suppress(EmailNotValidError):
        wanted.append(Term(MAILBOX + email_key(typed), is_prefix=False))
    return wanted


def _newest_in_sqlite(
    session: Session, campaign_id: int, wanted: list[list[Option]], before: int | None, most: int
) -> list[int]:
    def word(term: Term) -> str:
        # FTS5 interprets nothing within quotes, and the word contains no quotes.
        return f'"{in_index(term.word)}"{" *" if term.is_prefix else ""}'

    match = " AND ".join([f'"{CAMPAIGN}{campaign_id}"', *(_any(options, word, " AND ", " OR ") for options in wanted)])
    end = 2**62 if before is None else before
    indexed = read_ids(session, _IN_SQLITE.params(wanted=match, before=end).limit(most))
    # What `look` has read may have been indexed since.
    return sorted({*indexed, *unindexed.look(session, campaign_id, wanted, end)}, reverse=True)[:most]


_IN_SQLITE = (
    select(literal_column("rowid", BigInteger).label("id"))
    .select_from(table("signature_search"))
    .where(text("signature_search MATCH :wanted AND rowid < :before"))
    .order_by(text("rowid DESC"))
)


def _newest_in_postgresql(
    session: Session, campaign_id: int, wanted: list[list[Option]], before: int | None, most: int
) -> list[int]:
    if before is None:
        newest = _newest_id(session, campaign_id)
        # The clocks of several machines differ, so the latest signature may not have the highest id, but it is close.
        # The block above it is nearly empty, so query both together.
        blocks, before = 2, ((newest >> _BLOCK) + 2) << _BLOCK
    else:
        newest, blocks = before, 1
    # The index returns all matches at once and unordered, and a fifth of all signatures may contain a common word. So
    # query some blocks, newest first, and then as many as are enough if matches remain as frequent. They may become
    # more frequent, so look only at four times as many at once.
    found: list[int] = []
    end = (before - 1 >> _BLOCK) + 1
    while end > 0 and len(found) < most:
        begin = max(0, end - blocks)
        in_each = (_in_block(f"{campaign_id}.{block}.", wanted) for block in range(begin, end))
        given = {"wanted": " | ".join(in_each), "before": before, "most": most - len(found)}
        found += session.scalars(_IN_POSTGRESQL, given).all()
        end = begin
        looked_at = max(1, newest - (begin << _BLOCK))
        enough = (most - len(found)) * looked_at // max(1, len(found))
        blocks = min((enough >> _BLOCK) + 1, 4 * blocks, _MOST_BLOCKS)
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


def _newest_id(session: Session, campaign_id: int) -> int:
    """Return the highest id among the campaign's latest signatures, or 0."""
    latest = (
        select(Signature.id)
        .where(Signature.campaign_id == campaign_id)
        .order_by(Signature.signed_at.desc(), Signature.id.desc())
        .limit(1000)
    )
    return int(session.scalar(select(func.max(latest.subquery().c.id))) or 0)
