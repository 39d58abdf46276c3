"""A small disk that a test may fill, empty and protect: a tmpfs."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A tmpfs, mounted where only those see it who are `inside`: everybody, if root mounted it."""

    def __init__(self, path: Path, outside: Path, inside: Sequence[str]) -> None:
        self.path = path
        """Its folder, for those inside."""
        self.outside = outside
        """The same for the test itself."""
        self.inside = inside
        """The beginning of a command that runs the rest of it inside."""

    def fill(self) -> None:
        """Take all the room that is left."""
        with (self.outside / "ballast").open("ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12):
                try:
                    while ballast.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        """Give it back."""
        (self.outside / "ballast").unlink()

    def protect(self) -> None:
        """Make it read-only; nobody may have a file open for writing."""
        self._remount("ro")

    def unprotect(self) -> None:
        """Make it writable again."""
        self._remount("rw")

    def _remount(self, how: str) -> None:
        # "bind": the mount and not the file system, which only the machine's root may.
        subprocess.run([*self.inside, "mount", "-o", f"remount,bind,{how}", str(self.path)], check=True)


@contextmanager
def small_disk(kilobytes: int) -> Iterator[Disk]:
    """A disk of that size. Root mounts it; anybody else does so in a mount namespace of their own."""
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
        pytest.fail("this test fills a small disk of its own, and root may mount none here (a container?)")
    try:
        yield Disk(folder, folder, [])
    finally:
        # Lazily, because a test that has failed may have left something open.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _mounted_in_a_namespace(folder: Path, mount: Sequence[str]) -> Iterator[Disk]:
    keep = ["unshare", "-rm", "sh", "-c", '"$@" && echo ready && exec sleep infinity', "sh", *mount]
    with subprocess.Popen(keep, stdout=subprocess.PIPE) as keeper:
        try:
            assert keeper.stdout
            if keeper.stdout.readline() != b"ready\n":
                pytest.fail("this test fills a small disk of its own: run it as root, or where `unshare -rm` may mount")
            enter = ["nsenter", "-t", str(keeper.pid), "-U", "-m", "--preserve-credentials"]
            # Who enters a mount namespace stands at its root.
            stay = ["sh", "-c", 'cd "$0" && exec "$@"', os.getcwd()]
            yield Disk(folder, Path(f"/proc/{keeper.pid}/root{folder}"), [*enter, *stay])
        finally:
            keeper.kill()
