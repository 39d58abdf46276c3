"""Let signers confirm and withdraw their signatures by mail."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
WAITING = sa.text("(state = 'waiting') IS TRUE")
QUEUES = ("check", "confirm", "thanks", "link", "reminder")
STATES = ("waiting", "sent", "refused", "expired", "skipped")


def upgrade() -> None:
    for name in ("confirm", "remind"):
        op.add_column("campaign", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("campaign", sa.Column("reminded_to", TIME))
    op.add_column("campaign", sa.Column("closed_at", TIME))
    for state in ("pending", "withdrawn"):
        condition = sa.text(f"(state = '{state}') IS TRUE")
        columns = ["campaign_id", "signed_at", "id"]
        op.create_index(
            f"ix_signature_{state}", "signature", columns, sqlite_where=condition, postgresql_where=condition
        )
    # There can only be test messages of `flask mail check` so far.
    op.drop_table("message")
    create_outbox(sa.Column("mailbox", sa.String(32), nullable=False), queues=QUEUES, states=STATES)
    for name, columns in {"mailbox": ["mailbox", "state"], "ended": ["ended_at"]}.items():
        condition = sa.text("(mailbox <> '') IS TRUE" if name == "mailbox" else "(ended_at IS NOT NULL) IS TRUE")
        op.create_index(f"ix_message_{name}", "message", columns, sqlite_where=condition, postgresql_where=condition)
    removed = sa.text("(state = 'removed') IS TRUE")
    op.create_index(
        "ix_signature_released",
        "signature",
        ["campaign_id", "email_key"],
        sqlite_where=removed,
        postgresql_where=removed,
        postgresql_ops={"email_key": "text_pattern_ops"},
    )
    condition = sa.text("(action = 'export.download') IS TRUE")
    op.create_index(
        "ix_record_download", "record", ["campaign_id", "id"], sqlite_where=condition, postgresql_where=condition
    )
    op.create_table(
        "mailbox_record",
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mailbox", sa.String(32), nullable=False),
        sa.Column("code_tries", sa.Integer(), nullable=False),
        sa.Column("stopped_at", TIME),
        sa.Column("touched_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_mailbox_record_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", "mailbox", name=op.f("pk_mailbox_record")),
    )
    op.create_index(op.f("ix_mailbox_record_mailbox"), "mailbox_record", ["mailbox"])
    op.create_index(op.f("ix_mailbox_record_touched_at"), "mailbox_record", ["touched_at"])


def create_outbox(*more: sa.Column[str], queues: tuple[str, ...], states: tuple[str, ...]) -> None:
    """Create the outbox with these kinds of messages and states, and more columns."""
    op.create_table(
        "message",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("queue", words("queue", queues), nullable=False),
        sa.Column("campaign_id", sa.Integer()),
        sa.Column("recipient", sa.String(254), nullable=False),
        sa.Column("language", sa.String(20), nullable=False),
        *more,
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("state", words("state", states), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("ended_at", TIME),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_message_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
    )
    columns = ["queue", "due_at", "id"]
    op.create_index("ix_message_waiting", "message", columns, sqlite_where=WAITING, postgresql_where=WAITING)


def words(name: str, allowed: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*allowed, name=name, native_enum=False, create_constraint=True, length=10)


def downgrade() -> None:
    # The earlier version can't confirm a pending signature, whose owner could not sign again either. SQLite uses the
    # highest ids again, so the statistics must not be ahead of them.
    op.execute("DELETE FROM signature WHERE (state = 'pending') IS TRUE")
    last = "(SELECT coalesce(max(id), 0) FROM signature)"
    op.execute(f"UPDATE roll_up SET position = {last} WHERE position > {last}")  # noqa: S608 (a constant)
    op.drop_table("mailbox_record")
    op.drop_table("message")
    create_outbox(queues=QUEUES[:1], states=STATES[:-1])
    op.create_index(op.f("ix_message_ended_at"), "message", ["ended_at"])
    op.drop_index("ix_record_download", "record")
    op.drop_index("ix_signature_released", "signature")
    for state in ("withdrawn", "pending"):
        op.drop_index(f"ix_signature_{state}", "signature")
    for name in ("closed_at", "reminded_to", "remind", "confirm"):
        op.drop_column("campaign", name)
