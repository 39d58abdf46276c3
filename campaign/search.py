"""Which signatures have these words, or such an address: what a search asks of the search index, on either database.

The index is migration 0003's. PostgreSQL keeps it by itself; in SQLite that would slow signers down, so who searches
brings it up to date first. signature_table.py asks here when somebody searches.
"""

import unicodedata
from contextlib import suppress
from itertools import groupby

from email_validator import EmailNotValidError
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaign.extensions import db, write_transaction
from campaign.models import EMAIL_LENGTH, NAME_LENGTH, Signature
from campaign.signing import email_key

MOST_WORDS = 10
"""Words of a search that are looked for; nobody needs more, and each costs."""
BATCH = 1000
"""Signatures that are put into SQLite's index in one transaction."""
LEAST_OF_ADDRESS = 3
"""Characters of the beginning of an address that are looked for; of fewer, there would be too many to look through."""

# What the words begin with that are no words of a name; as in the migration.
_CAMPAIGN, _MAILBOX, _DOMAIN = "\ue000", "\ue001", "\ue002"
_BLOCK = 14
"""PostgreSQL's index has each word once for every block of two to the power of so many ids."""


def catch_up() -> None:
    """Put into the index who has signed since it was last asked; to be called before a search, in no transaction.

    In batches, so that signers get in between; it takes a second for some fifty thousand.

    Raises:
        STORAGE_ERRORS: a batch could not be stored; those before it are.
    """
    if db.engine.dialect.name == "sqlite" and db.session.scalar(_IS_BEHIND):
        indexed = BATCH
        while indexed == BATCH:
            with write_transaction() as session:
                # SQLite has one writer, so who comes later has a higher id.
                begin = session.scalar(text("SELECT id FROM signature_search_done"))
                session.execute(_INDEX, {"begin": begin, "most": BATCH})
                end, indexed = session.execute(_END, {"begin": begin, "most": BATCH}).one()
                session.execute(text("UPDATE signature_search_done SET id = coalesce(:end, id)"), {"end": end})


_IS_BEHIND = text("SELECT (SELECT max(id) FROM signature) > id FROM signature_search_done")
_NEXT = "signature_search_words WHERE id > :begin ORDER BY id LIMIT :most"
_INDEX = text(f"INSERT INTO signature_search (rowid, words) SELECT id, words FROM {_NEXT}")  # noqa: S608
_END = text(f"SELECT max(id), count(*) FROM (SELECT id FROM {_NEXT})")  # noqa: S608


def newest(session: Session, campaign_id: int, words: str, address: str, before: int | None, most: int) -> list[int]:
    """The ids of the `most` newest signatures that match, newest first; those below the id `before`, if it is given.

    A signature matches if each of the `words` begins a word of its name, city, region or postal code, and if `address`,
    unless it is empty, is its email address, the beginning of that, or its domain as @example.org. Letters match
    whether they are large or small and whatever accents they have, as far as the database knows.
    """
    if not (words_of(words) or _cleaned(address)):
        return []
    if session.connection().dialect.name == "sqlite":
        return _newest_in_sqlite(session, campaign_id, words, address, before, most)
    return _newest_in_postgresql(session, campaign_id, words, address, before, most)


def words_of(text: str) -> list[str]:
    """What is searched for in what was typed: runs of letters and digits; a mark over a letter belongs to it."""
    runs = groupby(text, key=lambda character: unicodedata.category(character)[0] in "LNM")
    found = ("".join(run) for is_word, run in runs if is_word)
    return [word[:NAME_LENGTH] for word in found if any(map(str.isalnum, word))][:MOST_WORDS]


def _cleaned(address: str) -> str:
    shown = "".join(c for c in unicodedata.normalize("NFKC", address) if c.isprintable())
    return shown.strip().lower()[:EMAIL_LENGTH]


