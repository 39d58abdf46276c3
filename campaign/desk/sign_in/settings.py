"""Settings of Flask and Flask-Security for the desk: session cookie, sign-in methods, URLs, templates, and messages."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from campaign.desk.bounded_fields import PASSKEY_NAME_LENGTH
from campaign.desk.sign_in import session_cookie
from campaign.languages.speaking import lazy_gettext
from campaign.settings import Settings

FRESH = timedelta(minutes=30)
"""How long an entered password counts as recent.

After that, users must enter it again before they change accounts or how they sign in.
"""
GRACE = timedelta(minutes=10)
"""Extra time after FRESH to finish a change that was started within it. Further steps don't extend it."""

ARGON2 = {"memory_cost": 19456, "time_cost": 2, "parallelism": 1}
"""The cost of hashing a password or a recovery code: argon2id with 19 MiB, two passes, and one lane.

Source: OWASP, "Password Storage Cheat Sheet".
"""

RECOVERY_CODES = 10
"""Recovery codes in a set."""

_FEATURES: dict[str, Any] = {
    "SECURITY_DATETIME_FACTORY": lambda: datetime.now(UTC),
    "SECURITY_JOIN_USER_ROLES": False,
    "SECURITY_API_ENABLED_METHODS": ["session"],
    "SECURITY_FRESHNESS": FRESH,
    "SECURITY_FRESHNESS_GRACE_PERIOD": GRACE,
    "SECURITY_LOGOUT_CSRF": True,
    "SECURITY_CHANGEABLE": True,
    "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
    "SECURITY_TWO_FACTOR": True,
    "SECURITY_TWO_FACTOR_REQUIRED": True,
    "SECURITY_TWO_FACTOR_ENABLED_METHODS": ["authenticator"],
    "SECURITY_TWO_FACTOR_AUTHENTICATOR_VALIDITY": 30,
    "SECURITY_TWO_FACTOR_RESCUE_EMAIL": False,
    "SECURITY_MULTI_FACTOR_RECOVERY_CODES": True,
    "SECURITY_WEBAUTHN": True,
    "SECURITY_WAN_ALLOW_AS_FIRST_FACTOR": False,
    "SECURITY_WAN_ALLOW_AS_VERIFY": [],
    "SECURITY_WAN_NAME_MAX_LENGTH": PASSKEY_NAME_LENGTH,
}
_PAGES = {
    "SECURITY_LOGIN_URL": "/sign-in",
    "SECURITY_LOGIN_USER_TEMPLATE": "desk/sign_in/sign_in.html",
    "SECURITY_LOGOUT_URL": "/sign-out",
    "SECURITY_LOGOUT_USER_TEMPLATE": "desk/sign_in/sign_out.html",
    "SECURITY_POST_LOGIN_VIEW": "accounts.arrive",
    "SECURITY_POST_LOGOUT_VIEW": "security.login",
    "SECURITY_UNAUTHORIZED_VIEW": None,
    "SECURITY_VERIFY_URL": "/password-again",
    "SECURITY_VERIFY_TEMPLATE": "desk/sign_in/password_again.html",
    "SECURITY_POST_VERIFY_VIEW": "accounts.own",
    "SECURITY_CHANGE_URL": "/account/password",
    "SECURITY_CHANGE_PASSWORD_TEMPLATE": "desk/sign_in/password.html",
    "SECURITY_POST_CHANGE_VIEW": "accounts.own",
    "SECURITY_TWO_FACTOR_SETUP_URL": "/account/app",
    "SECURITY_TWO_FACTOR_SETUP_TEMPLATE": "desk/sign_in/app.html",
    "SECURITY_TWO_FACTOR_POST_SETUP_VIEW": "accounts.own",
    "SECURITY_TWO_FACTOR_TOKEN_VALIDATION_URL": "/sign-in/code",
    "SECURITY_TWO_FACTOR_VERIFY_CODE_TEMPLATE": "desk/sign_in/code.html",
    "SECURITY_TWO_FACTOR_SELECT_URL": "/sign-in/second-factor",
    "SECURITY_TWO_FACTOR_SELECT_TEMPLATE": "desk/sign_in/second_factor.html",
    "SECURITY_MULTI_FACTOR_RECOVERY_CODES_URL": "/account/recovery-codes",
    "SECURITY_MULTI_FACTOR_RECOVERY_CODES_TEMPLATE": "desk/sign_in/recovery_codes.html",
    "SECURITY_MULTI_FACTOR_RECOVERY_URL": "/sign-in/recovery-code",
    "SECURITY_MULTI_FACTOR_RECOVERY_TEMPLATE": "desk/sign_in/recovery_code.html",
    "SECURITY_WAN_REGISTER_URL": "/account/passkeys",
    "SECURITY_WAN_REGISTER_TEMPLATE": "desk/sign_in/passkeys.html",
    "SECURITY_WAN_POST_REGISTER_VIEW": "accounts.passkey_added",
    "SECURITY_WAN_SIGNIN_URL": "/sign-in/passkey",
    "SECURITY_WAN_SIGNIN_TEMPLATE": "desk/sign_in/passkey.html",
    "SECURITY_WAN_DELETE_URL": "/account/passkeys/remove",
}
_MESSAGES = [
    ("EMAIL_NOT_PROVIDED", lazy_gettext("Enter your email address"), "error"),
    ("INVALID_EMAIL_ADDRESS", lazy_gettext("Enter an email address, like name@example.org"), "error"),
    (
        "PASSWORD_CHANGE",
        lazy_gettext("Your password has been changed. You’re signed out on all other devices."),
        "success",
    ),
    ("UNAUTHENTICATED", lazy_gettext("Sign in to continue."), "error"),
    ("REAUTHENTICATION_REQUIRED", lazy_gettext("Enter your password again to continue."), "info"),
    ("REAUTHENTICATION_SUCCESSFUL", lazy_gettext("Password confirmed."), "success"),
    (
        "TWO_FACTOR_INVALID_TOKEN",
        lazy_gettext("This code is wrong, expired, or already used. Enter your app’s current code"),
        "error",
    ),
    ("TWO_FACTOR_LOGIN_SUCCESSFUL", lazy_gettext("You’re signed in."), "success"),
    ("TWO_FACTOR_CHANGE_METHOD_SUCCESSFUL", lazy_gettext("Your authenticator app has been set up."), "success"),
    ("TWO_FACTOR_PERMISSION_DENIED", lazy_gettext("Start again: enter your email address and password."), "error"),
    ("TWO_FACTOR_SETUP_EXPIRED", lazy_gettext("The setup took too long and has expired. Start again."), "error"),
    (
        "INVALID_RECOVERY_CODE",
        lazy_gettext("This recovery code is wrong or was already used. Enter another one"),
        "error",
    ),
    ("WEBAUTHN_NAME_REQUIRED", lazy_gettext("Enter a name for your passkey"), "error"),
    ("INVALID_INPUT_LENGTH", lazy_gettext("The name must have %(length)s characters or fewer"), "error"),
    (
        "WEBAUTHN_NAME_INUSE",
        lazy_gettext("You already have a passkey with this name. Choose a different name"),
        "error",
    ),
    (
        "WEBAUTHN_NAME_DISALLOWED_CHARACTERS",
        lazy_gettext("The name can only contain letters, digits, spaces, and hyphens"),
        "error",
    ),
    ("WEBAUTHN_REGISTER_SUCCESSFUL", lazy_gettext("Your passkey has been added."), "success"),
    ("WEBAUTHN_CREDENTIAL_DELETED", lazy_gettext("Your passkey has been removed."), "success"),
    ("WEBAUTHN_EXPIRED", lazy_gettext("Your passkey request has expired. Start again."), "error"),
]


def settings_of(settings: Settings) -> dict[str, Any]:
    """Return the settings of Flask and Flask-Security."""

    def key(purpose: str) -> str:
        # Each purpose gets a key of its own, derived from the secret key.
        return base64.urlsafe_b64encode(hashlib.sha256(f"{purpose}|{settings.secret_key}".encode()).digest()).decode()

    of_this_site = {
        "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": {f"argon2__{name}": value for name, value in ARGON2.items()},
        "SECURITY_PASSWORD_SALT": key("password salt"),
        "SECURITY_TOTP_SECRETS": {"1": key("second factor")},
        "SECURITY_TOTP_ISSUER": settings.site_name,
        "SECURITY_WAN_RP_NAME": settings.site_name,
    }
    # As text, because Flask-Security puts messages into the cookie. security.py translates them in each request.
    messages = {f"SECURITY_MSG_{name}": (str(text), kind) for name, text, kind in _MESSAGES}
    return session_cookie.settings_of(settings) | _FEATURES | _PAGES | of_this_site | messages
