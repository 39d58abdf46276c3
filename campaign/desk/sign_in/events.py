"""Records sign-ins and failures in the audit log, blocks second factors, and tells account owners about failures.

This module wraps Flask-Security's views, which don't report most failures. The rules are in sign_in_log.py.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from flask import Flask, Response, current_app, flash, redirect, request, session, url_for
from flask_security import current_user, user_failed_authn
from sqlalchemy import select
from werkzeug.exceptions import HTTPException

from campaign.accounts import audit_log, invitations, known_networks, sign_in_log
from campaign.accounts.sign_in_log import Block, Failures
from campaign.desk.sign_in import throttle
from campaign.desk.sign_in.session_cookie import browser
from campaign.languages.speaking import gettext, ngettext
from campaign.models.account import Account
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.web.formatting import moment, number

_FACTORS = {
    "security.two_factor_token_validation": "authenticator app",
    "security.mf_recovery": "recovery code",
    "security.wan_signin_response": "passkey",
}
"""The endpoints that check a second factor, and the factor's name in the audit log."""
_PASSWORD = "password"  # noqa: S105 (a name in the audit log)
_WRONG = "campaign.wrong_password"
"""The key in the WSGI environment that is set if a signed-in user entered a wrong password."""
_OWN_FAILURES = "mistyped"
"""The key in the cookie for the numbers of failures in this browser. The account's owner isn't told about these."""

View = Callable[..., Any]


def init_app(app: Flask) -> None:
    """Wrap the views that check a password or a second factor. Flask-Security must be set up before."""
    app.view_functions["security.login"] = _record_passwords(app.view_functions["security.login"])
    for endpoint in ("security.verify", "security.change_password"):
        app.view_functions[endpoint] = _record_confirmations(app.view_functions[endpoint])
    user_failed_authn.connect(_remember_failure, app)
    for endpoint, factor in _FACTORS.items():
        app.view_functions[endpoint] = _record_second_factors(app.view_functions[endpoint], factor)


def record_sign_in(account: Account) -> None:
    """Record a sign-in in the session's transaction, so that no sign-in is committed without its audit entry."""
    now, writing = datetime.now(UTC), db.session()
    factor = _FACTORS.get(request.endpoint or "")
    reserved = request.environ.pop("campaign.code_reserved", False)
    failures = sign_in_log.note_sign_in(writing, account, factor or _PASSWORD, browser(), now, reserved=reserved)
    if factor:
        known_networks.remember(writing, account.id, throttle.network(), now)
    passwords, codes = session.pop(_OWN_FAILURES, (0, 0))
    _tell_owner(Failures(max(0, failures.passwords - passwords), max(0, failures.codes - codes)))


def record_sign_out(account: Account) -> None:
    """Record a sign-out in the session's transaction."""
    audit_log.write(db.session(), audit_log.actor(account), sign_in_log.SIGN_OUT, datetime.now(UTC))


def _tell_owner(failures: Failures) -> None:
    if failures.passwords:
        flash(
            ngettext(
                "There was %(number)s failed sign-in to your account since your last visit. See your account page for "
                "details.",
                "There were %(number)s failed sign-ins to your account since your last visit. See your account page "
                "for details.",
                failures.passwords,
                number=number(failures.passwords),
            ),
            "info",
        )
    if failures.codes == 1:
        flash(
            gettext(
                "Someone entered your password and then a wrong second factor once since your last visit. If it "
                "wasn’t you, someone knows your password. Change it now."
            ),
            "error",
        )
    elif failures.codes:
        flash(
            ngettext(
                "Someone entered your password and then a wrong second factor %(number)s time since your last visit. "
                "If it wasn’t you, someone knows your password. Change it now.",
                "Someone entered your password and then a wrong second factor %(number)s times since your last visit. "
                "If it wasn’t you, someone knows your password. Change it now.",
                failures.codes,
                number=number(failures.codes),
            ),
            "error",
        )


