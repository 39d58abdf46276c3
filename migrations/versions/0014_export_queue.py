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
    # A file that is being made stays with the process of the previous version. If that process ends, it is silent, and
    # the worker begins again after half a minute.


def downgrade() -> None:
    op.drop_column("export", "attempts")
    op.drop_column("export", "maker")
