"""How often passwords and codes may be tried at the desk, and how many at once; hung before and after its requests."""

from contextlib import suppress
from threading import BoundedSemaphore

from flask import Flask, Response, current_app, request, session
from werkzeug.exceptions import ServiceUnavailable

from campaign import accounts
from campaign.guard import Limit
from campaign.settings import Settings
from campaign.shared import Shared

TRIES_OF_CLIENT = "20 per 5 minutes, 100 per hour"
"""Passwords and codes from one IPv4 address or IPv6 /64."""
TRIES_FOR_ACCOUNT = "15 per 15 minutes"
"""Passwords and codes for one account, wherever they come from; as many for an address that has no account."""
HASHES_AT_ONCE = 2
"""Passwords that a process looks at in one moment: each takes 20 MB, and a core that signers would miss."""

_TRIED = {
    "security.login",
    "security.two_factor_token_validation",
    "security.mf_recovery",
    "security.wan_signin_response",
    "security.verify",
    "security.change_password",
    "security.two_factor_setup_validate",
    "accounts.accept",
    "accounts.first_passkey",
}
"""The endpoints where somebody may try a password or a code, or begin a session by one that was right."""


def init_app(app: Flask, settings: Settings, shared: Shared) -> None:
    """Count what is tried at the app."""
    app.extensions["tries"] = (
        Limit(settings, shared, TRIES_OF_CLIENT),
        Limit(settings, shared, TRIES_FOR_ACCOUNT),
        BoundedSemaphore(HASHES_AT_ONCE),
    )
    app.before_request(_count_try)
    app.teardown_request(_try_is_over)


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
