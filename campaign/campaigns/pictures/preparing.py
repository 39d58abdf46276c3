"""Preparing uploaded pictures for the page: shrunk, upright, in the colors of the web, and without metadata."""

import hashlib
import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from campaign.campaigns.pictures import colors
from campaign.campaigns.pictures.limits import RefusedError, check_parts, check_size

if TYPE_CHECKING:
    from PIL import Image

WIDEST, TALLEST = 1200, 1200
"""The most pixels in each direction. Link previews show 1200 × 630 (ogp.me and the large sites). Above a letter, a
picture may be taller."""
MOST_BYTES = 200 * 1024
"""The most bytes of a prepared picture. A phone on a slow network shows it within seconds."""
LONGEST_WAIT = 5.0
"""The most seconds that an upload waits for others to be decoded. Decoding one takes two seconds at most."""
_decoding = BoundedSemaphore(1)
# At most four uploads decode or wait, because each one occupies a thread that could serve a signer.
_admitted = BoundedSemaphore(4)
# One thread decodes for all, because the memory allocator keeps memory for each thread that has used it.
_decoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pictures")
_KINDS = ("JPEG", "PNG", "WEBP")


@dataclass(frozen=True)
class Prepared:
    """A picture as served to visitors: a JPEG without metadata, at most MOST_BYTES long."""

    data: bytes = field(repr=False)
    width: int
    """Pixels."""
    height: int
    """Pixels."""

    @property
    def digest(self) -> str:
        """SHA-256 of the data, in hexadecimal: the picture's key in the database and in its URL."""
        return hashlib.sha256(self.data).hexdigest()


def prepare(data: bytes) -> Prepared:
    """Shrink a JPEG, PNG, or WebP picture, rotate it upright, and remove metadata such as location and camera.

    A picture that this function made before is returned unchanged, so that a campaign file always yields the same
    campaign. Each process decodes one picture at a time, because decoding can take 150 MB.

    Raises:
        ValueError: The data isn't such a picture, it is too large, or too many uploads are waiting. The message
            is a sentence that says what to do.
    """
    with ExitStack() as held:
        for queue, seconds in ((_admitted, 0.0), (_decoding, LONGEST_WAIT)):
            if not queue.acquire(timeout=seconds):
                raise ValueError("Choose the picture again in a few seconds. Other uploads are waiting now")
            held.callback(queue.release)
        return _decoder.submit(_decoded, data).result()


def _decoded(data: bytes) -> Prepared:
    # Imported only for uploads, because Pillow takes megabytes that serving pictures doesn't need.
    from PIL import Image, ImageOps

    scans = check_parts(data)
    try:
        with warnings.catch_warnings():
            # Ignore Pillow's warnings: our limit on pixels is stricter, and odd metadata is either read or refused.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_KINDS) as picture:
                check_size(picture, scans)
                if _is_ours(picture, data):
                    picture.load()
                    return Prepared(data, picture.width, picture.height)
                # A JPEG can be decoded at reduced size, which takes a fraction of the time and memory.
                picture.draft("RGB", (2 * WIDEST, 2 * TALLEST))
                shrunk = _shrunk(colors.with_eight_bits(picture, data))
                return _without_metadata(colors.in_srgb(ImageOps.exif_transpose(shrunk)))
    except RefusedError:
        raise
    except Image.DecompressionBombError:
        raise ValueError(
            "The picture has too many pixels. Resize it, ideally to 1200 × 630, and choose the new file"
        ) from None
    except Exception:
        # Pillow's decoders raise many exceptions, such as KeyError, or struct.error for truncated metadata.
        raise ValueError(
            "The picture must be an undamaged JPEG, PNG, or WebP. Save it again in an image editor, and choose the new "
            "file"
        ) from None


def _is_ours(picture: "Image.Image", data: bytes) -> bool:
    """Return whether `prepare` could have made this picture."""
    # Our pictures have no metadata: their only APPn segment is an APP0 of 14 bytes, which names the format. A longer
    # APP0 has a thumbnail. And nothing is appended: the only end marker is at the end.
    return (
        picture.format == "JPEG"
        and picture.mode == "RGB"
        and picture.width <= WIDEST
        and picture.height <= TALLEST
        and len(data) <= MOST_BYTES
        and [(name, len(content)) for name, content in getattr(picture, "applist", [])] == [("APP0", 14)]
        and data.count(b"\xff\xd9") == 1
        and data.endswith(b"\xff\xd9")
    )


def _shrunk(picture: "Image.Image") -> "Image.Image":
    # Shrink before anything else: other operations on a large picture take hundreds of megabytes.
    picture.thumbnail((WIDEST, TALLEST))
    return picture


def _without_metadata(picture: "Image.Image") -> Prepared:
    """Return the picture as a JPEG with nothing but its pixels. Transparent areas become white."""
    from PIL import Image

    bare = Image.new("RGB", picture.size, "white")
    bare.paste(picture, mask=picture if picture.mode == "RGBA" else None)
    for quality in (85, 75, 65, 50, 35, 20, 10):
        file = io.BytesIO()
        bare.save(file, "JPEG", quality=quality, optimize=True, progressive=True)
        if file.tell() <= MOST_BYTES:
            break
    return Prepared(file.getvalue(), bare.width, bare.height)
