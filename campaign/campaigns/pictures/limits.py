"""Limits on uploaded pictures, checked before a picture is decoded: the number of pixels and of internal parts.

A few bytes can decode to a huge number of pixels. And a small file can have a huge number of parts, which a decoder
reads one by one.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS = 110_000_000
"""The most pixels of a JPEG with one scan, like a camera's: phones take photos of up to 108 million. It is decoded at
reduced size, which takes up to 150 MB."""
MOST_PIXELS_IN_SCANS = 12_000_000
"""The most pixels of a progressive JPEG (several scans). The decoder holds all scans, in up to 140 MB (CMYK)."""
MOST_PIXELS_WHOLE = 9_000_000
"""The most pixels of a PNG or WebP, which can only be decoded at full size: WebP takes 16 bytes a pixel. A 4K picture
has 8.3 million."""
MOST_SCANS = 32
"""The most scans of a JPEG. A usual progressive JPEG has 10. Each scan takes as long as decoding the picture once."""
MOST_SEGMENTS = 1000
"""The most segments of a JPEG. A color profile and 5 MB of metadata take about 80."""
MOST_FILL_BYTES = 100
"""The most fill bytes before a marker of a JPEG. Pillow reads them one by one. Most pictures have none."""
MOST_CHUNKS = 10_000
"""The most chunks of a PNG. A PNG of 25 MB in chunks of 4 KB has 6,400."""

# Any marker except a restart marker. Restart markers and FF 00, an escaped byte FF, are part of a scan.
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_TEM, _SOI, _EOI, _SOS = 0x01, 0xD8, 0xD9, 0xDA


class RefusedError(ValueError):
    """The picture exceeds a limit, or can't be converted. The message is a sentence that says what to do."""


def check_parts(data: bytes) -> int:
    """Return the number of scans of a JPEG, or 1 for other formats.

    Raises:
        RefusedError: A JPEG or PNG has so many parts that reading them would take seconds.
    """
    if data.startswith(b"\xff\xd8"):
        return _scans(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        _check_chunks(data)
    return 1


def _scans(data: bytes) -> int:
    # ITU-T T.81, B.1.1: a segment begins with a marker and its own length. Standalone markers have no length.
    position, segments, scans = 2, 0, 0
    while (found := _MARKER.search(data, position)) and (marker := found[0][-1]) != _EOI:
        segments += 1
        scans += marker == _SOS
        if segments > MOST_SEGMENTS or scans > MOST_SCANS or len(found[0]) > MOST_FILL_BYTES:
            raise _too_many_parts()
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        position = found.end() + (0 if marker in (_TEM, _SOI) else length)
    return scans


def _check_chunks(data: bytes) -> None:
    # PNG specification, 5.3: length of the data, four bytes of type, data, four bytes of checksum.
    position = 8
    for _ in range(MOST_CHUNKS):
        if position >= len(data):
            return
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    raise _too_many_parts()


def _too_many_parts() -> RefusedError:
    return RefusedError(
        "The picture has too many internal parts. Save it again as a JPEG in an image editor, and choose the new file"
    )


def check_size(picture: "Image.Image", scans: int) -> None:
    """Check the picture's size, as declared in its header.

    Raises:
        RefusedError: The picture has so many pixels that decoding it would take too much memory.
    """
    if picture.format in ("PNG", "WEBP"):
        most, kind = MOST_PIXELS_WHOLE, f"a {picture.format.replace('WEBP', 'WebP')}"
    elif scans > 1:
        most, kind = MOST_PIXELS_IN_SCANS, "a progressive JPEG"
    else:
        most, kind = MOST_PIXELS, "a JPEG"
    if picture.width * picture.height > most:
        limit = f"{most // 1_000_000} million or fewer"
        raise RefusedError(
            f"The picture has {picture.width} × {picture.height} pixels, but {kind} must have {limit}. Resize it, "
            "ideally to 1200 × 630, or save it as a JPEG that isn’t progressive, and choose the new file"
        )
