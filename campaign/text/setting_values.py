"""Checks of settings: each takes the text of an environment variable, and returns its value.

They raise ValueError with the reason, which settings.py prints after the name of the variable.
"""

import base64
import re
from collections.abc import Callable
from ipaddress import IPv6Address, ip_network
from urllib.parse import urlsplit

from limits import parse_many
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from campaign.text import country_codes
from campaign.text.addresses import parsed


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a check for whole numbers from `least` to `most`."""

    def check(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {value!r}")
        return int(value)

    return check


def one_of(*allowed: str) -> Callable[[str], str]:
    """Return a check for one of these words."""

    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be {' or '.join(allowed)}, not {value!r}")
        return value

    return check


def yes_or_no(value: str) -> bool:
    """Return whether the value is "true", "yes", or "1"."""
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if value.lower() not in words:
        raise ValueError(f"must be true or false, not {value!r}")
    return words[value.lower()]


def redis_url(value: str) -> str:
    """Return the URL of a Redis server unchanged."""
    if urlsplit(value).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must be a URL that begins with redis:, rediss:, or unix:, such as redis://host:6379/0")
    return value


def mail_url(value: str) -> str:
    """Return the URL of a mail server unchanged."""
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("smtp", "smtps") and parts.hostname and (parts.port or 25)
    except ValueError:
        valid = False
    if (
        not valid
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
        or bool(parts.username) != bool(parts.password)
    ):
        raise ValueError(
            "must be a URL such as smtp://user:password@mail.example.org:587, smtps://user:password@mail.example.org, "
            "or smtp://127.0.0.1:25"
        )
    return value


def mail_address(value: str) -> str:
    """Return an email address, perhaps with a name, unchanged."""
    parsed(value)
    return value


def rate_limits(value: str) -> str:
    """Return rate limits unchanged, in the notation of `limits.parse_many`."""
    try:
        parse_many(value)
    except ValueError:
        raise ValueError(f"must be rate limits such as '20 per minute, 300 per hour', not {value!r}") from None
    return value


def networks(value: str) -> str:
    """Return a list of networks, separated by commas, unchanged."""
    for network in value.split(","):
        try:
            ip_network(network.strip())
        except ValueError:
            reason = f"must be networks such as 10.0.0.0/8, 2001:db8::/32, separated by commas, not {network.strip()!r}"
            raise ValueError(reason) from None
    return value


def database_url(value: str) -> str:
    """Return the URL of a SQLite file, or of a PostgreSQL database with the driver that we use."""
    try:
        url = make_url(value)
    except ArgumentError:
        raise ValueError(
            "must be a database URL such as sqlite:////var/lib/campaign/campaign.sqlite or postgresql://host/campaign"
        ) from None
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ValueError(f"must begin with sqlite: or postgresql:, not {url.drivername}:")
    if url.drivername == "sqlite" and (not url.database or ":memory:" in url.database):
        raise ValueError("must name a file, because a database in memory is lost when the site stops")
    return value


def site_url(value: str) -> str:
    """Return the URL as browsers write it in an Origin header: lowercase, ASCII, and without a default port."""
    try:
        parts = urlsplit(value)
        port = None if parts.port == {"http": 80, "https": 443}.get(parts.scheme) else parts.port
        host = _host(parts.hostname or "")
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or parts.username or parts.path.strip("/") or parts.query:
        raise ValueError(f"must be the site's URL without a path, such as https://example.org, not {value!r}")
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def hosts(value: str) -> frozenset[str]:
    """Return the hosts of a list, separated by commas, as Host headers name them."""
    try:
        return frozenset(_host(host.strip()) for host in value.split(","))
    except ValueError:
        reason = f"must be host names or IP addresses such as www.example.org, 10.0.0.5, without ports, not {value!r}"
        raise ValueError(reason) from None


def _host(name: str) -> str:
    """Return a host as a Host header names it: lowercase, IDNA, and IPv6 addresses in brackets."""
    if ":" in name:
        return f"[{IPv6Address(name.strip('[]').lower())}]"
    # This raises UnicodeError, a kind of ValueError, if a label has more than 63 characters.
    host = name.lower().encode("idna").decode("ascii")
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", host):
        raise ValueError
    return host


def script_url(value: str) -> str:
    """Return an https URL, or a path on this site, unchanged."""
    parts = urlsplit(value)
    # The URL goes into the Content-Security-Policy header, where a space, comma, or semicolon would end the source.
    if re.search(r"[\s,;'\"]", value):
        raise ValueError("must not contain a space, comma, semicolon, or quote")
    if not (parts.scheme == "https" and parts.hostname) and not re.match(r"/(?!/)", value):
        raise ValueError(f"must be an https URL or a path on this site, such as /static/htmx.min.js, not {value!r}")
    return value


def integrity(value: str) -> str:
    """Return a hash for subresource integrity unchanged."""
    kind, _, digest = value.partition("-")
    lengths = {"sha256": 32, "sha384": 48, "sha512": 64}
    try:
        valid = len(base64.b64decode(digest, validate=True)) == lengths.get(kind)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be a SHA-256, SHA-384, or SHA-512 hash in base64, such as sha384-…")
    return value


def country(value: str) -> str:
    """Return an ISO 3166-1 alpha-2 code in capitals."""
    code = value.upper()
    if len(value) != 2 or code not in country_codes.all_codes():
        raise ValueError(f"must be the code of a country in two letters, such as US or DE, not {value!r}")
    return code
