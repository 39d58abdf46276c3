"""What Flask and Flask-Security are told: how the cookie is kept, what signing in asks for, and in which words."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from campaign import sessions
from campaign.mount import PREFIX
from campaign.settings import Settings

PASSWORD_LENGTH = 12
"""Characters at the least. NIST SP 800-63B-4 asks for 8 where a second factor is asked for as well."""
FRESH = timedelta(minutes=30)
"""How long after signing in nobody is asked for the password again before they change how they sign in."""
GRACE = timedelta(minutes=10)
"""How long they may take over each step of it, beyond that."""


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
        "SECURITY_FRESHNESS_GRACE_PERIOD": GRACE,
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
        "SECURITY_WAN_POST_REGISTER_VIEW": "accounts.passkey_added",
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
