"""Put the htmx file of the pinned version into .cache/, where the browser tests find it in place of the CDN.

From npm where there is one, else from the CDN itself; either way only if it has the hash that our pages name.
"""

import base64
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from campaign.settings import HTMX_INTEGRITY, HTMX_URL, ROOT

TARGET = ROOT / ".cache" / "htmx.min.js"


def is_right(content: bytes) -> bool:
    """Whether the file has the hash that browsers check it against."""
    kind, _, digest = HTMX_INTEGRITY.partition("-")
    return base64.b64encode(hashlib.new(kind, content).digest()).decode() == digest


def from_npm() -> bytes:
    """The file out of the package that the CDN's address names.

    Raises:
        OSError, subprocess.SubprocessError: npm is not there, or does not get it.
    """
    package, path = re.fullmatch(r".*/npm/([^/]+)/(.+)", HTMX_URL).groups()  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory() as folder:
        command = [shutil.which("npm") or "npm", "pack", package, "--silent", "--pack-destination", folder]
        subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603 (our own words)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            return archive.extractfile(f"package/{path}").read()  # type: ignore[union-attr]


def from_cdn() -> bytes:
    """The file as browsers get it.

    Raises:
        OSError: the CDN can't be reached.
    """
    with urllib.request.urlopen(HTMX_URL, timeout=60) as response:  # noqa: S310 (an https address of ours)
        content: bytes = response.read()
        return content


def main() -> None:
    """Fetch it, unless it is there.

    Raises:
        SystemExit: it can't be had, or not with the right hash.
    """
    if TARGET.exists() and is_right(TARGET.read_bytes()):
        return
    for source in (from_npm, from_cdn):
        try:
            content = source()
        except (OSError, subprocess.SubprocessError):
            continue
        if is_right(content):
            TARGET.parent.mkdir(exist_ok=True)
            TARGET.write_bytes(content)
            return
    raise SystemExit(f"htmx for the browser tests could not be had, or not with our hash: {HTMX_URL}")


if __name__ == "__main__":
    main()
