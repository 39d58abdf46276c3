"""Hostile text in every field, parameter, path, and header: the work stays bounded, and no response is a 5xx.

The routes are read from the two apps, and the names of fields and parameters are collected while the routes read them
from the request. So new routes and fields are tested automatically.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from sqlalchemy import select
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.routing import AnyConverter, IntegerConverter, Rule
from werkzeug.test import TestResponse
from wtforms import Form

from campaign.models.account import DeskSession, Role
from campaign.models.campaign import Campaign
from campaign.settings import Settings
from campaign.storage.transactions import write_transaction
from campaign.text.email_address import EMAIL_LENGTH
from campaign.web.form_checks import OneErrorPerField
from tests.attacks.conftest import Work
from tests.conftest import ADA, SECRET_KEY, SLUG, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk, browser, token_of

MOST_WORK = 64 * EMAIL_LENGTH + 10_000
"""The most characters that one request may normalize.

email_validator normalizes 32 characters around each character of an email address, and sign-in checks one twice.
"""
GRAVE, MINUS_BELOW = "\u0300", "\u0320"
TEXTS = {
    "long": "a" + GRAVE * 3_000 + MINUS_BELOW * 3_000 + "@x.org",
    "a URL with a host": "//a" + (GRAVE + MINUS_BELOW) * 900 + "/[",
    "not text": "\u202ea\x00\u2066b\ue000\uffff\u0085\x1b[31m" + GRAVE * 40,
    "many digits": "9" * 5_000,
}
SHORT = st.text(
    st.one_of(
        st.sampled_from(
            " \u0300\u0320\u0344\u302e\u202e\u2066\u200f\u0000\ufdfa\u1f82\ue000\uffff\n\t@.,-%&'\"<>/\\[]:"
        ),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)
HEADERS = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Cache-Control",
    "HX-Request",
    "HX-Target",
    "If-Modified-Since",
    "If-None-Match",
    "Range",
    "Referer",
    "User-Agent",
    "X-CSRFToken",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Request-ID",
]
"""Headers sent together, because none of them stops the others from being read."""
DECIDING = ["Content-Type", "Origin", "Sec-Fetch-Site"]
"""Headers sent alone, because each can cause a refusal before the others are read."""
VALID = {
    **ADA,
    "role": "organizer",
    "kind": "csv",
    "purpose": "ours",
    "password": "no such password",
    "usage": "secondary",
}
"""Values for the other fields, so that validation reaches the tested one."""

PLACEHOLDER = "placeholder"

_names_read: set[str] = set()


class RecordingDict(ImmutableMultiDict[Any, Any]):
    """The fields or parameters of a request. They record the names that a route reads."""

    def __getitem__(self, key: Any) -> Any:
        _names_read.add(str(key))
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        _names_read.add(str(key))
        return super().__contains__(key)

    def getlist(self, key: Any, *args: Any, **kwargs: Any) -> list[Any]:
        _names_read.add(str(key))
        return super().getlist(key, *args, **kwargs)


@dataclass(frozen=True)
class Route:
    """A route, a method, and the client that sends the requests."""

    prefix: str
    rule: Rule
    method: str
    client: AtDesk
    cookies: tuple[Any, ...]
    token: str

    @property
    def values(self) -> dict[str, Any]:
        """The variables of the path for an existing page."""
        known = {"slug": SLUG, "what": "day"}
        kinds = self.rule._converters
        return {name: self._value(kinds[name], known.get(name, "x")) for name in self.rule.arguments}

    def _value(self, kind: object, otherwise: str) -> Any:
        if isinstance(kind, AnyConverter):
            return sorted(kind.items)[0]
        return 1 if isinstance(kind, IntegerConverter) else otherwise

    def send(self, values: dict[str, Any], sent: dict[str, str], headers: dict[str, str]) -> TestResponse:
        """Send a request, with the cookies that the client had at first."""
        for cookie in self.cookies:
            self.client.set_cookie(
                cookie.key, cookie.value, domain=cookie.domain, path=cookie.path, secure=cookie.secure
            )
        built = self.rule.build(values)
        assert built
        path = self.prefix + built[1]
        headers = {name: _header(text) for name, text in headers.items()}
        if self.method == "GET":
            return AtDesk.get(self.client, path, query_string=sent, headers=headers)
        data = {"csrf_token": self.token} | sent
        kind = {} if "Content-Type" in headers else {"content_type": "application/x-www-form-urlencoded"}
        return AtDesk.post(self.client, path, data=data, headers=headers, **kind)


@pytest.fixture
def settings(tmp_path: Any, database: str) -> Settings:
    """Return the usual settings without rate limits, which would stop the test."""
    environ = {"DATABASE_URL": database, "SECRET_KEY": SECRET_KEY, "RATELIMIT_ENABLED": "false"}
    return Settings.from_environ(environ, tmp_path)


@pytest.fixture
def routes(app: Flask, campaign: Campaign, at_desk: AtDeskAs) -> list[Route]:
    admin, stranger = at_desk(Role.ADMIN), browser(app)
    desk = app.extensions["desk"].app
    for each in (app, desk):
        each.request_class = type("Asking", (each.request_class,), {"parameter_storage_class": RecordingDict})
    people = [(admin, admin.token()), (stranger, token_of(stranger.get("/desk/sign-in").text))]
    found = []
    for prefix, of in (("", app), ("/desk", desk)):
        for rule in of.url_map.iter_rules():
            for method in sorted({"GET", "POST"} & (rule.methods or set())):
                for who, token in people if prefix else people[1:]:
                    cookies = tuple(who._cookies.values()) if who._cookies else ()
                    found.append(Route(prefix, rule, method, who, cookies, token))
    return found


def _header(text: str) -> str:
    """Return the text as a server passes a header to an app: as Latin-1, without line breaks, at most 8,000 bytes."""
    return text.encode().decode("latin-1").replace("\n", " ").replace("\r", " ")[:8_000]


def _with(part: dict[str, Any], text: str) -> dict[str, Any]:
    return {name: text if value == PLACEHOLDER else value for name, value in part.items()}


def restore_session(route: Route, row: dict[str, Any]) -> None:
    """Restore the admin's session if the previous route has ended it."""
    with write_transaction() as session:
        if not session.scalars(select(DeskSession)).first():
            session.add(DeskSession(**row))


