"""Colors of uploaded pictures: depth, color profiles, gamma, palettes, and transparency."""

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from PIL import Image, ImageCms

from campaign.campaigns.pictures import colors
from campaign.campaigns.pictures.preparing import prepare

Color = tuple[int, int, int]


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(depth: int, kind: int, rows: Sequence[bytes], *chunks: tuple[bytes, bytes], width: int = 64) -> bytes:
    """Return a PNG with raw rows; `kind` is the color type, as in the PNG specification, 11.2.1."""
    head = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", head), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def saved(kind: str, mode: str, color: Any, profile: bytes | None = None, **how: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (64, 64), color).save(file, kind, icc_profile=profile, **how)
    return file.getvalue()


def center(data: bytes) -> Color:
    """Return the color in the middle of the prepared picture."""
    picture = Image.open(io.BytesIO(prepare(data).data))
    assert picture.mode == "RGB"
    found = picture.getpixel((picture.width // 2, picture.height // 2))
    assert isinstance(found, tuple)
    return found[0], found[1], found[2]


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def icc(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """Return a color profile of version 2 (ICC.1:2001-04)."""
    words = b"Test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(words)) + words + bytes(78),
        b"cprt": b"text\0\0\0\0" + words,
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        **tags,
    }
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = b"\0\0\0\0" + struct.pack(">I", 0x02200000) + kind + space + pcs + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    size = struct.pack(">I", start + len(body))
    return size + head + struct.pack(">I", len(tags)) + table + body


def rgb_profile(red: bytes, green: bytes, blue: bytes, gamma: float) -> bytes:
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    primaries = {b"rXYZ": red, b"gXYZ": green, b"bXYZ": blue}
    return icc(b"RGB ", primaries | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


# The primaries of Display P3, adapted to the white point of profiles (Apple's profile of that name).
P3 = rgb_profile(xyz(0.5151, 0.2412, -0.0011), xyz(0.2920, 0.6922, 0.0419), xyz(0.1571, 0.0666, 0.7841), 2.2)
SWAPPED = rgb_profile(xyz(0.1431, 0.0606, 0.7141), xyz(0.3851, 0.7169, 0.0971), xyz(0.4361, 0.2225, 0.0139), 2.2)
"""The primaries of sRGB with red and blue exchanged, so that ignoring the profile is obvious."""
DARK_GRAY = icc(b"GRAY", {b"kTRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, 256)})
"""Gray with gamma 1, so that 128 is half of the light."""


def cmyk_profile() -> bytes:
    """Return a profile that shows any ink as green: a table of two grid points for each ink (type mft1)."""
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if at in (0, 4, 8) else 0 for at in range(9)))
    green = bytes((120, 60, 190))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + matrix + identity * 4 + green * 16 + identity * 3
    return icc(b"CMYK", {b"A2B0": table}, pcs=b"Lab ", kind=b"prtr")


def gray16(*levels: int) -> bytes:
    return struct.pack(f">{len(levels)}H", *levels) * 64


def rows(row: bytes) -> list[bytes]:
    return [row] * 64


SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_CHROMATICITIES = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
GRAY = (128, 128, 128)
WHITE = (255, 255, 255)
SHOWN: dict[str, tuple[Callable[[], bytes], Color]] = {
    "16-bit gray": (lambda: png(16, 0, rows(gray16(0x8000))), GRAY),
    "16-bit black": (lambda: png(16, 0, rows(gray16(0x00FF))), (0, 0, 0)),
    "16-bit gray with a transparent level": (
        lambda: png(16, 0, rows(gray16(0x2001)), (b"tRNS", b"\x20\x01")),
        WHITE,
    ),
    "16-bit gray with another transparent level": (
        lambda: png(16, 0, rows(gray16(0x2002)), (b"tRNS", b"\x20\x01")),
        (32, 32, 32),
    ),
    "16-bit gray with alpha": (lambda: png(16, 4, rows(gray16(0x2000, 0xFFFF))), (32, 32, 32)),
    "16-bit gray, transparent": (lambda: png(16, 4, rows(gray16(0x2000, 0))), WHITE),
    "16-bit color": (lambda: png(16, 2, rows(gray16(0xC000, 0x4000, 0x2000))), (192, 64, 32)),
    "16-bit color, transparent": (
        lambda: png(16, 2, rows(gray16(0xC000, 0x4000, 0x2000)), (b"tRNS", b"\xc0\0\x40\0\x20\0")),
        WHITE,
    ),
    "16-bit color with alpha": (lambda: png(16, 6, rows(gray16(0, 0, 0, 0x8000))), (127, 127, 127)),
    "4-bit gray": (lambda: png(4, 0, rows(b"\x88" * 32)), (136, 136, 136)),
    "4-bit gray with a transparent level": (lambda: png(4, 0, rows(b"\x88" * 32), (b"tRNS", b"\0\x08")), WHITE),
    "1-bit black": (lambda: png(1, 0, rows(b"\0" * 8)), (0, 0, 0)),
    "1-bit, transparent black": (lambda: png(1, 0, rows(b"\0" * 8), (b"tRNS", b"\0\0")), WHITE),
    "gray with alpha": (lambda: saved("PNG", "LA", (64, 255)), (64, 64, 64)),
    "palette": (lambda: png(8, 3, rows(b"\1" * 64), (b"PLTE", bytes((0, 0, 0, 200, 100, 50)))), (200, 100, 50)),
    "palette with a profile": (
        lambda: png(
            8,
            3,
            rows(b"\0" * 64),
            (b"iCCP", b"x\0\0" + zlib.compress(SWAPPED)),
            (b"PLTE", bytes((255, 0, 0))),
        ),
        (0, 0, 255),
    ),
    "palette with a transparent color": (
        lambda: png(8, 3, rows(b"\0" * 64), (b"PLTE", bytes((200, 100, 50))), (b"tRNS", b"\0")),
        WHITE,
    ),
    **{
        f"{kind} with a profile": (lambda kind=kind: saved(kind, "RGB", (255, 0, 0), SWAPPED), (0, 0, 255))  # type: ignore[misc]
        for kind in ("JPEG", "PNG", "WEBP")
    },
    "PNG with alpha and a profile": (lambda: saved("PNG", "RGBA", (255, 0, 0, 255), SWAPPED), (0, 0, 255)),
    "Display P3": (lambda: saved("PNG", "RGB", (200, 100, 100), P3), (213, 95, 97)),
    "gray with a profile": (lambda: saved("PNG", "L", 55, DARK_GRAY), (GRAY)),
    "gray JPEG with a profile": (lambda: saved("JPEG", "L", 55, DARK_GRAY), GRAY),
    "gray with alpha and a profile": (lambda: saved("PNG", "LA", (55, 255), DARK_GRAY), GRAY),
    "16-bit gray with a profile": (
        lambda: png(16, 0, rows(gray16(55 << 8)), (b"iCCP", b"x\0\0" + zlib.compress(DARK_GRAY))),
        GRAY,
    ),
    "gray with a profile for color": (lambda: saved("PNG", "L", 128, SWAPPED), GRAY),
    "color with a profile for gray": (lambda: saved("PNG", "RGB", (200, 0, 0), DARK_GRAY), (200, 0, 0)),
    "printing inks without a profile": (lambda: saved("JPEG", "CMYK", (0, 255, 255, 0)), (255, 0, 0)),
    "gamma of linear light": (lambda: png(8, 0, rows(b"\x37" * 64), (b"gAMA", struct.pack(">I", 100_000))), GRAY),
    "gamma of sRGB": (lambda: png(8, 0, rows(b"\x80" * 64), (b"gAMA", struct.pack(">I", 45_455))), GRAY),
    "gamma of nothing": (lambda: png(8, 0, rows(b"\x80" * 64), (b"gAMA", bytes(4))), GRAY),
    "gamma that sRGB overrides": (
        lambda: png(8, 0, rows(b"\x80" * 64), (b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")),
        GRAY,
    ),
    "codes of sRGB": (lambda: png(8, 0, rows(b"\x80" * 64), (b"cICP", bytes((1, 13, 0, 1)))), GRAY),
    "primaries of sRGB": (
        lambda: png(8, 2, rows(b"\x80" * 192), (b"cHRM", struct.pack(">8I", *SRGB_CHROMATICITIES))),
        GRAY,
    ),
    "primaries of nothing": (lambda: png(8, 2, rows(b"\x80" * 192), (b"cHRM", bytes(32))), GRAY),
}


@pytest.mark.parametrize("name", SHOWN)
def test_picture_keeps_its_colors(name: str) -> None:
    make, expected = SHOWN[name]
    assert center(make()) == pytest.approx(expected, abs=4)


def test_printing_inks_are_converted_by_their_profile() -> None:
    red, green, blue = center(saved("JPEG", "CMYK", (0, 255, 255, 0), cmyk_profile()))
    assert green > red
    assert green > blue


@pytest.mark.parametrize(
    "data",
    [
        png(8, 2, rows(b"\x80" * 192), (b"cHRM", struct.pack(">8I", *P3_CHROMATICITIES))),
        png(8, 2, rows(b"\x80" * 192), (b"cICP", bytes((9, 16, 0, 1)))),
    ],
    ids=["primaries of Display P3", "codes of HDR"],
)
def test_picture_whose_colors_cannot_be_converted_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"Convert it to sRGB with 8 bits in an image editor, and choose the new file"):
        prepare(data)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_every_mode_of_16_bit_gray_is_scaled(mode: str) -> None:
    picture = Image.new("I", (2, 2), 0x8000)
    if mode != "I":
        raw = struct.pack("<H" if mode == "I;16" else ">H", 0x8000) * 4
        picture = Image.frombytes(mode, (2, 2), raw)
    assert colors.with_eight_bits(picture, b"").getpixel((0, 0)) == 0x80


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["P", "L", "I;16", "RGBA"])
def test_picture_is_rotated_upright_in_every_mode(mode: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = Image.new("L", (64, 32), 0)
    upright.paste(255, (0, 0, 16, 8))  # White in the upper left corner.
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    if mode == "I;16":
        stored = Image.frombytes("I;16", stored.size, b"".join(bytes((0, level)) for level in stored.tobytes()))
    else:
        stored = stored.convert(mode)
    file = io.BytesIO()
    stored.save(file, "PNG", exif=exif)
    shown = Image.open(io.BytesIO(prepare(file.getvalue()).data)).convert("L")
    assert shown.size == (64, 32)
    corners = [shown.getpixel(at) for at in ((4, 2), (60, 2), (4, 30), (60, 30))]
    assert corners == pytest.approx([255, 0, 0, 0], abs=8)


def broken_profiles() -> list[bytes]:
    """Return profiles that are cut, changed, or too large."""
    whole = [P3, cmyk_profile(), DARK_GRAY]
    cut = [profile[:length] for profile in whole for length in (0, 1, 127, 130, 200, len(profile) - 5)]
    changed = [profile[:at] + b"\xff\xff\xff\xff" + profile[at + 4 :] for profile in whole for at in range(0, 260, 20)]
    return [*cut, *changed, b"x" * 200, P3 + bytes(colors.MOST_PROFILE_BYTES), b"mpet" + P3]


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "color"), [("RGB", (10, 200, 30)), ("L", 90), ("CMYK", (0, 200, 0, 0))])
def test_broken_profile_is_ignored(mode: str, color: Any) -> None:
    for profile in broken_profiles():
        assert center(saved("JPEG", mode, color, profile))


def test_profiles_of_these_tests_are_valid() -> None:
    for profile in (P3, SWAPPED, DARK_GRAY, cmyk_profile()):
        assert ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.version == 2.2
