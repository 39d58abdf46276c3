"""Colors of uploaded pictures, converted to sRGB, in which browsers show a picture without a profile.

A picture gets 8 bits a channel before it is shrunk, and other colors after that, which takes a fraction of the time.
"""

import io
from typing import TYPE_CHECKING

from campaign.campaigns.pictures.limits import RefusedError

if TYPE_CHECKING:
    from PIL import Image

MOST_PROFILE_BYTES = 4 * 2**20
"""The most bytes of a color profile that is used. Profiles of printing presses have 3 MB, those of cameras a few KB."""
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""The color space that a profile must have, by Pillow's mode of the picture."""
_SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""Chromaticities of white, red, green, and blue (IEC 61966-2-1), as in a PNG's cHRM chunk."""
_SRGB_GAMMA = 0.45455
"""What a PNG's gAMA chunk says of sRGB (PNG specification, 11.3.2.2)."""
_SRGB_CODES = {(1, 1), (1, 6), (1, 13)}
"""The primaries and transfer functions in a PNG's cICP chunk that need no conversion (ITU-T H.273)."""


def with_eight_bits(picture: "Image.Image", data: bytes) -> "Image.Image":
    """Return the picture with 8 bits a channel, as L, LA, RGB, RGBA, or CMYK, and with transparency in a channel.

    Args:
        picture: The picture as opened.
        data: The bytes of its file.

    Raises:
        RefusedError: The picture has colors that can't be converted.
    """
    _check_codes(data)
    key = None if picture.mode == "P" else picture.info.pop("transparency", None)
    if picture.mode.startswith("I"):
        return _high_bytes(picture, key)
    if picture.mode in ("1", "P"):
        # These can't be resized smoothly, because they have no colors in between.
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB" if picture.mode == "P" else "L")
    if picture.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        raise _of_another_kind()
    if key is None:
        return picture
    # The key is the color that is transparent, as a number of the file's own depth (PNG specification, 11.3.1.1).
    depth = data[24]
    levels = [_scaled(level, depth) for level in (key if isinstance(key, tuple) else [key])]
    picture.info["transparency"] = tuple(levels) if len(levels) > 1 else levels[0]
    return picture.convert("RGBA")


def _scaled(level: int, depth: int) -> int:
    return level >> 8 if depth == 16 else min(level * 255 // (2**depth - 1), 255)


def _high_bytes(picture: "Image.Image", key: int | None) -> "Image.Image":
    """Return a picture of 16-bit gray with 8 bits; `key` is the level that is transparent."""
    from PIL import Image, ImageChops

    raw = picture.tobytes()
    # Bytes of one pixel, and the place of the higher and the lower byte in it.
    size, high, low = {"I;16": (2, 1, 0), "I;16B": (2, 0, 1), "I": (4, 1, 0)}.get(picture.mode, (0, 0, 0))
    if not size:
        raise _of_another_kind()
    gray = Image.frombytes("L", picture.size, raw[high::size])
    if key is not None:
        lower = Image.frombytes("L", picture.size, raw[low::size])
        same = [
            channel.point([255 if value == level else 0 for value in range(256)])
            for channel, level in ((gray, key >> 8), (lower, key & 255))
        ]
        gray = Image.merge("LA", (gray, ImageChops.invert(ImageChops.darker(*same))))
    gray.info = picture.info.copy()
    return gray


def _check_codes(data: bytes) -> None:
    """Check that a PNG doesn't declare colors by code, as pictures with a high dynamic range do."""
    if data.startswith(b"\x89PNG") and (found := data.find(b"cICP", 0, max(data.find(b"IDAT"), 0))) > 0:
        codes = (data[found + 4], data[found + 5])
        if codes not in _SRGB_CODES and b"iCCP" not in data[:found]:
            raise _of_another_kind()


def in_srgb(picture: "Image.Image") -> "Image.Image":
    """Return the picture as RGB or RGBA with the colors of the web.

    A damaged profile is ignored, as browsers do.

    Raises:
        RefusedError: The picture has colors that can't be converted.
    """
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    plain = picture.convert({"LA": "L", "RGBA": "RGB"}.get(picture.mode, picture.mode))
    profile = picture.info.get("icc_profile") or b""
    converted = _by_profile(plain, profile) if profile else _by_gamma(plain)
    shown = converted.convert("RGB")
    if alpha:
        shown.putalpha(alpha)
    return shown


def _by_profile(picture: "Image.Image", profile: bytes) -> "Image.Image":
    from PIL import ImageCms

    # The element type mpet has no limit on its work. No camera or scanner writes it.
    if len(profile) > MOST_PROFILE_BYTES or b"mpet" in profile:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[picture.mode]:
            return picture
        converted = ImageCms.profileToProfile(
            picture,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return converted or picture


def _by_gamma(picture: "Image.Image") -> "Image.Image":
    """Convert a PNG that has no profile, but says how its colors are to be understood (gAMA and cHRM)."""
    if "srgb" in picture.info or picture.mode == "CMYK":
        return picture
    primaries, gamma = picture.info.get("chromaticity"), picture.info.get("gamma")
    primaries = primaries if primaries and any(primaries) else _SRGB_PRIMARIES
    differs = any(abs(one - ours) > 0.01 for one, ours in zip(primaries, _SRGB_PRIMARIES, strict=True))
    if differs and picture.mode == "RGB":
        raise _of_another_kind()
    if not gamma or abs(gamma - _SRGB_GAMMA) < 0.01:
        return picture
    levels = [round(255 * _encoded((level / 255) ** (1 / gamma))) for level in range(256)]
    return picture.point(levels * len(picture.getbands()))


def _encoded(light: float) -> float:
    """Return an amount of light, from 0 to 1, as sRGB encodes it (IEC 61966-2-1)."""
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def _of_another_kind() -> RefusedError:
    return RefusedError(
        "The picture has colors that we can’t convert. Convert it to sRGB with 8 bits in an image editor, and choose "
        "the new file"
    )
