"""The import contracts in pyproject.toml: each of them reports a forbidden import."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from campaign.settings import ROOT

LAYERS = "Imports between packages go one way"
CYCLES = "Modules within a package import each other without cycles"
RULES = "The rules know nothing of HTTP or templates"


pytestmark = pytest.mark.slow


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, beside a copy of the contracts."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ROOT / "campaign", tmp_path / "campaign", ignore=ignored))


def verdicts(package: Path) -> dict[str, str]:
    """Return each contract's verdict: KEPT or BROKEN."""
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-cache", "--no-logo"]
    checked = subprocess.run(command, cwd=package.parent, capture_output=True, text=True, check=False)
    found = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", checked.stdout, re.MULTILINE))
    assert found, checked.stdout + checked.stderr
    return found


@pytest.mark.parametrize(
    ("module", "forbidden", "contract"),
    [
        ("storage/pagination.py", "from campaign.signatures import tally", LAYERS),
        ("signatures/cleaning.py", "from campaign.web import hosts", LAYERS),
        ("new_package/__init__.py", "", LAYERS),
        # redis.py imports circuit_breaker.py.
        ("storage/circuit_breaker.py", "from campaign.storage import redis", CYCLES),
        ("signatures/cleaning.py", "import flask", RULES),
    ],
)
def test_forbidden_import_breaks_its_contract(package: Path, module: str, forbidden: str, contract: str) -> None:
    file = package / module
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as opened:
        opened.write(f"\n{forbidden}\n")
    found = verdicts(package)
    assert set(found) == {LAYERS, CYCLES, RULES}
    assert [name for name, verdict in found.items() if verdict == "BROKEN"] == [contract]


def test_unchanged_package_keeps_every_contract(package: Path) -> None:
    assert verdicts(package) == dict.fromkeys((LAYERS, CYCLES, RULES), "KEPT")


def test_every_package_is_checked_for_cycles() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [ancestors] = [contract["ancestors"] for contract in contracts if contract["name"] == CYCLES]
    packages = {f"campaign.{path.parent.name}" for path in (ROOT / "campaign").glob("*/__init__.py")}
    assert set(ancestors) == packages
