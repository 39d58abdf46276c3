"""Every setting, read once from the environment and checked at the start.

Nothing else reads the environment, but for `script/serve --dev`; `create_app()` and gunicorn.conf.py call
`Settings.from_environ()`.
"""

import base64
import os
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeVar
from urllib.parse import urlsplit

from limits import parse_many
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: templates/, static/, migrations/ and campaigns/ stand in it."""

HTMX_URL = "https://cdn.jsdelivr.net/npm/htmx.org@4.0.1/dist/htmx.min.js"
HTMX_INTEGRITY = "sha384-Qp9rdC8H7EqOoX+nR0P3RPG2Noji+qdwJlGpfzwQJsfOpp3sGwIdSP9xO3+UlEhn"

THREADS = 32
"""Threads of a worker process; each holds one connection to the database at most, see extensions.py."""

T = TypeVar("T")


class SettingError(SystemExit):
    """A setting has a wrong value.

    It is a SystemExit, so that whatever is starting (gunicorn, a flask command) stops with this one line.
    """

    def __init__(self, name: str, reason: str) -> None:
        """Make the line from the variable's `name` and the `reason` why its value can't be used."""
        super().__init__(f"{name}: {reason}")


@dataclass(frozen=True)
class Settings:
    """What an operator can set; each field is the environment variable of the same name in capitals."""

    database_url: str
    """SQLAlchemy URL. Default: the SQLite file `campaign.sqlite` in the instance folder."""
    secret_key: str
    """Signs what only this site may have written. Default: made once and kept in the instance folder."""
    database_read_url: str = ""
    """A replica of a PostgreSQL database, for the public's pages; signing never goes there."""
    site_name: str = "Campaign"
    """The organisation's name, at the top of every page."""
    site_url: str = "http://127.0.0.1:8000"
    """Where visitors find the site, without a closing slash; for links that leave it. Default: HOST and PORT."""
    host: str = "127.0.0.1"
    """The address that gunicorn listens on."""
    port: int = 8000
    """The port that gunicorn listens on."""
    web_concurrency: int = 2
    """Worker processes of gunicorn."""
    trusted_proxies: int = 0
    """How many proxies stand before us and set X-Forwarded-For, -Proto and -Host."""
    redis_url: str = ""
    """What the worker processes of all machines have in common; without it, each is on its own."""
    ratelimit_enabled: bool = True
    """Whether signing is limited."""
    ratelimit_sign: str = "20 per minute, 300 per hour"
    """How often one client may send the sign form; generous, for many may share an address."""
    ratelimit_trusted: str = "127.0.0.0/8, ::1"
    """Networks that are not limited. By default this machine: a proxy here that TRUSTED_PROXIES forgot is everybody."""
    metrics_port: int = 0
    """The port where Prometheus may read; 0 for none."""
    metrics_host: str = "127.0.0.1"
    """The address that this port is on."""
    htmx_url: str = HTMX_URL
    """Where browsers fetch htmx: an https URL, or a path on this site that begins with a slash."""
    htmx_integrity: str = HTMX_INTEGRITY
    """The hash that browsers check it against (subresource integrity)."""
    instance: Path = ROOT / "instance"
    """The folder for what this installation keeps; not an environment variable."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ, instance: Path | None = None) -> "Settings":
        """Read and check all settings.

        An empty variable counts as absent. `instance` is made if a default is kept there.

        Raises:
            SettingError: a value can't be used; its message names the variable.
        """
        folder = instance or cls.instance

        def read(name: str, check: Callable[[str], T], default: Callable[[], T]) -> T:
            value = environ.get(name, "").strip()
            try:
                return check(value) if value else default()
            except ValueError as error:
                raise SettingError(name, str(error)) from None
            except OSError as error:
                raise SettingError(name, f"is not set, and its default can't be kept: {error}") from None

        host = read("HOST", str, lambda: cls.host)
        port = read("PORT", _whole(1, 65535), lambda: cls.port)
        htmx_url = read("HTMX_URL", _script_url, lambda: cls.htmx_url)
        settings = cls(
            database_url=read("DATABASE_URL", _database_url, lambda: f"sqlite:///{_made(folder) / 'campaign.sqlite'}"),
            secret_key=read("SECRET_KEY", _secret, lambda: _kept_secret(_made(folder) / "secret_key")),
            database_read_url=read("DATABASE_READ_URL", _database_url, lambda: cls.database_read_url),
            site_name=read("SITE_NAME", str, lambda: cls.site_name),
            site_url=read("SITE_URL", _site_url, lambda: f"http://{_bracketed(host)}:{port}"),
            host=host,
            port=port,
            web_concurrency=read("WEB_CONCURRENCY", _whole(1, 256), lambda: cls.web_concurrency),
            trusted_proxies=read("TRUSTED_PROXIES", _whole(0, 10), lambda: cls.trusted_proxies),
            redis_url=read("REDIS_URL", _redis_url, lambda: cls.redis_url),
            ratelimit_enabled=read("RATELIMIT_ENABLED", _yes_or_no, lambda: cls.ratelimit_enabled),
            ratelimit_sign=read("RATELIMIT_SIGN", _limits, lambda: cls.ratelimit_sign),
            ratelimit_trusted=read("RATELIMIT_TRUSTED", _networks, lambda: cls.ratelimit_trusted),
            metrics_port=read("METRICS_PORT", _whole(0, 65535), lambda: cls.metrics_port),
            metrics_host=read("METRICS_HOST", str, lambda: cls.metrics_host),
            htmx_url=htmx_url,
            htmx_integrity=read(
                "HTMX_INTEGRITY", _integrity, lambda: cls.htmx_integrity if htmx_url == cls.htmx_url else ""
            ),
            instance=folder,
        )
        if settings.htmx_url.startswith("https:") and not settings.htmx_integrity:
            raise SettingError("HTMX_INTEGRITY", "is needed with an HTMX_URL on another host; give the file's hash")
        both = settings.database_url, settings.database_read_url
        if settings.database_read_url and not all(url.startswith("postgresql") for url in both):
            raise SettingError("DATABASE_READ_URL", "must be a replica of a PostgreSQL database")
        return settings

    @property
    def bind(self) -> str:
        """The address and port as gunicorn takes them."""
        return f"{_bracketed(self.host)}:{self.port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _whole(least: int, most: int) -> Callable[[str], int]:
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
        raise ValueError("must be an address such as redis://host:6379/0")
    return value


def _limits(value: str) -> str:
    try:
        parse_many(value)
    except ValueError:
        raise ValueError(f"must be limits such as '20 per minute, 300 per hour', not {value!r}") from None
    return value


def _networks(value: str) -> str:
    for network in value.split(","):
        try:
            ip_network(network.strip())
        except ValueError:
            raise ValueError(f"must be networks such as 10.0.0.0/8, 2001:db8::/32, not {network.strip()!r}") from None
    return value


def _secret(value: str) -> str:
    # 32 characters is what `secrets.token_hex(16)` gives; fewer can be guessed.
    if len(value) < 32:
        raise ValueError("must have at least 32 characters")
    return value


def _made(folder: Path) -> Path:
    # Mailboxes stand in the database: no other user of the machine may read it.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _kept_secret(path: Path) -> str:
    if not path.exists():
        # Written aside and linked whole, so that workers starting together agree on one key.
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
        raise ValueError("must name a file; what is only in memory is lost at the end")
    return value


def _site_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"must be the site's address without a path, such as https://example.org, not {value!r}")
    return f"{parts.scheme}://{parts.netloc}"


def _script_url(value: str) -> str:
    parts = urlsplit(value)
    # The policy header is made of it, where a space, comma or semicolon would end the source.
    if re.search(r"[\s,;'\"]", value):
        raise ValueError("must hold no space, comma, semicolon or quote")
    if not (parts.scheme == "https" and parts.hostname) and not re.match(r"/(?!/)", value):
        raise ValueError(f"must be an https address or a path on this site such as /static/htmx.min.js, not {value!r}")
    return value


def _integrity(value: str) -> str:
    kind, _, digest = value.partition("-")
    lengths = {"sha256": 32, "sha384": 48, "sha512": 64}
    try:
        right = len(base64.b64decode(digest, validate=True)) == lengths.get(kind)
    except ValueError:
        right = False
    if not right:
        raise ValueError("must be a hash such as sha384-…, in base64")
    return value
