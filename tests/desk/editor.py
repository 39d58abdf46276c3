"""The campaign editor as tests use it: the values of its form, its preview, and the Save button."""

import re
from html import unescape
from typing import Any

from sqlalchemy import select

from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.storage.database import db
from tests.conftest import PATH, SLUG
from tests.desk.people import AtDesk

EDIT = f"/desk{PATH}/edit"
TYPED = {
    "title": "Keep the Café open!",
    "category": "City",
    "summary": "It is to close.",
    "addressees": "The Mayor\r\n\r\nThe Council\r\n",
    "letter": "Dear Mayor,\r\n\r\nplease *keep* it.",
    "goal": "1,000",
    "goal_step": "",
    "thanks": "Thank you.",
    "share_text": "I signed.",
    "donate_url": "",
    "donate_text": "",
    "opens_at": "",
    "closes_at": "",
    "time_zone": "Europe/Berlin",
    "picture_text": "",
    "language": "en",
    "slug": "",
}


def typed(page: str) -> dict[str, str]:
    """Return the values of the form on the page, as a browser would send them."""
    form = page[page.index('<form id="editor"') :]
    form = form[: form.index("</form>")]
    found = {}
    for tag in re.findall(r"<input [^>]+>", form):
        name, kind = re.search(r'name="([^"]+)"', tag), re.search(r'type="([^"]+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name and kind and (kind[1] not in ("checkbox", "file") or " checked" in tag):
            found[name[1]] = unescape(value[1]) if value else ""
    for name, value in re.findall(r'<textarea [^>]*name="([^"]+)"[^>]*>\n(.*?)</textarea>', form, re.S):
        found[name] = unescape(value)
    for name, options in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options)
        found[name] = chosen[1] if chosen else ""
    return found


def shown(page: str) -> str:
    """Return the HTML of the preview."""
    found = re.search(r'srcdoc="([^"]*)"', page)
    assert found, page
    return unescape(found[1])


def save(client: AtDesk, fields: dict[str, Any], path: str = EDIT) -> Any:
    """Press Save, and confirm if the page asks for a review first."""
    answer = client.post(path, data=fields, content_type="multipart/form-data")
    seen = re.search(r'name="seen" value="(\w+)"', answer.text)
    if seen:
        answer = client.post(path, data=fields | {"seen": seen[1]}, content_type="multipart/form-data")
    return answer


def stored(slug: str = SLUG) -> Campaign:
    """Return the campaign from the database."""
    db.session.rollback()
    return db.session.scalars(select(Campaign).where(Campaign.slug == slug)).one()


def edits() -> list[Record]:
    """Return the audit log's entries about edits, oldest first."""
    db.session.rollback()
    return list(db.session.scalars(select(Record).where(Record.action == "campaign.edit").order_by(Record.id)))
