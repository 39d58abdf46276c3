"""Create the table of changes to signatures that were undone, so that each is undone only once."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UNDONE_IN = {"sqlite": "json_extract(after, '$.undoes')", "postgresql": "CAST(after ->> 'undoes' AS bigint)"}


def upgrade() -> None:
    op.create_table(
        "undone",
        sa.Column("entry_id", ID, autoincrement=False, nullable=False),
        sa.Column("undo_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["record.id"], name=op.f("fk_undone_entry_id")),
        sa.ForeignKeyConstraint(["undo_id"], ["record.id"], name=op.f("fk_undone_undo_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_undone")),
    )
    entry_id = UNDONE_IN[op.get_bind().dialect.name]
    # Earlier versions could undo an entry several times. The last one counts.
    op.execute(
        f"INSERT INTO undone (entry_id, undo_id) SELECT {entry_id}, max(id) FROM record "  # noqa: S608
        f"WHERE action = 'signature.undo' AND {entry_id} IS NOT NULL GROUP BY {entry_id}"
    )


def downgrade() -> None:
    op.drop_table("undone")
