"""A campaign's picture: whatever was uploaded, made small and rid of all that is not picture; and its table.

campaign_keys.py has it made, editing.py stored, site/views.py sends it to readers.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from campaign import replica
from campaign.extensions import insert_into
from campaign.models import Picture

if TYPE_CHECKING:
    from PIL import Image

WIDEST, TALLEST = 1200, 1200
"""Pixels; link previews show 1200 × 630 (ogp.me, and what the large sites ask for), a letter may have it taller."""
MOST_BYTES = 200 * 1024
"""So long may it be; a phone on a slow network still shows it within seconds."""
MOST_PIXELS = 25_000_000
"""A photograph of more has more than the 5 MB that may be sent; unpacking so many takes 400 MB at worst (WebP)."""
_KINDS = ("JPEG", "PNG", "WEBP")


@dataclass(frozen=True)
class Prepared:
    """A picture as readers get it: a JPEG without metadata, MOST_BYTES long at most."""

    data: bytes = field(repr=False)
    width: int
    """Pixels."""
    height: int
    """Pixels."""

    @property
    def digest(self) -> str:
        """Its name in the table and in its address."""
        return hashlib.sha256(self.data).hexdigest()


def prepare(data: bytes) -> Prepared:
    """Make a JPEG, PNG or WebP small, turn it upright, and drop where and with what it was taken.

    What we have made ourselves comes out as it is, so that a campaign's file gives the same campaign everywhere.

    Raises:
        ValueError: it is no such picture, or too large; the message goes on after the picture's name.
    """
    # Not before it is needed: readers need none of its megabytes.
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            # Our own limit is stricter than the one that Pillow warns of.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_KINDS) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                if _is_ours(picture, data):
                    picture.load()
                    return Prepared(data, picture.width, picture.height)
                # A JPEG can be read smaller than it is, which takes a fraction of time and memory.
                picture.draft("RGB", (2 * WIDEST, 2 * TALLEST))
                if picture.mode == "P":
                    # Of a palette nothing between two colours can be made.
                    return _bare(_small(picture.convert("RGBA")))
                return _bare(ImageOps.exif_transpose(_small(picture)))
    except Image.DecompressionBombError:
        raise ValueError(f"must have {MOST_PIXELS // 1_000_000} million pixels or fewer") from None
    except (OSError, SyntaxError, EOFError, TypeError):
        # The last is what Pillow makes of metadata whose values are not of the kind that their tags have.
        raise ValueError("must be a whole JPEG, PNG or WebP picture") from None


def _is_ours(picture: "Image.Image", data: bytes) -> bool:
    # Nothing is in it but the picture (APP0 names the format; a longer one has a thumbnail), and nothing is hung on to
    # its end.
    return (
        picture.format == "JPEG"
        and picture.mode == "RGB"
        and picture.width <= WIDEST
        and picture.height <= TALLEST
        and len(data) <= MOST_BYTES
        and [(name, len(said)) for name, said in getattr(picture, "applist", [])] == [("APP0", 14)]
        and data.count(b"\xff\xd9") == 1
        and data.endswith(b"\xff\xd9")
    )


def _small(picture: "Image.Image") -> "Image.Image":
    # First of all: what is done to all of a large picture takes hundreds of megabytes.
    picture.thumbnail((WIDEST, TALLEST))
    return picture


def _bare(picture: "Image.Image") -> Prepared:
    """The picture and nothing that came with it; on white where one could see through, which JPEG can't say."""
    from PIL import Image

    bare = Image.new("RGB", picture.size, "white")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        bare.paste(picture, mask=picture)
    else:
        bare.paste(picture.convert("RGB"))
    for quality in (85, 75, 65, 50, 35, 20, 10):
        file = io.BytesIO()
        bare.save(file, "JPEG", quality=quality, optimize=True, progressive=True)
        if file.tell() <= MOST_BYTES:
            break
    return Prepared(file.getvalue(), bare.width, bare.height)


def store(session: Session, picture: Prepared) -> None:
    """Keep it, in the caller's write transaction; one that is there already stays."""
    row = {"digest": picture.digest, "data": picture.data, "width": picture.width, "height": picture.height}
    insert = insert_into(session.get_bind().dialect.name, Picture)
    session.execute(insert.on_conflict_do_nothing(index_elements=["digest"]), row)


def find(session: Session, digest: str) -> Prepared | None:
    """The picture of that digest."""
    # PostgreSQL takes not every character.
    row = session.get(Picture, digest) if digest.isalnum() else None
    return Prepared(row.data, row.width, row.height) if row else None


@lru_cache(maxsize=32)
def read(digest: str) -> Prepared:
    """The same for the public, from where its pages are read; the last ones are kept, six megabytes at most.

    Raises:
        LookupError: there is none.
    """
    picture = replica.read(lambda session: find(session, digest))
    if picture is None:
        raise LookupError(digest)
    return picture
