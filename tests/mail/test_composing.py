"""Messages: headers, both parts, and what a name or an address can't do to them."""

import re
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from campaign.mail import checking, composing
from campaign.mail.outbox import Leased
from campaign.settings import SettingError, Settings
from tests.mail.conftest import SENDER

SETTINGS = Settings(
    database_url="",
    secret_key="k" * 32,
    site_name="Save the Park",
    site_url="https://park.example",
    mail_url="smtp://127.0.0.1",
    mail_from=SENDER,
)


def message(recipient: str = "ada@example.org", language: str = "en") -> Leased:
    return replace(checking.test_message(recipient), id=7, language=language)


def composed(leased: Leased, settings: Settings = SETTINGS) -> EmailMessage:
    """Return a message as a recipient's server reads it."""
    read = message_from_bytes(composing.compose(leased, composing.TEST, settings).as_bytes(), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def html_of(sent: EmailMessage) -> str:
    part = sent.get_body(("html",))
    assert part
    return str(part.get_content())


def test_message_has_text_and_html_and_all_headers() -> None:
    sent = composed(message())
    assert sent.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in sent.iter_parts()] == ["text/plain", "text/html"]
    assert sent["From"] == "Save the Park <info@example.org>"
    assert sent["To"] == "ada@example.org"
    assert sent["Subject"] == "Test message from Save the Park"
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent["Content-Language"] == "en"
    assert sent["Date"].datetime.tzinfo is not None
    assert sent["Reply-To"] is None
    assert composed(message(), replace(SETTINGS, mail_reply_to="Office <office@example.org>"))["Reply-To"] == (
        "Office <office@example.org>"
    )
    plain = sent.get_body(("plain",))
    assert plain
    assert "https://park.example" in plain.get_content()


def test_message_id_is_that_of_its_row() -> None:
    row = message()
    first, again = composed(row)["Message-ID"], composed(replace(row, tries=3))["Message-ID"]
    assert first == again
    assert re.fullmatch(r"<[0-9a-f]{32}@park\.example>", first)
    assert composed(replace(row, id=8))["Message-ID"] != first
    later = row.created_at + timedelta(days=30)
    assert composed(replace(row, created_at=later))["Message-ID"] != first, "the id of a deleted row is used again"


def test_nothing_is_loaded_from_elsewhere_and_styles_are_inline() -> None:
    html = html_of(composed(message()))
    assert not re.search(r"<img|<link|<script|@import|url\(|src=", html)
    assert 'style="' in html
    assert "prefers-color-scheme: dark" in html


@pytest.mark.parametrize(("tag", "direction"), [("en", "ltr"), ("ar", "rtl"), ("de-AT", "ltr"), ("sw", "ltr")])
def test_message_has_a_language_and_a_direction(tag: str, direction: str) -> None:
    sent = composed(message(language=tag))
    shown = "en" if tag == "sw" else tag
    assert sent["Content-Language"] == shown
    assert f'<html lang="{shown}" dir="{direction}">' in html_of(sent)


@pytest.mark.parametrize(
    "name", ["Ä\r\nBcc: eve@example.org", "a\nX: y", "<script>alert(1)</script>", "أنقذوا", "“Park”"]
)
def test_names_cannot_add_headers_or_markup(name: str) -> None:
    sent = composed(message(), replace(SETTINGS, site_name=name, mail_from="info@example.org"))
    assert sent["Bcc"] is None
    assert sent["X"] is None
    assert sent["From"].addresses[0].display_name == " ".join(name.split())
    assert "<script>" not in html_of(sent)


def test_recipient_outside_ascii_is_sent_as_utf8() -> None:
    assert composed(message("bücher@example.org"))["To"] == "bücher@example.org"


def test_domain_outside_ascii_is_sent_in_ascii() -> None:
    assert composed(message("ada@bücher.de"))["To"] == "ada@xn--bcher-kva.de"


def test_text_is_sent_in_seven_bits_and_unchanged() -> None:
    raw = composing.compose(
        message(), composing.TEST, replace(SETTINGS, site_name="From the Park — Änderung")
    ).as_bytes()
    assert raw.isascii()
    assert b"\n>From" not in raw


@pytest.mark.parametrize(
    ("variables", "error"),
    [
        ({"MAIL_URL": "mail.example.org"}, "MAIL_URL: must be a URL such as smtp://"),
        ({"MAIL_URL": "http://mail.example.org"}, "MAIL_URL: must be a URL such as smtp://"),
        ({"MAIL_URL": "smtp://user@mail.example.org"}, "MAIL_URL: must be a URL such as smtp://"),
        ({"MAIL_URL": "smtp://mail.example.org:99999"}, "MAIL_URL: must be a URL such as smtp://"),
        ({"MAIL_URL": "smtp://mail.example.org"}, "MAIL_FROM: set it"),
        ({"MAIL_FROM": "nobody"}, "MAIL_FROM: must be an address such as"),
        ({"MAIL_FROM": "a@example.org, b@example.org"}, "MAIL_FROM: must be an address such as"),
        ({"MAIL_REPLY_TO": "<>"}, "MAIL_REPLY_TO: must be an address such as"),
        ({"MAIL_PER_SECOND": "-1"}, "MAIL_PER_SECOND: must be a whole number"),
        ({"MAIL_PER_DOMAIN": "many"}, "MAIL_PER_DOMAIN: must be a whole number"),
    ],
)
def test_invalid_settings_say_what_to_do(variables: dict[str, str], error: str) -> None:
    with pytest.raises(SettingError, match=f"^{re.escape(error)}"):
        Settings.from_environ({"SECRET_KEY": "k" * 32, "DATABASE_URL": "sqlite:////tmp/x.sqlite"} | variables)
