"""The files of deploy/ are what their programs take, and say the same as docs/operate.md and the project do."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml

from campaign.settings import ROOT, Settings
from tests.nginx import main_file
from tests.services import program

DEPLOY = ROOT / "deploy"
GUIDE = (ROOT / "docs/operate.md").read_text()
UNIT = (DEPLOY / "campaign.service").read_text()
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_nginx_takes_its_file_without_a_word(tmp_path: Path) -> None:
    main = main_file(tmp_path, [8000], 8443, 8080)
    command = [program("nginx"), "-p", str(tmp_path), "-c", str(main), "-t", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # Since 1.25 it would rather have "http2 on;", which the nginx of Debian 12 and Ubuntu 24.04 does not know.
    said = [line for line in done.stderr.splitlines() if '"listen ... http2" directive is deprecated' not in line]
    assert (done.returncode, said) == (0, [])


def test_systemd_takes_the_unit_without_a_word(tmp_path: Path) -> None:
    unit = tmp_path / "campaign.service"
    # It looks for the programs that a unit starts, and does not find those of a machine that is not set up.
    unit.write_text(re.sub(r"^(Exec\w+=)/opt/campaign/\S+", r"\1/bin/true", UNIT, flags=re.M))
    assert unit.read_text().count("/bin/true") == 2
    if systemd := shutil.which("systemd-analyze"):
        environ = {**os.environ, "SYSTEMD_LOG_LEVEL": "warning"}
        done = subprocess.run([systemd, "verify", str(unit)], capture_output=True, text=True, timeout=60, env=environ)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_what_the_guide_sets_up() -> None:
    for path in ("/opt/campaign", "/etc/campaign.env"):
        assert path in GUIDE
        assert path in UNIT
    assert "sqlite:////var/lib/campaign/" in GUIDE
    assert "StateDirectory=campaign\n" in UNIT
    assert "User=campaign\n" in UNIT
    assert re.search(r"useradd .* campaign$", GUIDE, re.M)


def test_the_settings_of_the_guide_are_whole_and_right(tmp_path: Path) -> None:
    [written] = re.findall(r"^sudo tee /etc/campaign.env >/dev/null (<<END\n.*?\nEND\n)", GUIDE, re.M | re.S)
    file = tmp_path / "campaign.env"
    commands = f"DOMAIN=park.example; cat >{file} {written} set -a; . {file}; env -0"
    done = subprocess.run(["bash", "-euc", commands], capture_output=True, text=True, check=True)
    environ = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    settings = Settings.from_environ(environ, tmp_path)
    assert settings.site_name == "Your organisation"
    assert settings.site_url == "https://park.example"
    assert settings.database_url == "sqlite:////var/lib/campaign/campaign.sqlite"
    assert settings.trusted_proxies == 1
    assert len(settings.secret_key) == 64


def test_an_image_has_all_that_the_site_is_made_of_and_nothing_that_is_secret() -> None:
    copied = [name for line in re.findall(r"^COPY (?!--)(.*) \S+$", CONTAINERFILE, re.M) for name in line.split()]
    there = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    not_served = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml", "requirements-test.txt"}
    not_served |= {"benchmarks", "deploy", "docs", "instance", "script", "tests"}
    assert set(copied) == {name for name in there if not name.startswith("__")} - not_served
    # What is copied may be, and only that.
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.M)
    assert sorted(allowed) == sorted(copied)


def test_containers_are_nobody_special_write_only_where_they_must_and_know_no_secret() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"app", "postgres", "redis", "nginx"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["restart"] == "unless-stopped", name
        if "image" in service:
            assert re.fullmatch(r"docker\.io/library/\w+:[\d.]+", service["image"]), "a pinned major version"
        for variable, value in service.get("environment", {}).items():
            if re.search("SECRET|PASSWORD", variable):
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value), "comes from outside, or nothing starts"
    assert "USER 10001\n" in CONTAINERFILE
    assert "postgres" in COMPOSE["volumes"]
    # The file with the secrets can't be committed by mistake.
    assert "/deploy/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_containers_nginx_gets_the_same_file_with_other_names() -> None:
    [shell, flag, command] = COMPOSE["services"]["nginx"]["command"]
    assert (shell, flag) == ("sh", "-c")
    text = (DEPLOY / "nginx.conf").read_text()
    replaced = re.findall(r's([/#])(.+?)\1(.+?)\1"', command)
    assert len(replaced) == 3
    for _, old, _new in replaced:
        assert old in text
