"""`flask mail check` says in plain words whether the site can send mail, and why not."""

import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from threading import Thread

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from campaign.mail import checking, server
from campaign.mail.sending import Sender
from campaign.storage.database import db
from tests.conftest import only_sqlite
from tests.mail.conftest import SENDER
from tests.mail.mailbox import Mailbox, Server, authenticator, context, smtp_server
from tests.services import free_port

pytestmark = [only_sqlite, pytest.mark.slow]


@pytest.fixture(autouse=True)
def no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Don't ask the DNS, which tests may not reach."""
    monkeypatch.setattr(checking, "check_domain", lambda *_: iter(()))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return the files of a self-signed certificate and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    paths = str(folder / "certificate.pem"), str(folder / "key.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths


def check(app: Flask, runner: FlaskCliRunner, url: str, *arguments: str, status: int = 1) -> str:
    """Run the command with a mail server, and return its output."""
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], mail_url=url, mail_from=SENDER if url else "")
    done = runner.invoke(args=["mail", "check", *arguments])
    assert done.exit_code == status, done.output
    assert "Traceback" not in done.output
    return done.output


def test_connection_is_checked_and_a_test_message_sent(
    app: Flask, runner: FlaskCliRunner, smtp: Server, mailbox: Mailbox
) -> None:
    assert check(app, runner, smtp.url, status=0) == f"Connected to 127.0.0.1:{smtp.port}.\n"
    assert mailbox.messages == []
    assert "Sent a test message to ada@example.org." in check(app, runner, smtp.url, "ada@example.org", status=0)
    assert mailbox.recipients == ["ada@example.org"]


def test_mail_that_is_not_set_up_says_how(app: Flask, runner: FlaskCliRunner) -> None:
    assert "mail is not set up. Set MAIL_URL and MAIL_FROM" in check(app, runner, "")


def test_encrypted_connection_with_a_password(
    app: Flask, runner: FlaskCliRunner, mailbox: Mailbox, certificate: tuple[str, str]
) -> None:
    options = {"tls_context": context(*certificate), "authenticator": authenticator, "auth_required": True}
    with smtp_server(mailbox, **options) as own:
        right, wrong = (f"smtp://site:{password}@127.0.0.1:{own.port}" for password in ("p%40ss%3Aword", "other"))
        assert "as site." in check(app, runner, right, "ada@example.org", status=0)
        assert "the server refuses the user or the password" in check(app, runner, wrong)
    assert mailbox.recipients == ["ada@example.org"]


def test_certificate_of_another_machine_must_be_valid(
    app: Flask, runner: FlaskCliRunner, mailbox: Mailbox, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.Address, "is_local", False)
    with smtp_server(mailbox, tls_context=context(*certificate)) as own:
        assert "isn’t valid" in check(app, runner, own.url)
    with smtp_server(mailbox) as own:
        assert "the server offers no encryption (STARTTLS)" in check(app, runner, own.url)


def test_port_with_encryption_needs_smtps(
    app: Flask, runner: FlaskCliRunner, smtp: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "doesn’t speak TLS" in check(app, runner, smtp.url.replace("smtp:", "smtps:"))


def test_absent_server_is_explained(app: Flask, runner: FlaskCliRunner) -> None:
    port = free_port()
    assert f"nothing listens at 127.0.0.1:{port}" in check(app, runner, f"smtp://127.0.0.1:{port}")
    assert "there is no host mail.invalid" in check(app, runner, "smtp://mail.invalid")


@pytest.fixture
def silent() -> Iterator[int]:
    """Accept connections, and never answer; return the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_silent_server_is_explained(
    app: Flask, runner: FlaskCliRunner, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "TIMEOUT", 0.5)
    assert "doesn’t answer" in check(app, runner, f"smtp://127.0.0.1:{silent}")


def test_refusals_are_explained(app: Flask, runner: FlaskCliRunner, smtp: Server, mailbox: Mailbox) -> None:
    mailbox.answer_recipient = lambda _: "550 5.1.1 No such user"
    assert "the server refused the message: 550 5.1.1 No such user" in check(app, runner, smtp.url, "ada@example.org")
    mailbox.answer_recipient = lambda _: "451 4.7.1 Greylisted"
    assert "didn’t take the message now: 451 4.7.1 Greylisted" in check(app, runner, smtp.url, "ada@example.org")
    assert "the address must be an address such as" in check(app, runner, smtp.url, "ada")


def test_worker_sends_the_test_message(app: Flask, runner: FlaskCliRunner, smtp: Server, mailbox: Mailbox) -> None:
    app.config["SETTINGS"] = settings = replace(app.config["SETTINGS"], mail_url=smtp.url, mail_from=SENDER)
    sender = Sender(db.engine, settings)
    thread = Thread(target=sender.run)
    thread.start()
    output = check(app, runner, smtp.url, "ada@example.org", "--worker", status=0)
    sender.stop()
    thread.join()
    assert "The background worker sent a test message to ada@example.org." in output
    assert mailbox.recipients == ["ada@example.org"]


def test_missing_worker_is_explained(
    app: Flask, runner: FlaskCliRunner, smtp: Server, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from campaign.cli import mail

    monkeypatch.setattr(mail, "WORKER_SECONDS", 0.5)
    assert "Start it with `flask work`" in check(app, runner, smtp.url, "ada@example.org", "--worker")
