"""What lets the organisers' table filter and search among a million signatures at once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PARTIAL = {
    "source": ("(source <> '') IS TRUE", ["campaign_id", "source", "signed_at", "id"]),
    "anonymous": ("anonymous IS TRUE", ["campaign_id", "signed_at", "id"]),
    "hidden": ("(state = 'public' AND listed_at IS NULL) IS TRUE", ["campaign_id", "signed_at", "id"]),
    "removed": ("(state = 'removed') IS TRUE", ["campaign_id", "signed_at", "id"]),
}

# A signature's campaign, mailbox and mail domain are words of it too. They begin with a private-use character each,
# which no name holds and no search for names asks for: who may not see addresses can't find out about them.
CAMPAIGN, MAILBOX, DOMAIN = "\ue000", "\ue001", "\ue002"

# FTS5 would cut an address at its dots, so it gets its hexadecimal form.
SQLITE_WORDS = f"""
    CREATE VIEW signature_search_words AS SELECT id,
        '{CAMPAIGN}' || campaign_id || ' ' || name || ' ' || city || ' ' || region || ' ' || postal_code ||
        ' {MAILBOX}' || hex(email_key) || ' {DOMAIN}' || hex(substr(email_key, instr(email_key, '@') + 1)) AS words
    FROM signature
"""  # noqa: S608

# Letters without their accents, in small letters, cut at whatever is neither letter nor digit. Each word begins with
# its campaign and a block of 16,384 ids, so that search.py can look among the newest first. In PL/pgSQL, for the
# planner must not look into it: it would think of asking it about every signature.
POSTGRESQL_WORDS = f"""
    CREATE FUNCTION signature_search_words(id bigint, campaign_id integer, name text, city text, region text,
        postal_code text, email_key text)
    RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10000 AS $$
        DECLARE
            block text := campaign_id || '.' || (id >> 14) || '.';
            plain text := regexp_replace(
                normalize(name || ' ' || city || ' ' || region || ' ' || postal_code, NFKD), '[\u0300-\u036f]', '', 'g'
            );
        BEGIN
            RETURN array_to_tsvector(
                string_to_array(
                    block || regexp_replace(
                        btrim(lower(plain)), '[\\s!-/:-@[-`{{-~‐-‟·・،。、，]+', '\x1f' || block, 'g'
                    ),
                    '\x1f'
                )
                || ARRAY[block || '{MAILBOX}' || email_key, block || '{DOMAIN}' || split_part(email_key, '@', 2)]
            );
        END
    $$
"""


def upgrade() -> None:
    op.create_index(
        op.f("ix_signature_campaign_id_country_signed_at_id"),
        "signature",
        ["campaign_id", "country", "signed_at", "id"],
    )
    for name, (condition, columns) in PARTIAL.items():
        where = sa.text(condition)
        op.create_index(f"ix_signature_{name}", "signature", columns, sqlite_where=where, postgresql_where=where)
    if op.get_bind().dialect.name == "sqlite":
        search_in_sqlite()
    else:
        search_in_postgresql()


def search_in_sqlite() -> None:
    # No copy of the text, no positions, no lengths: it tells which signatures have a word, and nothing else; and how
    # words begin, for else it would look through all that have such a word first. To put one in takes a twentieth of
    # the time of signing, so signers don't: search.py does it for many at once, and the number says how far it has
    # come. A migration that makes the table of signatures anew must make all of this anew too.
    op.execute(
        "CREATE VIRTUAL TABLE signature_search USING fts5(words, content='', detail=none, columnsize=0, "
        "prefix='1 2 3 4 5 6 7 8 9 10', tokenize=\"unicode61 remove_diacritics 2 categories 'L* N* M* Co'\")"
    )
    op.execute(SQLITE_WORDS)
    op.execute("INSERT INTO signature_search (rowid, words) SELECT id, words FROM signature_search_words")
    op.execute("CREATE TABLE signature_search_done (id INTEGER NOT NULL)")
    op.execute("INSERT INTO signature_search_done SELECT coalesce(max(id), 0) FROM signature")
    words = "signature_search_words WHERE id = old.id"
    is_in = "WHEN old.id <= (SELECT id FROM signature_search_done)"
    take_out = f"INSERT INTO signature_search (signature_search, rowid, words) SELECT 'delete', id, words FROM {words};"  # noqa: S608
    put_in = f"INSERT INTO signature_search (rowid, words) SELECT id, words FROM {words};"  # noqa: S608
    # SQLite gives the highest id again once it is free.
    come_back = "UPDATE signature_search_done SET id = min(id, (SELECT coalesce(max(id), 0) FROM signature));"
    changed = "UPDATE OF campaign_id, name, city, region, postal_code, email_key"
    for name, when, then in (
        ("delete", "BEFORE DELETE", take_out),
        ("deleted", "AFTER DELETE", come_back),
        ("update", f"BEFORE {changed}", take_out),
        ("updated", f"AFTER {changed}", put_in),
    ):
        op.execute(f"CREATE TRIGGER signature_search_{name} {when} ON signature {is_in} BEGIN {then} END")


def search_in_postgresql() -> None:
    op.execute(POSTGRESQL_WORDS)
    # What is new waits in a list that is looked through; a short one, because a signer waits while it is put in order.
    op.execute(
        "CREATE INDEX signature_search ON signature USING gin (signature_search_words(id, campaign_id, name, city, "
        "region, postal_code, email_key)) WITH (gin_pending_list_limit = 64)"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in ("delete", "deleted", "update", "updated"):
            op.execute(f"DROP TRIGGER signature_search_{name}")
        op.execute("DROP TABLE signature_search_done")
        op.execute("DROP VIEW signature_search_words")
        op.execute("DROP TABLE signature_search")
    else:
        op.execute("DROP INDEX signature_search")
        op.execute("DROP FUNCTION signature_search_words")
    for name in PARTIAL:
        op.drop_index(f"ix_signature_{name}", "signature")
    op.drop_index(op.f("ix_signature_campaign_id_country_signed_at_id"), "signature")
