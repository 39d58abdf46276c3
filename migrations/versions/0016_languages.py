"""Let campaigns have translations, and store and count the language in which signers read the letter."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

GROUP = "roll_up_group"
COMMON = sa.text("(kind = 'source' AND count >= 5) IS TRUE")
KINDS = ("country", "state", "source")
KEYS = ("campaign_id", "kind", "name")


def upgrade() -> None:
    op.create_table(
        "campaign_translation",
        sa.Column("campaign_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("language", sa.String(20), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("category", sa.String(60), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("summary", "addressees", "letter", "thanks", "share_text", "donate_url", "donate_text")
        ),
        sa.Column("picture_text", sa.String(300), nullable=False),
        sa.Column("original", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_translation_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", "language", name=op.f("pk_campaign_translation")),
    )
    # With a default, neither database rewrites the table, and processes of the previous version can go on taking
    # signatures.
    op.add_column("signature", language())
    op.add_column("letter_change", language())
    op.add_column("letter_change", language("reason_language"))
    key_sittings_by("campaign_id", "account_id")
    allow_kinds(*KINDS, "language")
    # The signatures that have been counted have no language.
    op.execute(
        f"INSERT INTO {GROUP} (campaign_id, kind, name, count) "  # noqa: S608 (a constant)
        f"SELECT campaign_id, 'language', '', sum(count) FROM {GROUP} WHERE kind = 'country' GROUP BY campaign_id"
    )


def key_sittings_by(*keys: str) -> None:
    """Give the table of sittings, which has a few rows, this primary key, so that several people can have one."""
    with op.batch_alter_table("draft_sitting") as table:
        table.drop_constraint(op.f("pk_draft_sitting"), type_="primary")
        table.create_primary_key(op.f("pk_draft_sitting"), list(keys))


def language(name: str = "language") -> sa.Column[str]:
    """Return a column for a language tag."""
    return sa.Column(name, sa.String(20), nullable=False, server_default="")


def allow_kinds(*kinds: str) -> None:
    """Allow these kinds of counts. SQLite can't change the constraint of a table, so the table is created again."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_roll_up_group_kind"), GROUP)
        op.create_check_constraint(op.f("ck_roll_up_group_kind"), GROUP, sa.column("kind").in_(kinds))
        return
    op.drop_index("ix_roll_up_group_common")
    op.rename_table(GROUP, f"{GROUP}_before")
    kind = sa.Enum(*kinds, name="kind", native_enum=False, create_constraint=True, length=10)
    op.create_table(
        GROUP,
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("kind", kind, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_roll_up_group_campaign_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(*KEYS, name=op.f("pk_roll_up_group")),
        sqlite_with_rowid=False,
    )
    columns = ", ".join((*KEYS, "count"))
    op.execute(f"INSERT INTO {GROUP} ({columns}) SELECT {columns} FROM {GROUP}_before")  # noqa: S608 (constants)
    op.drop_table(f"{GROUP}_before")
    op.create_index(
        "ix_roll_up_group_common",
        GROUP,
        ["campaign_id", "count", "name"],
        sqlite_where=COMMON,
        postgresql_where=COMMON,
    )


def downgrade() -> None:
    op.execute(f"DELETE FROM {GROUP} WHERE kind = 'language'")  # noqa: S608 (a constant)
    allow_kinds(*KINDS)
    op.execute(
        "DELETE FROM draft_sitting WHERE EXISTS (SELECT 1 FROM draft_sitting AS other "
        "WHERE other.campaign_id = draft_sitting.campaign_id AND other.account_id < draft_sitting.account_id)"
    )
    key_sittings_by("campaign_id")
    op.drop_column("letter_change", "reason_language")
    op.drop_column("letter_change", "language")
    op.drop_column("signature", "language")
    op.drop_table("campaign_translation")
