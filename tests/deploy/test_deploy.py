"""The files in deploy/ are valid for their programs, and agree with docs/operate.md and the project."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from campaign.settings import ROOT, Settings
from campaign.worker.command import NICENESS
from tests.nginx import HTTP2_CHANGES, main_file
from tests.services import program

DEPLOY = ROOT / "deploy"
GUIDE = (ROOT / "docs/operate.md").read_text()
UNIT = (DEPLOY / "campaign.service").read_text()
WORKER_UNIT = (DEPLOY / "campaign-worker.service").read_text()
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.mark.server
def test_nginx_accepts_its_configuration_without_warnings(tmp_path: Path) -> None:
    main = main_file(tmp_path, [8000], 8443, 8080)
    command = [program("nginx"), "-p", str(tmp_path), "-c", str(main), "-t", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_guide_and_containers_switch_http2_on_as_newer_nginx_wants_it() -> None:
    configuration = (DEPLOY / "nginx.conf").read_text()
    [_shell, _flag, command] = COMPOSE["services"]["nginx"]["command"]
    for old, new in HTTP2_CHANGES.items():
        assert old in configuration
        assert f"s/{old}/{new}/" in GUIDE
        assert f"s/{old}/{new}/" in command
    [version] = re.findall(r":(\d+)\.(\d+)$", COMPOSE["services"]["nginx"]["image"])
    assert tuple(map(int, version)) > (1, 25)


def test_systemd_accepts_the_units_without_warnings(tmp_path: Path) -> None:
    for name, text, programs in (("campaign", UNIT, 2), ("campaign-worker", WORKER_UNIT, 1)):
        # systemd-analyze checks that the programs exist, but this machine may not have them in /opt/campaign.
        text = re.sub(r"^(Exec\w+=)/opt/campaign/\S+", r"\1/bin/true", text, flags=re.M)
        assert text.count("/bin/true") == programs
        (tmp_path / f"{name}.service").write_text(text)
    if systemd := shutil.which("systemd-analyze"):
        environ = {**os.environ, "SYSTEMD_LOG_LEVEL": "warning"}
        command = [systemd, "verify", *map(str, sorted(tmp_path.glob("*.service")))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
        assert (done.returncode, done.stderr) == (0, "")


def test_worker_starts_and_stops_with_the_site_and_is_as_restricted() -> None:
    assert "Wants=campaign-worker.service\n" in UNIT
    assert "PartOf=campaign.service\n" in WORKER_UNIT
    assert re.search(r"^After=.*\bcampaign\.service$", WORKER_UNIT, re.M), "the site migrates the database first"
    assert f"Nice={NICENESS}\n" in WORKER_UNIT
    assert "Restart=always\n" in WORKER_UNIT
    start = "ProtectSystem=strict"
    assert (
        WORKER_UNIT.partition(start)[2].partition("[Install]")[0] == UNIT.partition(start)[2].partition("[Install]")[0]
    )
    for setting in ("User=", "Group=", "EnvironmentFile=", "StateDirectory=", "UMask="):
        [same] = re.findall(rf"^{setting}.*$", UNIT, re.M)
        assert same in WORKER_UNIT
    app, worker = COMPOSE["services"]["app"], COMPOSE["services"]["worker"]
    assert worker["command"] == ["flask", "--app", "wsgi", "work"]
    assert (worker["build"], worker["environment"]) == (app["build"], app["environment"])
    assert "deploy/campaign-worker.service" in GUIDE


def test_worker_writes_temporary_files_to_the_disk() -> None:
    assert "Environment=TMPDIR=/var/tmp\n" in WORKER_UNIT
    assert "PrivateTmp=yes\n" in WORKER_UNIT
    worker = COMPOSE["services"]["worker"]
    assert "tmpfs" not in worker
    assert worker["volumes"] == ["temporary:/tmp"]
    assert "temporary" in COMPOSE["volumes"]


def test_unit_uses_the_user_and_paths_that_the_guide_sets_up() -> None:
    for path in ("/opt/campaign", "/etc/campaign.env"):
        assert path in GUIDE
        assert path in UNIT
    assert "sqlite:////var/lib/campaign/" in GUIDE
    assert "StateDirectory=campaign\n" in UNIT
    assert "User=campaign\n" in UNIT
    assert re.search(r"useradd .* campaign$", GUIDE, re.M)


def test_service_cannot_read_the_history_of_the_code() -> None:
    [clone] = re.findall(r"^sudo git clone \S+ (\S+)$", GUIDE, re.M)
    # Because of the dash, the service also starts if the folder is missing: the code may be copied instead of cloned.
    assert f"InaccessiblePaths=-{clone}/.git\n" in UNIT


def test_settings_in_the_guide_are_complete_and_valid(tmp_path: Path) -> None:
    [written] = re.findall(r"^sudo tee /etc/campaign.env >/dev/null (<<END\n.*?\nEND\n)", GUIDE, re.M | re.S)
    file = tmp_path / "campaign.env"
    commands = f"DOMAIN=park.example; cat >{file} {written} set -a; . {file}; env -0"
    done = subprocess.run(["bash", "-euc", commands], capture_output=True, text=True, check=True)
    environ = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    settings = Settings.from_environ(environ, tmp_path)
    assert settings.site_name == "Your organization"
    assert settings.site_url == "https://park.example"
    assert settings.database_url == "sqlite:////var/lib/campaign/campaign.sqlite"
    assert settings.trusted_proxies == 1
    assert len(settings.secret_key) == 64


def test_container_image_contains_the_site_and_no_secrets() -> None:
    copied = [name for line in re.findall(r"^COPY (?!--)(.*) \S+$", CONTAINERFILE, re.M) for name in line.split()]
    names = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    not_served = {
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "pyproject.toml",
        "requirements-test.txt",
    }
    not_served |= {"benchmarks", "deploy", "docs", "instance", "script", "tests"}
    assert set(copied) == {name for name in names if not name.startswith("__")} - not_served
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.M)
    assert sorted(allowed) == sorted(copied)


def test_containers_have_no_privileges_read_only_disks_and_no_built_in_secrets() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"app", "worker", "postgres", "redis", "nginx"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["restart"] == "unless-stopped", name
        if "image" in service:
            assert re.fullmatch(r"docker\.io/library/\w+:[\d.]+", service["image"]), "a pinned major version"
        for variable, value in service.get("environment", {}).items():
            if re.search("SECRET|PASSWORD", variable):
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value), "must come from outside, or the start fails"
    assert "USER 10001\n" in CONTAINERFILE
    assert "postgres" in COMPOSE["volumes"]
    # Git ignores the file with the secrets, so that nobody commits it by mistake.
    assert "/deploy/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_postgresql_logs_no_rows_in_containers_and_on_machines() -> None:
    assert "log_error_verbosity=terse" in COMPOSE["services"]["postgres"]["command"]
    assert "ALTER SYSTEM SET log_error_verbosity = 'terse'" in GUIDE


def test_containers_nginx_uses_the_same_file_with_other_names() -> None:
    [shell, flag, command] = COMPOSE["services"]["nginx"]["command"]
    assert (shell, flag) == ("sh", "-c")
    text = (DEPLOY / "nginx.conf").read_text()
    replaced = re.findall(r's([/#])(.+?)\1(.+?)\1"', command)
    assert len(replaced) == 5
    for _, old, _new in replaced:
        assert old in text
