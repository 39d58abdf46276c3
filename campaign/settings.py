"""Every setting, read once from the environment and checked at startup.

`create_app()` and gunicorn.conf.py call `Settings.from_environ()`. The site reads settings nowhere else. Of the
scripts, `script/serve` reads HOST and PORT itself. text/setting_values.py has the checks.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeVar

from campaign.text import setting_values as values

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
    site_country: str = ""
    """The country of the organization (ISO 3166-1 alpha-2); empty if it isn't set. The sign form starts with it, and it
    decides the paper of the book."""
    site_language: str = "en"
    """The language of pages that belong to no campaign (BCP 47), if a visitor's browser prefers none that we have."""
    site_home: str = "single"
    """What the front page is while a single campaign is open: `single` for that campaign, `list` for a list of all."""
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
    mail_url: str = ""
    """URL of the mail server, such as smtp://user:password@mail.example.org:587. Without it, the site sends no mail."""
    mail_from: str = ""
    """Who messages are from: an email address, perhaps with a name."""
    mail_reply_to: str = ""
    """Where answers to messages go, if not to MAIL_FROM."""
    mail_per_second: int = 0
    """The most messages that a background worker sends in a second; 0 for no limit."""
    mail_per_connection: int = 100
    """The most messages through one connection to the mail server; 0 for no limit."""
    mail_per_domain: int = 0
    """The most messages that a background worker sends to one recipient domain in a minute; 0 for no limit."""
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
        port = read("PORT", values.whole_number(1, 65535), lambda: cls.port)
        htmx_url = read("HTMX_URL", values.script_url, lambda: cls.htmx_url)
        settings = cls(
            database_url=read(
                "DATABASE_URL", values.database_url, lambda: f"sqlite:///{_created(folder)}/campaign.sqlite"
            ),
            secret_key=read("SECRET_KEY", _secret, lambda: _stored_secret(_created(folder) / "secret_key")),
            database_read_url=read("DATABASE_READ_URL", values.database_url, lambda: cls.database_read_url),
            site_name=read("SITE_NAME", str, lambda: cls.site_name),
            site_country=read("SITE_COUNTRY", values.country, lambda: cls.site_country),
            site_language=read("SITE_LANGUAGE", str, lambda: cls.site_language),
            site_home=read("SITE_HOME", values.one_of("list", "single"), lambda: _home(environ) or cls.site_home),
            site_url=read("SITE_URL", values.site_url, lambda: f"http://{_bracketed(host)}:{port}"),
            host=host,
            port=port,
            web_concurrency=read("WEB_CONCURRENCY", values.whole_number(1, 256), lambda: cls.web_concurrency),
            trusted_proxies=read("TRUSTED_PROXIES", values.whole_number(0, 10), lambda: cls.trusted_proxies),
            trusted_hosts=read("TRUSTED_HOSTS", values.hosts, lambda: cls.trusted_hosts),
            redis_url=read("REDIS_URL", values.redis_url, lambda: cls.redis_url),
            ratelimit_enabled=read("RATELIMIT_ENABLED", values.yes_or_no, lambda: cls.ratelimit_enabled),
            ratelimit_sign=read("RATELIMIT_SIGN", values.rate_limits, lambda: cls.ratelimit_sign),
            ratelimit_trusted=read("RATELIMIT_TRUSTED", values.networks, lambda: cls.ratelimit_trusted),
            mail_url=read("MAIL_URL", values.mail_url, lambda: cls.mail_url),
            mail_from=read("MAIL_FROM", values.mail_address, lambda: cls.mail_from),
            mail_reply_to=read("MAIL_REPLY_TO", values.mail_address, lambda: cls.mail_reply_to),
            mail_per_second=read("MAIL_PER_SECOND", values.whole_number(0, 10_000), lambda: cls.mail_per_second),
            mail_per_connection=read(
                "MAIL_PER_CONNECTION", values.whole_number(0, 10_000), lambda: cls.mail_per_connection
            ),
            mail_per_domain=read("MAIL_PER_DOMAIN", values.whole_number(0, 100_000), lambda: cls.mail_per_domain),
            metrics_port=read("METRICS_PORT", values.whole_number(0, 65535), lambda: cls.metrics_port),
            metrics_host=read("METRICS_HOST", str, lambda: cls.metrics_host),
            htmx_url=htmx_url,
            htmx_integrity=read(
                "HTMX_INTEGRITY",
                values.integrity,
                lambda: cls.htmx_integrity if htmx_url == cls.htmx_url else "",
            ),
            instance=folder,
        )
        if settings.htmx_url.startswith("https:") and not settings.htmx_integrity:
            raise SettingError(
                "HTMX_INTEGRITY", "set it to the file's hash, such as sha384-…, because HTMX_URL is on another host"
            )
        if settings.mail_url and not settings.mail_from:
            raise SettingError("MAIL_FROM", "set it to the address that messages are from, because MAIL_URL is set")
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


def _home(environ: Mapping[str, str]) -> str:
    """Return the value of HOME if an operator set it for the site: on most systems, it is the user's folder."""
    home = environ.get("HOME", "")
    return home if home in ("list", "single") else ""


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
