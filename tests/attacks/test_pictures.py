"""Hostile pictures take bounded memory and time and get an error message. Unsaved pictures are deleted."""

import io
import random
import struct
import subprocess
import sys
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskCliRunner
from flask_migrate import downgrade, upgrade
from PIL import Image
from sqlalchemy import insert, select

from campaign.accounts.audit_log import COMMAND
from campaign.campaigns import editing
from campaign.campaigns.pictures import preparing
from campaign.campaigns.pictures import storage as pictures
from campaign.campaigns.pictures.limits import MOST_CHUNKS, MOST_SCANS, MOST_SEGMENTS
from campaign.campaigns.pictures.preparing import Prepared
from campaign.cli import copy_from as copying
from campaign.models.account import Role
from campaign.models.campaign import Campaign, Picture
from campaign.settings import ROOT
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.campaigns.test_pictures import uploaded
from tests.conftest import FILE, Publish
from tests.desk.conftest import AtDeskAs

EDIT = "/desk/campaigns/save-the-park/edit"
MOST_MEMORY = 200 * 2**20
"""The most bytes of memory that a process may use for pictures, however many are uploaded at once."""

UPLOAD_AT_ONCE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from campaign.campaigns.pictures import preparing

def upload(path):
    try:
        return f"{preparing.prepare(path.read_bytes()).width} pixels wide"
    except ValueError as error:
        return str(error)

def peak():
    # Not ru_maxrss, which begins with the memory of the parent.
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024

upload(Path(sys.argv[1]) / "small.png")
before = peak()
with ThreadPoolExecutor(8) as people:
    messages = list(people.map(upload, sorted(Path(sys.argv[1]).glob("large*"))))
print(peak() - before)
print("\\n".join(messages))
"""


@pytest.mark.parametrize(
    ("kind", "size", "how"),
    [
        ("WEBP", (5000, 5000), {}),
        ("WEBP", (3000, 3000), {}),
        ("WEBP", (3000, 3000), {"lossless": True}),
        ("PNG", (3000, 3000), {}),
        ("JPEG", (3400, 3500), {"progressive": True, "subsampling": 0}),
        ("JPEG", (5000, 5000), {}),
    ],
    ids=str,
)
@pytest.mark.slow
def test_simultaneous_uploads_use_no_more_memory_than_a_single_upload(
    tmp_path: Path, kind: str, size: tuple[int, int], how: dict[str, Any]
) -> None:
    (tmp_path / "small.png").write_bytes(uploaded("PNG"))
    data = uploaded(kind, size, **how)
    for number in range(8):
        (tmp_path / f"large{number}").write_bytes(data)
    command = [sys.executable, "-c", UPLOAD_AT_ONCE, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    peak, *messages = done.stdout.splitlines()
    assert int(peak) < MOST_MEMORY
    assert len(messages) == 8
    too_large = "The picture has 5000 × 5000 pixels, but a WebP must have 9 million or fewer"
    # Uploads that find no place in the queue are refused, and can be tried again.
    expected = too_large if size == (5000, 5000) and kind == "WEBP" else " pixels wide"
    assert all(expected in line or "Other uploads are waiting" in line for line in messages), messages
    assert any(expected in line for line in messages)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def webp(flags: int, *chunks: tuple[bytes, bytes], size: int = 100) -> bytes:
    """A WebP with chunks after its picture, as in Google's "WebP Container Specification"."""
    edge = (size - 1).to_bytes(3, "little")
    parts = [(b"VP8X", bytes([flags, 0, 0, 0]) + edge + edge)]
    whole = b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in parts)
    body = whole + uploaded("WEBP", (100, 100))[12:]
    for kind, data in chunks:
        body += kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


