"""Makes a `.venv` for a copy of the project as script/setup.sh would, in a moment instead of a minute."""

import shutil
import sys
import sysconfig
import venv
from pathlib import Path

from campaign.settings import ROOT

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
LOCKS = ("requirements.txt", "requirements-test.txt")


def make_venv(project: Path) -> None:
    """Make the project's `.venv`, with the packages that these tests run with."""
    folder = project / ".venv"
    venv.create(folder, symlinks=True)
    packages = folder / "lib" / f"python{VERSION}" / "site-packages"
    (packages / "tests.pth").write_text(sysconfig.get_paths()["purelib"])
    for lock in LOCKS:
        shutil.copy(project / lock, folder / f".installed-{lock}")
    (folder / ".made-for").write_text(f"{VERSION} {folder}\n")


def copy_scripts(project: Path) -> None:
    """Put the real scripts into a folder, with lock files that name no package."""
    project.mkdir(parents=True)
    shutil.copytree(ROOT / "script", project / "script", ignore=shutil.ignore_patterns("__pycache__"))
    for lock in LOCKS:
        (project / lock).write_text("# No packages.\n")
