"""Let removed and withdrawn signatures release their mailboxes, and count attempts to sign with a blocked mailbox."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCRATCH = "scratch_signature"
# As in models/signature.py: the key of a signature that has released its mailbox ends with a space and its id.
MAILBOX = {
    "sqlite": "substr(email_key, 1, instr(email_key, ' ') - 1)",
    "postgresql": "split_part(email_key, ' ', 1)",
}


def upgrade() -> None:
    # Until now, a removed signature kept its mailbox, and its owner was thanked but never counted. Nobody could know
    # that, so it can't have been the intention: existing signatures release their mailboxes, as removing does from now
    # on. Only the keys change. The unique constraint stays, so neither database rebuilds a table or an index, and
    # processes of the previous version can go on taking signatures. Signing locks the signatures first, so this does
    # too: in another order, both could deadlock.
    op.execute(
        "UPDATE signature SET email_key = email_key || ' ' || id "
        "WHERE ((state = 'removed') IS TRUE OR state = 'withdrawn') AND email_key NOT LIKE '% %'"
    )
    op.add_column(SCRATCH, sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    # The slot of a blocked mailbox is a hash of 56 bits. SQLite's integers are large enough.
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column(SCRATCH, "slot", type_=sa.BigInteger())


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    mailbox = MAILBOX[dialect]
    # The unique constraint allows one signature for each mailbox: the one that claims it, or else the newest. The
    # others keep their keys. To the previous version, these look like mailboxes that nobody can sign with.
    op.execute(
        f"UPDATE signature SET email_key = {mailbox} WHERE id IN ("  # noqa: S608
        f"SELECT max(id) FROM signature WHERE email_key LIKE '% %' GROUP BY campaign_id, {mailbox}) "
        "AND NOT EXISTS (SELECT 1 FROM signature AS other WHERE other.campaign_id = signature.campaign_id "
        f"AND other.email_key = {mailbox.replace('email_key', 'signature.email_key')})"
    )
    op.execute(f"DELETE FROM {SCRATCH} WHERE slot < 0")  # noqa: S608
    op.drop_column(SCRATCH, "attempts")
    if dialect == "postgresql":
        op.alter_column(SCRATCH, "slot", type_=sa.Integer())
