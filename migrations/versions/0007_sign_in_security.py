"""Create tables of failed sign-ins and known networks, and an index to find an account's sign-ins in the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

RECORD_INDEX = "ix_record_account_id_action_id"


def upgrade() -> None:
    op.create_table(
        "sign_in_failures",
        sa.Column("account_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("passwords", sa.Integer(), nullable=False),
        sa.Column("codes", sa.Integer(), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("in_hour", sa.Integer(), nullable=False),
        sa.Column("lockout_hour", sa.Integer(), nullable=False),
        sa.Column("unlocks", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_sign_in_failures")),
    )
    op.create_table(
        "known_network",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("network", sa.String(length=32), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_known_network_account_id")),
        sa.PrimaryKeyConstraint("account_id", "network", name=op.f("pk_known_network")),
    )
    op.create_index(op.f("ix_known_network_network"), "known_network", ["network"])
    op.create_index(op.f(RECORD_INDEX), "record", ["account_id", "action", "id"])


def downgrade() -> None:
    op.drop_index(op.f(RECORD_INDEX), "record")
    op.drop_table("known_network")
    op.drop_table("sign_in_failures")
