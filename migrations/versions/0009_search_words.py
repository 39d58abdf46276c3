"""Search names with apostrophes, hyphens, and umlauts in every spelling, and parts of names without spaces."""

import unicodedata

import sqlalchemy as sa
from alembic import context, op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# The words are those of campaign/moderation/search_words.py, and tests compare them. In addition, a signature's
# campaign, mailbox, and mail domain are indexed, each after a private-use character (migration 0003).
MAILBOX, DOMAIN = "\ue001", "\ue002"
APOSTROPHES = "’‘‛ʼʻʹʾʿ´`′׳՚ꞌ"
HYPHENS = "‐‑‒–—−·・‧•゠"
TYPED, MEANT = APOSTROPHES + HYPHENS, "''" * len(APOSTROPHES) + "-" * len(HYPHENS)
# Invisible characters, as in campaign/text/folding.py.
INVISIBLE = (
    r"\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    r"\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
    r"\U000e0020-\U000e007f\U000e0100-\U000e01ef"
)
SPACELESS = (
    "\u0e00-\u0eff\u1000-\u11ff\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\u3005-\u3007\u3040-\u30ff"
    "\u3100-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua980-\ua9df\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
# Only in a database with a locale does lower() change letters beyond ASCII. There, none of these is left.
UPPERCASE = "".join(
    character
    for character in map(chr, range(0x80, 0x590))
    if unicodedata.category(character) == "Lu" and len(character.lower()) == 1
    if character.lower() != character and unicodedata.normalize("NFKD", character) == character
)
LOWERCASE = "".join(map(str.lower, UPPERCASE))


def separators() -> str:
    """Return everything beyond ASCII but letters, digits, and marks, as ranges of a regular expression."""
    found: list[list[int]] = []
    for code in range(0x80, 0x10000):
        category = unicodedata.category(chr(code))
        if category[0] in "PSZ" or category in ("Cc", "Cf"):
            if found and found[-1][1] == code - 1:
                found[-1][1] = code
            else:
                found.append([code, code])
    return "".join(rf"\u{first:04x}-\u{last:04x}" for first, last in found)


# Words are split at everything that is neither a letter, a digit, nor a mark. Each begins with its campaign and a block
# of 16,384 ids, so that search.py can search the newest signatures first. The common case, a name in ASCII, takes a
# short way, because signers wait for this function. It is in PL/pgSQL, which the planner can't inline: otherwise it
# might choose to evaluate it for every signature.
POSTGRESQL_WORDS = rf"""
    CREATE OR REPLACE FUNCTION signature_search_words(id bigint, campaign_id integer, name text, city text, region text,
        postal_code text, email_key text)
    RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10000 AS $$
        DECLARE
            block text := campaign_id || '.' || (id >> 14) || '.';
            mailbox text := split_part(email_key, ' ', 1);
            words text := name || ' ' || city || ' ' || region || ' ' || postal_code;
            more text[] := ARRAY[block || '{MAILBOX}' || mailbox, block || '{DOMAIN}' || split_part(mailbox, '@', 2)];
            separators text := '[\s!-/:-@[-`{{-~]+';
        BEGIN
            IF octet_length(words) = length(words) THEN
                words := lower(words);
            ELSE
                separators := '[\s!-/:-@[-`{{-~{separators()}]+';
                words := regexp_replace(words, '[{INVISIBLE}]', '', 'g');
                words := normalize(translate(words, '{TYPED}', '{MEANT}'), NFKD);
                IF words ~ '[aouAOU]\u0308|[aA]\u030a|[øØ]' THEN
                    words := words || ' ' || replace(replace(regexp_replace(regexp_replace(words,
                        '([aouAOU])\u0308', '\1e', 'g'), '([aA])\u030a', '\1a', 'g'), 'ø', 'oe'), 'Ø', 'oe');
                END IF;
                words := lower(normalize(regexp_replace(words, '[\u0300-\u036f]', '', 'g'), NFC));
                IF words ~ '[{UPPERCASE}]' THEN
                    words := translate(words, '{UPPERCASE}', '{LOWERCASE}');
                END IF;
                words := translate(words, 'øđðłħıς', 'oddlhiσ');
                words := replace(replace(replace(replace(words, 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th');
            END IF;
            IF words ~ '[''`.-]' THEN
                words := words || ' ' || translate(words, '''`.-', '');
            END IF;
            IF words ~ '[{SPACELESS}]' THEN
                more := more || ARRAY(
                    SELECT block || substr(run[1], at, 2)
                    FROM regexp_matches(regexp_replace(words, '([{SPACELESS}])\s+(?=[{SPACELESS}])', '\1', 'g'),
                        '[{SPACELESS}]+', 'g') AS run, generate_series(1, length(run[1])) AS at
                    LIMIT 60
                );
                words := regexp_replace(words, '([{SPACELESS}]+)', ' \1 ', 'g');
            END IF;
            RETURN array_to_tsvector(string_to_array(
                block || regexp_replace(btrim(words), separators, chr(31) || block, 'g'), chr(31)
            ) || more);
        END
    $$
"""  # noqa: S608
POSTGRESQL_INDEXES = {
    "signature_search": "signature USING gin (signature_search_words(id, campaign_id, name, city, region, postal_code, "
    "email_key))",
    "ix_scratch_signature_search": "scratch_signature USING gin (signature_search_words(slot, campaign_id, filler, "
    "filler, '', '', ''))",
}

# In SQLite, indexing.py stores the words of each signature in signature_search_words: FTS5 can take a signature out of
# its index only with the words that were put in. The tokenizer `ascii` splits at ASCII characters alone;
# search_words.py has replaced all other separators. A changed signature is taken out at once, and waits in
# signature_search_again. A migration that rebuilds the table of signatures must also create the triggers again.
IS_IN = "old.id <= (SELECT id FROM signature_search_done)"
COLUMNS = "{0}.campaign_id, {0}.name, {0}.city, {0}.region, {0}.postal_code"
MAILBOX_OF = "substr({0}.email_key, 1, instr({0}.email_key || ' ', ' '))"
FOUND_BY = f"({COLUMNS}, {MAILBOX_OF})"
TAKE_OUT = (
    "INSERT INTO signature_search (signature_search, rowid, words) "
    "SELECT 'delete', id, words FROM signature_search_words WHERE id = old.id; "
    "DELETE FROM signature_search_words WHERE id = old.id"
)
FORGET = "DELETE FROM signature_search_again WHERE id = old.id"
# SQLite reuses the highest id once its row is deleted.
COME_BACK = "UPDATE signature_search_done SET id = min(id, (SELECT coalesce(max(id), 0) FROM signature))"
WAIT = "INSERT OR IGNORE INTO signature_search_again VALUES (old.id)"
IS_CHANGED = f"{IS_IN} AND {FOUND_BY.format('old')} IS NOT {FOUND_BY.format('new')}"
CHANGED = "UPDATE OF campaign_id, name, city, region, postal_code, email_key"
TRIGGERS = {
    "delete": f"BEFORE DELETE ON signature WHEN {IS_IN} BEGIN {TAKE_OUT}; {FORGET}; END",
    "deleted": f"AFTER DELETE ON signature WHEN {IS_IN} BEGIN {COME_BACK}; END",
    "updated": f"AFTER {CHANGED} ON signature WHEN {IS_CHANGED} BEGIN {TAKE_OUT}; {WAIT}; END",
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        drop_search_in_sqlite()
        op.execute("DROP VIEW signature_search_words")
        op.execute(
            "CREATE VIRTUAL TABLE signature_search USING fts5(words, content='', detail=none, columnsize=0, "
            "prefix='1 2 3 4 5 6 7 8 9 10', tokenize='ascii')"
        )
        op.execute("CREATE TABLE signature_search_words (id INTEGER PRIMARY KEY, words TEXT NOT NULL)")
        op.execute("CREATE TABLE signature_search_again (id INTEGER PRIMARY KEY)")
        op.execute("CREATE TABLE signature_search_done (id INTEGER NOT NULL)")
        # The index is empty now. The background worker fills it afterward, in batches, so that signers get their turn.
        op.execute("INSERT INTO signature_search_done VALUES (0)")
        for name, trigger in TRIGGERS.items():
            op.execute(f"CREATE TRIGGER signature_search_{name} {trigger}")
    else:
        replace_search_in_postgresql(POSTGRESQL_WORDS)


def drop_search_in_sqlite() -> None:
    triggers = sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'signature_search_%'")
    for name in op.get_bind().scalars(triggers).all():
        op.execute(f"DROP TRIGGER {name}")
    op.execute("DROP TABLE signature_search_done")
    op.execute("DROP TABLE signature_search")


def replace_search_in_postgresql(function: str) -> None:
    # Signing locks the signatures first, so this does too: in another order, both could deadlock.
    for name in POSTGRESQL_INDEXES:
        op.execute(f"DROP INDEX {name}")
    op.execute(function)
    # With more memory, PostgreSQL builds the index much faster.
    op.execute("SET LOCAL maintenance_work_mem = '256MB'")
    for name, definition in POSTGRESQL_INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {definition} WITH (gin_pending_list_limit = 64)")


def downgrade() -> None:
    earlier = context.script.get_revision("0003").module
    if op.get_bind().dialect.name == "sqlite":
        drop_search_in_sqlite()
        op.execute("DROP TABLE signature_search_words")
        op.execute("DROP TABLE signature_search_again")
        earlier.search_in_sqlite()
    else:
        replace_search_in_postgresql(earlier.POSTGRESQL_WORDS.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
