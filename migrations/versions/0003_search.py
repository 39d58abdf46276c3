"""Create indexes, and a search index, so that organizers can filter and search a million signatures quickly."""

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

# A signature's campaign, mailbox, and mail domain are indexed as words too. Each begins with a private-use character,
# which no name contains and no search for names uses. So people who may not see email addresses can't search for them.
CAMPAIGN, MAILBOX, DOMAIN = "\ue000", "\ue001", "\ue002"

# FTS5 would split an email address at its dots, so it is indexed in hexadecimal.
SQLITE_WORDS = f"""
    CREATE VIEW signature_search_words AS SELECT id,
        '{CAMPAIGN}' || campaign_id || ' ' || name || ' ' || city || ' ' || region || ' ' || postal_code ||
        ' {MAILBOX}' || hex(email_key) || ' {DOMAIN}' || hex(substr(email_key, instr(email_key, '@') + 1)) AS words
    FROM signature
"""  # noqa: S608

# Words are lowercase, without accents, and split at everything that is neither a letter nor a digit. Each begins with
# its campaign and a block of 16,384 ids, so that search.py can search the newest signatures first. The function is in
# PL/pgSQL, which the planner can't inline: otherwise it might choose to evaluate it for every signature.
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
    # The index has no copy of the text, no positions, and no lengths: it only finds the signatures with a word. It also
    # has prefixes, because a search for the beginning of a word would otherwise go through all such words first.
    # Indexing a signature takes a twentieth of the time of signing. So signing doesn't do it: indexing.py indexes many
    # signatures at once, and the table signature_search_done has the last indexed id. A migration that rebuilds the
    # table of signatures must also rebuild all of this.
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
    # SQLite reuses the highest id once its row is deleted.
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
    # New entries wait in a pending list, which each search scans. It is short, because a signer waits while PostgreSQL
    # merges it into the index.
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
