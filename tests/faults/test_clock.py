"""Faults of the clock: an operator or a time server sets it back."""

from datetime import timedelta
from pathlib import Path

import pytest

from campaign.models.campaign import Campaign
from campaign.storage.database import db
from tests.conftest import stored
from tests.faults.load import Load
from tests.faults.site import Site


@pytest.fixture
def offset(tmp_path: Path) -> Path:
    """Return the file with the offset of the site's clock, in seconds."""
    path = tmp_path / "offset"
    path.write_text("+0\n")
    return path


SLEEP = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""
"""Python runs this at startup (module site).

Python sleeps with clock_nanosleep(), which fails in libfaketime 0.9.10 if the monotonic clock is left alone.
"""


@pytest.fixture
def environ(environ: dict[str, str], offset: Path) -> dict[str, str]:
    """Return settings with a clock that can be changed while the site runs; its monotonic clock stays correct."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert libraries, "this test needs faketime; script/test installs it"
    (offset.parent / "sitecustomize.py").write_text(SLEEP)
    return environ | {
        "PYTHONPATH": str(offset.parent),
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def test_setting_the_clock_back_an_hour_affects_no_request(
    site: Site, load: Load, campaign: Campaign, offset: Path
) -> None:
    with load.fault():
        # Replace the file in one step, so that no process reads half of it.
        new = offset.with_suffix(".new")
        new.write_text("-3600\n")
        new.rename(offset)
    load.finish(campaign.id)
    signed = [signature.signed_at for signature in stored()]
    db.session.rollback()
    assert max(signed) - min(signed) > timedelta(minutes=59), "the clock was not set back"
