"""Views of the audit log: the entries of one campaign, and for admins the whole log as CSV."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from flask import Blueprint, Response, abort, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue
from wtforms.fields.core import UnboundField

from campaign.accounts import audit_log
from campaign.accounts.permissions import Right
from campaign.campaigns.versions import sittings
from campaign.deliveries import contents
from campaign.deliveries.contents import Purpose
from campaign.desk.access import allow
from campaign.desk.campaigns.form import CampaignForm
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.moderation import actions
from campaign.storage.database import db
from campaign.web.formatting import moment

records = Blueprint("records", __name__)

_FIELDS = {key: field for key, field in vars(CampaignForm).items() if isinstance(field, UnboundField) and field.args}
_NAMES = {key: field.args[0] for key, field in _FIELDS.items()} | {
    "listed": "Listed signatures",
    "hidden": "Hidden signatures",
    "removed": "Removed signatures",
    "blocked": "Removed signatures with a blocked email address",
    "shown": "Signatures",
    "email": "Organizer",
    "only_updates": "Only people who want updates",
    "names_hidden": "Hidden signatures are named",
    "sorting": "Sorted by",
    "grouped": "Grouped by country and state",
}
"""The display name of each key of an entry. A campaign's fields have the names that its form gives them."""
_PURPOSES = {Purpose.HAND_OVER.value: "delivery", Purpose.OURS.value: "internal use"}
_FOR_MACHINES = ("version", "undoes")
"""Keys that the page leaves out: the campaign's version number, and the id of the entry that was undone."""
_MOST_IDS = 10
"""The most ids that the page lists for an entry. The CSV file has all of them."""

_COLUMNS = ("at", "actor", "action", "campaign_id", "reason", "before", "after")


@records.app_context_processor
def _words() -> dict[str, object]:
    return {"record_done": audit_log.DONE, "record_command": audit_log.COMMAND.name, "can_undo": actions.can_undo}


@records.app_template_filter("changes")
def _changes(entry: Record, zone: str) -> list[tuple[str, str | None, str | None]]:
    """Return the changes of an entry as (name, before, after); `before` or `after` is None if the entry lacks it.

    Times are shown in the time zone with this IANA name.
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
        return "none"
    if key == "purpose":
        return _PURPOSES.get(str(value), str(value))
    if key == "picture":
        return "a picture"
    if isinstance(value, dict):
        return ", ".join(f"{_name(name).lower()}: {_plain(name, item, zone)}" for name, item in value.items())
    if isinstance(value, list):
        listed = ", ".join(str(item).replace("_", " ") for item in value[:_MOST_IDS])
        return listed if len(value) <= _MOST_IDS else f"{listed} … ({len(value):,} in total)"
    if key.endswith("_at"):
        return moment(datetime.fromisoformat(str(value)), "en", zone)
    return str(value)


@records.get("/campaigns/<slug>/record")
@allow(Right.READ_RECORD)
def of_campaign(campaign: Campaign) -> ResponseReturnValue:
    """Show a page of a campaign's audit log, newest entries first."""
    before = request.args.get("before")
    if before is not None and not (before.isascii() and before.isdigit() and len(before) <= 18):
        abort(404)
    entries = audit_log.page(db.session(), campaign.id, int(before) if before else None)
    more = len(entries) > audit_log.PAGE
    # What somebody is writing right now will be an entry when they finish.
    sitting = None if before else sittings.entry_of(db.session(), campaign)
    shown = ([sitting] if sitting else []) + entries[: audit_log.PAGE]
    return render_template("desk/audit_log/audit_log.html", campaign=campaign, entries=shown, more=more)


@records.get("/record.csv")
@allow(Right.EXPORT_RECORD)
def everything() -> ResponseReturnValue:
    """Stream the whole audit log as CSV, oldest entries first."""
    lines = _csv(audit_log.everything(db.session()))
    name = f"record-{datetime.now(UTC):%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(stream_with_context(lines), mimetype="text/csv", headers=headers)


def _csv(entries: Iterable[Record]) -> Iterator[str]:
    line = io.StringIO(newline="")
    writer = csv.writer(line)
    line.write(contents.BOM)
    writer.writerow(_COLUMNS)
    for entry in entries:
        words = (entry.actor, entry.action, str(entry.campaign_id or ""), entry.reason)
        changes = (json.dumps(change, ensure_ascii=False) for change in (entry.before, entry.after))
        writer.writerow([entry.at.isoformat(), *(contents.neutral(word) for word in (*words, *changes))])
        yield line.getvalue()
        line.seek(0)
        line.truncate()
