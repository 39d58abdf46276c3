"""Create the tables of rolled-up statistics. The worker fills them, from the first signature on, in small pieces."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "roll_up",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", BIG_ID, nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column("repairs", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roll_up")),
    )
    for table in ("roll_up_minute", "roll_up_quarter"):
        create_counts(table, sa.Column("bucket", sa.BigInteger(), autoincrement=False, nullable=False))
    op.create_index(op.f("ix_roll_up_minute_bucket"), "roll_up_minute", ["bucket"])
    kinds = sa.Enum("country", "state", "source", name="kind", native_enum=False, create_constraint=True, length=10)
    create_counts(
        "roll_up_group",
        sa.Column("kind", kinds, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
    )
    common = sa.text("(kind = 'source' AND count >= 5) IS TRUE")
    columns = ["campaign_id", "count", "name"]
    op.create_index("ix_roll_up_group_common", "roll_up_group", columns, sqlite_where=common, postgresql_where=common)


def create_counts(table: str, *keys: sa.Column[object]) -> None:
    """Create a table with counts of each campaign by these columns."""
    op.create_table(
        table,
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        *keys,
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f(f"fk_{table}_campaign_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("campaign_id", *(key.name for key in keys), name=op.f(f"pk_{table}")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("roll_up_group", "roll_up_quarter", "roll_up_minute", "roll_up"):
        op.drop_table(table)
