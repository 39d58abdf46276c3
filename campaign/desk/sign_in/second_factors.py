"""Second factors: authenticator apps, passkeys, and recovery codes. Every change is recorded in the audit log."""

import base64
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any

from argon2 import PasswordHasher, extract_parameters
from flask import Flask, abort, current_app, flash, redirect, session, url_for
from flask_security import (
    MfRecoveryCodesUtil,
    tf_profile_changed,
    wan_deleted,
    wan_registered,
)
from flask_security.forms import TwoFactorVerifyCodeForm
from flask_security.totp import Totp
from passlib.exc import UsedTokenError
from sqlalchemy import func, or_, select, update

from campaign.accounts import audit_log, sessions
from campaign.desk.sign_in.session_cookie import WORD, renew
from campaign.desk.sign_in.settings import ARGON2, RECOVERY_CODES
from campaign.languages.speaking import gettext
from campaign.models.account import Account, Passkey
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.text import folding
from campaign.text.bounded_text import RefusedTextError

PASSKEY_ONLY = "passkey_only"
"""The key in the cookie of a session that can only add a passkey as the account's first second factor."""


class SingleUseTotp(Totp):
    """Authenticator codes that work once, so that a code read over a shoulder is useless."""

    def get_last_counter(self, user: Any) -> int | None:
        """Return the counter (the 30-second interval) of the code that was used last."""
        return user.totp_counter  # type: ignore[no-any-return]

    def set_last_counter(self, user: Any, tmatch: Any) -> None:
        """Mark the code as used.

        Raises:
            UsedTokenError: A concurrent request has used the code.
        """
        unused = or_(Account.totp_counter.is_(None), Account.totp_counter < tmatch.counter)
        with write_transaction() as writing:
            marked = writing.execute(
                update(Account).where(Account.id == user.id, unused).values(totp_counter=tmatch.counter)
            )
        if not marked.rowcount:  # type: ignore[attr-defined]
            raise UsedTokenError


_SALT_BYTES = 16
_LONGEST_CODE = 64
"""The maximum length of a typed code. A recovery code has 12 characters and hyphens between them."""


class SingleUseRecoveryCodes(MfRecoveryCodesUtil):
    """Recovery codes, stored as hashes. Each works once, even if two browsers send it at the same time.

    They are hashed like passwords: a code has 48 random bits, and OWASP ASVS 5.0, 6.5.2, requires 112 for a plain hash.
    The codes of an account share one salt, so that a typed code is hashed once and not once for each stored code.
    """

    def create_recovery_codes(self, user: Any) -> list[str]:
        """Replace the account's codes with new ones, and return those. They can't be read again."""
        codes: list[str] = current_app.extensions["security"].totp_factory.generate_recovery_codes(RECOVERY_CODES)
        salt = secrets.token_bytes(_SALT_BYTES)
        # Hash before anything is written: it takes time, and signers would wait for the write lock.
        hashes = [_hasher().hash(_canonical(code), salt=salt) for code in codes]
        audit_log.write(db.session(), audit_log.actor(user), "account.recovery_codes", datetime.now(UTC))
        user.mf_recovery_codes = hashes
        return codes

    def get_recovery_codes(self, user: Any) -> list[str]:
        """Return an empty list, because only hashes are stored."""
        return []

    def check_recovery_code(self, user: Any, code: str) -> bool:
        """Return whether the code is one of the account's codes, and use it up."""
        try:
            typed = _canonical(code)
        except RefusedTextError:
            return False
        hashed = _hash_like(user.mf_recovery_codes or [], typed)
        with write_transaction() as writing:
            of_user = Account.id == user.id
            stored = writing.scalar(select(Account.mf_recovery_codes).where(of_user).with_for_update()) or []
            remaining = [each for each in stored if not compare_digest(each, hashed)]
            if len(remaining) == len(stored):
                return False
            writing.execute(update(Account).where(of_user).values(mf_recovery_codes=remaining))
            audit_log.write(writing, audit_log.actor(user), "account.recovery_code", datetime.now(UTC))
        return True

    def delete_recovery_code(self, user: Any, code: str) -> bool:
        """Do nothing, because check_recovery_code has used up the code already."""
        return True


