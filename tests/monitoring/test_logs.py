"""The log: it has what an operator needs to find an error, and no personal data."""

import json
import logging
import os
import pty
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from flask import Flask
from flask.testing import FlaskClient

from campaign import create_app
from campaign.models.campaign import Campaign
from campaign.monitoring import logging_setup
from campaign.settings import Settings
from campaign.storage import single_flight
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import ADA, HTMX, PATH, SLUG, Server

SECRETS = ("Ada", "Lovelace", "ada@", "ada%40", "example.org", "90012", "127.0.0.1", "secret", SLUG)


def lines(text: str) -> list[dict[str, Any]]:
    """Return the log's lines, each of which is JSON."""
    return [json.loads(line) for line in text.splitlines()]


def logged(server: Server, number: int) -> list[dict[str, Any]]:
    """Return the server's lines, after waiting for this number of them: a response can arrive before its line."""
    deadline = time.monotonic() + 10
    while server.log.read_text().count("\n") < number and time.monotonic() < deadline:
        time.sleep(0.01)
    return lines(server.log.read_text())


def ask(url: str, data: dict[str, str] | None = None, **more: Any) -> tuple[int, str]:
    """Return the status and the request id of the response."""
    try:
        with urlopen(Request(url, urlencode(data).encode() if data else None, **more), timeout=30) as answer:
            return answer.status, answer.headers["X-Request-ID"]
    except HTTPError as error:
        return error.code, error.headers["X-Request-ID"]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_log_line_has_the_request_id_of_the_response(server: Server) -> None:
    status, request_id = ask(f"{server.page}/signatures", ADA, headers=HTMX)
    line = logged(server, 2)[-1]
    assert status == 200
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line.pop("duration_ms") > 0
    assert line == {
        "level": "info",
        "message": "answered",
        "request_id": request_id,
        "method": "POST",
        "route": "/campaigns/<slug>/signatures",
        "status": 200,
    }
    assert re.fullmatch(r"[0-9a-f]{16}", request_id)


def test_log_has_no_personal_data_and_no_urls(server: Server) -> None:
    responses = [
        ask(f"{server.page}/signatures", ADA, headers=HTMX),
        ask(f"{server.page}/signatures", ADA | {"country": ""}),
        ask(f"{server.page}/signatures", ADA | {"email": "ada@secret"}, headers=HTMX),
        ask(f"{server.page}/signatures", ADA, headers={"Sec-Fetch-Site": "cross-site"}),
        ask(f"{server.page}/signatures", ADA, headers={"Content-Type": "text/ada@example.org"}),
        ask(f"{server.page}/signatures?before=ada@example.org"),
        ask(f"{server.page}/share/mastodon?instance=secret.example.org"),
        ask(
            f"{server.url}/ada@example.org?name=Lovelace", headers={"Referer": "http://secret", "User-Agent": "secret"}
        ),
        ask(f"{server.url}/campaigns/ada@example.org"),
        ask(f"{server.url}/healthz", method="LOVELACE"),
        ask(f"{server.url}/healthz", headers={"X-Request-ID": "ada", "X-Forwarded-For": "10.1.2.3"}),
        ask(f"{server.url}/healthz", headers={"Host": "secret"}),
    ]
    found = logged(server, len(responses) + 1)[1:]
    assert [(line["status"], line["request_id"]) for line in found] == responses
    assert {line["route"] for line in found} >= {"none", "/campaigns/<slug>/share/mastodon"}
    for secret in (*SECRETS, "10.1.2.3"):
        assert secret not in str(found)


def test_log_has_no_personal_data_from_a_database_error(server: Server, settings: Settings) -> None:
    refuse = "ALTER TABLE signature ADD CONSTRAINT refused CHECK (name <> 'Ada Lovelace')"
    code = "23514"
    if settings.database_url.startswith("sqlite"):
        quoting = "SELECT RAISE(ABORT, 'DETAIL: Ada Lovelace, ada@example.org')"
        refuse = f"CREATE TRIGGER refused BEFORE INSERT ON signature BEGIN {quoting}; END"
        code = "SQLITE_CONSTRAINT_TRIGGER"
    with write_transaction() as session:
        session.connection().exec_driver_sql(refuse)
    status, request_id = ask(f"{server.page}/signatures", ADA)
    assert status == 503
    _, line, answered = logged(server, 3)
    assert (line["level"], line["message"], line["code"]) == ("error", "a signature could not be stored", code)
    assert line["request_id"] == answered["request_id"] == request_id
    assert line["route"] == "/campaigns/<slug>/signatures"
    assert line["exception"].startswith("sqlalchemy.exc.IntegrityError from ")
    assert any(re.fullmatch(r"campaign/signatures/signing\.py:\d+ sign", frame) for frame in line["frames"])
    assert (answered["level"], answered["status"]) == ("error", 503)
    for secret in SECRETS:
        assert secret not in server.log.read_text()


