"""Reads the files that operators name: only regular ones, up to a limit, and pictures only from the same folder."""

import base64
import binascii
import errno
import os
import stat
from pathlib import Path

from campaign.campaigns import field_checks

MOST_PICTURE_BYTES = 25 * 2**20
"""The most bytes of a picture next to the campaign file. Photos from good cameras can be this large."""


def read_regular(path: Path, most: int, *, follow: bool) -> bytes:
    """Return the content of a regular file; `follow` says whether the path may be a symbolic link.

    Raises:
        OSError: The file can't be read.
        ValueError: It is not a regular file (a device can be endless), or it has more than `most` bytes.
    """
    # Use O_NONBLOCK, because opening a named pipe would otherwise wait until another process writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("Use a regular file, not a folder, pipe, or device")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(most + 1)
    finally:
        os.close(descriptor)
    if len(data) > most:
        raise ValueError(f"Use a file of {most // 2**20} MB or less")
    return data


_name = field_checks.text("name of the picture", 255)


def picture_of(value: object, folder: Path) -> bytes | None:
    """Return the picture that the key `picture` refers to: a file in the same folder, or a data: URL (RFC 2397).

    Raises:
        ValueError: There is no such file, it may not be read, or the URL is damaged.
    """
    if isinstance(value, str) and value.startswith("data:"):
        kind, _, data = value.partition(",")
        if not kind.endswith(";base64"):
            raise ValueError("Encode the picture in base64, as in data:image/jpeg;base64,…")
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error:
            raise ValueError("Copy the picture’s data: URL again, because its base64 text is damaged") from None
    name = _name(value)
    if not name:
        return None
    if "/" in name or name in (".", ".."):
        raise ValueError("Enter the name of a file in the same folder, without a path")
    try:
        return read_regular(folder / name, MOST_PICTURE_BYTES, follow=False)
    except OSError as error:
        is_link = error.errno == errno.ELOOP
        reason = "It is a symbolic link. Replace it with the picture" if is_link else error.strerror or str(error)
        raise ValueError(f"The picture can’t be read: {reason}") from None
