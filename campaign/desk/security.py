"""How somebody signs in at the desk: by Flask-Security's password, second factor, passkeys and recovery codes.

The door (door.py) then asks sessions.py whether they still are; accounts themselves are accounts.py's subject.
"""

import base64
import hashlib
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import BoundedSemaphore
from typing import Any

from flask import Flask, Response, abort, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import user_logged_in, user_logged_out
from flask_security import (
    LoginForm,
    MfRecoveryCodesUtil,
    Security,
    SQLAlchemyUserDatastore,
    UserMixin,
    WebAuthnMixin,
    current_user,
    password_changed,
    tf_profile_changed,
    wan_deleted,
    wan_registered,
)
from flask_security.forms import TwoFactorVerifyCodeForm
from flask_security.totp import Totp
from passlib.exc import UsedTokenError
from sqlalchemy import or_, select, update
from werkzeug.exceptions import ServiceUnavailable
from wtforms import Form

from campaign import accounts, record, sessions
from campaign.desk_models import Account, Passkey
from campaign.extensions import STORAGE_ERRORS, db, write_transaction
from campaign.guard import Limit
from campaign.mount import PREFIX
from campaign.settings import Settings
from campaign.shared import Shared

PASSWORD_LENGTH = 12
"""Characters at the least. NIST SP 800-63B-4 asks for 8 where a second factor is asked for as well."""
FRESH = timedelta(minutes=30)
"""How long after signing in nobody is asked for the password again before they change how they sign in."""
TRIES_OF_CLIENT = "20 per 5 minutes, 100 per hour"
"""Passwords and codes from one IPv4 address or IPv6 /64."""
TRIES_FOR_ACCOUNT = "15 per 15 minutes"
"""Passwords and codes for one account, wherever they come from; as many for an address that has no account."""
HASHES_AT_ONCE = 2
"""Passwords that a process looks at in one moment: each takes 20 MB, and a core that signers would miss."""

_WORD = "word"
"""What the random word of a session is called in its cookie."""


class DeskAccount(UserMixin, Account):  # type: ignore[misc]  # Both say what a passkey is.
    """An account as Flask-Security knows it."""


class DeskPasskey(WebAuthnMixin, Passkey):
    """A passkey as Flask-Security knows it."""

    def get_user_mapping(self) -> dict[str, Any]:
        """How to find whose it is."""
        return {"id": self.user_id}


class OnceTotp(Totp):
    """Codes that are taken once: who reads one over a shoulder can't use it."""

    def get_last_counter(self, user: Any) -> int | None:
        """The thirty seconds whose code was taken last."""
        return user.totp_counter  # type: ignore[no-any-return]

    def set_last_counter(self, user: Any, tmatch: Any) -> None:
        """Take the code, unless somebody else has done so in the same moment.

        Raises:
            UsedTokenError: somebody has.
        """
        unused = or_(Account.totp_counter.is_(None), Account.totp_counter < tmatch.counter)
        with write_transaction() as writing:
            taken = writing.execute(
                update(Account).where(Account.id == user.id, unused).values(totp_counter=tmatch.counter)
            )
        if not taken.rowcount:  # type: ignore[attr-defined]
            raise UsedTokenError


class OnceRecoveryCodes(MfRecoveryCodesUtil):
    """Recovery codes that let in once, also where two browsers send the same one in the same moment."""

    def check_recovery_code(self, user: Any, code: str) -> bool:
        """Take the code, if it is one that is left."""
        with write_transaction() as writing:
            of_user = Account.id == user.id
            codes = writing.scalar(select(Account.mf_recovery_codes).where(of_user).with_for_update()) or []
            left = [each for each in codes if self._decrypt_codes([each]) != [code]]
            writing.execute(update(Account).where(of_user).values(mf_recovery_codes=left))
        return len(left) < len(codes)

    def delete_recovery_code(self, user: Any, code: str) -> bool:
        """It is taken already."""
        return True


class SignInForm(LoginForm):
    """Address and password; nobody is remembered."""

    remember = None


class CodeForm(TwoFactorVerifyCodeForm):
    """The six digits of the second factor, with or without spaces between them."""

    def validate(self, **kwargs: Any) -> bool:
        """Whether the code is right, and has not been taken before."""
        self.code.data = re.sub(r"\s", "", self.code.data or "")
        return bool(super().validate(**kwargs))


