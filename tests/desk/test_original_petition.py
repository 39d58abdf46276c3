"""A petition like those that people publish elsewhere: no list of addressees, no share text, and a summary of two
paragraphs. It goes through publishing, the page, signing, and the book.
"""

import io
import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from flask.testing import FlaskClient, FlaskCliRunner
from pypdf import PdfReader

from campaign.campaigns import editing, lookup
from campaign.campaigns.letter import changes
from campaign.deliveries.book import book
from campaign.deliveries.book.pages import paper_of
from campaign.deliveries.book.signatories import Entry
from campaign.models.account import Role
from campaign.storage.database import db
from tests.conftest import ADA, HTMX
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import save, shown, typed

ORIGINAL = Path(__file__).with_name("original.md")
TITLE = "Tell Metro to Stop Tracking Its Riders"
PAGE = "/campaigns/stop-tracking-riders"
FIRST, SECOND = "Metro’s new fare cards record every trip", "Nobody should have to explain"


def publish(runner: FlaskCliRunner, path: Path, *options: str) -> list[str]:
    answer = runner.invoke(args=["campaigns", "publish", *options, str(path)])
    assert answer.exit_code == 0, answer.output
    return answer.output.splitlines()


def test_original_goes_through_publish_page_signing_and_book(
    runner: FlaskCliRunner, client: FlaskClient, tmp_path: Path
) -> None:
    note, done = publish(runner, ORIGINAL)
    assert "donate_url: Line 15 says 'www.example.org/donate', which was read as https://www.example.org/donate" in note
    assert done == "published stop-tracking-riders"

    page = client.get(PAGE).text
    paragraphs = re.findall(r'<p class="summary">(.*?)</p>', page)
    assert [text[:20] for text in paragraphs] == [FIRST[:20], SECOND[:20]]
    assert 'class="addressees"' not in page
    assert "Dear Ms. Okafor and Members of the Metro Board:" in page
    described = re.findall(r'<meta (?:name|property)="(?:og:)?description" content="([^"]*)">', page)
    assert len(described) == 2
    assert all(text.startswith(FIRST) and f"warrant. {SECOND}" in text for text in described)

    panel = client.post(f"{PAGE}/signatures", data=ADA, headers=HTMX).text
    assert re.search(r"nobody else’s business\.</p>\s*<p>Keep an eye on your stop", panel)
    assert f'data-share-text="{TITLE}"' in panel
    assert quote_plus(TITLE) in panel
    assert "<p>Donate to Campaign</p>" in panel
    assert 'href="https://www.example.org/donate"' in panel
    mastodon = client.get(f"{PAGE}/share/mastodon?instance=mastodon.social").text
    assert f"share?text={quote_plus(TITLE)}" in unescape(mastodon)
    assert client.get(f"{PAGE}.json").get_json()["title"] == TITLE
    assert TITLE in client.get(f"{PAGE}.atom").text

    campaign = lookup.find(db.session(), "stop-tracking-riders")
    assert campaign
    file = tmp_path / "book.pdf"
    now = datetime.now(UTC)
    cover = book.Cover("Campaign", (now, now))
    book.make(campaign, [Entry("Ada Lovelace", "France")], file, cover=cover, paper=paper_of("US"), now=now)
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(file.read_bytes())).pages]
    assert TITLE in " ".join(pages[0].split())
    assert "Okafor" not in pages[0]
    assert "Dear Ms. Okafor and Members of the Metro Board:" in " ".join(" ".join(pages).split())


@pytest.mark.slow
def test_original_is_edited_at_the_desk_and_its_changes_are_shown(
    runner: FlaskCliRunner, client: FlaskClient, at_desk: AtDeskAs, tmp_path: Path
) -> None:
    publish(runner, ORIGINAL)
    client.post(f"{PAGE}/signatures", data=ADA)
    admin, edit = at_desk(Role.ADMIN), f"/desk{PAGE}/edit"
    fields = typed(admin.get(edit).text)
    assert [fields[key] for key in ("addressees", "share_text", "donate_text")] == ["", "", ""]
    letter = fields["letter"].replace("after one day", "after one hour")
    answer = save(admin, fields | {"letter": letter, "category": "", "reason": "A day is too long"}, edit)
    assert answer.status_code == 303
    preview = shown(admin.get(edit).text)
    assert 'class="category"' not in preview
    assert preview.count('<p class="summary">') == 2
    difference = client.get(f"{PAGE}/changes").text
    assert re.search(r"<del>.*?day.*?</del>.*?<ins>.*?hour", difference, re.S)
    campaign = lookup.find(db.session(), "stop-tracking-riders")
    assert campaign
    (change,) = changes.all_changes(campaign.id, "")
    assert change.after == f"{TITLE}\n\n{letter}"
    assert "Category" in admin.get(f"/desk{PAGE}/record").text

    # Publishing the download again changes nothing.
    download = tmp_path / "again.md"
    download.write_text(admin.get(f"/desk{PAGE}/campaign.md").text, encoding="utf-8")
    before = editing.file_of(db.session(), campaign)
    assert publish(runner, download) == ["updated stop-tracking-riders"]
    db.session.rollback()
    again = lookup.find(db.session(), "stop-tracking-riders")
    assert again
    assert editing.file_of(db.session(), again) == before
