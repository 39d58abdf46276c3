"""The worker's position in the signatures is right after signatures were deleted or copied."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask
from flask.testing import FlaskCliRunner
from flask_migrate import downgrade, upgrade
from sqlalchemy import delete, func, select

from campaign.models.campaign import Campaign
from campaign.models.signature import Signature
from campaign.statistics import roll_up_checks, roll_ups
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import only_sqlite, stored
from tests.statistics.rolling import counted, roll_up, rolled_up
from tests.statistics.test_roll_ups import add_fake

NOW = datetime.now(UTC).replace(microsecond=0)


def delete_newest() -> None:
    with write_transaction() as session:
        newest = select(func.max(Signature.id)).scalar_subquery()
        session.execute(delete(Signature).where(Signature.id == newest))


def test_signature_with_the_id_of_a_deleted_one_is_counted(campaign: Campaign) -> None:
    add_fake(campaign, 3)
    roll_up(NOW)
    delete_newest()
    add_fake(campaign, 1)
    roll_up(NOW)
    assert roll_ups.position(db.session()) == stored()[-1].id
    assert sum(rolled_up(campaign, NOW)["country"].values()) == 4, "a repair subtracts the deleted one"
    assert roll_up_checks.repair(db.engine, campaign.id, NOW).wrong
    assert rolled_up(campaign, NOW) == counted(campaign, NOW)


@only_sqlite
def test_upgrade_corrects_a_position_after_the_last_signature(campaign: Campaign) -> None:
    add_fake(campaign, 3)
    roll_up(NOW)
    downgrade(revision="0014")
    delete_newest()
    assert roll_ups.position(db.session()) == 3
    db.session.rollback()
    upgrade()
    assert roll_ups.position(db.session()) == 2


def test_copy_from_keeps_the_statistics(app: Flask, runner: FlaskCliRunner, empty_sqlite: Path, tmp_path: Path) -> None:
    source, now = tmp_path / "source.sqlite", NOW.strftime("%Y-%m-%d %H:%M:%S.%f")
    source.write_bytes(empty_sqlite.read_bytes())
    seconds = int(NOW.timestamp())
    with sqlite3.connect(source) as connection:
        connection.execute(
            "INSERT INTO campaign (id, slug, title, category, summary, addressees, letter, thanks, share_text, goal, "
            "donate_url, donate_text, language, state, created_at, updated_at) "
            f"VALUES (1, 's', 't', 'c', 's', 'a', 'l', 't', 's', 9, '', '', 'en', 'open', '{now}', '{now}')"
        )
        connection.execute(
            "INSERT INTO signature (id, campaign_id, name, email, email_key, country, region, city, postal_code, "
            "anonymous, wants_updates, state, source, language, signed_at, listed_at) "
            f"VALUES (7, 1, 'Ada', 'x', 'x', 'US', '', '', '', 0, 0, 'public', 'mail', 'es', '{now}', '{now}')"
        )
        connection.execute("INSERT INTO tally VALUES (1, 0, 1)")
        # The signature with the id 9 was deleted by an earlier version.
        connection.execute(f"INSERT INTO roll_up VALUES (1, 9, '{now}', 0)")
        connection.execute(f"INSERT INTO roll_up_minute VALUES (1, {seconds // 60}, 1)")
        connection.execute(f"INSERT INTO roll_up_quarter VALUES (1, {seconds // 900}, 1)")
        groups = [("country", "US"), ("state", ""), ("source", "mail"), ("language", "es")]
        connection.executemany("INSERT INTO roll_up_group VALUES (1, ?, ?, 1)", groups)
    connection.close()
    result = runner.invoke(args=["copy-from", str(source)])
    assert result.exit_code == 0, result.output
    campaign = db.session.scalars(select(Campaign)).one()
    assert rolled_up(campaign, NOW) == counted(campaign, NOW)
    assert roll_ups.position(db.session()) == 7
    add_fake(campaign, 1)
    roll_up(NOW)
    assert rolled_up(campaign, NOW) == counted(campaign, NOW)
    assert sum(rolled_up(campaign, NOW)["country"].values()) == 2
