"""A small disk (tmpfs) that a test can fill up or make read-only."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A tmpfs.

    If root mounted it, every process sees it. Otherwise only commands that begin with `inside` do.
    """

    def __init__(self, path: Path, outside: Path, inside: Sequence[str]) -> None:
        self.path = path
        """Its folder, as commands inside see it."""
        self.outside = outside
        """Its folder, as the test sees it."""
        self.inside = inside
        """Prefix of a command that must see the disk."""

    def fill(self) -> None:
        """Write a file that takes all free space."""
        with (self.outside / "ballast").open("ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12):
                try:
                    while ballast.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        """Delete the file that `fill` wrote."""
        (self.outside / "ballast").unlink()

    def protect(self) -> None:
        """Make the disk read-only. No process may have a file open for writing."""
        self._remount("ro")

    def unprotect(self) -> None:
        """Make the disk writable again."""
        self._remount("rw")

    def _remount(self, mode: str) -> None:
        # "bind" changes only the mount. Only the machine's root may change the file system itself.
        subprocess.run([*self.inside, "mount", "-o", f"remount,bind,{mode}", str(self.path)], check=True)


@contextmanager
def small_disk(kilobytes: int) -> Iterator[Disk]:
    """Mount a disk of this size. Users other than root mount it in a mount namespace of their own."""
    folder = Path(tempfile.mkdtemp(prefix="campaign-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=1777", "tmpfs", str(folder)]
    try:
        if os.geteuid() == 0:
            yield from _mounted_by_root(folder, mount)
        else:
            yield from _mounted_in_a_namespace(folder, mount)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _mounted_by_root(folder: Path, mount: Sequence[str]) -> Iterator[Disk]:
    if subprocess.run(mount, check=False).returncode:
        pytest.fail("this test needs a small disk, and root may not mount one here (perhaps in a container)")
    try:
        yield Disk(folder, folder, [])
    finally:
        # Unmount lazily, because a failed test may have left files open.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _mounted_in_a_namespace(folder: Path, mount: Sequence[str]) -> Iterator[Disk]:
    keep = ["unshare", "-rm", "sh", "-c", '"$@" && echo ready && exec sleep infinity', "sh", *mount]
    with subprocess.Popen(keep, stdout=subprocess.PIPE) as keeper:
        try:
            assert keeper.stdout
            if keeper.stdout.readline() != b"ready\n":
                pytest.fail("this test needs a small disk: run it as root, or where `unshare -rm` may mount one")
            enter = ["nsenter", "-t", str(keeper.pid), "-U", "-m", "--preserve-credentials"]
            # A process that enters a mount namespace starts in its root folder, so change back to ours.
            stay = ["sh", "-c", 'cd "$0" && exec "$@"', os.getcwd()]
            yield Disk(folder, Path(f"/proc/{keeper.pid}/root{folder}"), [*enter, *stay])
        finally:
            keeper.kill()