def _addresses(address: str) -> list[tuple[str, bool]]:
    """Words of which one must be there, each with whether it may go on."""
    typed = _cleaned(address)
    local, at, domain = typed.partition("@")
    if at and not local:
        with suppress(EmailNotValidError):
            domain = email_key(f"x@{domain}").partition("@")[2]
        return [(_DOMAIN + domain, False)]
    # Of a mailbox the index has what `email_key` makes of it: no +tag, and no dots where the provider ignores them.
    beginning = (local.partition("+")[0] or local) + at + domain
    more = len(beginning) >= LEAST_OF_ADDRESS
    wanted = [(_MAILBOX + beginning, more)] + ([] if at else [(_MAILBOX + beginning.replace(".", ""), more)])
    with suppress(EmailNotValidError):
        wanted.append((_MAILBOX + email_key(typed), False))
    return wanted


def _newest_in_sqlite(
    session: Session, campaign_id: int, words: str, address: str, before: int | None, most: int
) -> list[int]:
    def word(kind: str, rest: str, more: bool) -> str:
        # Quoted, nothing in it means anything to FTS5; and nothing in it is a quote.
        return f'"{kind}{rest}"{" *" if more else ""}'

    wanted = [word(_CAMPAIGN, str(campaign_id), False)]
    wanted += [word("", one, True) for one in words_of(unicodedata.normalize("NFC", words))]
    if address:
        any_of = (word(one[0], one[1:].encode().hex(), more) for one, more in _addresses(address))
        wanted.append(f"({' OR '.join(any_of)})")
    statement = text(
        "SELECT rowid FROM signature_search WHERE signature_search MATCH :wanted AND rowid < :before "
        "ORDER BY rowid DESC LIMIT :most"
    )
    given = {"wanted": " AND ".join(wanted), "before": 2**62 if before is None else before, "most": most}
    return list(session.scalars(statement, given))


def _newest_in_postgresql(
    session: Session, campaign_id: int, words: str, address: str, before: int | None, most: int
) -> list[int]:
    wanted = [[(word, True)] for word in words_of(_plain(words))]
    if address:
        wanted.append(_addresses(address))
    if before is None:
        before = _above_all(session, campaign_id)
    # A planner that fears the work would have it done by several processes, or compiled, which is more work.
    session.execute(
        text("SELECT set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true)")
    )
    # The index gives all that match at once and in no order, and a word may be that of a fifth of all signatures. So
    # it is asked block by block, from the newest on; ever more at once, for then few are left to find.
    found: list[int] = []
    end, blocks = (before - 1 >> _BLOCK) + 1, 1
    while end > 0 and len(found) < most:
        begin = max(0, end - blocks)
        in_each = (_in_block(f"{campaign_id}.{block}.", wanted) for block in range(begin, end))
        given = {"wanted": " | ".join(in_each), "before": before, "most": most - len(found)}
        found += session.scalars(_IN_POSTGRESQL, given)
        end, blocks = begin, min(2 * blocks, 32)
    return found


# OFFSET 0 and + 0, so that the planner does not think of going through all signatures by id.
_IN_POSTGRESQL = text(
    "SELECT id FROM (SELECT id FROM signature WHERE signature_search_words(id, campaign_id, name, city, region, "
    "postal_code, email_key) @@ CAST(:wanted AS tsquery) AND id + 0 < :before OFFSET 0) AS found "
    "ORDER BY id DESC LIMIT :most"
)


def _in_block(block: str, wanted: list[list[tuple[str, bool]]]) -> str:
    """A tsquery for all of what is wanted, each in one of its forms."""

    # Quoted, nothing in a word means anything to a tsquery.
    def lexeme(word: str, more: bool) -> str:
        quoted = (block + word).replace("\\", "\\\\").replace("'", "''")
        return f"'{quoted}'{':*' if more else ''}"

    return " & ".join(f"({' | '.join(lexeme(*form) for form in forms)})" for forms in wanted)


def _plain(text: str) -> str:
    """As the migration's function writes words."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(c for c in apart if not "\u0300" <= c <= "\u036f").lower()


def _above_all(session: Session, campaign_id: int) -> int:
    """An id above those of all of the campaign's signatures."""
    # Clocks of several machines differ, so the last to sign need not have the highest id; it is near.
    newest = (
        select(Signature.id)
        .where(Signature.campaign_id == campaign_id)
        .order_by(Signature.signed_at.desc(), Signature.id.desc())
        .limit(1000)
    )
    highest = session.scalar(select(func.max(newest.subquery().c.id))) or 0
    return ((int(highest) >> _BLOCK) + 2) << _BLOCK