_MISREAD = str.maketrans("oil", "011")
"""Letters that people type for digits. A recovery code has only digits and the letters a to f."""


def _canonical(code: str) -> str:
    """Return the recovery code as it is hashed: lowercase, without spaces and hyphens.

    Raises:
        RefusedTextError: The text is longer than any recovery code.
    """
    return folding.code(code, _LONGEST_CODE).translate(_MISREAD)


def _hasher() -> PasswordHasher:
    return PasswordHasher(ARGON2["time_cost"], ARGON2["memory_cost"], ARGON2["parallelism"])


def _hash_like(stored: list[str], code: str) -> str:
    """Return the code's hash with the salt and parameters of the stored hashes, or with new ones if there are none."""
    if not stored:
        return _hasher().hash(code)
    salt = base64.b64decode(stored[0].split("$")[-2] + "==")
    return PasswordHasher.from_parameters(extract_parameters(stored[0])).hash(code, salt=salt)


class CodeForm(TwoFactorVerifyCodeForm):
    """The form for the six-digit code of an authenticator app. Spaces are ignored, and digits may be of any script."""

    def validate(self, **kwargs: Any) -> bool:
        """Return whether the code is correct and unused."""
        with suppress(RefusedTextError):
            self.code.data = folding.code(self.code.data or "", _LONGEST_CODE)
        return bool(super().validate(**kwargs))


def init_app(app: Flask) -> None:
    """Record changes to second factors, and refuse the removal of an account's last one."""
    tf_profile_changed.connect(_app_changed, app)
    wan_registered.connect(_passkey_added, app)
    wan_deleted.connect(_passkey_removed, app)


def has_second_factor(account: Account) -> bool:
    """Return whether the account has an authenticator app or a passkey."""
    return bool(account.tf_primary_method or account.webauthn)


def is_adding_first_passkey() -> bool:
    """Return whether this session can only add the account's first passkey."""
    return PASSKEY_ONLY in session


def _app_changed(_app: Flask, user: Account, **_: Any) -> None:
    audit_log.write(db.session(), audit_log.actor(user), "account.app", datetime.now(UTC))


def _passkey_added(_app: Flask, user: Account, **_: Any) -> None:
    audit_log.write(db.session(), audit_log.actor(user), "account.passkey_add", datetime.now(UTC))
    if session.get(PASSKEY_ONLY):
        ensure_first_second_factor(user)
        # renew() commits first: if that fails, the session stays limited to adding a passkey.
        renew()
        del session[PASSKEY_ONLY]


def ensure_first_second_factor(user: Account) -> None:
    """End this sign-in if the account has got another second factor in the meantime.

    The password alone is only enough to set up the first second factor. Two browsers may have tried that at the same
    time. The first to finish ends all other sessions of the account.
    """
    if _second_factors(user) > 1:
        db.session.rollback()
        session.clear()
        flash(gettext("Someone set up a second factor for this account in the meantime. Sign in with it."), "error")
        abort(redirect(url_for("security.login"), 303))
    sessions.end_all(db.session(), user.id, but=sessions.digest(session.get(WORD, "")))


def _passkey_removed(_app: Flask, user: Account, **_: Any) -> None:
    audit_log.write(db.session(), audit_log.actor(user), "account.passkey_remove", datetime.now(UTC))
    if _second_factors(user) < 2:
        # Without a second factor, the password alone would be enough to sign in.
        db.session.rollback()
        flash(
            gettext(
                "This is your only second factor. To remove it, first add another passkey or an authenticator app."
            ),
            "error",
        )
        abort(redirect(url_for("security.wan_register"), 303))


def _second_factors(account: Account) -> int:
    """Return the number of the account's second factors, and lock its row until the end of the transaction."""
    # On SQLite, the caller's write has locked the database already.
    row = select(Account.tf_primary_method).where(Account.id == account.id).with_for_update(key_share=True)
    apps = db.session.scalar(row) is not None
    return apps + (db.session.scalar(select(func.count()).where(Passkey.user_id == account.id)) or 0)