def settings_of(settings: Settings) -> dict[str, Any]:
    """Flask's and Flask-Security's own settings."""

    def key(purpose: str) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(f"{purpose}|{settings.secret_key}".encode()).digest()).decode()

    return {
        "SESSION_COOKIE_NAME": "desk",
        "SESSION_COOKIE_PATH": PREFIX,
        "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PERMANENT_SESSION_LIFETIME": sessions.LONGEST,
        "WTF_CSRF_TIME_LIMIT": sessions.LONGEST.total_seconds(),
        # One of the cookie's session; the salt keeps it apart from others that are signed with the same key.
        "SECURITY_PASSWORD_SALT": key("password salt"),
        # OWASP, "Password Storage Cheat Sheet": argon2id with 19 MiB, two passes and one lane.
        "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": {
            "argon2__memory_cost": 19456,
            "argon2__time_cost": 2,
            "argon2__parallelism": 1,
        },
        "SECURITY_PASSWORD_LENGTH_MIN": PASSWORD_LENGTH,
        "SECURITY_DATETIME_FACTORY": lambda: datetime.now(UTC),
        "SECURITY_JOIN_USER_ROLES": False,
        "SECURITY_API_ENABLED_METHODS": ["session"],
        "SECURITY_RETURN_GENERIC_RESPONSES": True,
        "SECURITY_FRESHNESS": FRESH,
        "SECURITY_FRESHNESS_GRACE_PERIOD": timedelta(minutes=10),
        "SECURITY_LOGIN_URL": "/sign-in",
        "SECURITY_LOGIN_USER_TEMPLATE": "desk/sign_in.html",
        "SECURITY_LOGOUT_URL": "/sign-out",
        "SECURITY_LOGOUT_CSRF": True,
        "SECURITY_LOGOUT_USER_TEMPLATE": "desk/sign_out.html",
        "SECURITY_POST_LOGIN_VIEW": "accounts.arrive",
        "SECURITY_POST_LOGOUT_VIEW": "security.login",
        "SECURITY_UNAUTHORIZED_VIEW": None,
        "SECURITY_VERIFY_URL": "/password-again",
        "SECURITY_VERIFY_TEMPLATE": "desk/password_again.html",
        "SECURITY_POST_VERIFY_VIEW": "accounts.own",
        "SECURITY_CHANGEABLE": True,
        "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
        "SECURITY_CHANGE_URL": "/account/password",
        "SECURITY_CHANGE_PASSWORD_TEMPLATE": "desk/password.html",
        "SECURITY_POST_CHANGE_VIEW": "accounts.own",
        "SECURITY_TWO_FACTOR": True,
        "SECURITY_TWO_FACTOR_REQUIRED": True,
        "SECURITY_TWO_FACTOR_ENABLED_METHODS": ["authenticator"],
        "SECURITY_TWO_FACTOR_AUTHENTICATOR_VALIDITY": 30,
        "SECURITY_TWO_FACTOR_RESCUE_EMAIL": False,
        "SECURITY_TWO_FACTOR_SETUP_URL": "/account/app",
        "SECURITY_TWO_FACTOR_SETUP_TEMPLATE": "desk/app.html",
        "SECURITY_TWO_FACTOR_POST_SETUP_VIEW": "accounts.own",
        "SECURITY_TWO_FACTOR_TOKEN_VALIDATION_URL": "/sign-in/code",
        "SECURITY_TWO_FACTOR_VERIFY_CODE_TEMPLATE": "desk/code.html",
        "SECURITY_TWO_FACTOR_SELECT_URL": "/sign-in/second-factor",
        "SECURITY_TWO_FACTOR_SELECT_TEMPLATE": "desk/second_factor.html",
        "SECURITY_TOTP_SECRETS": {"1": key("second factor")},
        "SECURITY_TOTP_ISSUER": settings.site_name,
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES": True,
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_N": 10,
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_KEYS": [key("recovery codes")],
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_URL": "/account/recovery-codes",
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_TEMPLATE": "desk/recovery_codes.html",
        "SECURITY_MULTI_FACTOR_RECOVERY_URL": "/sign-in/recovery-code",
        "SECURITY_MULTI_FACTOR_RECOVERY_TEMPLATE": "desk/recovery_code.html",
        "SECURITY_WEBAUTHN": True,
        "SECURITY_WAN_RP_NAME": settings.site_name,
        "SECURITY_WAN_ALLOW_AS_FIRST_FACTOR": False,
        "SECURITY_WAN_ALLOW_AS_VERIFY": [],
        "SECURITY_WAN_REGISTER_URL": "/account/passkeys",
        "SECURITY_WAN_REGISTER_TEMPLATE": "desk/passkeys.html",
        "SECURITY_WAN_POST_REGISTER_VIEW": "security.wan_register",
        "SECURITY_WAN_SIGNIN_URL": "/sign-in/passkey",
        "SECURITY_WAN_SIGNIN_TEMPLATE": "desk/passkey.html",
        "SECURITY_WAN_DELETE_URL": "/account/passkeys/remove",
    } | {f"SECURITY_MSG_{name}": (words, kind) for name, words, kind in _WORDS}


