"""Messages to signers: complete in every language, and with nothing that loads or tracks."""

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskCliRunner
from sqlalchemy import create_engine, text

from campaign.campaigns import translations
from campaign.languages import catalogs, speaking
from campaign.mail import about_signatures, composing, outbox
from campaign.mail.sending import Sender
from campaign.models.campaign import Campaign
from campaign.models.message import MessageState
from campaign.settings import Settings
from tests.conftest import Publish, only_sqlite
from tests.mail.conftest import Post, stored_messages
from tests.mail.mailbox import Mailbox

LANGUAGES = ("en", "de", "ar", "ja", "he", "es")


def rendered(name: str, campaign: Campaign, settings: Settings) -> tuple[str, str, str]:
    """Return subject, text, and HTML of a message."""
    with speaking.use(campaign.language) as language:
        return composing.render(about_signatures.sample(name, campaign, settings), language, settings)


@only_sqlite
@pytest.mark.parametrize("language", LANGUAGES)
def test_messages_are_complete_and_load_nothing(publish: Publish, mail_settings: Settings, language: str) -> None:
    campaign = publish(language=language)
    for name in about_signatures.NAMES:
        check_message(name, campaign, mail_settings)


def check_message(name: str, campaign: Campaign, mail_settings: Settings) -> None:
    language = campaign.language
    subject, plain, html = rendered(name, campaign, mail_settings)
    assert "Save the Park" in subject
    assert "\n" not in subject
    for part in (plain, html):
        assert "Ada Lovelace, London, GB" in part
        assert f"{mail_settings.site_url}/campaigns/{campaign.slug}" in part
        assert "/my-signature?token=" in part
    if name in ("confirm", "reminder"):
        for part in (plain, html):
            assert "/confirm?token=" in part
            assert re.search(r"\b\d{6}\b", part)
    assert "\n\n\n" not in plain
    assert f'<html lang="{language}" dir="{"rtl" if language in ("ar", "he") else "ltr"}">' in html
    assert not re.search(r"<(img|script|link|iframe|object|video|audio|form|input)\b|url\(|@import|\bsrc=", html)
    assert "prefers-color-scheme: dark" in html
    parser = Links()
    parser.feed(html)
    assert parser.links
    assert all(link.startswith(f"{mail_settings.site_url}/") for link in parser.links)


class Links(HTMLParser):
    """Collects where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name == "href"]


@only_sqlite
@pytest.mark.slow
def test_messages_are_translated_into_every_language(publish: Publish, mail_settings: Settings) -> None:
    english = publish(slug="english")
    for tag in set(catalogs.tags()) - {"en"}:
        check_translation(publish(language=tag), english, mail_settings)


def check_translation(campaign: Campaign, english: Campaign, mail_settings: Settings) -> None:
    for name in about_signatures.NAMES:
        subject, plain, _ = rendered(name, campaign, mail_settings)
        subject_in_english, plain_in_english, _ = rendered(name, english, mail_settings)
        assert subject != subject_in_english
        own = {line for line in plain.splitlines() if line and "http" not in line}
        shared = own & {*plain_in_english.splitlines()}
        assert shared <= {"Save the Park", "You did a good thing."}, shared


@only_sqlite
def test_title_and_name_add_no_header_and_no_markup(publish: Publish, mail_settings: Settings) -> None:
    campaign = publish(title="Save <b>the</b> & Park")
    subject, plain, html = rendered("confirm", campaign, mail_settings)
    assert subject == "Please confirm your signature: Save <b>the</b> & Park"
    assert "Save <b>the</b> & Park" in plain
    assert "Save &lt;b&gt;the&lt;/b&gt; &amp; Park" in html


@only_sqlite
def test_translated_letter_has_messages_with_links_to_its_own_page(publish: Publish, mail_settings: Settings) -> None:
    campaign = publish(translations={"es": {"title": "Salven el parque"}})
    edition = translations.edition(campaign, "es")
    assert edition
    subject, plain, html = rendered("thanks", edition, mail_settings)
    assert subject.endswith("Salven el parque")
    assert f"/campaigns/{campaign.slug}/es/my-signature?token=" in plain
    assert '<p lang="en" dir="auto"' in html, "the thank-you text isn't translated"


@only_sqlite
@pytest.mark.parametrize("name", about_signatures.NAMES)
def test_command_shows_each_message(
    publish: Publish, mail_settings: Settings, runner: FlaskCliRunner, name: str
) -> None:
    publish()
    shown = runner.invoke(args=["mail", "preview", name, "en"])
    assert shown.exit_code == 0
    assert shown.output.startswith("Subject: ")
    html = runner.invoke(args=["mail", "preview", name, "en", "--html", "--campaign", "save-the-park"])
    assert html.output.startswith("<!DOCTYPE html>")


@only_sqlite
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["confirm", "de"], "save-the-park is not in this language. It is in: en."),
        (["confirm", "en", "--campaign", "nothing"], "there is no such campaign"),
        (["nothing", "en"], "'nothing' is not one of"),
    ],
)
def test_command_says_what_is_wrong(publish: Publish, runner: FlaskCliRunner, arguments: list[str], words: str) -> None:
    publish()
    shown = runner.invoke(args=["mail", "preview", *arguments])
    assert shown.exit_code != 0
    assert words in shown.output


@only_sqlite
def test_command_lists_messages_that_could_not_be_delivered(
    runner: FlaskCliRunner, sender: Sender, post: Post, mailbox: Mailbox
) -> None:
    nothing = runner.invoke(args=["mail", "failed"]).output
    assert nothing == "No message has failed in the last week.\n"
    post("ada@example.org", "grace@example.org")
    mailbox.answer_recipient = lambda address: "550 no such user" if address.startswith("ada") else "250 OK"
    sender.send_some()
    (line,) = runner.invoke(args=["mail", "failed"]).output.splitlines()
    assert "refused  check  ada@example.org" in line
    assert "550 no such user" in line


@only_sqlite
@pytest.mark.slow
def test_sender_waits_while_another_program_locks_sqlite(
    sender: Sender, post: Post, mailbox: Mailbox, settings: Settings, wait_and_release: Callable[[], None]
) -> None:
    post("ada@example.org")
    wait_and_release()
    while sender.send_some() != 0:
        pass
    assert mailbox.recipients == ["ada@example.org"]
    assert [each.state for each in stored_messages()] == [MessageState.SENT]
    assert outbox.MOST_A_DAY == 5


@pytest.fixture
def wait_and_release(settings: Settings) -> Callable[[], None]:
    """Return a function that locks the SQLite file, as a backup program might, for two seconds."""
    from threading import Timer

    def lock() -> None:
        engine = create_engine(settings.database_url)
        connection = engine.connect()
        connection.execute(text("SELECT 1"))
        driver = connection.connection.driver_connection
        assert driver
        driver.isolation_level = None
        driver.rollback()
        driver.execute("BEGIN IMMEDIATE")

        def release() -> None:
            driver.rollback()
            connection.close()
            engine.dispose()

        Timer(2, release).start()

    return lock
