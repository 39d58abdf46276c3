"""Sets up Flask-Security for the desk, and ties its sign-ins to our own sessions.

Users sign in with a password and a second factor: an authenticator app, a passkey, or a recovery code. The rules of
second factors are in second_factors.py, and those of accounts and sessions in campaign/accounts/.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from flask import Flask, abort, current_app, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, user_logged_in, user_logged_out
from flask_security import (
    Security,
    SQLAlchemyUserDatastore,
    UserMixin,
    WebAuthnMixin,
    check_and_update_authn_fresh,
    current_user,
    login_user,
    password_changed,
)
from sqlalchemy import select
from wtforms import Form

from campaign.accounts import audit_log, sessions
from campaign.desk.bounded_fields import BoundedMailUtil, BoundedWebauthnUtil, refuse_foreign_next
from campaign.desk.sign_in import events as sign_in_events
from campaign.desk.sign_in import second_factors
from campaign.desk.sign_in.passwords import NewPasswordForm, PasswordAgainForm, Passwords, SignInForm
from campaign.desk.sign_in.second_factors import (
    PASSKEY_ONLY,
    CodeForm,
    SingleUseRecoveryCodes,
    SingleUseTotp,
    ensure_first_second_factor,
    has_second_factor,
)
from campaign.desk.sign_in.session_cookie import WORD, browser, forget_session, new_token
from campaign.desk.sign_in.settings import FRESH, GRACE
from campaign.languages.speaking import gettext
from campaign.models.account import Account, Passkey
from campaign.monitoring.logging_setup import database_code
from campaign.storage.circuit_breaker import CircuitBreaker
from campaign.storage.database import STORAGE_ERRORS, db

_TOUCH_AGAIN_SECONDS = 15
"""The pause after a session's last use couldn't be stored.

Meanwhile, pages that only read don't wait for a database that can't be written.
"""
_SECOND_STEPS = {
    "security.wan_register_response": "security.wan_register",
    "security.two_factor_setup_validate": "security.two_factor_setup",
}
"""The second steps of changing a second factor, each with its first step, which asks for the password.

The state that a first step signs names no account, so an attacker with a copied cookie could send the state from their
own account. Second steps therefore need a recent password too.
"""


class DeskAccount(UserMixin, Account):  # type: ignore[misc]  # Both define the passkeys.
    """An account with the methods that Flask-Security needs."""


class DeskPasskey(WebAuthnMixin, Passkey):
    """A passkey with the methods that Flask-Security needs."""

    def get_user_mapping(self) -> dict[str, Any]:
        """Return the columns by which to find the passkey's account."""
        return {"id": self.user_id}


def init_app(app: Flask) -> None:
    """Set up sign-in for the app. Its sessions and CSRF protection must be set up before."""
    datastore = SQLAlchemyUserDatastore(db, DeskAccount, None, DeskPasskey)  # type: ignore[arg-type]
    security = Security(
        app,
        datastore,
        login_form=SignInForm,
        verify_form=PasswordAgainForm,
        change_password_form=NewPasswordForm,
        password_util_cls=Passwords,
        two_factor_verify_code_form=CodeForm,
        totp_cls=SingleUseTotp,
        mf_recovery_codes_util_cls=SingleUseRecoveryCodes,
        mail_util_cls=BoundedMailUtil,
        webauthn_util_cls=BoundedWebauthnUtil,
        render_template=_render,  # type: ignore[arg-type]  # Its views return the result as it is.
    )
    # Translate the messages in settings.py. Flask-Security itself would only do so with another library, and it has no
    # setting for this, so its method is replaced.
    security.i18n_domain.gettext = lambda string, **variables: gettext(string, **variables)  # type: ignore[method-assign]
    # Serve HTML pages only: Flask-Security would also answer with JSON and issue tokens that outlive any session.
    security.want_json(lambda _request: False)
    _load_users(security.login_manager)
    user_logged_in.connect(_start_session, app)
    user_logged_out.connect(_end_session, app)
    password_changed.connect(_password_changed, app)
    second_factors.init_app(app)
    app.before_request(refuse_foreign_next)
    app.before_request(_guard_sign_in_steps)
    app.after_request(forget_session)
    app.extensions["unwritable"] = CircuitBreaker("sessions could not be kept alive", _TOUCH_AGAIN_SECONDS)


def _load_users(login: LoginManager) -> None:
    """Let Flask-Login find users by our sessions only."""
    # Flask-Login would store a hash of IP address and browser, and end the session when the network changes.
    login.session_protection = None
    by_uniquifier = login._user_callback

    @login.user_loader  # type: ignore[untyped-decorator]
    def account_of(uniquifier: str) -> DeskAccount | None:
        try:
            return _still_signed_in(by_uniquifier(uniquifier))
        except STORAGE_ERRORS:
            # Every template loads the user, so the error page does too. Let that succeed, with nobody signed in.
            login._update_request_context_with_user()
            raise

    login.request_loader(lambda _request: None)


def _render(template: str, **context: Any) -> ResponseReturnValue:
    """Render a page of Flask-Security, with status 422 if a form has errors, as our own pages do."""
    has_errors = any(isinstance(form, Form) and form.errors for form in context.values())
    if session.get("tf_state") == "validating_profile" and not current_user.is_authenticated:
        template, context = _app_setup_again(template, context)
    if "authr_key" in context:
        context["authr_link"] = _app_link(context)
    return render_template(template, **context), 422 if has_errors else 200


