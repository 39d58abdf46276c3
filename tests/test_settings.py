"""Settings: their values, their defaults, and the one-line error for an invalid value."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from campaign import create_app
from campaign.settings import HTMX_INTEGRITY, HTMX_URL, ROOT, SettingError, Settings

HASH = "sha256-" + "A" * 43 + "="


def read(folder: Path, **environ: str) -> Settings:
    return Settings.from_environ(environ, folder)


def test_defaults_are_a_small_site_on_this_machine(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/campaign.sqlite"
    assert settings.bind == "127.0.0.1:8000"
    assert settings.site_url == "http://127.0.0.1:8000"
    assert settings.site_name == "Campaign"
    assert settings.site_country == ""
    assert settings.web_concurrency == 2
    assert settings.trusted_proxies == 0
    assert settings.ratelimit_enabled
    assert settings.ratelimit_sign == "20 per minute, 300 per hour"
    assert settings.ratelimit_trusted == "127.0.0.0/8, ::1"
    assert (settings.metrics_port, settings.metrics_host) == (0, "127.0.0.1")
    assert (settings.htmx_url, settings.htmx_integrity) == (HTMX_URL, HTMX_INTEGRITY)


def test_each_setting_is_read_from_the_environment(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        DATABASE_URL=f"sqlite:///{tmp_path}/other.sqlite",
        SECRET_KEY="s" * 32,
        SITE_NAME="Fight for the Park",
        SITE_COUNTRY="us",
        SITE_HOME="list",
        SITE_URL="https://park.example/",
        HOST="::1",
        PORT="8080",
        WEB_CONCURRENCY="4",
        TRUSTED_PROXIES="1",
        TRUSTED_HOSTS="WWW.park.example, 10.0.0.5,2001:DB8:0::5, bürger.example",
        REDIS_URL="redis://redis.example:6379/0",
        RATELIMIT_ENABLED="false",
        RATELIMIT_SIGN="5 per second",
        RATELIMIT_TRUSTED="10.0.0.0/8",
        METRICS_PORT="9100",
        METRICS_HOST="::1",
        HTMX_URL="https://files.example/htmx.js",
        HTMX_INTEGRITY=HASH,
    )
    assert settings == Settings(
        database_url=f"sqlite:///{tmp_path}/other.sqlite",
        secret_key="s" * 32,
        site_name="Fight for the Park",
        site_country="US",
        site_home="list",
        site_url="https://park.example",
        host="::1",
        port=8080,
        web_concurrency=4,
        trusted_proxies=1,
        trusted_hosts=frozenset({"www.park.example", "10.0.0.5", "[2001:db8::5]", "xn--brger-kva.example"}),
        redis_url="redis://redis.example:6379/0",
        ratelimit_enabled=False,
        ratelimit_sign="5 per second",
        ratelimit_trusted="10.0.0.0/8",
        metrics_port=9100,
        metrics_host="::1",
        htmx_url="https://files.example/htmx.js",
        htmx_integrity=HASH,
        instance=tmp_path,
    )
    assert settings.bind == "[::1]:8080"


@pytest.mark.parametrize(("home", "front"), [("list", "list"), ("single", "single"), ("/root", "single")])
def test_home_variable_is_ignored_unless_single_or_list(tmp_path: Path, home: str, front: str) -> None:
    assert read(tmp_path, HOME=home).site_home == front
    assert read(tmp_path, HOME=home, SITE_HOME="list").site_home == "list"


def test_empty_setting_counts_as_unset(tmp_path: Path) -> None:
    assert read(tmp_path, PORT="", SITE_NAME="  ", DATABASE_URL="") == read(tmp_path)


@pytest.mark.parametrize("url", ["postgresql://ada:secret@db/campaign", "postgres://ada:secret@db/campaign"])
def test_usual_postgresql_urls_are_accepted(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, DATABASE_URL=url).database_url == "postgresql+psycopg://ada:secret@db/campaign"


def test_default_site_url_is_made_of_host_and_port(tmp_path: Path) -> None:
    assert read(tmp_path, HOST="::1", PORT="81").site_url == "http://[::1]:81"


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://Park.Example:443/", "https://park.example"),
        ("http://park.example:80", "http://park.example"),
        ("https://park.example:8443", "https://park.example:8443"),
        ("https://bürger.example", "https://xn--brger-kva.example"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_site_url_is_normalized_to_the_form_of_an_origin_header(tmp_path: Path, given: str, origin: str) -> None:
    assert read(tmp_path, SITE_URL=given).site_url == origin


def test_secret_key_is_generated_once_and_readable_only_by_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "instance"
    # Workers that start together must use the same key.
    with ThreadPoolExecutor(8) as workers:
        keys = set(workers.map(lambda _: read(folder).secret_key, range(32)))
    assert keys == {read(folder).secret_key}
    assert len(keys.pop()) >= 32
    assert stat.S_IMODE((folder / "secret_key").stat().st_mode) == 0o600


def test_instance_folder_is_accessible_only_to_its_owner(tmp_path: Path) -> None:
    read(tmp_path / "instance")
    assert stat.S_IMODE((tmp_path / "instance").stat().st_mode) == 0o700


def test_htmx_from_a_path_on_this_site_needs_no_hash(tmp_path: Path) -> None:
    settings = read(tmp_path, HTMX_URL="/static/htmx.min.js")
    assert settings.htmx_integrity == ""
    policy = create_app(settings).test_client().get("/healthz").headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy


WRONG = [
    ("DATABASE_URL", "nonsense", "must be a database URL such as sqlite:////var/lib/campaign/campaign.sqlite"),
    ("DATABASE_URL", "mysql://localhost/campaign", "must begin with sqlite: or postgresql:, not mysql:"),
    ("DATABASE_URL", "sqlite://", "must name a file, because a database in memory is lost"),
    ("DATABASE_URL", "sqlite:///:memory:", "must name a file"),
    ("DATABASE_URL", "sqlite:///file::memory:?uri=true", "must name a file"),
    ("DATABASE_READ_URL", "postgresql://replica/campaign", "must be the URL of a PostgreSQL replica"),
    ("SECRET_KEY", "s" * 31, "must have at least 32 characters"),
    ("SECRET_KEY", "short", "must have at least 32 characters"),
    ("SITE_COUNTRY", "United States", "must be the code of a country in two letters, such as US or DE, not 'United"),
    ("SITE_COUNTRY", "EU", "must be the code of a country in two letters"),
    ("SITE_COUNTRY", "ß", "must be the code of a country in two letters"),
    ("SITE_HOME", "all", "must be list or single, not 'all'"),
    ("SITE_URL", "park.example", "must be the site's URL without a path, such as https://example.org, not 'park"),
    ("SITE_URL", "ftp://park.example", "must be the site's URL without a path"),
    ("SITE_URL", f"https://{'a' * 64}.example", "must be the site's URL without a path"),
    ("SITE_URL", "https://ada:secret@park.example", "must be the site's URL without a path"),
    ("SITE_URL", "https://park.example:99999", "must be the site's URL without a path"),
    (
        "TRUSTED_HOSTS",
        "park.example:8000",
        "must be host names or IP addresses such as www.example.org, 10.0.0.5, without ports, not 'park",
    ),
    ("TRUSTED_HOSTS", "park.example,", "must be host names or IP addresses"),
    ("TRUSTED_HOSTS", "https://park.example", "must be host names or IP addresses"),
    ("TRUSTED_HOSTS", "*", "must be host names or IP addresses"),
    ("SITE_URL", "https://park.example/petitions", "must be the site's URL without a path"),
    ("PORT", "eighty", "must be a whole number from 1 to 65535, not 'eighty'"),
    ("PORT", "0", "must be a whole number from 1 to 65535, not '0'"),
    ("PORT", "65536", "must be a whole number from 1 to 65535, not '65536'"),
    ("PORT", "٨٠٨٠", "must be a whole number from 1 to 65535"),
    ("WEB_CONCURRENCY", "0", "must be a whole number from 1 to 256, not '0'"),
    ("WEB_CONCURRENCY", "257", "must be a whole number from 1 to 256, not '257'"),
    ("TRUSTED_PROXIES", "-1", "must be a whole number from 0 to 10, not '-1'"),
    ("METRICS_PORT", "65536", "must be a whole number from 0 to 65535, not '65536'"),
    ("TRUSTED_PROXIES", "11", "must be a whole number from 0 to 10, not '11'"),
    ("REDIS_URL", "memcached://localhost", "must be a URL that begins with redis:, rediss:, or unix:"),
    ("RATELIMIT_ENABLED", "perhaps", "must be true or false, not 'perhaps'"),
    ("RATELIMIT_SIGN", "few", "must be rate limits such as '20 per minute, 300 per hour', not 'few'"),
    (
        "RATELIMIT_TRUSTED",
        "10.0.0.0/8, here",
        "must be networks such as 10.0.0.0/8, 2001:db8::/32, separated by commas, not 'here'",
    ),
    ("HTMX_URL", "http://files.example/htmx.js", "must be an https URL or a path on this site"),
    ("HTMX_URL", "//files.example/htmx.js", "must be an https URL or a path on this site"),
    ("HTMX_URL", "https://files.example/h.js; script-src *", "must not contain a space, comma, semicolon, or quote"),
    ("HTMX_INTEGRITY", "sha384-short", "must be a SHA-256, SHA-384, or SHA-512 hash in base64, such as sha384-…"),
    ("HTMX_INTEGRITY", "md5-AAAA", "must be a SHA-256, SHA-384, or SHA-512 hash in base64, such as sha384-…"),
]


@pytest.mark.parametrize(("name", "value", "reason"), WRONG, ids=lambda word: str(word)[:30])
def test_error_names_the_setting_and_the_reason(tmp_path: Path, name: str, value: str, reason: str) -> None:
    with pytest.raises(SettingError) as error:
        read(tmp_path, **{name: value})
    assert str(error.value).startswith(f"{name}: {reason}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("PORT", number) for number in (1, 65535)],
        *[("WEB_CONCURRENCY", number) for number in (1, 256)],
        *[("TRUSTED_PROXIES", number) for number in (0, 10)],
        *[("METRICS_PORT", number) for number in (0, 65535)],
    ],
)
def test_smallest_and_largest_values_are_accepted(tmp_path: Path, name: str, value: int) -> None:
    assert getattr(read(tmp_path, **{name: str(value)}), name.lower()) == value


def test_truncated_secret_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("cut sh")
    with pytest.raises(SettingError, match=r"^SECRET_KEY: must have at least 32 characters$"):
        read(tmp_path)


def test_unwritable_instance_folder_needs_explicit_database_and_key(tmp_path: Path) -> None:
    folder = tmp_path / "a file, not a folder"
    folder.touch()
    with pytest.raises(SettingError, match=r"^DATABASE_URL: set it, because its default can't be stored: "):
        read(folder)
    with pytest.raises(SettingError, match=r"^SECRET_KEY: set it, because its default can't be stored: "):
        read(folder, DATABASE_URL="sqlite:///elsewhere.sqlite")
    assert read(folder, DATABASE_URL="sqlite:///elsewhere.sqlite", SECRET_KEY="s" * 32).instance == folder


def test_htmx_from_another_host_needs_a_hash(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^HTMX_INTEGRITY: .*HTMX_URL is on another host"):
        read(tmp_path, HTMX_URL="https://files.example/htmx.js")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [["gunicorn"], ["flask", "--app", "wsgi", "campaigns", "list"], ["flask", "--app", "wsgi", "prepare"]],
    ids=" ".join,
)
def test_invalid_setting_stops_every_command_with_one_line(tmp_path: Path, command: list[str]) -> None:
    started = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PORT": "eighty", "DATABASE_URL": f"sqlite:///{tmp_path}/campaign.sqlite"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert started.returncode == 1
    assert started.stdout == ""
    assert started.stderr == "PORT: must be a whole number from 1 to 65535, not 'eighty'\n"
