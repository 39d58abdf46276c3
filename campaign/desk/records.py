"""The record, seen from the desk: what was done to a campaign; and all of it as CSV, for admins."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from flask import Blueprint, Response, abort, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue

from campaign import delivery, record
from campaign.access import Right
from campaign.desk.door import allow
from campaign.desk_models import Record
from campaign.extensions import db
from campaign.models import Campaign

records = Blueprint("records", __name__)

_COLUMNS = ("at", "actor", "action", "campaign_id", "reason", "before", "after")


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
