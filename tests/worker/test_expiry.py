"""The worker deletes what has expired, and nothing else."""

from datetime import UTC, datetime, timedelta

from flask import Flask
from sqlalchemy import select

from campaign.accounts import known_networks, sessions
from campaign.campaigns.pictures import storage as pictures
from campaign.campaigns.pictures.preparing import Prepared
from campaign.models.account import Account, DeskSession, KnownNetwork, Role
from campaign.models.campaign import Picture
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.worker import expiry
from campaign.worker.task import NOW


def test_expired_sessions_and_networks_are_deleted(app: Flask) -> None:
    now = datetime.now(UTC)
    with write_transaction() as session:
        account = Account(email="grace@example.org", role=Role.ADMIN, created_at=now, fs_uniquifier="g")
        session.add(account)
        session.flush()
        for age in (timedelta(hours=13), timedelta(hours=11)):
            sessions.begin(session, account, "Firefox", now - age)
        for age in (timedelta(days=91), timedelta(days=89)):
            known_networks.remember(session, account.id, str(age.days), now - age)
    assert expiry.delete_expired() == expiry.LOOK_AGAIN
    assert [found.began_at for found in db.session.scalars(select(DeskSession))] == [now - timedelta(hours=11)]
    assert db.session.scalars(select(KnownNetwork.network)).all() == ["89"]


def test_pictures_that_were_never_saved_are_deleted_a_few_at_a_time(app: Flask) -> None:
    now = datetime.now(UTC)
    with write_transaction() as session:
        for number in range(pictures.DELETE_BATCH + 1):
            pictures.store(session, Prepared(b"%d" % number, 1, 1), until=now)
        pictures.store(session, kept := Prepared(b"kept", 1, 1), until=now + timedelta(hours=1))
        pictures.store(session, used := Prepared(b"used", 1, 1))
    assert expiry.delete_expired() == NOW
    assert len(db.session.scalars(select(Picture.digest)).all()) == 3
    assert expiry.delete_expired() == expiry.LOOK_AGAIN
    assert set(db.session.scalars(select(Picture.digest))) == {kept.digest, used.digest}