def test_unexpected_exception_is_logged_with_frames_but_without_its_text(
    app: Flask, client: FlaskClient, campaign: Campaign, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(slug: str) -> str:
        try:
            raise KeyError("ada@example.org")
        except KeyError:
            raise RuntimeError(f"Ada Lovelace signed {slug}") from None

    app.view_functions["site.campaign_page"] = broken
    answer = client.get(PATH)
    written = capsys.readouterr().err
    line, answered = lines(written)
    assert (line["level"], line["message"]) == ("error", "a response could not be created")
    assert (line["exception"], line["route"]) == ("RuntimeError", "/campaigns/<slug>")
    assert re.match(r"tests/monitoring/test_logs\.py:\d+ test_.*broken$", line["frames"][-1])
    assert {line["request_id"], answered["request_id"]} == {answer.headers["X-Request-ID"]}
    for secret in SECRETS:
        assert secret not in written


def test_cached_responses_are_not_logged_but_have_request_ids(
    client: FlaskClient, campaign: Campaign, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(single_flight, "tick", lambda: 1.0)
    etag = client.get(PATH).headers["ETag"]
    answers = [client.get(PATH), client.get(PATH), client.get(PATH, headers={"If-None-Match": etag})]
    (line,) = lines(capsys.readouterr().err)
    assert [answer.status_code for answer in answers] == [200, 200, 304]
    ids = [answer.headers.getlist("X-Request-ID") for answer in answers]
    assert len({line["request_id"], *(request_id for (request_id,) in ids)}) == 4
    assert not any("Campaign-Route" in answer.headers for answer in answers)


@contextmanager
def behind_a_proxy(settings: Settings, proxies: int) -> Iterator[FlaskClient]:
    environ = {"DATABASE_URL": settings.database_url, "TRUSTED_PROXIES": str(proxies)}
    app = create_app(Settings.from_environ(environ, settings.instance))
    yield app.test_client()
    with app.app_context():
        db.engine.dispose()


@pytest.mark.parametrize(
    ("proxies", "given", "taken"),
    [
        (1, "Abc-1.2_3", True),
        (1, "a" * 64, True),
        (0, "Abc-1.2_3", False),
        (1, "a" * 65, False),
        (1, "ada@example.org", False),
        (1, "ada\u0661", False),
        (1, "", False),
    ],
)
def test_valid_request_id_of_a_trusted_proxy_is_used(settings: Settings, proxies: int, given: str, taken: bool) -> None:
    with behind_a_proxy(settings, proxies) as client:
        answered = client.get("/healthz", environ_overrides={"HTTP_X_REQUEST_ID": given}).headers["X-Request-ID"]
    assert (answered == given) is taken
    assert re.fullmatch(r"[\w.-]{1,64}", answered)


def test_gunicorns_own_errors_have_the_same_format(server: Server) -> None:
    killed = children(server.process.pid)[0]
    os.kill(killed, signal.SIGKILL)
    line = logged(server, 2)[-1]
    assert (line["level"], line["message"]) == (
        "error",
        f"Worker (pid:{killed}) was sent SIGKILL! Perhaps out of memory?",
    )


def test_log_arguments_of_other_libraries_are_left_out(capsys: pytest.CaptureFixture[str], app: Flask) -> None:
    gunicorns = logging.getLogger("gunicorn.error")
    handler = logging.StreamHandler(sys.stderr)
    logging_setup.dress(handler)
    gunicorns.addHandler(handler)
    try:
        raise ValueError("ada@example.org")
    except ValueError as error:
        gunicorns.exception("Error handling request %s", "/?email=ada@example.org")
        gunicorns.exception(error)
        logging.getLogger("sqlalchemy.pool").warning("%s is gone", "ada@example.org")
        logging.getLogger("werkzeug").info("127.0.0.1 - - GET /?email=ada@example.org")
    finally:
        gunicorns.removeHandler(handler)
    written = capsys.readouterr().err
    messages = {line["message"] for line in lines(written)}
    assert messages == {"Error handling request %s", "ValueError", "%s is gone"}
    for secret in SECRETS:
        assert secret not in written


def test_terminal_shows_short_readable_lines() -> None:
    ours, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        handler = logging.StreamHandler(stream)
        logging_setup.dress(handler)
        record = logging.makeLogRecord({"name": "campaign", "msg": "answered", "levelname": "INFO", "created": 0.0})
        record.fields = {"method": "GET", "route": "/", "status": 200}
        handler.handle(record)
        stream.flush()
        assert os.read(ours, 4096).decode() == "00:00:00 info answered method=GET route=/ status=200\r\n"
    os.close(ours)


def test_deep_traceback_fits_into_one_write(
    app: Flask, client: FlaskClient, campaign: Campaign, capsys: pytest.CaptureFixture[str]
) -> None:
    def deep(slug: str, frames: int = 200) -> str:
        if not frames:
            raise RuntimeError
        return deep(slug, frames - 1)

    app.view_functions["site.campaign_page"] = deep
    assert client.get(PATH).status_code == 500
    written = capsys.readouterr().err.splitlines()[0]
    assert json.loads(written)["exception"] == "RuntimeError"
    assert len(written) < 4096


def test_development_server_logs_no_urls(settings: Settings) -> None:
    create_app(settings)
    assert not logging.getLogger("werkzeug").isEnabledFor(logging.INFO)


def test_logging_is_set_up_once_for_many_apps(settings: Settings) -> None:
    for _ in range(3):
        create_app(settings)
    assert logging.getLogger().handlers.count(logging_setup._handler) == 1


def test_lines_are_json_after_gunicorn_reloads(server: Server) -> None:
    old = set(children(server.process.pid))
    os.kill(server.process.pid, signal.SIGHUP)
    deadline = time.monotonic() + 20
    while old & set(children(server.process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(children(server.process.pid)[0], signal.SIGKILL)
    assert "SIGKILL" in logged(server, 2)[-1]["message"]
