"""Every setting, read once from the environment and checked at startup.

`create_app()` and gunicorn.conf.py call `Settings.from_environ()`. The site reads settings nowhere else. Of the
scripts, `script/serve` reads HOST and PORT itself.
"""

import base64
import os
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeVar
from urllib.parse import urlsplit

from limits import parse_many
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder, which contains templates/, static/, migrations/, and campaigns/."""

HTMX_URL = "https://cdn.jsdelivr.net/npm/htmx.org@4.0.1/dist/htmx.min.js"
HTMX_INTEGRITY = "sha384-Qp9rdC8H7EqOoX+nR0P3RPG2Noji+qdwJlGpfzwQJsfOpp3sGwIdSP9xO3+UlEhn"

THREADS = 32
"""Threads in a worker process. Each holds at most one database connection; see storage/database.py."""

T = TypeVar("T")


class SettingError(SystemExit):
    """A setting has an invalid value.

    This is a SystemExit, so that gunicorn or a flask command prints the message in one line at startup, and exits.
    """

    def __init__(self, name: str, reason: str) -> None:
        """Build the message from the variable's name and the reason why its value is invalid."""
        super().__init__(f"{name}: {reason}")


@dataclass(frozen=True)
class Settings:
    """The operator's settings. Each field is set by the environment variable of the same name in capitals."""

    database_url: str
    """SQLAlchemy URL of the database. Default: the SQLite file `campaign.sqlite` in the instance folder."""
    secret_key: str
    """Key for signing tokens and cookies. Default: a random key, generated once and stored in the instance folder."""
    database_read_url: str = ""
    """URL of a PostgreSQL read replica, used for public pages. Signatures are never written to it."""
    site_name: str = "Campaign"
    """The organization's name, at the top of every page."""
    site_url: str = "http://127.0.0.1:8000"
    """The site's public URL, without a trailing slash, used for absolute links. Default: HOST and PORT."""
    host: str = "127.0.0.1"
    """The IP address that gunicorn listens on."""
    port: int = 8000
    """The port that gunicorn listens on."""
    web_concurrency: int = 2
    """Number of gunicorn worker processes."""
    trusted_proxies: int = 0
    """How many proxies in front of the site set X-Forwarded-For."""
    trusted_hosts: frozenset[str] = frozenset()
    """Accepted hosts in addition to SITE_URL's and this machine's own, in lowercase and without ports."""
    redis_url: str = ""
    """URL of the Redis server that all worker processes share. Without it, each has its own counts and cache."""
    ratelimit_enabled: bool = True
    """Whether there are limits on signing, on password and code attempts at the desk, and on connections."""
    ratelimit_sign: str = "20 per minute, 300 per hour"
    """The sign form's rate limits per client. They are generous, because many people may share an IP address."""
    ratelimit_trusted: str = "127.0.0.0/8, ::1"
    """Networks exempt from rate limits. The default is this machine: if a proxy runs here and TRUSTED_PROXIES doesn't
    count it, all visitors appear to come from this machine."""
    metrics_port: int = 0
    """The port for Prometheus metrics; 0 turns metrics off."""
    metrics_host: str = "127.0.0.1"
    """The IP address that the metrics port listens on."""
    htmx_url: str = HTMX_URL
    """The URL that browsers load htmx from: an https URL, or a path on this site that begins with a slash."""
    htmx_integrity: str = HTMX_INTEGRITY
    """The hash that browsers check the htmx file against (subresource integrity)."""
    instance: Path = ROOT / "instance"
    """The folder for files of this installation. This is not an environment variable."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ, instance: Path | None = None) -> "Settings":
        """Read and check all settings.

        An empty variable counts as unset. If the database or the key is stored in the `instance` folder by default, the
        folder is created.

        Raises:
            SettingError: A value is invalid; the message names the variable.
        """
        folder = instance or cls.instance

        def read(name: str, check: Callable[[str], T], default: Callable[[], T]) -> T:
            value = environ.get(name, "").strip()
            try:
                return check(value) if value else default()
            except ValueError as error:
                raise SettingError(name, str(error)) from None
            except OSError as error:
                raise SettingError(name, f"set it, because its default can't be stored: {error}") from None

        host = read("HOST", str, lambda: cls.host)
        port = read("PORT", _whole_number(1, 65535), lambda: cls.port)
        htmx_url = read("HTMX_URL", _script_url, lambda: cls.htmx_url)
        settings = cls(
            database_url=read("DATABASE_URL", _database_url, lambda: f"sqlite:///{_created(folder)}/campaign.sqlite"),
            secret_key=read("SECRET_KEY", _secret, lambda: _stored_secret(_created(folder) / "secret_key")),
            database_read_url=read("DATABASE_READ_URL", _database_url, lambda: cls.database_read_url),
            site_name=read("SITE_NAME", str, lambda: cls.site_name),
            site_url=read("SITE_URL", _site_url, lambda: f"http://{_bracketed(host)}:{port}"),
            host=host,
            port=port,
            web_concurrency=read("WEB_CONCURRENCY", _whole_number(1, 256), lambda: cls.web_concurrency),
            trusted_proxies=read("TRUSTED_PROXIES", _whole_number(0, 10), lambda: cls.trusted_proxies),
            trusted_hosts=read("TRUSTED_HOSTS", _hosts, lambda: cls.trusted_hosts),
            redis_url=read("REDIS_URL", _redis_url, lambda: cls.redis_url),
            ratelimit_enabled=read("RATELIMIT_ENABLED", _yes_or_no, lambda: cls.ratelimit_enabled),
            ratelimit_sign=read("RATELIMIT_SIGN", _rate_limits, lambda: cls.ratelimit_sign),
            ratelimit_trusted=read("RATELIMIT_TRUSTED", _networks, lambda: cls.ratelimit_trusted),
            metrics_port=read("METRICS_PORT", _whole_number(0, 65535), lambda: cls.metrics_port),
            metrics_host=read("METRICS_HOST", str, lambda: cls.metrics_host),
            htmx_url=htmx_url,
            htmx_integrity=read(
                "HTMX_INTEGRITY", _integrity, lambda: cls.htmx_integrity if htmx_url == cls.htmx_url else ""
            ),
            instance=folder,
        )
        if settings.htmx_url.startswith("https:") and not settings.htmx_integrity:
            raise SettingError(
                "HTMX_INTEGRITY", "set it to the file's hash, such as sha384-…, because HTMX_URL is on another host"
            )
        both = settings.database_url, settings.database_read_url
        if settings.database_read_url and not all(url.startswith("postgresql") for url in both):
            raise SettingError(
                "DATABASE_READ_URL", "must be the URL of a PostgreSQL replica, and DATABASE_URL that of its primary"
            )
        return settings

    @property
    def bind(self) -> str:
        """The IP address and port in gunicorn's format."""
        return f"{_bracketed(self.host)}:{self.port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    def check(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {value!r}")
        return int(value)

    return check


