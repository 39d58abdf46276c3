"""Writing a campaign to a file and reading it back yields the same campaign."""

import io
import tempfile
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskCliRunner
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from campaign.campaigns import editing, time_zones
from campaign.campaigns import fields as campaign_fields
from campaign.campaigns.fields import CampaignFile, InvalidCampaignError
from campaign.campaigns.files import reading, writing
from campaign.models.campaign import Campaign
from campaign.storage.database import db
from tests.conftest import FILE, SLUG, Publish

HOSTILE = [
    "---",
    "- a",
    "yes",
    "null",
    "2027-03-01",
    "1e3",
    "#x",
    "a: b",
    "'",
    '"',
    "|\n",
    "{{ x }}",
    "\u2028",
    "\ufeff",
]
TEXT = st.lists(
    st.one_of(st.sampled_from([*HOSTILE, "\n", "\n\n", " ", "\t", ": ", " #"]), st.text(max_size=8)), max_size=8
)
WORDS = TEXT.map("".join)


def png(color: str = "green", size: tuple[int, int] = (40, 30)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


PICTURE = campaign_fields.CHECKS["picture"](png())
KEYS = st.fixed_dictionaries(
    {
        "slug": st.just(SLUG),
        **dict.fromkeys(("title", "category", "summary", "thanks", "share_text", "donate_text", "letter"), WORDS),
        "addressees": st.lists(WORDS, max_size=3),
        "goal": st.integers(1, 10**9),
        "goal_step": st.integers(0, 10**9),
        "donate_url": st.sampled_from(["", "https://example.org/ä?b=c#d"]),
        "language": st.sampled_from(["en", "de", "pt-BR", "no"]),
        "opens_at": st.none()
        | st.datetimes(datetime(2000, 1, 2), datetime(2999, 12, 30), timezones=st.timezones(), allow_imaginary=False),  # noqa: DTZ001
        "time_zone": st.sampled_from(time_zones.names()),
        "picture": st.sampled_from([None, PICTURE]),
        "picture_text": WORDS,
        "deliver_anonymous": st.booleans(),
    }
)


def written_and_read(file: CampaignFile) -> CampaignFile:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "campaign.md")
        path.write_text(writing.write(file), encoding="utf-8")
        return reading.read(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(KEYS)
@example({**vars(FILE), "letter": "---\ntitle: x\n---\ny\n\n---\n", "title": "---", "addressees": ["---", "- yes"]})
@pytest.mark.slow
def test_campaign_survives_a_round_trip_through_its_file(given: dict[str, object]) -> None:
    right, _ = campaign_fields.check_each(given)
    try:
        file = campaign_fields.check({**vars(FILE), **right})
    except InvalidCampaignError:
        assume(False)
    assert written_and_read(file) == file


def test_publishing_a_downloaded_campaign_changes_nothing(
    runner: FlaskCliRunner, publish: Publish, tmp_path: Path
) -> None:
    campaign = publish(
        picture=PICTURE,
        picture_text="A tree",
        time_zone="Europe/Berlin",
        opens_at=datetime(2027, 3, 28, 0, 30, 15, tzinfo=UTC),
        goal_step=250,
        deliver_anonymous=True,
    )
    file = editing.file_of(db.session(), campaign)
    path = tmp_path / "park.md"
    path.write_text(writing.write(file))
    assert "opens_at: 2027-03-28 01:30:15+01:00\n" in path.read_text()
    assert runner.invoke(args=["campaigns", "publish", str(path)]).exit_code == 0
    db.session.rollback()
    again = editing.file_of(db.session(), db.session.get_one(Campaign, campaign.id))
    assert again == file
    assert {field.name for field in fields(CampaignFile)} == {*campaign_fields.CHECKS, "translations"}


@pytest.mark.parametrize("how", ["next to the file", "as a data: URL"])
def test_picture_can_be_next_to_the_file_or_embedded(tmp_path: Path, how: str) -> None:
    (tmp_path / "tree.png").write_bytes(png())
    path = tmp_path / "park.md"
    whole = writing.write(campaign_fields.check({**vars(FILE), "picture": PICTURE, "picture_text": "A tree"}))
    if how == "next to the file":
        whole = whole[: whole.index("picture: data:")] + "picture: tree.png\n" + whole[whole.index("---\nDear") :]
    path.write_text(whole)
    assert reading.read(path).picture == PICTURE
