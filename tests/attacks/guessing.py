"""Helpers for attacks on sign-in: strangers in many networks, and the audit log's entries about them."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import count

from flask import Flask
from sqlalchemy import select

from campaign.accounts import sign_in_log
from campaign.models.account import Account
from campaign.models.audit_log import Record
from campaign.storage.database import db
from tests.desk.people import (
    AtDesk,
    Person,
    browser,
    enter_password,
)

HOME = "192.0.2.7"
PassTime = Callable[[timedelta], None]
_stranger = count(1)


def browser_at(app: Flask, address: str) -> AtDesk:
    """Return a new browser with this IP address."""
    client = browser(app)
    client.environ_base["REMOTE_ADDR"] = address
    return client


def stranger(app: Flask) -> AtDesk:
    """Return a new browser in a network that wasn't used before."""
    number = next(_stranger)
    return browser_at(app, f"2001:db8:{number >> 8:x}:{number & 255:x}::1")


def hammer(app: Flask, email: str, times: int) -> Counter[int]:
    """Enter wrong passwords, each from another network, and return the number of responses per status."""
    return Counter(enter_password(stranger(app), email, "a wrong password").status_code for _ in range(times))


def entries(action: str, email: str | None = None) -> list[Record]:
    """Return the audit log's entries with this action, of one account or of all email addresses without an account."""
    db.session.rollback()
    of_actor = Record.actor == (email or sign_in_log.NO_ACCOUNT.name)
    return list(db.session.scalars(select(Record).where(Record.action == action, of_actor).order_by(Record.id)))


def account_of(person: Person) -> Account:
    """Return the person's account as it is stored now."""
    db.session.rollback()
    return db.session.scalars(select(Account).where(Account.email == person.email)).one()


def unlock(app: Flask, email: str) -> None:
    """Unlock an account with the command."""
    result = app.test_cli_runner().invoke(args=["organizers", "unlock", email])
    assert result.exit_code == 0, result.output
