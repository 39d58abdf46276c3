"""Store the comparison of a changed letter, made once on saving, and the time when unused pictures expire."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    # Empty for existing changes: their page compares them each time, within a limit.
    op.add_column("letter_change", sa.Column("pieces", sa.JSON(), nullable=True))
    op.add_column("picture", sa.Column("expires_at", TIME, nullable=True))
    op.create_index(op.f("ix_picture_expires_at"), "picture", ["expires_at"])
    let_abandoned_pictures_expire()


def let_abandoned_pictures_expire() -> None:
    campaign = sa.table("campaign", sa.column("picture"))
    record = sa.table("record", sa.column("action"), sa.column("before", sa.JSON), sa.column("after", sa.JSON))
    picture = sa.table("picture", sa.column("digest"), sa.column("expires_at", TIME))
    connection = op.get_bind()
    edits = record.c.action.in_(["campaign.create", "campaign.edit"])
    saved = set(connection.scalars(sa.select(campaign.c.picture)))
    for side in (record.c.before, record.c.after):
        saved.update(connection.scalars(sa.select(side["picture"].as_string()).where(edits).distinct()))
    abandoned = set(connection.scalars(sa.select(picture.c.digest))) - saved
    if abandoned:
        # Another process may be writing now.
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        update = sa.update(picture).where(picture.c.digest == sa.bindparam("of")).values(expires_at=tomorrow)
        connection.execute(update, [{"of": digest} for digest in abandoned])


def downgrade() -> None:
    op.drop_index(op.f("ix_picture_expires_at"), "picture")
    op.drop_column("picture", "expires_at")
    op.drop_column("letter_change", "pieces")
