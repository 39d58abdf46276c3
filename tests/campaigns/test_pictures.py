"""Campaign pictures: uploads are shrunk, rotated upright, and stripped of metadata."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image, ImageDraw

from campaign.campaigns import fields
from campaign.campaigns.fields import InvalidCampaignError
from campaign.campaigns.pictures import preparing
from campaign.models.campaign import Campaign
from tests.conftest import FILE, PATH, Publish


def uploaded(kind: str = "JPEG", size: tuple[int, int] = (400, 300), mode: str = "RGB", **how: Any) -> bytes:
    file = io.BytesIO()
    picture = Image.new(mode, size, "green")
    # The left half is red, so that tests can tell which way up the picture is.
    ImageDraw.Draw(picture).rectangle((0, 0, size[0] // 2, size[1]), fill="red")
    picture.save(file, kind, **how)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(40, 30), (1200, 630), (3000, 2900), (300, 4000)], ids=str)
@pytest.mark.slow
def test_picture_becomes_a_jpeg_within_the_limits(kind: str, size: tuple[int, int]) -> None:
    made = preparing.prepare(uploaded(kind, size))
    assert (opened(made.data).format, opened(made.data).size) == ("JPEG", (made.width, made.height))
    assert max(made.width, made.height) <= 1200
    assert made.width * size[1] == pytest.approx(made.height * size[0], rel=0.02)
    assert len(made.data) <= 200 * 1024


@pytest.mark.slow
def test_picture_of_noise_is_compressed_to_the_limit() -> None:
    file = io.BytesIO()
    Image.effect_noise((2000, 2000), 200).save(file, "PNG")
    assert len(preparing.prepare(file.getvalue()).data) <= 200 * 1024


def test_metadata_is_removed_and_picture_is_rotated_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: rotate 90° clockwise.
    exif[0x010F] = "A camera"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)  # Latitude.
    data = uploaded(exif=exif, comment=b"by Ada", icc_profile=b"x" * 200)
    assert b"A camera" in data
    made = preparing.prepare(data)
    for trace in (b"A camera", b"Exif", b"Ada", b"ICC"):
        assert trace not in made.data
    assert (made.width, made.height) == (300, 400)
    top = opened(made.data).convert("RGB").getpixel((150, 50))
    assert isinstance(top, tuple)
    assert top[0] > 200, "the left half is now at the top"


def test_embedded_thumbnail_is_removed() -> None:
    made = preparing.prepare(uploaded()).data
    assert preparing.prepare(made).data == made
    thumbnail = b"uncropped" * 100
    larger = made[:4] + (16 + len(thumbnail)).to_bytes(2, "big") + made[6:20] + thumbnail + made[20:]
    assert opened(larger).size == opened(made).size
    assert thumbnail not in preparing.prepare(larger).data


def test_broken_metadata_is_refused() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x011A] = 72.0  # Resolution, a fraction. The type is changed to text below.
    data = uploaded(exif=exif)
    broken = data.replace(b"\x01\x1a\x00\x05", b"\x01\x1a\x00\x02").replace(b"\x1a\x01\x05\x00", b"\x1a\x01\x02\x00")
    assert broken != data
    with pytest.raises(ValueError, match="must be an undamaged"):
        preparing.prepare(broken)


def test_transparent_areas_become_white() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(file, "PNG")
    assert opened(preparing.prepare(file.getvalue()).data).getpixel((5, 5)) == (255, 255, 255)
    assert preparing.prepare(uploaded("PNG", mode="P"))
    assert preparing.prepare(uploaded("JPEG", mode="CMYK"))


def test_prepared_picture_is_not_encoded_again() -> None:
    made = preparing.prepare(uploaded(size=(3000, 2000)))
    assert preparing.prepare(made.data) == made
    appended = preparing.prepare(made.data + b"secret")
    assert b"secret" not in appended.data


BROKEN = {
    "an empty file": b"",
    "a text": b"hello",
    "a GIF": uploaded("GIF"),
    "a TIFF": uploaded("TIFF"),
    "half a picture": uploaded()[:500],
    "half a PNG": uploaded("PNG")[:200],
    "an SVG with a script": b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
    "a program with a JPEG header": b"\xff\xd8\xff\xe0" + b"MZ" * 100,
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_file_that_is_not_an_image_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="The picture must be an undamaged JPEG, PNG, or WebP"):
        preparing.prepare(data)


@pytest.mark.parametrize(
    ("side", "words"),
    [
        (4_000, "The picture has 4000 × 4000 pixels, but a PNG must have 9 million or fewer"),
        # Pillow itself refuses this many pixels, before our own check.
        (20_000, "The picture has too many pixels"),
    ],
)
@pytest.mark.slow
def test_picture_with_too_many_pixels_is_not_decoded(side: int, words: str) -> None:
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    assert len(file.getvalue()) < 100_000
    with pytest.raises(ValueError, match=words):
        preparing.prepare(file.getvalue())


def test_picture_requires_a_description() -> None:
    with pytest.raises(InvalidCampaignError, match="picture_text: Describe the picture"):
        fields.check({**vars(FILE), "picture": uploaded()})


def test_picture_is_served_to_readers_and_link_previews(client: FlaskClient, publish: Publish) -> None:
    picture = preparing.prepare(uploaded())
    publish(picture=picture, picture_text='A "tree"')
    page = client.get(PATH).text
    address = f"/pictures/{picture.digest}.jpg"
    alt = "A &#34;tree&#34;"
    assert f'src="{address}" alt="{alt}" width="400" height="300" loading="lazy">' in page
    assert f'<meta property="og:image" content="http://127.0.0.1:8000{address}">' in page
    for name, value in (("alt", alt), ("width", "400"), ("height", "300")):
        assert f'<meta property="og:image:{name}" content="{value}">' in page
    answer = client.get(address)
    assert (answer.mimetype, answer.data) == ("image/jpeg", picture.data)
    assert answer.headers["Cache-Control"] == "public, immutable, max-age=31536000"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_unknown_picture_url_returns_404(client: FlaskClient, campaign: Campaign) -> None:
    for name in ("0" * 64, "x", "%00", "a/b"):
        assert client.get(f"/pictures/{name}.jpg").status_code == 404