JPEG, PNG = uploaded(), uploaded("PNG")
PROGRESSIVE = uploaded(progressive=True)
LAST_SCAN = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]
BOMB = zlib.compress(b"x" * 50_000_000)
REFUSED = {
    "many comments": JPEG[:2] + b"\xff\xfe\x00\x02" * (MOST_SEGMENTS + 1) + JPEG[2:],
    "many fill bytes": JPEG[:2] + b"\xff" * 1_000_000 + JPEG[2:],
    "many scans": PROGRESSIVE[:-2] + LAST_SCAN * (MOST_SCANS + 1) + b"\xff\xd9",
    "scans after standalone markers": PROGRESSIVE[:-2] + (b"\xff\x01" + LAST_SCAN) * 99 + b"\xff\xd9",
    "many chunks": PNG[:33] + chunk(b"abCd") * MOST_CHUNKS + PNG[33:],
    "many chunks of the picture": PNG[:33] + chunk(b"IDAT") * MOST_CHUNKS + PNG[33:],
    "a text that unpacks to 50 MB": PNG[:33] + chunk(b"zTXt", b"a\0\0" + BOMB) + PNG[33:],
    "an international text that unpacks to 50 MB": PNG[:33] + chunk(b"iTXt", b"a\0\1\0\0\0" + BOMB) + PNG[33:],
    "a color profile that unpacks to 50 MB": PNG[:33] + chunk(b"iCCP", b"a\0\0" + BOMB) + PNG[33:],
    "a WebP of 268 million pixels": webp(0, size=16384),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_expensive_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"choose the new file$"):
        preparing.prepare(data)


def with_exif(exif: bytes) -> list[bytes]:
    """Return a JPEG, a PNG, and a WebP with this metadata."""
    in_jpeg = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif + JPEG[2:]
    return [in_jpeg, PNG[:33] + chunk(b"eXIf", exif) + PNG[33:], webp(8, (b"EXIF", exif))]


@pytest.mark.slow
def test_malformed_metadata_is_read_or_refused() -> None:
    chance = random.Random(12)  # noqa: S311
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "A camera", 72.0
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    whole = exif.tobytes()[6:]
    malformed = [whole[:length] for length in range(len(whole))]
    malformed += [b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + b"\x12\x01\x03\0\1\0\0\0\6\0\0\0" * 5000]
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(chance.randrange(1, 5)):
            changed[chance.randrange(len(changed))] = chance.choice((0, 1, 2, 5, 8, 255, chance.randrange(256)))
        malformed.append(bytes(changed))
    refused = [error for exif_data in malformed for data in with_exif(exif_data) if (error := refusal(data))]
    assert refused
    assert set(refused) == {DAMAGED}


DAMAGED = (
    "The picture must be an undamaged JPEG, PNG, or WebP. Save it again in an image editor, and choose the new file"
)


def refusal(data: bytes) -> str:
    """Return the error for a picture, or an empty string if it is accepted. Errors other than ValueError propagate."""
    try:
        preparing.prepare(data)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_picture_is_read_or_refused(kind: str) -> None:
    chance, whole = random.Random(kind), uploaded(kind, (40, 30))  # noqa: S311
    errors = set()
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        errors.add(refusal(bytes(damaged[: chance.choice((len(damaged), chance.randrange(len(damaged))))])))
    # Damaged sizes get other errors.
    assert {line for line in errors if " pixels" not in line and "too many" not in line} <= {"", DAMAGED}
    assert DAMAGED in errors


@pytest.mark.slow
def test_malformed_metadata_at_the_desk_gets_an_error_at_the_field(at_desk: AtDeskAs, campaign: Campaign) -> None:
    admin = at_desk(Role.ADMIN)
    for data in with_exif(b"II*\0\x08\0\0\0" + b"\x01\0\x12\x01\x03"):
        fields = {key: value for key, value in vars(FILE).items() if isinstance(value, str)}
        sent = fields | {"goal": "100", "version": str(campaign.version), "picture": (io.BytesIO(data), "tree.jpg")}
        answer = admin.post(EDIT, data=sent, content_type="multipart/form-data")
        assert answer.status_code in (200, 422)
        assert answer.status_code == 200 or "Picture " in answer.text


