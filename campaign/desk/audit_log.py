"""Views of the audit log: the entries of one campaign, and for admins the whole log as CSV."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, abort, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from wtforms.fields.core import UnboundField

from campaign.accounts import audit_log
from campaign.accounts.permissions import Right
from campaign.campaigns import translations
from campaign.campaigns.versions import sittings
from campaign.deliveries import contents
from campaign.deliveries.contents import Purpose
from campaign.desk.access import allow, can
from campaign.desk.campaigns.form import CampaignForm
from campaign.languages.speaking import gettext, lazy_gettext, ngettext
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.models.signature import Standing
from campaign.moderation import entries as table_entries
from campaign.moderation import undo as undoing
from campaign.moderation.effects import Effects, moves, signatures
from campaign.moderation.undo import UndoneBy
from campaign.storage.database import db
from campaign.web.formatting import moment, number

records = Blueprint("records", __name__)

_FIELDS = {key: field for key, field in vars(CampaignForm).items() if isinstance(field, UnboundField) and field.args}
_NAMES = {key: field.args[0] for key, field in _FIELDS.items()} | {
    "state": lazy_gettext("Status"),
    "standing": lazy_gettext("Status"),
    "region": lazy_gettext("US state"),
    "email": lazy_gettext("Organizer"),
    "only_updates": lazy_gettext("Only people who want updates"),
    "names_hidden": lazy_gettext("Hidden signatures are named"),
    "sorting": lazy_gettext("Sorted by"),
    "grouped": lazy_gettext("Grouped by country and state"),
    "asked_at": lazy_gettext("Requested"),
}
"""The display name of each key of an entry. A campaign's fields have the names that its form gives them."""
_PURPOSES = {
    Purpose.HAND_OVER.value: lazy_gettext("the recipient"),
    Purpose.OURS.value: lazy_gettext("internal use"),
}
_FOR_MACHINES = ("version", "undoes", "page", "export")
"""Keys that the page leaves out: the campaign's version number, the entry that was undone, the table's cursor, and the
id of an export, which looks like a count."""
_MOST_NAMES = 10
"""The most signatures that are named for an entry."""
_ERASED = lazy_gettext("a signature whose data was erased")
_CHUNK = 100
"""How many entries of the CSV file are named with one query."""

_OF_SIGNATURES = {"shown", "corrected", *Standing}
"""Keys whose values are the ids of signatures."""
_COLUMNS = ("at", "actor", "action", "campaign_id", "reason", "done", "signatures", "before", "after")


@dataclass(frozen=True)
class Line:
    """An entry as the page shows it."""

    entry: Record
    words: str
    """What the actor did, such as "removed 3 signatures"."""
    signatures: Sequence[tuple[str, str]]
    """What happened to which signatures, such as ("From listed to removed", "Ada Lovelace, London, GB")."""
    undo: str | None
    """What undoing it does, such as "restore 3 signatures"; empty if all has changed since, None if nobody may."""
    undone: UndoneBy | None
    """Who undid it; None if nobody has."""


@records.app_context_processor
def _words() -> dict[str, object]:
    return {
        "record_done": audit_log.DONE,
        "record_command": audit_log.COMMAND.name,
        "record_signer": audit_log.SIGNER.name,
    }


def _lines(campaign: Campaign, entries: Sequence[Record]) -> list[Line]:
    """Return the entries of a campaign's page. Signatures are named for accounts that may see who signed."""
    session = db.session()
    undone = undoing.undone_by(session, [entry.id for entry in entries])
    may_moderate, may_remove = can(Right.MODERATE, campaign), can(Right.REMOVE, campaign)
    changed = _changed(session, entries, are_named=may_moderate)
    undoable = [each for each in entries if each.id not in undone and undoing.can_undo(each, may_remove=may_remove)]
    plans = undoing.plans(session, campaign.id, undoable) if may_moderate else {}
    orders = {entry_id: plan.effects.orders(again=True, at_most=plan.at_most) for entry_id, plan in plans.items()}
    return [
        Line(each, _sentence(each), named, orders.get(each.id), undone.get(each.id))
        for each, named in zip(entries, changed, strict=True)
    ]


def _sentence(entry: Record) -> str:
    """Return what the actor did, such as "removed 3 signatures"."""
    if entry.action == "signature.addresses":
        shown = len(entry.after.get("shown", []))
        return ngettext(
            "viewed the email addresses of %(number)s signature",
            "viewed the email addresses of %(number)s signatures",
            shown,
            number=number(shown),
        )
    is_moderation = entry.action.startswith("signature.") and entry.actor != audit_log.SIGNER.name
    effects = Effects.of(entry) if is_moderation else None
    if not effects:
        return audit_log.DONE.get(entry.action, entry.action)
    done = effects.reports()
    return gettext("undid a change: %(change)s", change=done) if entry.action == undoing.UNDO else done


def _groups(entry: Record) -> dict[str, Sequence[int]]:
    """Return the ids of the signatures that an entry is about, by what happened to them."""
    if entry.action == "signature.addresses":
        return {gettext("Signatures"): entry.after.get("shown", [])}
    if entry.action == "signature.correct":
        return {gettext("Signatures"): entry.after.get("corrected", [])}
    if not entry.action.startswith("signature."):
        return {}
    return {
        # translators: Each of the two is “listed”, “hidden”, “removed”, “blocked”, or “withdrawn”.
        gettext("From %(was)s to %(became)s", was=was, became=became): ids
        for (was, became), ids in moves(entry).items()
    }


