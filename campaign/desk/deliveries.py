"""Deliveries, seen from the desk: files of signatures that are asked for, watched while they are made, and fetched."""

from collections.abc import Iterable
from datetime import UTC, datetime

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import BooleanField, SelectField, SelectMultipleField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError

from campaign import delivery, exports
from campaign.access import Right
from campaign.delivery import Order, Purpose
from campaign.desk.door import allow, by, notice
from campaign.exports import Kind
from campaign.extensions import STORAGE_ERRORS, db, write_transaction
from campaign.models import Campaign

deliveries = Blueprint("deliveries", __name__)

KINDS = {
    Kind.BOOK: "a book (PDF)",
    Kind.SPREADSHEET: "a spreadsheet",
    Kind.CSV: "a CSV file",
}
TYPES = {
    Kind.BOOK: "application/pdf",
    Kind.SPREADSHEET: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Kind.CSV: "text/csv; charset=utf-8",
}
COLUMNS = {
    "name": "Name",
    "email": "Email address",
    "city": "City",
    "region": "State or region",
    "country": "Country",
    "postal_code": "Postal code",
    "wants_updates": "Whether they want updates",
    "source": "By which link they came",
    "signed_on": "Day of signing",
    "signed_at": "Time of signing",
}


class DeliveryForm(FlaskForm):  # type: ignore[misc]
    """What is asked for, for one purpose; each has a form of its own on the page."""

    columns = SelectMultipleField("Columns")
    only_updates = BooleanField("Only those who want updates")
    kind = SelectField("Kind")

    def __init__(self, purpose: Purpose) -> None:
        """An empty form, with every column ticked, or what was sent of it."""
        sent = request.form if request.form.get("purpose") == purpose else None
        super().__init__(sent, data=None if sent else {"columns": delivery.COLUMNS[purpose]})
        self.purpose = purpose
        kinds = [kind for kind in KINDS if kind is not Kind.BOOK or purpose is Purpose.HAND_OVER]
        self.kind.choices = [SelectChoice(kind.value, KINDS[kind]) for kind in kinds]
        self.columns.choices = [SelectChoice(name, COLUMNS[name]) for name in delivery.COLUMNS[purpose]]
        self.columns.id = f"columns-{purpose}"
        self.only_updates.id = f"only-updates-{purpose}"

    def validate_columns(self, field: SelectMultipleField) -> None:
        """At least one; a book has its own."""
        if not field.data and self.kind.data != Kind.BOOK:
            raise ValidationError("Choose at least one column")

    def order(self) -> Order:
        """The order that it is."""
        columns = delivery.COLUMNS[self.purpose] if self.kind.data == Kind.BOOK else self.columns.data
        return delivery.order(self.purpose, columns, only_updates=self.only_updates.data)


@deliveries.app_context_processor
def _words() -> dict[str, object]:
    return {"export_kinds": KINDS, "is_dead": exports.is_dead}


@deliveries.get("/campaigns/<slug>/deliveries")
@allow(Right.DELIVER)
def page(campaign: Campaign) -> ResponseReturnValue:
    """The forms, and what was asked for in the last day."""
    now = datetime.now(UTC)
    try:
        if exports.needs_cleaning(db.session(), now):
            exports.sweep(now)
            with write_transaction() as session:
                exports.clean(session, now)
    except STORAGE_ERRORS:
        # What is over is not shown, be it still there.
        current_app.logger.exception("old files could not be deleted")
    return _page(campaign, map(DeliveryForm, Purpose))


def _page(campaign: Campaign, forms: Iterable[DeliveryForm]) -> str:
    now = datetime.now(UTC)
    made = exports.of_campaign(db.session(), campaign, now)
    return render_template("desk/deliveries.html", campaign=campaign, forms=list(forms), exports=made, now=now)


@deliveries.post("/campaigns/<slug>/deliveries")
@allow(Right.DELIVER)
def ask(campaign: Campaign) -> ResponseReturnValue:
    """Have a file made."""
    forms = [DeliveryForm(purpose) for purpose in Purpose]
    form = next((form for form in forms if form.purpose == request.form.get("purpose")), forms[0])
    if not form.validate():
        return _page(campaign, forms), 422
    exports.sweep(datetime.now(UTC))
    with write_transaction() as session:
        export, new = exports.ask(session, by(), campaign, Kind(form.kind.data), form.order(), datetime.now(UTC))
        export_id = export.id
    if new:
        exports.start(export_id, current_app.config["SETTINGS"])
    else:
        notice("One of that kind is being made already. When it is ready, you can ask for another.")
    return redirect(url_for(".page", slug=campaign.slug), 303)


@deliveries.get("/campaigns/<slug>/deliveries/<int(max=2147483647):export_id>")
@allow(Right.DELIVER, live=True)
def progress(campaign: Campaign, export_id: int) -> ResponseReturnValue:
    """How far one has come; a page on which it is being made asks for it by itself."""
    now = datetime.now(UTC)
    export = exports.find(db.session(), campaign, export_id, now) or abort(404)
    return render_template("desk/_export.html", campaign=campaign, export=export, now=now)


@deliveries.post("/campaigns/<slug>/deliveries/<int(max=2147483647):export_id>/file")
@allow(Right.DELIVER)
def file(campaign: Campaign, export_id: int) -> ResponseReturnValue:
    """Fetch one. It is a form, because that is written down."""
    with write_transaction() as session:
        export = exports.hand_out(session, by(), campaign, export_id, datetime.now(UTC)) or abort(404)
        kind, size, day = Kind(export.kind), export.bytes, export.asked_at.date()
    name = f"{campaign.slug}-{day}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)}
    return Response(exports.chunks(db.engine, export_id), content_type=TYPES[kind], headers=headers)