def stored() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(select(Picture.digest).order_by(Picture.digest)))


def keep(until: datetime | None, shade: int = 0) -> Prepared:
    file = io.BytesIO()
    Image.new("RGB", (10, 10), (shade, 0, 0)).save(file, "PNG")
    picture = preparing.prepare(file.getvalue())
    with write_transaction() as session:
        pictures.store(session, picture, until)
    return picture


def clean(now: datetime) -> int:
    with write_transaction() as session:
        return pictures.delete_expired(session, now)


@pytest.mark.slow
def test_unsaved_picture_is_deleted_after_a_day(at_desk: AtDeskAs, campaign: Campaign) -> None:
    fields = {key: value for key, value in vars(FILE).items() if isinstance(value, str)}
    sent = fields | {"goal": "100", "version": str(campaign.version), "picture": (io.BytesIO(uploaded()), "a.jpg")}
    assert at_desk(Role.ADMIN).post(EDIT, data=sent, content_type="multipart/form-data").status_code == 422
    assert len(stored()) == 1
    now = datetime.now(UTC)
    assert clean(now + timedelta(hours=23)) == 0
    assert clean(now + timedelta(hours=25)) == 1
    assert stored() == []


def test_picture_of_a_campaign_is_kept_even_after_removal(publish: Publish, app: object) -> None:
    now = datetime.now(UTC)
    picture = keep(now)
    campaign = publish(picture=picture, picture_text="A tree")
    # Uploading the same picture in a form that isn't saved doesn't make it expire.
    with write_transaction() as session:
        pictures.store(session, picture, now)
    assert clean(now + timedelta(days=9)) == 0
    with write_transaction() as session:
        editing.edit(session, COMMAND, campaign.id, FILE, now)
    assert clean(now + timedelta(days=9)) == 0
    assert stored() == [picture.digest]


def test_picture_uploaded_again_is_kept_for_another_day(app: object) -> None:
    now = datetime.now(UTC)
    keep(now)
    keep(now + timedelta(days=1))
    assert clean(now) == 0
    assert len(stored()) == 1


def test_expired_pictures_are_deleted_in_batches_and_all_by_the_command(app: object, runner: FlaskCliRunner) -> None:
    now = datetime.now(UTC)
    for shade in range(0, 250, 10):
        keep(now - timedelta(seconds=1), shade)
    kept = keep(now + timedelta(hours=1), 255)
    assert clean(now) == pictures.DELETE_BATCH
    result = runner.invoke(args=["signatures", "forget-exports"])
    assert result.output == "Deleted 0 expired exports and 15 unused pictures.\n"
    assert stored() == [kept.digest]


@pytest.mark.slow
def test_migration_expires_only_pictures_that_no_campaign_used(publish: Publish, app: object) -> None:
    had, has, abandoned = (keep(None, shade) for shade in (10, 100, 200))
    publish(picture=had, picture_text="A tree")
    publish(picture=has, picture_text="A tree")
    downgrade(revision="0003")
    upgrade()
    now = datetime.now(UTC)
    assert clean(now) == 0
    assert clean(now + timedelta(days=2)) == 1
    assert stored() == sorted([had.digest, has.digest])
    assert abandoned.digest not in stored()


def test_copy_from_keeps_the_expiry_of_pictures(app: object, empty_sqlite: Path, tmp_path: Path) -> None:
    from sqlalchemy import create_engine

    source = tmp_path / "source.sqlite"
    source.write_bytes(empty_sqlite.read_bytes())
    now = datetime.now(UTC)
    engine = create_engine(f"sqlite:///{source}")
    with engine.begin() as connection:
        connection.execute(insert(Picture).values(digest="a", data=b"x", width=1, height=1, expires_at=now))
    engine.dispose()
    with write_transaction() as session:
        copying.copy_from(source, session)
    db.session.rollback()
    assert db.session.scalar(select(Picture.expires_at)) == now