def _changed(session: Session, entries: Sequence[Record], *, are_named: bool = True) -> list[list[tuple[str, str]]]:
    """Return, for each entry, what happened to which signatures. Unless they are named, they are only counted."""
    groups = [_groups(entry) for entry in entries]
    if not are_named:
        return [[(what, signatures(len(ids))) for what, ids in each.items()] for each in groups]
    first = [[id_ for ids in each.values() for id_ in ids[:_MOST_NAMES]] for each in groups]
    names = table_entries.names(session, list(zip(entries, first, strict=True)))
    return [
        [(what, _listed(ids, named)) for what, ids in each.items()] for each, named in zip(groups, names, strict=True)
    ]


def _listed(ids: Sequence[int], names: Mapping[int, str]) -> str:
    shown = [str(names.get(id_, _ERASED)) for id_ in ids[:_MOST_NAMES]]
    more = len(ids) - _MOST_NAMES
    if more > 0:
        shown.append(ngettext("and %(number)s more", "and %(number)s more", more, number=number(more)))
    return "; ".join(shown)


@records.app_template_filter("changes")
def _changes(entry: Record, zone: str) -> list[tuple[str, str | None, str | None]]:
    """Return the changes of an entry as (name, before, after); `before` or `after` is None if the entry lacks it.

    Times are shown in the time zone with this IANA name. Changes to signatures are left out; see `_groups`.
    """
    left_out = {*_FOR_MACHINES, *_OF_SIGNATURES} if entry.action.startswith("signature.") else {*_FOR_MACHINES}
    keys = [key for key in {**entry.before, **entry.after} if key not in left_out]

    def shown(side: Mapping[str, Any], key: str) -> str | None:
        return _plain(key, side[key], zone) if key in side else None

    return [(_name(key), shown(entry.before, key), shown(entry.after, key)) for key in keys]


def _name(key: str) -> str:
    tag, _, text = key.rpartition(".")
    if tag:
        # A text of a translation, such as "es.title".
        return gettext("%(field)s in %(language)s", field=_name(text), language=translations.english_name(tag))
    return str(_NAMES.get(key) or key.replace("_", " ").capitalize())


def _plain(key: str, value: object, zone: str) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if value in (None, "", [], {}):
        return gettext("none")
    if key == "purpose":
        return str(_PURPOSES.get(str(value), str(value)))
    if key == "picture":
        return gettext("a picture")
    if isinstance(value, dict):
        return ", ".join(f"{_name(name).lower()}: {_plain(name, item, zone)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(str(item).replace("_", " ") for item in value)
    if key.endswith("_at"):
        return moment(datetime.fromisoformat(str(value)), zone=zone)
    return str(value)


@records.get("/campaigns/<slug>/record")
@allow(Right.READ_RECORD, translated=False)
def of_campaign(campaign: Campaign) -> ResponseReturnValue:
    """Show a page of a campaign's audit log, newest entries first."""
    before = request.args.get("before")
    if before is not None and not (before.isascii() and before.isdigit() and len(before) <= 18):
        abort(404)
    entries = audit_log.page(db.session(), campaign.id, int(before) if before else None)
    more = len(entries) > audit_log.PAGE
    # Show open sittings as the entries that they will become.
    open_sittings = [] if before else sittings.entries_of(db.session(), campaign)[::-1]
    lines = _lines(campaign, open_sittings + entries[: audit_log.PAGE])
    return render_template("desk/audit_log/audit_log.html", campaign=campaign, lines=lines, more=more)


@records.get("/record.csv")
@allow(Right.EXPORT_RECORD)
def everything() -> ResponseReturnValue:
    """Stream the whole audit log as CSV, oldest entries first."""
    lines = _csv(audit_log.everything(db.session(), _CHUNK))
    name = f"activity-log-{datetime.now(UTC):%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(stream_with_context(lines), mimetype="text/csv", headers=headers)


def _csv(chunks: Iterable[Sequence[Record]]) -> Iterator[str]:
    line = io.StringIO(newline="")
    writer = csv.writer(line)
    line.write(contents.BOM)
    writer.writerow(_COLUMNS)
    for chunk in chunks:
        writer.writerows(map(_row, chunk, _changed(db.session(), chunk)))
        # A slow download must not keep a transaction open.
        db.session.close()
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _row(entry: Record, changed: Sequence[tuple[str, str]]) -> list[str]:
    of = "; ".join(f"{what}: {listed}" for what, listed in changed)
    words = (entry.actor, entry.action, str(entry.campaign_id or ""), entry.reason, _sentence(entry), of)
    changes = (json.dumps(_without_ids(change), ensure_ascii=False) for change in (entry.before, entry.after))
    return [entry.at.isoformat(), *(contents.neutral(word) for word in (*words, *changes))]


def _without_ids(change: dict[str, Any]) -> dict[str, Any]:
    """Return a side of an entry with each signature's id as text, because a bare number would look like a count."""
    return {
        key: [f"signature {id_}" for id_ in value] if key in _OF_SIGNATURES and isinstance(value, list) else value
        for key, value in change.items()
    }
