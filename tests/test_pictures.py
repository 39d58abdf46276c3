"""A campaign's picture: whatever is uploaded comes out small, upright, and without where it was taken."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image, ImageDraw

from campaign import campaign_keys, pictures
from campaign.campaign_keys import WrongError
from campaign.models import Campaign
from tests.conftest import FILE, PATH, Publish


def uploaded(kind: str = "JPEG", size: tuple[int, int] = (400, 300), mode: str = "RGB", **how: Any) -> bytes:
    file = io.BytesIO()
    picture = Image.new(mode, size, "green")
    # The left half is red, to tell which way up it is.
    ImageDraw.Draw(picture).rectangle((0, 0, size[0] // 2, size[1]), fill="red")
    picture.save(file, kind, **how)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(40, 30), (1200, 630), (4000, 3000), (300, 4000)], ids=str)
def test_a_picture_comes_out_as_a_jpeg_that_fits(kind: str, size: tuple[int, int]) -> None:
    made = pictures.prepare(uploaded(kind, size))
    assert (opened(made.data).format, opened(made.data).size) == ("JPEG", (made.width, made.height))
    assert max(made.width, made.height) <= 1200
    assert made.width * size[1] == pytest.approx(made.height * size[0], rel=0.02)
    assert len(made.data) <= 200 * 1024


def test_a_picture_that_is_all_noise_becomes_small_too() -> None:
    file = io.BytesIO()
    Image.effect_noise((2000, 2000), 200).save(file, "PNG")
    assert len(pictures.prepare(file.getvalue()).data) <= 200 * 1024


def test_where_and_with_what_it_was_taken_stays_behind_and_it_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned to the right.
    exif[0x010F] = "A camera"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)  # Latitude.
    data = uploaded(exif=exif, comment=b"by Ada", icc_profile=b"x" * 200)
    assert b"A camera" in data
    made = pictures.prepare(data)
    for trace in (b"A camera", b"Exif", b"Ada", b"ICC"):
        assert trace not in made.data
    assert (made.width, made.height) == (300, 400)
    top = opened(made.data).convert("RGB").getpixel((150, 50))
    assert isinstance(top, tuple)
    assert top[0] > 200, "what was left is at the top"


def test_a_thumbnail_stays_behind_too() -> None:
    made = pictures.prepare(uploaded()).data
    assert pictures.prepare(made).data == made
    thumbnail = b"uncropped" * 100
    larger = made[:4] + (16 + len(thumbnail)).to_bytes(2, "big") + made[6:20] + thumbnail + made[20:]
    assert opened(larger).size == opened(made).size
    assert thumbnail not in pictures.prepare(larger).data


def test_metadata_that_says_nonsense_is_refused() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x011A] = 72.0  # Resolution, a fraction; now said to be text.
    data = uploaded(exif=exif)
    broken = data.replace(b"\x01\x1a\x00\x05", b"\x01\x1a\x00\x02").replace(b"\x1a\x01\x05\x00", b"\x1a\x01\x02\x00")
    assert broken != data
    with pytest.raises(ValueError, match="must be a whole"):
        pictures.prepare(broken)


def test_what_one_could_see_through_is_white() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(file, "PNG")
    assert opened(pictures.prepare(file.getvalue()).data).getpixel((5, 5)) == (255, 255, 255)
    assert pictures.prepare(uploaded("PNG", mode="P"))
    assert pictures.prepare(uploaded("JPEG", mode="CMYK"))


def test_what_we_have_made_is_not_made_again() -> None:
    made = pictures.prepare(uploaded(size=(3000, 2000)))
    assert pictures.prepare(made.data) == made
    hung_on = pictures.prepare(made.data + b"secret")
    assert b"secret" not in hung_on.data


BROKEN = {
    "nothing": b"",
    "a text": b"hello",
    "a GIF": uploaded("GIF"),
    "a TIFF": uploaded("TIFF"),
    "half a picture": uploaded()[:500],
    "half a PNG": uploaded("PNG")[:200],
    "a drawing with a script": b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
    "a program with a picture's beginning": b"\xff\xd8\xff\xe0" + b"MZ" * 100,
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_picture_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(ValueError, match="must be a whole JPEG, PNG or WebP picture"):
        pictures.prepare(data)


def test_a_picture_that_would_fill_the_memory_is_not_unpacked() -> None:
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    assert len(file.getvalue()) < 100_000
    with pytest.raises(ValueError, match="must have 25 million pixels or fewer"):
        pictures.prepare(file.getvalue())


def test_a_picture_needs_words_for_those_who_do_not_see_it() -> None:
    with pytest.raises(WrongError, match="picture_text: is missing"):
        campaign_keys.check({**vars(FILE), "picture": uploaded()})


def test_readers_and_link_previews_get_it(client: FlaskClient, publish: Publish) -> None:
    picture = pictures.prepare(uploaded())
    publish(picture=picture, picture_text='A "tree"')
    page = client.get(PATH).text
    address = f"/pictures/{picture.digest}.jpg"
    alt = "A &#34;tree&#34;"
    assert f'src="{address}" alt="{alt}" width="400" height="300" loading="lazy">' in page
    assert f'<meta property="og:image" content="http://127.0.0.1:8000{address}">' in page
    assert f'<meta property="og:image:alt" content="{alt}">' in page
    answer = client.get(address)
    assert (answer.mimetype, answer.data) == ("image/jpeg", picture.data)
    assert answer.headers["Cache-Control"] == "public, immutable, max-age=31536000"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_another_address_has_no_picture(client: FlaskClient, campaign: Campaign) -> None:
    for name in ("0" * 64, "x", "%00", "a/b"):
        assert client.get(f"/pictures/{name}.jpg").status_code == 404
