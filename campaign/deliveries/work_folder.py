"""The temporary folder in which a process makes a file. It contains personal data, so it must not stay on the disk.

A process locks its folder with flock(2). The system releases the lock when the process ends, even if it is killed. So
a folder without a lock is left over, and any process may delete it, also one in another container.
"""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "campaign-export-"


@contextmanager
def work_folder() -> Iterator[Path]:
    """Create a temporary folder, and delete it when the block ends.

    Raises:
        OSError: The folder can't be created or locked.
    """
    parent = _parent()
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        # Before it was locked, another process may have taken it for a left folder.
        with suppress(BlockingIOError, FileNotFoundError):
            lock = _lock(folder)
            break
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def delete_left_folders() -> None:
    """Delete the folders that killed processes have left."""
    with suppress(OSError):
        for folder in _parent().glob(f"{_PREFIX}*"):
            with suppress(OSError):
                lock = _lock(folder)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _parent() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        # Python raises this if it can't write to any of the usual folders.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def _lock(folder: Path) -> int:
    """Lock a folder until the process ends, or closes the returned file descriptor.

    Raises:
        BlockingIOError: Another process has locked the folder.
        FileNotFoundError: Another process has deleted the folder.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.stat()
    except OSError:
        os.close(lock)
        raise
    return lock
