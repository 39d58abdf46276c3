"""Fixtures for attacks: users of the desk, the work that an attack causes, parsed form fields, and time that passes."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import argon2
import pytest
from argon2 import low_level
from flask import Flask
from sqlalchemy import select
from werkzeug import formparser
from werkzeug.sansio.multipart import Event, Field, File, MultipartDecoder

from campaign.models.account import Role, SignInFailures
from campaign.storage import request_counts
from campaign.storage.transactions import write_transaction
from tests.attacks.guessing import HOME, PassTime, browser_at
from tests.desk.conftest import at_desk, invited, newcomer
from tests.desk.people import Person, sign_in

__all__ = ["at_desk", "invited", "newcomer"]


@dataclass
class Work:
    """The work that an attack causes."""

    normalized: int = 0
    """Characters passed to Unicode normalization, by us or by a library."""
    hashed: int = 0
    """Computations of argon2: hashes and verifications."""


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Count normalized characters and computations of argon2.

    Measured time would be useless on a busy machine.
    """
    work, normalize = Work(), unicodedata.normalize

    def counted(form: str, text: str) -> str:
        # Normalizing ASCII only copies it. Other text may have to be reordered, which is expensive.
        work.normalized += 0 if text.isascii() else len(text)
        return normalize(form, text)  # type: ignore[arg-type]

    monkeypatch.setattr(unicodedata, "normalize", counted)
    for module, name in [
        (low_level, "hash_secret"),
        (low_level, "verify_secret"),
        (argon2._password_hasher, "hash_secret"),
    ]:
        monkeypatch.setattr(module, name, _counting(work, getattr(module, name)))
    return work


def _counting(work: Work, compute: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*args: Any, **kwargs: Any) -> Any:
        work.hashed += 1
        return compute(*args, **kwargs)

    return counted


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Return a function that lets time pass for rate limits, blocks of second factors, and hourly counts."""
    passed, clock = timedelta(0), request_counts.clock
    monkeypatch.setattr(request_counts, "clock", lambda: clock() + passed.total_seconds())

    def pass_time(by: timedelta) -> None:
        nonlocal passed
        passed += by
        with write_transaction() as session:
            for each in session.scalars(select(SignInFailures)):
                each.blocked_until = each.blocked_until and each.blocked_until - by
                each.hour -= int(by / timedelta(hours=1))
                each.lockout_hour -= int(by / timedelta(hours=1))

    return pass_time


@pytest.fixture
def owner(app: Flask, invited: Callable[[Role], Person], pass_time: PassTime) -> Person:
    """Return the owner of an account who signed in from their home network an hour ago."""
    person = invited(Role.ADMIN)
    sign_in(browser_at(app, HOME), person)
    pass_time(timedelta(hours=1))
    return person


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that collects the names of all form fields that Werkzeug parses."""
    names: list[str] = []
    # Werkzeug imports parse_qsl from the standard library, and doesn't export it.
    parse, next_event = formparser.parse_qsl, MultipartDecoder.next_event  # type: ignore[attr-defined]

    def urlencoded(*args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        found = parse(*args, **kwargs)
        names.extend(name for name, _ in found)
        return found

    def multipart(decoder: MultipartDecoder) -> Event:
        event = next_event(decoder)
        if isinstance(event, (Field, File)):
            names.append(event.name)
        return event

    monkeypatch.setattr(formparser, "parse_qsl", urlencoded)
    monkeypatch.setattr(MultipartDecoder, "next_event", multipart)
    return names
