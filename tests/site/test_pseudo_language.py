"""In a pseudo-language, every text of the public site is translated: what is left in plain letters was forgotten."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient

from campaign.languages.catalogs import SOURCE
from campaign.models.campaign import CampaignState
from campaign.signatures import feed
from campaign.signatures.countries import countries
from tests.conftest import ADA, HTMX, PATH, Publish, only_sqlite
from tests.languages.pseudo import accented, spoken

# Pages look the same on both databases.
pytestmark = [only_sqlite, pytest.mark.slow]

TOMORROW = datetime.now(UTC) + timedelta(days=1)
SHOWN_ATTRIBUTES = {"alt", "title", "aria-label", "placeholder", "label", "data-offline", "data-sending", "data-copied"}
SHOWN_ATTRIBUTES |= {"data-announcement", "data-label"}
NOT_TRANSLATED = {
    "Campaign",  # The name of the site.
    *("Mastodon", "Bluesky", "X", "Facebook", "WhatsApp", "Telegram", "Reddit", "LinkedIn"),
    # The signer's own input, and CLDR's words.
    *("Ada Lovelace", "Los Angeles, California, US", "US", "ada@example.org", "mastodon.social"),
    "To mend it",  # The organizer's reason for a change.
}
PLAIN_FILE = {
    "title": "Ťíťľé",
    "category": "Çáť",
    "summary": "Šúɱ",
    "addressees": "Ṽíþ",
    "letter": "Ļéťťéŕ",
    "thanks": "Ťĥ",
    "share_text": "Šĥ",
    "donate_text": "Ðö",
    "donate_url": "https://example.org",
}


class Texts(HTMLParser):
    """Collects what people see, or hear from a screen reader, in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style", "time")
        self.texts += [value for name, value in attrs if name in SHOWN_ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style", "time")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.texts.append(data)


def forgotten(page: str) -> list[str]:
    """Return the texts of a page that contain a word in plain letters."""
    parser = Texts()
    parser.feed(page)
    known = NOT_TRANSLATED | set(countries(SOURCE).values())
    left = (text.strip() for text in parser.texts)
    shown = [text for text in left if text not in known]
    return [text for text in shown if re.search("[A-Za-z]{2,}", re.sub(r"Campaign|mastodon\.social", "", text))]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({}, ""),
        ({"opens_at": TOMORROW}, ""),
        ({"closes_at": TOMORROW}, ""),
        ({"state": CampaignState.CLOSED}, ""),
        ({"state": CampaignState.WON}, ""),
        ({}, "/thanks"),
        ({}, "/thanks?corrected=email"),
        ({}, "/signatures"),
        ({}, "/privacy"),
        ({"deliver_anonymous": True}, "/privacy"),
        ({"deliver_anonymous": True}, ""),
        ({}, "/changes"),
        ({}, "/share/mastodon?instance=mastodon.social"),
        ({}, "/share/mastodon?instance=a"),
        ({}, "/feed"),
    ],
)
def test_no_text_of_a_campaigns_pages_is_untranslated(
    publish: Publish, client: FlaskClient, changes: dict[str, object], path: str
) -> None:
    with spoken("en", accented):
        publish(**PLAIN_FILE | {"deliver_anonymous": bool(changes.get("deliver_anonymous"))})
        for number in range(feed.PAGE + 2 if path == "/signatures" else 2):
            client.post(f"{PATH}/signatures", data=ADA | {"email": f"{number}@example.org", "anonymous": "y"})
        publish(**PLAIN_FILE | {"letter": "Ļéťťéŕ. Ñéŵ."} | changes)
        page = client.get(PATH + path).text
        assert "é" in page, path
        assert forgotten(page) == []


@pytest.mark.parametrize("path", ["/campaigns", "/privacy", "/missing"])
def test_no_text_of_the_sites_own_pages_is_untranslated(publish: Publish, client: FlaskClient, path: str) -> None:
    with spoken("en", accented):
        for slug, state in (("a", CampaignState.OPEN), ("b", CampaignState.WON), ("c", CampaignState.CLOSED)):
            publish(state, **PLAIN_FILE | {"slug": slug})
        assert forgotten(client.get(path).text) == []


@pytest.mark.parametrize("headers", [HTMX, {}], ids=["htmx", "no script"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"email": " ada@exa\u200bmple.org"},
        {"name": "", "email": "", "country": ""},
        {"name": "=1", "email": "a@", "country": "XX", "website": "x"},
        {"name": "x" * 200, "email": "a@b.org, c@d.org", "city": "see https://spam.example"},
        {"name": "Ada\x00", "city": "Z" + "\u0334" * 40},
    ],
)
def test_no_text_of_an_answer_to_a_signature_is_untranslated(
    publish: Publish, client: FlaskClient, headers: dict[str, str], changes: dict[str, str]
) -> None:
    with spoken("en", accented):
        publish(**PLAIN_FILE)
        data = ADA | {"shown": "3"} | changes
        answer = client.post(f"{PATH}/signatures", data=data, headers=headers)
        answer = client.get(answer.location) if answer.status_code == 303 else answer
        assert forgotten(answer.text) == []


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 413, 415, 429, 500, 503])
def test_no_text_of_an_error_page_is_untranslated(client: FlaskClient, status: int) -> None:
    from werkzeug.exceptions import default_exceptions

    from campaign.web import errors

    with spoken("en", accented), client.application.test_request_context():
        answer = errors.answer(default_exceptions[status]())
        assert forgotten(answer.get_data(as_text=True)) == []  # type: ignore[union-attr]
