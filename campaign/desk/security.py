"""How somebody signs in at the desk: by Flask-Security's password, second factor, passkeys and recovery codes.

The door (door.py) then asks sessions.py whether they still are; accounts themselves are accounts.py's subject.
"""

import re
from datetime import UTC, datetime
from typing import Any

from flask import Flask, abort, current_app, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import user_logged_in, user_logged_out
from flask_security import (
    LoginForm,
    MfRecoveryCodesUtil,
    Security,
    SQLAlchemyUserDatastore,
    UserMixin,
    WebAuthnMixin,
    check_and_update_authn_fresh,
    current_user,
    login_user,
    password_changed,
    tf_profile_changed,
    wan_deleted,
    wan_registered,
)
from flask_security.forms import TwoFactorVerifyCodeForm
from flask_security.tf_plugin import tf_clean_session
from flask_security.totp import Totp
from passlib.exc import UsedTokenError
from sqlalchemy import func, or_, select, update
from wtforms import Form

from campaign import record, sessions
from campaign.away import Away
from campaign.desk.security_settings import FRESH, GRACE
from campaign.desk_models import Account, Passkey
from campaign.extensions import STORAGE_ERRORS, db, write_transaction
from campaign.logs import database_code

_WORD = "word"
"""What the random word of a session is called in its cookie."""
_TOUCH_AGAIN_SECONDS = 15
"""After a session could not be kept alive, no other is tried for so long: whoever only reads would wait for it."""
_PASSKEY_ONLY = "passkey_only"
"""What marks a cookie whose session is good for one thing: to add the account's first second factor, a passkey."""
_SECOND_STEPS = {
    "security.wan_register_response": "security.wan_register",
    "security.two_factor_setup_validate": "security.two_factor_setup",
}
"""Second steps of changing how one signs in, and the first, which asks for the password.

What a first step signs names no account: who has no more than a copied cookie could bring what theirs has signed.
"""


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
            if len(left) < len(codes):
                record.write(writing, record.actor(user), "account.recovery_code", datetime.now(UTC))
        return len(left) < len(codes)

    def create_recovery_codes(self, user: Any) -> list[str]:
        """Make new ones, in place of those that were left."""
        record.write(db.session(), record.actor(user), "account.recovery_codes", datetime.now(UTC))
        return super().create_recovery_codes(user)

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


def init_app(app: Flask) -> None:
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

    @login.user_loader  # type: ignore[untyped-decorator]
    def account_of(uniquifier: str) -> DeskAccount | None:
        try:
            return _still_signed_in(by_uniquifier(uniquifier))
        except STORAGE_ERRORS:
            # The page that says so asks again who it is for, as every template does; there it must get an answer.
            login._update_request_context_with_user()
            raise

    login.request_loader(lambda _request: None)
    user_logged_in.connect(_begin, app)
    user_logged_out.connect(_end, app)
    password_changed.connect(_password_changed, app)
    tf_profile_changed.connect(_app_changed, app)
    wan_registered.connect(_passkey_added, app)
    wan_deleted.connect(_passkey_removed, app)
    app.before_request(_close_what_is_over)
    app.extensions["unwritable"] = Away("sessions could not be kept alive", _TOUCH_AGAIN_SECONDS)


def _render(template: str, **context: Any) -> ResponseReturnValue:
    """A page of Flask-Security's, of which a form that it refuses is answered as ours are."""
    refused = any(isinstance(form, Form) and form.errors for form in context.values())
    if session.get("tf_state") == "validating_profile" and not current_user.is_authenticated:
        template, context = _app_again(template, context)
    return render_template(template, **context), 422 if refused else 200