def _yes_or_no(value: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if value.lower() not in words:
        raise ValueError(f"must be true or false, not {value!r}")
    return words[value.lower()]


def _redis_url(value: str) -> str:
    if urlsplit(value).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must be a URL that begins with redis:, rediss:, or unix:, such as redis://host:6379/0")
    return value


def _rate_limits(value: str) -> str:
    try:
        parse_many(value)
    except ValueError:
        raise ValueError(f"must be rate limits such as '20 per minute, 300 per hour', not {value!r}") from None
    return value


def _networks(value: str) -> str:
    for network in value.split(","):
        try:
            ip_network(network.strip())
        except ValueError:
            reason = f"must be networks such as 10.0.0.0/8, 2001:db8::/32, separated by commas, not {network.strip()!r}"
            raise ValueError(reason) from None
    return value


def _secret(value: str) -> str:
    # `secrets.token_hex(16)` returns 32 characters; a shorter key could be guessed.
    if len(value) < 32:
        raise ValueError("must have at least 32 characters")
    return value


def _created(folder: Path) -> Path:
    # The database has email addresses in it: no other user of the machine may read it.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _stored_secret(path: Path) -> str:
    if not path.exists():
        # Write a temporary file and then link it. So if several processes start together, all use the same key.
        with NamedTemporaryFile("w", dir=path.parent) as file, suppress(FileExistsError):
            file.write(secrets.token_hex(32))
            file.flush()
            os.link(file.name, path)
    return _secret(path.read_text().strip())


def _database_url(value: str) -> str:
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


def _site_url(value: str) -> str:
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


def _hosts(value: str) -> frozenset[str]:
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


def _script_url(value: str) -> str:
    parts = urlsplit(value)
    # The URL goes into the Content-Security-Policy header, where a space, comma, or semicolon would end the source.
    if re.search(r"[\s,;'\"]", value):
        raise ValueError("must not contain a space, comma, semicolon, or quote")
    if not (parts.scheme == "https" and parts.hostname) and not re.match(r"/(?!/)", value):
        raise ValueError(f"must be an https URL or a path on this site, such as /static/htmx.min.js, not {value!r}")
    return value


def _integrity(value: str) -> str:
    kind, _, digest = value.partition("-")
    lengths = {"sha256": 32, "sha384": 48, "sha512": 64}
    try:
        valid = len(base64.b64decode(digest, validate=True)) == lengths.get(kind)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be a SHA-256, SHA-384, or SHA-512 hash in base64, such as sha384-…")
    return value