_WORDS = [
    ("GENERIC_AUTHN_FAILED", "That address and password don’t belong together", "error"),
    ("PASSWORD_NOT_PROVIDED", "Enter your password", "error"),
    ("EMAIL_NOT_PROVIDED", "Enter your email address", "error"),
    ("INVALID_EMAIL_ADDRESS", "Enter an email address like name@example.org", "error"),
    ("INVALID_PASSWORD", "That is not your password", "error"),
    ("PASSWORD_INVALID_LENGTH", f"Your new password must have {PASSWORD_LENGTH} characters or more", "error"),
    ("RETYPE_PASSWORD_MISMATCH", "The two passwords are not the same", "error"),
    ("PASSWORD_IS_THE_SAME", "Your new password must be another than your old one", "error"),
    ("PASSWORD_CHANGE", "Your password is changed. Everywhere else you are signed out.", "success"),
    ("UNAUTHENTICATED", "Please sign in to go on.", "error"),
    ("REAUTHENTICATION_REQUIRED", "Please enter your password again to go on.", "info"),
    ("REAUTHENTICATION_SUCCESSFUL", "Thank you.", "success"),
    ("TWO_FACTOR_INVALID_TOKEN", "That code is not right, is too old, or was used before", "error"),
    ("TWO_FACTOR_LOGIN_SUCCESSFUL", "You are signed in.", "success"),
    ("TWO_FACTOR_CHANGE_METHOD_SUCCESSFUL", "Your authenticator app is set up.", "success"),
    ("TWO_FACTOR_PERMISSION_DENIED", "Please sign in from the beginning.", "error"),
    ("TWO_FACTOR_SETUP_EXPIRED", "That took too long. Please begin again.", "error"),
    ("INVALID_RECOVERY_CODE", "That is none of your recovery codes that are left", "error"),
    ("NO_RECOVERY_CODES_SETUP", "You have no recovery codes yet", "info"),
    ("WEBAUTHN_NAME_REQUIRED", "Give your passkey a name", "error"),
    ("WEBAUTHN_NAME_INUSE", "You have a passkey of that name already", "error"),
    ("WEBAUTHN_NAME_DISALLOWED_CHARACTERS", "Letters, digits, spaces and hyphens only, please", "error"),
    ("WEBAUTHN_REGISTER_SUCCESSFUL", "Your passkey is added.", "success"),
    ("WEBAUTHN_CREDENTIAL_DELETED", "Your passkey is removed.", "success"),
    ("WEBAUTHN_EXPIRED", "That took too long. Please begin again.", "error"),
]


def init_app(app: Flask, settings: Settings, shared: Shared) -> None:
    """Let accounts sign in to the app; its sessions and CSRF protection must be there."""
    datastore = SQLAlchemyUserDatastore(db, DeskAccount, None, DeskPasskey)  # type: ignore[arg-type]
    security = Security(
        app,
        datastore,
        login_form=SignInForm,
        two_factor_verify_code_form=CodeForm,
        totp_cls=OnceTotp,
        mf_recovery_codes_util_cls=OnceRecoveryCodes,
        render_template=_render,  # type: ignore[arg-type]  # Its views return whatever it gives.
    )
    # Pages for people only: Flask-Security would also speak JSON, and hand out tokens that no session ends.
    security.want_json(lambda _request: False)
    login = security.login_manager
    # Flask-Login would keep a hash of address and browser, and end the session of whoever changes networks.
    login.session_protection = None
    by_uniquifier = login._user_callback
    login.user_loader(lambda uniquifier: _still_signed_in(by_uniquifier(uniquifier)))
    login.request_loader(lambda _request: None)
    user_logged_in.connect(_begin, app)
    user_logged_out.connect(_end, app)
    password_changed.connect(_password_changed, app)
    for signal, action in (
        (tf_profile_changed, "account.app"),
        (wan_registered, "account.passkey_add"),
        (wan_deleted, "account.passkey_remove"),
    ):
        signal.connect(_recorder(action), app, weak=False)
    app.extensions["tries"] = (
        Limit(settings, shared, TRIES_OF_CLIENT),
        Limit(settings, shared, TRIES_FOR_ACCOUNT),
        BoundedSemaphore(HASHES_AT_ONCE),
    )
    app.before_request(_count_try)
    app.before_request(_close_what_is_over)
    app.teardown_request(_try_is_over)


def _render(template: str, **context: Any) -> ResponseReturnValue:
    """A page of Flask-Security's, of which a form that it refuses is answered as ours are."""
    refused = any(isinstance(form, Form) and form.errors for form in context.values())
    return render_template(template, **context), 422 if refused else 200


