"""Store recovery codes as Argon2 hashes instead of encrypted."""

import base64
import hashlib
import secrets

import sqlalchemy as sa
from alembic import op
from argon2 import PasswordHasher
from cryptography.fernet import Fernet, InvalidToken
from flask import current_app

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ACCOUNT = sa.table("account", sa.column("id", sa.Integer), sa.column("mf_recovery_codes", sa.JSON(none_as_null=True)))


def upgrade() -> None:
    connection = op.get_bind()
    has_codes = sa.select(ACCOUNT).where(ACCOUNT.c.mf_recovery_codes.is_not(None))
    for account_id, encrypted in connection.execute(has_codes).all():
        _store(connection, account_id, _hashed(encrypted or []))


def downgrade() -> None:
    # A hash can't be reversed: at the next sign-in, people are asked to create new codes.
    op.execute(sa.update(ACCOUNT).values(mf_recovery_codes=sa.null()))


def _store(connection: sa.Connection, account_id: int, hashes: list[str] | None) -> None:
    connection.execute(sa.update(ACCOUNT).where(ACCOUNT.c.id == account_id).values(mf_recovery_codes=hashes))


def _hashed(encrypted: list[str]) -> list[str] | None:
    """Return the hashes of these codes, or None if another SECRET_KEY encrypted them, so they are useless anyway."""
    secret_key = current_app.config["SETTINGS"].secret_key
    key = base64.urlsafe_b64encode(hashlib.sha256(f"recovery codes|{secret_key}".encode()).digest())
    try:
        codes = [Fernet(key).decrypt(each.encode()).decode() for each in encrypted]
    except InvalidToken:
        return None
    hasher, salt = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1), secrets.token_bytes(16)
    return [hasher.hash(code.replace("-", ""), salt=salt) for code in codes]
