"""Let one process at a time make an export, and count the attempts."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("export", sa.Column("maker", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("export", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    # A process of the previous version that makes a file would not notice that the worker makes it, too.
    op.execute("UPDATE export SET state = 'waiting', maker = 'earlier' WHERE state = 'making'")


def downgrade() -> None:
    op.drop_column("export", "attempts")
    op.drop_column("export", "maker")
