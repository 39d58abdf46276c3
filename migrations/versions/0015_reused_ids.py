"""Count a signature for the statistics also if it has the id of a deleted one."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# SQLite reuses the highest id once its row is deleted, for example by an operator. The worker counts only signatures
# after its position. A migration that rebuilds the table of signatures must also create the trigger again.
COME_BACK = "UPDATE roll_up SET position = min(position, (SELECT coalesce(max(id), 0) FROM signature))"
TRIGGER = f"AFTER DELETE ON signature WHEN old.id <= (SELECT position FROM roll_up) BEGIN {COME_BACK}; END"  # noqa: S608 (a constant)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(COME_BACK)
        op.execute(f"CREATE TRIGGER roll_up_deleted {TRIGGER}")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER roll_up_deleted")
