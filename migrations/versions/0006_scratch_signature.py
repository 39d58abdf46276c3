"""Create scratch rows, which a duplicate signature rewrites, so that it takes as long to store as a new one."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLE = "scratch_signature"
# The indexes of a new signature. The last one stands for the tally's page, which adding 0 would leave unchanged.
INDEXES = {
    "mailbox": ("campaign_id", "email_key"),
    "listed": ("campaign_id", "listed_at", "slot"),
    "signed": ("campaign_id", "signed_at", "slot"),
    "country": ("campaign_id", "country", "signed_at", "slot"),
    "tally": ("slot", "signed_at"),
}
SLOTS = 32


def upgrade() -> None:
    table = op.create_table(
        TABLE,
        sa.Column("slot", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("filler", sa.Text(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("listed_at", sa.DateTime(timezone=True), nullable=False),
    )
    for name, columns in INDEXES.items():
        op.create_index(f"ix_{TABLE}_{name}", TABLE, list(columns))
    if op.get_bind().dialect.name == "postgresql":
        # A new signature is also added to the search index (migration 0003). The words here never change, because such
        # an index doesn't delete words. On SQLite, signers don't wait for the search index.
        op.execute(
            f"CREATE INDEX ix_{TABLE}_search ON {TABLE} USING gin (signature_search_words(slot, campaign_id, filler, "
            "filler, '', '', '')) WITH (gin_pending_list_limit = 64)"
        )
    time = datetime.now(UTC)
    row = {"campaign_id": 0, "email_key": "", "country": "US", "filler": "Ada Lovelace Los Angeles California 90012"}
    row |= {"signed_at": time, "listed_at": time}
    op.bulk_insert(table, [row | {"slot": slot} for slot in range(SLOTS)])


def downgrade() -> None:
    op.drop_table(TABLE)