def _record_passwords(view: View) -> View:
    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> Response:
        own_failures = session.get(_OWN_FAILURES)
        response = current_app.make_response(view(*args, **kwargs))
        if request.method != "POST":
            return response
        if pending := _pending_account():
            if own_failures:
                # The right password started a new session, so carry the count over.
                session[_OWN_FAILURES] = own_failures
            block = sign_in_log.block_of(db.session(), pending.id, datetime.now(UTC))
            return _refuse(block) if block else response
        email, typed = request.form.get("email", ""), request.form.get("password", "")
        if response.status_code == 422 and typed:
            try:
                email = invitations.normal(email)
            except invitations.AccountError:
                return response
            with write_transaction() as writing:
                sign_in_log.note_wrong_password(writing, email, browser(), datetime.now(UTC))
            _count_own_failure(passwords=1)
        return response

    return wrapped


def _record_confirmations(view: View) -> View:
    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> Response:
        response = current_app.make_response(view(*args, **kwargs))
        if request.environ.pop(_WRONG, False):
            email = current_user.email
            with write_transaction() as writing:
                sign_in_log.note_wrong_password(writing, email, browser(), datetime.now(UTC))
        return response

    return wrapped


def _remember_failure(_app: Flask, auth_type: str, **_: Any) -> None:
    # Only set a flag. The failure is recorded after the view, because a transaction here would expire what it has read.
    if auth_type == _PASSWORD:
        request.environ[_WRONG] = True


def _record_second_factors(view: View, factor: str) -> View:
    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> Response:
        pending = _pending_account() if request.method == "POST" else None
        if pending is None:
            response = current_app.make_response(view(*args, **kwargs))
            # Flask-Security commits too late. Commit now: if this fails, the user gets an error page and no sign-in.
            db.session.commit()
            return response
        account_id = pending.id
        with write_transaction() as writing:
            block = sign_in_log.reserve_code(writing, account_id, datetime.now(UTC))
        if block:
            return _refuse(block)
        request.environ["campaign.code_reserved"] = True
        try:
            response = current_app.make_response(view(*args, **kwargs))
        except HTTPException:
            _record_wrong_code(account_id, factor)
            raise
        if current_user.is_authenticated:
            db.session.commit()
            return response
        block = _record_wrong_code(account_id, factor)
        return _refuse(block) if block else response

    return wrapped


def _pending_account() -> Account | None:
    """Return the account that entered the right password in this browser but no second factor yet, or None."""
    if current_user.is_authenticated or "tf_user_id" not in session:
        return None
    if session.get("tf_state") != "ready" and not session.get("tf_select"):
        # The first second factor isn't set up yet, so there is none to guess.
        return None
    return db.session.scalar(select(Account).where(Account.fs_uniquifier == session["tf_user_id"]))


def _record_wrong_code(account_id: int, factor: str) -> Block | None:
    with write_transaction() as writing:
        block = sign_in_log.note_wrong_code(writing, account_id, factor, browser(), datetime.now(UTC))
    _count_own_failure(codes=1)
    return block


def _count_own_failure(passwords: int = 0, codes: int = 0) -> None:
    passwords_before, codes_before = session.get(_OWN_FAILURES, (0, 0))
    session[_OWN_FAILURES] = (passwords_before + passwords, codes_before + codes)


def _refuse(block: Block) -> Response:
    """End the unfinished sign-in, and say until when no second factor is accepted."""
    session.clear()
    if block.until:
        words = gettext(
            "There were too many wrong codes in a row, so nobody can sign in to this account until %(time)s. If you "
            "didn’t enter them, someone knows your password. Ask an admin for a new link, and choose a new password.",
            time=moment(block.until),
        )
    else:
        words = gettext(
            "There were too many wrong codes in a row, so nobody can sign in to this account until an admin unlocks "
            "it. If you didn’t enter them, someone knows your password. Ask an admin for a new link, and choose a new "
            "password."
        )
    flash(words, "error")
    return current_app.make_response(redirect(url_for("security.login"), 303))