def _app_setup_again(template: str, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the setup page with the QR code and key, instead of the code page, after a wrong first code."""
    form = context.get("two_factor_verify_code_form")
    if template != current_app.config["SECURITY_TWO_FACTOR_VERIFY_CODE_TEMPLATE"] or form is None:
        return template, context
    shown = current_app.extensions["security"].totp_factory.fetch_setup_values(form.tf_totp_secret, form.user)
    app = {f"authr_{name}": shown[name] for name in ("key", "username", "issuer")} | {"authr_qrcode": shown["image"]}
    return current_app.config["SECURITY_TWO_FACTOR_SETUP_TEMPLATE"], context | app | {
        "chosen_method": "authenticator",
        "changing": False,
    }


def _app_link(context: dict[str, Any]) -> str:
    """Return the link that the QR code contains, for users whose authenticator app is on this device.

    The format is described in https://github.com/google/google-authenticator/wiki/Key-Uri-Format.
    """
    issuer, user = quote(context["authr_issuer"]), quote(context["authr_username"])
    return f"otpauth://totp/{issuer}:{user}?secret={context['authr_key'].replace('-', '')}&issuer={issuer}"


def _still_signed_in(account: DeskAccount | None) -> DeskAccount | None:
    """Return the cookie's account if its session is still valid and may be used for this request, or None."""
    if account and session.get(PASSKEY_ONLY):
        is_adding = request.endpoint in ("security.wan_register", "security.wan_register_response")
        if not is_adding or has_second_factor(account):
            return None
    now = datetime.now(UTC)
    found = sessions.find(db.session(), account, session.get(WORD, ""), now) if account else None
    if found is None:
        return None
    view = current_app.view_functions.get(request.endpoint or "")
    unwritable: CircuitBreaker = current_app.extensions["unwritable"]
    if now - found.seen_at > sessions.TOUCH and not getattr(view, "live", False) and not unwritable:
        try:
            found.seen_at = now
            db.session.commit()
        except STORAGE_ERRORS as error:
            # Pages stay readable while the database can't be written.
            db.session.rollback()
            unwritable.trip(database_code(error) or type(error).__name__)
    return account


def start_first_passkey_session() -> bool:
    """Start a session that can only add a passkey as the first second factor.

    Return False if the password wasn't entered before, or the account has got a second factor in the meantime.
    """
    if session.get("tf_state") != "setup_from_login":
        return False
    mine = Account.fs_uniquifier == session["tf_user_id"]
    account = db.session.scalars(select(DeskAccount).where(mine, Account.active)).one_or_none()
    if account is None:
        return False
    session.clear()
    login_user(account, authn_via=["password"])
    # Set the key before the commit: the cookie is sent even if the commit succeeds but reports an error.
    session[PASSKEY_ONLY] = True
    db.session.commit()
    return True


def _start_session(_app: Flask, user: DeskAccount) -> None:
    # The passkey must belong to the account whose password was entered. Flask-Security accepts any account's.
    if session.get("tf_user_id", user.fs_uniquifier) != user.fs_uniquifier:
        session.clear()
        abort(403)
    # The user has just set up the account's first second factor, an app. "tf_user_id" isn't set for another app.
    if session.get("tf_state") == "validating_profile" and "tf_user_id" in session:
        session.pop(WORD, None)
        ensure_first_second_factor(user)
    session.pop(PASSKEY_ONLY, None)
    new_token()
    sign_in_events.record_sign_in(user)
    session[WORD] = sessions.begin(db.session(), user, browser(), datetime.now(UTC))


def _end_session(_app: Flask, user: DeskAccount) -> None:
    g.signed_out = True
    sign_in_events.record_sign_out(user)
    sessions.end(db.session(), sessions.digest(session.pop(WORD, "")))
    db.session.commit()


def _password_changed(_app: Flask, user: DeskAccount) -> None:
    sessions.end_all(db.session(), user.id, but=sessions.digest(session[WORD]))
    audit_log.write(db.session(), audit_log.actor(user), "account.password", datetime.now(UTC))


def _guard_sign_in_steps() -> ResponseReturnValue | None:
    """Refuse Flask-Security's sign-in pages where they don't apply or would do harm."""
    if request.endpoint == "security.two_factor_rescue":
        # This page would send an email, and the desk sends none.
        abort(404)
    if request.endpoint == "security.mf_recovery_codes" and "show_codes" in request.args:
        # Flask-Security would show codes again. They are shown only once, when they are created.
        return redirect(url_for("security.mf_recovery_codes"))
    if current_user.is_authenticated:
        _end_grace()
        first_step = _SECOND_STEPS.get(request.endpoint or "")
        if first_step and not check_and_update_authn_fresh(FRESH, GRACE, "session"):
            return redirect(url_for(first_step), 303)
        # Opening the code page would sign the user out.
        asks_for_code = request.endpoint == "security.two_factor_token_validation"
        return redirect(url_for("accounts.own")) if asks_for_code else None
    if request.endpoint == "security.mf_recovery" and session.get("tf_select"):
        # The password was right, and the second factor isn't chosen yet. Flask-Security expects it to be.
        session["tf_state"] = "ready"
    if session.get("tf_state") in ("setup_from_login", "validating_profile"):
        # With a copied cookie of the first sign-in, an attacker could replace the second factor set up since then.
        account = db.session.scalar(select(Account).where(Account.fs_uniquifier == session.get("tf_user_id")))
        if account and has_second_factor(account):
            session.clear()
    return None


def _end_grace() -> None:
    """End the grace period once FRESH and GRACE have passed. Flask-Security would extend it with every request."""
    entered = datetime.fromtimestamp(session.get("fs_paa", 0), UTC)
    if datetime.now(UTC) - entered > FRESH + GRACE:
        session.pop("fs_gexp", None)
