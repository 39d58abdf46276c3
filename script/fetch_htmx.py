"""Download the pinned version of htmx to .cache/, where the browser tests find it in place of the CDN.

It comes from npm or, if npm fails, from the CDN. The file must have the hash that our pages name.
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
from http.client import HTTPException
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from campaign.settings import HTMX_INTEGRITY, HTMX_URL, ROOT

TARGET = ROOT / ".cache" / "htmx.min.js"


def has_right_hash(content: bytes) -> bool:
    """Return whether this is the file that browsers accept."""
    kind, _, digest = HTMX_INTEGRITY.partition("-")
    return base64.b64encode(hashlib.new(kind, content).digest()).decode() == digest


def from_npm() -> bytes:
    """Return the file from the npm package that the CDN's URL names.

    Raises:
        OSError, subprocess.SubprocessError, LookupError, tarfile.TarError: The program npm is missing, or can't
            download the package.
    """
    package, path = re.fullmatch(r".*/npm/([^/]+)/(.+)", HTMX_URL).groups()  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory() as folder:
        # Without a network, npm would retry for over a minute.
        options = ["--silent", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--pack-destination", folder]
        command = [shutil.which("npm") or "npm", "pack", package, *options]
        subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603 (our own words)
        [package_file] = Path(folder).glob("*.tgz")
        with tarfile.open(package_file) as archive:
            return archive.extractfile(f"package/{path}").read()  # type: ignore[union-attr]


def from_cdn() -> bytes:
    """Return the file as browsers get it.

    Raises:
        OSError, http.client.HTTPException: The CDN can't be reached.
    """
    with urllib.request.urlopen(HTMX_URL, timeout=60) as response:  # noqa: S310 (an https URL of ours)
        content: bytes = response.read()
        return content


DOWNLOAD_ERRORS = (OSError, subprocess.SubprocessError, LookupError, ValueError, tarfile.TarError, HTTPException)


def main() -> None:
    """Download the file, unless it has been downloaded.

    Raises:
        SystemExit: The file can't be downloaded, or doesn't have the right hash.
    """
    if TARGET.exists() and has_right_hash(TARGET.read_bytes()):
        return
    for download in (from_npm, from_cdn):
        try:
            content = download()
        except DOWNLOAD_ERRORS:
            continue
        if has_right_hash(content):
            TARGET.parent.mkdir(exist_ok=True)
            TARGET.write_bytes(content)
            return
    raise SystemExit(
        "htmx can't be downloaded, or has a wrong hash. Check your network connection, or save the file that HTMX_URL "
        f"in campaign/settings.py names as {TARGET}"
    )


if __name__ == "__main__":
    main()