def _app_again(template: str, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Where the first code was mistyped: the page that the app read its key from, and not one without the key."""
    form = context.get("two_factor_verify_code_form")
    if template != current_app.config["SECURITY_TWO_FACTOR_VERIFY_CODE_TEMPLATE"] or form is None:
        return template, context
    shown = current_app.extensions["security"].totp_factory.fetch_setup_values(form.tf_totp_secret, form.user)
    app = {"chosen_method": "authenticator", "authr_qrcode": shown["image"], "authr_key": shown["key"]}
    return current_app.config["SECURITY_TWO_FACTOR_SETUP_TEMPLATE"], context | app | {"changing": False}


def signed_in_by(word_digest: str) -> bool:
    """Whether it is the session of this very request."""
    return sessions.digest(session.get(_WORD, "")) == word_digest


def _still_signed_in(account: DeskAccount | None) -> DeskAccount | None:
    """The account of the cookie, if its session has not run out, has not been ended, and is good for this request."""
    if account and session.get(_PASSKEY_ONLY):
        adds = request.endpoint in ("security.wan_register", "security.wan_register_response")
        if not adds or _has_second_factor(account):
            return None
    now = datetime.now(UTC)
    found = sessions.find(db.session(), account, session.get(_WORD, ""), now) if account else None
    if found is None:
        return None
    view = current_app.view_functions.get(request.endpoint or "")
    unwritable: Away = current_app.extensions["unwritable"]
    if now - found.seen_at > sessions.TOUCH and not getattr(view, "live", False) and not unwritable:
        try:
            found.seen_at = now
            db.session.commit()
        except STORAGE_ERRORS as error:
            # What can be read, is shown, also while nothing can be written.
            db.session.rollback()
            unwritable.note(database_code(error) or type(error).__name__)
    return account


def _has_second_factor(account: Account) -> bool:
    return bool(account.tf_primary_method or account.webauthn)


def let_in_to_add_passkey() -> bool:
    """Let in somebody who is to set up their first second factor, as far as to add a passkey in place of an app.

    False if nobody is: they have not entered their password, or have a second factor since.
    """
    if session.get("tf_state") != "setup_from_login":
        return False
    mine = Account.fs_uniquifier == session["tf_user_id"]
    account = db.session.scalars(select(DeskAccount).where(mine, Account.active)).one_or_none()
    if account is None:
        return False
    session.clear()
    login_user(account, authn_via=["password"])
    # Before the commit: where that is done and fails to say so, the cookie is sent all the same.
    session[_PASSKEY_ONLY] = True
    db.session.commit()
    return True


def is_adding_first_passkey() -> bool:
    """Whether this session is good for that alone."""
    return _PASSKEY_ONLY in session


def _begin(_app: Flask, user: DeskAccount) -> None:
    # A passkey must be that of whoever's password was right; Flask-Security takes anybody's.
    if session.get("tf_user_id", user.fs_uniquifier) != user.fs_uniquifier:
        session.clear()
        abort(403)
    # By their first app, and not in while they set up another.
    if session.get("tf_state") == "validating_profile" and "tf_user_id" in session:
        session.pop(_WORD, None)
        _check_it_is_the_first(user)
    session.pop(_PASSKEY_ONLY, None)
    session[_WORD] = sessions.begin(db.session(), user, _browser(), datetime.now(UTC))


def _end(_app: Flask, user: DeskAccount) -> None:
    sessions.end(db.session(), sessions.digest(session.pop(_WORD, "")))
    db.session.commit()


def _password_changed(_app: Flask, user: DeskAccount) -> None:
    sessions.end_all(db.session(), user.id, but=sessions.digest(session[_WORD]))
    record.write(db.session(), record.actor(user), "account.password", datetime.now(UTC))


def _app_changed(_app: Flask, user: DeskAccount, **_: Any) -> None:
    record.write(db.session(), record.actor(user), "account.app", datetime.now(UTC))


def _passkey_added(_app: Flask, user: DeskAccount, **_: Any) -> None:
    record.write(db.session(), record.actor(user), "account.passkey_add", datetime.now(UTC))
    if session.get(_PASSKEY_ONLY):
        _check_it_is_the_first(user)
        # What could not be stored lets nobody in.
        db.session.commit()
        del session[_PASSKEY_ONLY]
        # What is left where they have entered their password again, to set up an app, before they came back.
        tf_clean_session()  # type: ignore[no-untyped-call]


def _check_it_is_the_first(user: DeskAccount) -> None:
    """The password alone was enough for one second factor, and no longer is if another was set up at the same time.

    Whoever else has begun by it is signed in nowhere.
    """
    if _second_factors(user) > 1:
        db.session.rollback()
        session.clear()
        flash("A second factor was set up in the meantime. Please sign in with it.", "error")
        abort(redirect(url_for("security.login"), 303))
    sessions.end_all(db.session(), user.id, but=sessions.digest(session.get(_WORD, "")))


def _passkey_removed(_app: Flask, user: DeskAccount, **_: Any) -> None:
    record.write(db.session(), record.actor(user), "account.passkey_remove", datetime.now(UTC))
    if _second_factors(user) < 2:
        # Else the password alone would let in whoever comes next.
        db.session.rollback()
        flash("That is your only second factor. Add another passkey first, or set up an app.", "error")
        abort(redirect(url_for("security.wan_register"), 303))


def _second_factors(account: Account) -> int:
    """How many the account has; who asks for it in another request waits until this transaction has ended."""
    # On SQLite they wait already, as the caller has written something.
    row = select(Account.tf_primary_method).where(Account.id == account.id).with_for_update(key_share=True)
    apps = db.session.scalar(row) is not None
    return apps + (db.session.scalar(select(func.count()).where(Passkey.user_id == account.id)) or 0)


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


def _close_what_is_over() -> ResponseReturnValue | None:
    """Keep Flask-Security's steps of signing in to their time: each would do harm before or after it."""
    if request.endpoint == "security.two_factor_rescue":
        # It would write to somebody by email, which there is none of here.
        abort(404)
    if current_user.is_authenticated:
        first_step = _SECOND_STEPS.get(request.endpoint or "")
        if first_step and not check_and_update_authn_fresh(FRESH, GRACE, "session"):
            return redirect(url_for(first_step), 303)
        # To look at the page would sign out.
        asks_for_code = request.endpoint == "security.two_factor_token_validation"
        return redirect(url_for("accounts.own")) if asks_for_code else None
    if session.get("tf_state") in ("setup_from_login", "validating_profile"):
        # A copy of the first sign-in's cookie would put another app in the place of what is set up since.
        account = db.session.scalar(select(Account).where(Account.fs_uniquifier == session.get("tf_user_id")))
        if account and _has_second_factor(account):
            session.clear()
    return None
