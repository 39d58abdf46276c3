"""The machine's clock is set back, as by an operator or by a time server that knows better."""

from datetime import timedelta
from pathlib import Path

import pytest

from campaign.extensions import db
from campaign.models import Campaign
from tests.conftest import stored
from tests.faults.load import Load
from tests.faults.site import Site


@pytest.fixture
def offset(tmp_path: Path) -> Path:
    """The file that says how far the clock of the site is off."""
    path = tmp_path / "offset"
    path.write_text("+0\n")
    return path


SLEEP = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""
"""Read by Python at its start (module site). Where it leaves the monotonic clock alone, libfaketime 0.9.10 fails in
clock_nanosleep(), by which Python sleeps.
"""


@pytest.fixture
def environ(environ: dict[str, str], offset: Path) -> dict[str, str]:
    """The site's settings, with a clock that can be set while it runs; what has passed since its start stays true."""
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


def test_when_the_clock_is_set_back_an_hour_nobody_notices(
    site: Site, load: Load, campaign: Campaign, offset: Path
) -> None:
    with load.trouble():
        # In one piece, so that nobody reads half of it.
        new = offset.with_suffix(".new")
        new.write_text("-3600\n")
        new.rename(offset)
    load.finish(campaign.id)
    signed = [signature.signed_at for signature in stored()]
    db.session.rollback()
    assert max(signed) - min(signed) > timedelta(minutes=59), "the clock was not set back"
