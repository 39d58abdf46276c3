"""The record, seen from the desk: what was done to a campaign; and all of it as CSV, for admins."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from flask import Blueprint, Response, abort, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue
from wtforms.fields.core import UnboundField

from campaign import delivery, moderation, record
from campaign.access import Right
from campaign.desk.campaign_form import CampaignForm
from campaign.desk.door import allow
from campaign.desk_models import Record
from campaign.extensions import db
from campaign.formatting import moment
from campaign.models import Campaign

records = Blueprint("records", __name__)

_FIELDS = {key: field for key, field in vars(CampaignForm).items() if isinstance(field, UnboundField) and field.args}
_NAMES = {key: field.args[0] for key, field in _FIELDS.items()} | {
    "listed": "Listed signatures",
    "hidden": "Hidden signatures",
    "removed": "Removed signatures",
    "shown": "Signatures",
    "email": "Account",
    "only_updates": "Only those who want updates",
}
"""What people call what an entry speaks of; a campaign's keys are called as in its form."""
_FOR_MACHINES = ("version", "undoes")
"""What tells two editors of one another, and which entry was undone, by a number that people see nowhere."""
_MOST_IDS = 10
"""Signatures that are named on the page; all of them are in the CSV."""

_COLUMNS = ("at", "actor", "action", "campaign_id", "reason", "before", "after")


@records.app_context_processor
def _words() -> dict[str, object]:
    return {"record_done": record.DONE, "record_command": record.COMMAND.name, "can_undo": moderation.can_undo}


@records.app_template_filter("changes")
def _changes(entry: Record, zone: str) -> list[tuple[str, str | None, str | None]]:
    """What an entry changed, as people read it: what, how it was before, and after; None where it does not say.

    Times are shown by the clock of that zone (IANA name).
    """
    keys = [key for key in {**entry.before, **entry.after} if key not in _FOR_MACHINES]
    sides = (entry.before, entry.after)
    before, after = ({key: _plain(key, value, zone) for key, value in side.items()} for side in sides)
    return [(_name(key), before.get(key), after.get(key)) for key in keys]


def _name(key: str) -> str:
    return _NAMES.get(key) or key.replace("_", " ").capitalize()


def _plain(key: str, value: object, zone: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in (None, "", [], {}):
        return "nothing"
    if key == "picture":
        return "a picture"
    if isinstance(value, dict):
        return ", ".join(f"{_name(name).lower()}: {_plain(name, one, zone)}" for name, one in value.items())
    if isinstance(value, list):
        named = ", ".join(str(one).replace("_", " ") for one in value[:_MOST_IDS])
        return named if len(value) <= _MOST_IDS else f"{named} … ({len(value):,} in all)"
    if key in ("opens_at", "closes_at"):
        return moment(datetime.fromisoformat(str(value)), "en", zone)
    return str(value)


@records.get("/campaigns/<slug>/record")
@allow(Right.READ_RECORD)
def of_campaign(campaign: Campaign) -> ResponseReturnValue:
    """What was done to a campaign, newest first, a page at a time."""
    before = request.args.get("before")
    if before is not None and not (before.isascii() and before.isdigit() and len(before) <= 18):
        abort(404)
    entries = record.page(db.session(), campaign.id, int(before) if before else None)
    more = len(entries) > record.PAGE
    return render_template("desk/record.html", campaign=campaign, entries=entries[: record.PAGE], more=more)


@records.get("/record.csv")
@allow(Right.EXPORT_RECORD)
def everything() -> ResponseReturnValue:
    """The whole record as CSV, oldest first."""
    lines = _csv(record.everything(db.session()))
    name = f"record-{datetime.now(UTC):%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(stream_with_context(lines), mimetype="text/csv", headers=headers)


def _csv(entries: Iterable[Record]) -> Iterator[str]:
    line = io.StringIO(newline="")
    writer = csv.writer(line)
    writer.writerow(_COLUMNS)
    for entry in entries:
        words = (entry.actor, entry.action, str(entry.campaign_id or ""), entry.reason)
        changes = (json.dumps(change, ensure_ascii=False) for change in (entry.before, entry.after))
        writer.writerow([entry.at.isoformat(), *(delivery.neutral(word) for word in (*words, *changes))])
        yield line.getvalue()
        line.seek(0)
        line.truncate()
