"""Rate limits on password and code attempts at the desk, and on how many are checked at once.

Password attempts are counted per network; per email address and network; and per email address across all unknown
networks (those that no organizer has signed in from). So strangers who guess passwords can't lock the owner out of a
network that the owner has used before. An email address without an account is counted in the same way. The limit on
wrong second factors in a row is in sign_in_log.py.
"""

import hmac
from contextlib import suppress
from datetime import UTC, datetime
from threading import BoundedSemaphore
from typing import NamedTuple

from flask import Flask, current_app, request, session
from werkzeug.exceptions import ServiceUnavailable

from campaign.accounts import invitations, known_networks, sign_in_log
from campaign.settings import Settings
from campaign.storage.database import db
from campaign.storage.redis import SharedRedis
from campaign.storage.transactions import write_transaction
from campaign.text.client_network import network_of
from campaign.web.limits.rate_limits import RateLimit, RateLimitError

CLIENT_ATTEMPTS = "20 per 5 minutes, 100 per hour"
"""Limit on passwords and codes from one IPv4 address or IPv6 /64."""
ACCOUNT_ATTEMPTS = "15 per 15 minutes"
"""Limit on passwords for one email address from one network.

It also limits codes, and passwords entered again, for one account from any network.
"""
STRANGER_ATTEMPTS = "10 per minute, 100 per hour"
"""Limits on passwords for one email address from all unknown networks together.

The first slows attackers down, but lets a traveling owner try again after a minute. The second is the maximum that
NIST SP 800-63B-4, 3.2.2, allows in a row. Here it applies per hour, as a permanent lockout would shut out the owner.
"""
HASHES_AT_ONCE = 2
"""Passwords that a process hashes at once. Each takes 20 MB, and a CPU core that signers need too."""
SECONDS_UNTIL_FREE = 5
"""The Retry-After header of a response while HASHES_AT_ONCE passwords are being hashed."""

_LIMITED_ENDPOINTS = {
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
"""The endpoints that check a password or a code, or start a session after a correct one."""


class Throttle(NamedTuple):
    """The rate limits of the desk, and the semaphore that bounds hashing."""

    per_client: RateLimit
    per_account: RateLimit
    by_strangers: RateLimit
    hashes: BoundedSemaphore


def init_app(app: Flask, settings: Settings, shared: SharedRedis) -> None:
    """Limit password and code attempts in the app."""
    app.extensions["throttle"] = Throttle(
        RateLimit(settings, shared, CLIENT_ATTEMPTS),
        RateLimit(settings, shared, ACCOUNT_ATTEMPTS),
        RateLimit(settings, shared, STRANGER_ATTEMPTS),
        BoundedSemaphore(HASHES_AT_ONCE),
    )
    app.before_request(_count_attempt)
    app.teardown_request(_release_hashing)


def network() -> str:
    """Return a keyed hash of the client's network: an IPv4 address or an IPv6 /64."""
    key = current_app.config["SETTINGS"].secret_key.encode()
    return hmac.digest(key, b"known network|" + network_of(request.remote_addr), "sha256").hex()[:32]


def _count_attempt() -> None:
    """Refuse an attempt if there were too many, or if too many are being checked right now.

    Raises:
        rate_limits.RateLimitError: There were too many attempts from the client or for the account.
        ServiceUnavailable: Too many attempts are being checked right now.
    """
    if request.method != "POST" or request.endpoint not in _LIMITED_ENDPOINTS:
        return
    throttle: Throttle = current_app.extensions["throttle"]
    throttle.per_client.count(request.remote_addr)
    if not throttle.hashes.acquire(blocking=False):
        raise ServiceUnavailable(retry_after=SECONDS_UNTIL_FREE)
    request.environ["campaign.hashes"] = throttle.hashes
    if request.endpoint != "security.login":
        if account_key := session.get("tf_user_id") or session.get("_user_id"):
            throttle.per_account.count_word(f"code: {account_key}")
        return
    with suppress(invitations.AccountError):
        # Count the normal form: thousands of spellings lead to the same email address.
        _count_password(throttle, invitations.normal(request.form.get("email", "")))


def _count_password(throttle: Throttle, email: str) -> None:
    now, client_network, reading = datetime.now(UTC), network(), db.session()
    # After an unlock, attempts are counted under a new key, so that earlier ones no longer count.
    counted = f"{sign_in_log.unlocks(reading, email)}: {email}"
    known = known_networks.is_known(reading, client_network, now)
    try:
        throttle.per_account.count_word(f"password: {counted} from {client_network}")
        if not known:
            throttle.by_strangers.count_word(f"password: {counted}")
    except RateLimitError as limited:
        if limited.first:
            with write_transaction() as writing:
                sign_in_log.note_too_many_passwords(writing, email, now)
        raise


def _release_hashing(_error: BaseException | None) -> None:
    hashes = request.environ.pop("campaign.hashes", None)
    if hashes:
        hashes.release()
