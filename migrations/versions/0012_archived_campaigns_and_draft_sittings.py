"""Let campaigns be archived and drafts be deleted, and group the automatic saves of a draft."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("campaign", sa.Column("archived_at", TIME, nullable=True))
    op.add_column("campaign", sa.Column("deleted_at", TIME, nullable=True))
    op.create_table(
        "draft_sitting",
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(254), nullable=False),
        sa.Column("saved_at", TIME, nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_draft_sitting_campaign_id")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_draft_sitting_account_id")),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_draft_sitting")),
    )
    op.create_index(op.f("ix_draft_sitting_saved_at"), "draft_sitting", ["saved_at"])


def downgrade() -> None:
    op.drop_table("draft_sitting")
    # Not in batch mode, which rebuilds the table: SQLite can't drop the old one, because signatures refer to it.
    op.drop_column("campaign", "deleted_at")
    op.drop_column("campaign", "archived_at")