def signed_in_by(word_digest: str) -> bool:
    """Whether it is the session of this very request."""
    return sessions.digest(session.get(_WORD, "")) == word_digest


def _still_signed_in(account: DeskAccount | None) -> DeskAccount | None:
    """The account of the cookie, if its session has not run out and has not been ended."""
    now = datetime.now(UTC)
    found = sessions.find(db.session(), account, session.get(_WORD, ""), now) if account else None
    if found is None:
        return None
    view = current_app.view_functions.get(request.endpoint or "")
    if now - found.seen_at > sessions.TOUCH and not getattr(view, "live", False):
        try:
            found.seen_at = now
            db.session.commit()
        except STORAGE_ERRORS:
            # What can be read, is shown, also while nothing can be written.
            db.session.rollback()
    return account


def _begin(_app: Flask, user: DeskAccount) -> None:
    # A passkey must be that of whoever's password was right; Flask-Security takes anybody's.
    if session.get("tf_user_id", user.fs_uniquifier) != user.fs_uniquifier:
        session.clear()
        abort(403)
    session[_WORD] = sessions.begin(db.session(), user, _browser(), datetime.now(UTC))


def _end(_app: Flask, user: DeskAccount) -> None:
    sessions.end(db.session(), sessions.digest(session.pop(_WORD, "")))
    db.session.commit()


def _password_changed(_app: Flask, user: DeskAccount) -> None:
    sessions.end_all(db.session(), user.id, but=sessions.digest(session[_WORD]))
    record.write(db.session(), record.actor(user), "account.password", datetime.now(UTC))


def _recorder(action: str) -> Any:
    def write(_app: Flask, user: DeskAccount, **_: Any) -> None:
        record.write(db.session(), record.actor(user), action, datetime.now(UTC))

    return write


_BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
_SYSTEMS = {
    "iPhone": "an iPhone",
    "iPad": "an iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac": "a Mac",
    "Linux": "Linux",
}


def _browser() -> str:
    """Such as Firefox on Linux; of all that a browser says of itself, enough to know it again."""
    said = request.headers.get("User-Agent", "")
    name = next((name for mark, name in _BROWSERS.items() if mark in said), "A browser")
    system = next((f" on {system}" for mark, system in _SYSTEMS.items() if mark in said), "")
    return name + system


_TRIED = {
    "security.login",
    "security.two_factor_token_validation",
    "security.mf_recovery",
    "security.wan_signin_response",
    "security.verify",
    "security.change_password",
    "security.two_factor_setup_validate",
    "accounts.accept",
}
"""The endpoints where somebody may try a password or a code."""


def _count_try() -> None:
    """Let nobody try passwords and codes without end, or so many at once that signers would have to wait.

    Raises:
        guard.LimitedError: a client has tried too often, or an account was tried too often.
        ServiceUnavailable: too many try in this moment.
    """
    if request.method != "POST" or request.endpoint not in _TRIED:
        return
    of_client, for_account, hashes = current_app.extensions["tries"]
    of_client.count(request.remote_addr)
    if whose := _tried():
        for_account.count_word(f"sign in: {whose}")
    if not hashes.acquire(blocking=False):
        raise ServiceUnavailable(response=Response(status=503, headers={"Retry-After": "5"}))
    request.environ["campaign.hashes"] = hashes


def _close_what_is_over() -> ResponseReturnValue | None:
    """Keep Flask-Security's steps of signing in to their time: each would do harm before or after it."""
    if request.endpoint == "security.two_factor_rescue":
        # It would write to somebody by email, which there is none of here.
        abort(404)
    if current_user.is_authenticated:
        # To look at the page would sign out.
        asks_for_code = request.endpoint == "security.two_factor_token_validation"
        return redirect(url_for("accounts.own")) if asks_for_code else None
    if session.get("tf_state") in ("setup_from_login", "validating_profile"):
        # A copy of the first sign-in's cookie would put another app in the place of the one that is set up since.
        mine = Account.fs_uniquifier == session.get("tf_user_id")
        if db.session.scalar(select(Account.tf_primary_method).where(mine)):
            session.clear()
    return None


def _tried() -> str | None:
    """Whose password or code it is; None where it can be nobody's."""
    if request.endpoint != "security.login":
        return session.get("tf_user_id") or session.get("_user_id")
    with suppress(accounts.AccountError):
        # However it is spelt: an address has thousands of spellings that mean the same.
        return accounts.normal(request.form.get("email", ""))
    return None


def _try_is_over(_error: BaseException | None) -> None:
    hashes = request.environ.pop("campaign.hashes", None)
    if hashes:
        hashes.release()