def attempts(route: Route, text: str) -> Iterator[tuple[str, dict[str, Any], dict[str, str], dict[str, str]]]:
    """Yield every request that brings the text to a route: name of the place, path variables, fields, headers."""
    _names_read.clear()
    route.send(route.values, dict(VALID), {})
    for name in sorted(_names_read - {"csrf_token"}):
        yield name, route.values, VALID | {name: text}, {}
    for name, kind in route.rule._converters.items():
        if not isinstance(kind, AnyConverter | IntegerConverter):
            yield f"<{name}>", route.values | {name: text}, {}, {}
    yield "headers", route.values, dict(VALID), dict.fromkeys(HEADERS, text)
    for name in DECIDING if route.method == "POST" else []:
        yield name, route.values, dict(VALID), {name: text}


def _status(route: Route, values: dict[str, Any], sent: dict[str, str], headers: dict[str, str]) -> int:
    try:
        return route.send(values, sent, headers).status_code
    except Exception:
        # A real server would respond with status 500.
        logging.exception("no answer")
        return 500


@only_sqlite
@pytest.mark.slow
def test_hostile_text_in_any_field_is_handled_cheaply_and_without_server_error(routes: list[Route], work: Work) -> None:
    with write_transaction() as session:
        found = session.scalars(select(DeskSession)).one()
        row = {column.key: getattr(found, column.key) for column in DeskSession.__table__.columns}
    wrong, tried = [], 0
    # The desk has too many fields to send every text to each, so each field gets the next text in turn.
    rotated = cycle(TEXTS)
    for route in routes:
        restore_session(route, row)
        for where, values, sent, headers in list(attempts(route, PLACEHOLDER)):
            for text in [next(rotated)] if route.prefix else TEXTS:
                put = [_with(part, TEXTS[text]) for part in (values, sent, headers)]
                work.normalized, tried = 0, tried + 1
                status = _status(route, put[0], put[1], put[2])
                if status >= 500 or work.normalized > MOST_WORK:
                    of = f"{route.method} {route.prefix}{route.rule.rule}"
                    wrong.append(f"{of}: {text} in {where}: {status}, {work.normalized} normalized")
    assert not wrong, "\n".join(wrong)
    assert tried > 500


@only_sqlite
@pytest.mark.slow
def test_short_text_in_any_field_causes_no_server_error(routes: list[Route], work: Work) -> None:
    @limits(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(route=st.sampled_from(routes), text=SHORT, place=st.integers(0, 30))
    def every(route: Route, text: str, place: int) -> None:
        possible = list(attempts(route, text))
        _, values, sent, headers = possible[place % len(possible)]
        work.normalized = 0
        assert _status(route, values, sent, headers) < 500
        assert work.normalized <= MOST_WORK

    every()


@only_sqlite
def test_every_form_stops_at_a_fields_first_error(app: Flask) -> None:
    assert app.extensions["desk"].app

    def below(form: type[Form]) -> Iterator[type[Form]]:
        for each in form.__subclasses__():
            yield each
            yield from below(each)

    ours = [form for form in below(Form) if form.__module__.startswith("campaign.") and not _is_of_a_library(form)]
    assert len(ours) >= 7
    for form in ours:
        assert issubclass(form.Meta, OneErrorPerField), form


def _is_of_a_library(form: type[Form]) -> bool:
    """Return whether the form is based on Flask-Security's forms, whose validators stop by themselves."""
    return any(base.__module__.startswith("flask_security") for base in form.__mro__)
