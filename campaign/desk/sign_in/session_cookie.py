"""The session cookie of the desk, and the name of the browser in the list of sessions."""

from typing import Any

from flask import Response, g, request, session

from campaign.accounts import sessions
from campaign.settings import Settings
from campaign.storage.database import db
from campaign.web.desk_mount import PREFIX

WORD = "word"
"""The key of the session ID in the cookie."""
_HOST_COOKIE = "__Host-desk"
"""The cookie's name on https. Browsers accept a cookie with this prefix only from this host, with Secure and Path=/.
So no other host of the organization's domain can set it, and neither can anyone on an http connection."""
_PLAIN_COOKIE = "desk"
"""The cookie's name on plain http, where browsers refuse the prefix. Used for local development only."""
_CLEARED = '"cache", "storage"'
"""The Clear-Site-Data header after sign-out. It doesn't list "cookies", which would delete the cookies of every host in
the organization's domain. `forget_session` deletes our own cookie."""


def settings_of(settings: Settings) -> dict[str, Any]:
    """Return Flask's settings for the cookie and its CSRF tokens."""
    https = settings.site_url.startswith("https:")
    return {
        "SESSION_COOKIE_NAME": _HOST_COOKIE if https else _PLAIN_COOKIE,
        "SESSION_COOKIE_PATH": "/" if https else PREFIX,
        # Also on http: browsers accept Secure cookies from 127.0.0.1 and localhost.
        "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PERMANENT_SESSION_LIFETIME": sessions.LONGEST,
        # Flask-WTF would compare the Referer with one host. request_checks.py compares the Origin with all of ours.
        "WTF_CSRF_SSL_STRICT": False,
        "WTF_CSRF_TIME_LIMIT": sessions.LONGEST.total_seconds(),
    }


def start_over() -> None:
    """Clear the session cookie before a sign-in step, so that a planted or copied cookie is useless afterward."""
    session.clear()
    new_token()


def new_token() -> None:
    """Replace the CSRF token, so that forms from pages loaded before this request are refused."""
    session.pop("csrf_token", None)
    # Flask-WTF caches the token here for the rest of the request.
    g.pop("csrf_token", None)


def renew() -> None:
    """Give this request's session a new ID and CSRF token, so that a copy of the old cookie stops working."""
    word = sessions.renew(db.session(), session.get(WORD, ""))
    # Commit before the cookie changes: a cookie with an ID that wasn't stored would sign the user out.
    db.session.commit()
    session[WORD] = word
    new_token()


def forget_session(response: Response) -> Response:
    """Delete the cookie and the browser's cached desk pages if this request signed the user out."""
    if g.pop("signed_out", False):
        session.clear()
        response.headers["Clear-Site-Data"] = _CLEARED
    return response


def signed_in_by(word_digest: str) -> bool:
    """Return whether this request belongs to the session with this digest."""
    return sessions.digest(session.get(WORD, "")) == word_digest


# The first mark found counts: most browsers also claim to be Chrome or Safari.
_BROWSERS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "SamsungBrowser": "Samsung Internet",
    "Vivaldi": "Vivaldi",
    "DuckDuckGo": "DuckDuckGo",
    "FxiOS": "Firefox",
    "Firefox": "Firefox",
    "CriOS": "Chrome",
    "Chrome": "Chrome",
    "Safari": "Safari",
}
_SYSTEMS = {
    "iPhone": "an iPhone",
    "iPad": "an iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac": "a Mac",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


def browser() -> str:
    """Return the browser and system, such as "Firefox on Linux". Nothing else of the User-Agent is stored."""
    user_agent = request.headers.get("User-Agent", "")
    name = next((name for mark, name in _BROWSERS.items() if mark in user_agent), "A browser")
    system = next((f" on {system}" for mark, system in _SYSTEMS.items() if mark in user_agent), "")
    return name + system
